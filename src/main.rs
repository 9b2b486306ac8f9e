//! The `ablate` program: see [`ablate::cli`].

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
