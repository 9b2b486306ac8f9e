//! Workers as child processes of this one, on this machine.
//!
//! A worker's standard input is held open as long as it may run: closing it asks for an orderly end, and so does the
//! death of this process, however it dies.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{Exit, Handle, LaunchError, Launcher};
use crate::runner::data_sources::DataSources;
use crate::runner::provenance::cores;
use crate::store::{RunDir, StoreError};

/// Child processes that execute `ablate worker`.
#[derive(Debug)]
pub struct LocalProcesses {
    sources: DataSources,
    slots: usize,
    threads: usize,
    /// The open standard inputs of workers that may run.
    inputs: BTreeMap<Handle, ChildStdin>,
    launched: u64,
    sender: Sender<(Handle, Exit)>,
    ended: Receiver<(Handle, Exit)>,
}

impl LocalProcesses {
    /// So many workers at a time; the cores are divided among them unless `threads` says how many each has.
    pub fn new(sources: &DataSources, slots: usize, threads: Option<usize>) -> Self {
        let slots = slots.max(1);
        let threads = threads.unwrap_or_else(|| (cores() / slots).max(1));
        let (sender, ended) = channel();
        Self { sources: sources.clone(), slots, threads, inputs: BTreeMap::new(), launched: 0, sender, ended }
    }
}

impl Launcher for LocalProcesses {
    fn launch(&mut self, run: &RunDir, until: Option<u64>) -> Result<Handle, LaunchError> {
        let program = std::env::current_exe()
            .map_err(|source| LaunchError::Spawn { program: PathBuf::from("ablate"), source })?;
        let log_path = run.text_log_path();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|source| StoreError::io("open", &log_path, source))?;
        let mut command = Command::new(&program);
        command
            .args(["worker", run.id().as_str(), "--tethered", "--runs"])
            .arg(self.sources.store.root())
            .arg("--data")
            .arg(&self.sources.search.data_root)
            .env("RAYON_NUM_THREADS", self.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        // In a process group of its own, a worker is not hit by Ctrl-C: it stops when its parent says so.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        if let Some(step) = until {
            command.arg("--until").arg(step.to_string());
        }
        let mut child = command.spawn().map_err(|source| LaunchError::Spawn { program, source })?;
        let handle = Handle(self.launched);
        self.launched += 1;
        // Waiting for a child closes its input, so the input is taken away first.
        if let Some(input) = child.stdin.take() {
            self.inputs.insert(handle, input);
        }
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            // Who launched may be gone already; then nobody wants to know.
            let _ = sender.send((handle, exit_of(child.wait())));
        });
        Ok(handle)
    }

    fn poll(&mut self, patience: Duration) -> Vec<(Handle, Exit)> {
        let ended: Vec<_> = self.ended.recv_timeout(patience).into_iter().chain(self.ended.try_iter()).collect();
        ended.iter().for_each(|(handle, _)| drop(self.inputs.remove(handle)));
        ended
    }

    fn stop(&mut self, worker: Handle) {
        self.inputs.remove(&worker);
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

fn exit_of(status: std::io::Result<ExitStatus>) -> Exit {
    match status {
        Ok(status) if status.code().is_some() || crashed(status) => Exit::Ended { how: status.to_string() },
        Ok(status) => Exit::Killed { how: status.to_string() },
        Err(error) => Exit::Vanished { how: error.to_string() },
    }
}

/// Whether a signal came from the worker's own fault, which would happen again, and not from outside.
#[cfg(unix)]
fn crashed(status: ExitStatus) -> bool {
    /// SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS, as Linux numbers them.
    const OWN_FAULT: [i32; 6] = [4, 6, 7, 8, 11, 31];
    std::os::unix::process::ExitStatusExt::signal(&status).is_some_and(|signal| OWN_FAULT.contains(&signal))
}

#[cfg(not(unix))]
fn crashed(_: ExitStatus) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_signal_from_outside_is_told_from_a_fault_of_ones_own() {
        // As `wait` gives them: a code in the second byte, a signal in the first.
        let exit = |raw: i32| exit_of(Ok(ExitStatus::from_raw(raw)));
        for code in [0, 1, 2, 101] {
            assert!(matches!(exit(code << 8), Exit::Ended { .. }), "code {code}");
        }
        for fault in [4, 6, 7, 8, 11, 31] {
            assert!(matches!(exit(fault), Exit::Ended { .. }), "signal {fault}");
        }
        for outside in [1, 2, 9, 15, 10] {
            assert!(matches!(exit(outside), Exit::Killed { .. }), "signal {outside}");
        }
        assert!(matches!(exit_of(Err(std::io::Error::other("gone"))), Exit::Vanished { .. }));
    }

    #[test]
    fn the_cores_are_divided_among_the_workers() {
        let folder = tempfile::tempdir().unwrap();
        let sources = crate::runner::testing::sources(folder.path());
        let threads = |slots, threads| LocalProcesses::new(&sources, slots, threads).threads();
        assert_eq!(threads(1, None), cores());
        assert_eq!(threads(10 * cores(), None), 1);
        assert_eq!(threads(3, Some(5)), 5);
        assert_eq!(LocalProcesses::new(&sources, 0, None).slots(), 1);
    }
}
