//! The `ablate` program: see [`ablate::cli`].

fn main() -> std::process::ExitCode {
    ablate::cli::main()
}
