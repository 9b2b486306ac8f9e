//! This program, started again by the server to execute what was asked for in a page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock::{self, Stopwatch};
use crate::server::{AtWork, Executor};
use crate::store;

/// Seconds within which a command that cannot begin has said so.
const PATIENCE_SECS: f64 = 2.0;

/// Commands whose words are kept, at most.
const MOST_KEPT: usize = 20;

/// Commands that outlive the server.
#[derive(Debug)]
pub struct Commands {
    runs: PathBuf,
    data: PathBuf,
    started: AtomicU64,
}

impl Commands {
    /// Commands on a store, whose corpora are looked up in `data`.
    ///
    /// # Errors
    /// When the folder of this process cannot be found out.
    pub fn new(runs: &Path, data: &Path) -> io::Result<Self> {
        Ok(Self { runs: std::path::absolute(runs)?, data: std::path::absolute(data)?, started: AtomicU64::new(0) })
    }

    fn spawn(&self, arguments: &[String], folder: Option<&Path>, said: &Path) -> io::Result<Child> {
        let output = fs::File::create(said)?;
        let mut command = Command::new(std::env::current_exe()?);
        // The store is said aloud: the record of a sweep has the command, and who types it elsewhere means the same store. Else what
        // the command itself says goes before the surroundings.
        command
            .arg("--runs")
            .arg(&self.runs)
            .args(arguments)
            .env("ABLATE_RUNS", &self.runs)
            .env("ABLATE_DATA", &self.data)
            .env_remove("COLUMNS");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        // In a group of its own, so that Ctrl-C at the server is not meant for it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }
}

impl Executor for Commands {
    fn start(&self, arguments: &[String], folder: Option<&Path>) -> Result<AtWork, String> {
        let failed = |error: io::Error| {
            let place = folder.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
            format!("cannot start `ablate {}`{place}: {error}", arguments.join(" "))
        };
        let words = store::sweeps_folder(&self.runs).join("said");
        fs::create_dir_all(&words).map_err(failed)?;
        forget_old(&words);
        let said =
            words.join(format!("{}-{}.txt", clock::now().unix_millis(), self.started.fetch_add(1, Ordering::Relaxed)));
        let mut child = self.spawn(arguments, folder, &said).map_err(failed)?;
        let stopwatch = Stopwatch::start();
        let ended = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break Some(status),
                None if stopwatch.elapsed_secs() > PATIENCE_SECS => break None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        match ended {
            Some(status) => {
                let came = come_to(status, &said).map_err(|text| format!("`ablate {}`: {text}", arguments.join(" ")));
                came.map(|()| AtWork::default())
            }
            None => {
                let at_work = AtWork::new(AtomicBool::new(true));
                let its = at_work.clone();
                // What it says is kept while it is at work, and where it failed.
                thread::spawn(move || {
                    let _ = child.wait().map(|status| come_to(status, &said));
                    its.store(false, Ordering::Relaxed);
                });
                Ok(at_work)
            }
        }
    }
}

/// Removes what was said long ago.
fn forget_old(words: &Path) {
    let mut old: Vec<PathBuf> = fs::read_dir(words).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    old.sort();
    let many = old.len().saturating_sub(MOST_KEPT);
    old[..many].iter().for_each(|path| drop(fs::remove_file(path)));
}

/// What a command that has ended came to.
fn come_to(status: ExitStatus, said: &Path) -> Result<(), String> {
    if status.success() {
        let _ = fs::remove_file(said);
        return Ok(());
    }
    let text = fs::read_to_string(said).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Err(format!("{status}\n{}", lines[lines.len().saturating_sub(12)..].join("\n")))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn what_was_said_last_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..MOST_KEPT + 3).map(|i| format!("{:04}-0.txt", 1_000 + i)).collect();
        names.iter().for_each(|name| fs::write(folder.path().join(name), "x").unwrap());
        forget_old(folder.path());
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<String> = left.collect();
        left.sort();
        assert_eq!(left, names[3..]);
    }

    #[test]
    fn a_failed_command_is_told_by_its_last_words_and_one_that_did_well_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said.txt");
        fs::write(&said, (0..30).map(|i| format!("line {i}\n\n")).collect::<String>()).unwrap();
        let text = come_to(ExitStatus::from_raw(2 << 8), &said).unwrap_err();
        assert!(text.starts_with("exit status: 2\nline 18\n") && text.ends_with("line 29"), "{text}");
        assert!(said.exists());
        come_to(ExitStatus::from_raw(0), &said).unwrap();
        assert!(!said.exists());
    }
}
