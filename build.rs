//! Tells the program what it was built from: commit, dirty flag, compiler and the hash of the lock file.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script through the environment")]
fn main() {
    let git = |arguments: &[&str]| output("git", arguments);
    let commit = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|status| !status.is_empty());
    let rustc = output(&std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()), &["--version"]).unwrap_or_default();
    let lock = std::fs::read("Cargo.lock").unwrap_or_default();
    println!("cargo::rustc-env=ABLATE_COMMIT={commit}");
    println!("cargo::rustc-env=ABLATE_DIRTY={dirty}");
    println!("cargo::rustc-env=ABLATE_RUSTC={rustc}");
    println!("cargo::rustc-env=ABLATE_LOCK_HASH={:016x}", fnv1a(&lock));
    println!("cargo::rustc-env=ABLATE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=ABLATE_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
    for watched in [".git/HEAD", ".git/index", "src", "build.rs", "Cargo.lock", "Cargo.toml"] {
        if std::path::Path::new(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// FNV-1a, 64 bits: names a lock file without a dependency of the build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
