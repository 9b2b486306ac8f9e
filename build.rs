//! Tells the program what it was built from: commit, dirty flag, compiler and the hash of the lock file.
//!
//! Cargo compiles the whole crate again whenever this script runs. So the commit is the last one that changed what is compiled,
//! and git is watched only while the sources are in no commit: a commit of documents or experiments, `git add` and `git status`
//! compile nothing.

use std::path::Path;
use std::process::Command;

/// What is compiled.
const SOURCES: [&str; 4] = ["src", "build.rs", "Cargo.toml", "Cargo.lock"];

#[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script through the environment")]
fn main() {
    let git = |arguments: &[&str]| output("git", &[arguments, &["--"], &SOURCES].concat());
    let commit = git(&["log", "-1", "--format=%H"]).unwrap_or_default();
    let dirty = git(&["status", "--porcelain"]).is_some_and(|status| !status.is_empty());
    let rustc = output(&std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()), &["--version"]).unwrap_or_default();
    let lock = std::fs::read("Cargo.lock").unwrap_or_default();
    println!("cargo::rustc-env=ABLATE_COMMIT={commit}");
    println!("cargo::rustc-env=ABLATE_DIRTY={dirty}");
    println!("cargo::rustc-env=ABLATE_RUSTC={rustc}");
    println!("cargo::rustc-env=ABLATE_LOCK_HASH={:016x}", fnv1a(&lock));
    println!("cargo::rustc-env=ABLATE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=ABLATE_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
    for source in SOURCES.into_iter().filter(|source| Path::new(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }
    if dirty {
        // Every commit and checkout adds a line to it.
        let log = output("git", &["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists());
        log.iter().for_each(|log| println!("cargo::rerun-if-changed={log}"));
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
