//! Who works on what: locks that the kernel releases when their holder dies, however it dies.
//!
//! A lease or a claim is an exclusive lock on a file (`flock`), not the file itself, so nothing is left to clean up after a
//! crash and no clock decides whether a worker still lives. That the kernel keeps others out is tried each time, because not
//! every file system lets it. The files stay, empty: removing one while another process
//! opens it would let two processes hold two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::error::{StoreError, io_error};

/// The right to write into a run's folder, until dropped.
#[derive(Debug)]
pub struct Lease {
    _locked: File,
}

/// The right to execute a specification, until dropped: of two programs that run one file, each spec goes to one.
#[derive(Debug)]
pub struct SpecClaim {
    _locked: File,
}

impl Lease {
    pub(super) fn acquire(path: &Path, what: String) -> Result<Self, StoreError> {
        lock(path, what).map(|locked| Self { _locked: locked })
    }
}

impl SpecClaim {
    pub(super) fn acquire(path: &Path, what: String) -> Result<Self, StoreError> {
        lock(path, what).map(|locked| Self { _locked: locked })
    }
}

/// Whether anybody holds the lock on `path`. Looking takes a shared lock for an instant; it works in a read-only store.
pub(super) fn is_locked(path: &Path) -> Result<bool, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

/// Locks `path` for this process alone, for the short while that a small file takes to be replaced; the lock is released
/// when the file is dropped.
pub(super) fn wait_for_lock(path: &Path, what: &str) -> Result<File, StoreError> {
    const TRIES: u32 = 100;

    for _ in 1..TRIES {
        match lock(path, what.to_owned()) {
            Err(error) if error.is_held() => {}
            result => return result,
        }
    }
    lock(path, what.to_owned())
}

/// Locks `path` for this process alone. Tries for a few hundredths of a second, because somebody may be looking.
fn lock(path: &Path, what: String) -> Result<File, StoreError> {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(5);

    let file = OpenOptions::new().create(true).append(true).open(path).map_err(io_error("open", path))?;
    for attempt in 0..TRIES {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        match file.try_lock() {
            Ok(()) => {
                return match is_locked(path)? {
                    true => Ok(file),
                    false => Err(StoreError::LocksDoNothing { path: path.to_owned() }),
                };
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        }
    }
    Err(StoreError::Held { what, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_lease_is_held_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        assert!(!is_locked(&path).unwrap());
        let lease = Lease::acquire(&path, "run x".to_owned()).unwrap();
        assert!(is_locked(&path).unwrap());
        let second = Lease::acquire(&path, "run x".to_owned()).unwrap_err();
        assert!(second.is_held(), "{second}");
        drop(lease);
        assert!(!is_locked(&path).unwrap());
        Lease::acquire(&path, "run x".to_owned()).unwrap();
    }

    #[test]
    fn of_many_claimants_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("claim");
        let start = Barrier::new(8);
        let wins = thread::scope(|scope| {
            let claimants = (0..8).map(|_| {
                scope.spawn(|| {
                    start.wait();
                    SpecClaim::acquire(&path, "spec".to_owned())
                })
            });
            let outcomes = claimants.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap());
            // Collected before any claim is dropped.
            outcomes.collect::<Vec<_>>().iter().filter(|outcome| outcome.is_ok()).count()
        });
        assert_eq!(wins, 1);
    }

    /// Not a test of its own: the process that [`a_killed_process_holds_nothing`] starts and kills, in a folder of its own.
    #[test]
    #[ignore = "holds a lease until it is killed"]
    fn hold_the_lease_of_this_folder() {
        if Path::new("hold").exists() {
            let _lease = Lease::acquire(Path::new("lease"), "run x".to_owned()).unwrap();
            thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn a_killed_process_holds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        std::fs::write(folder.path().join("hold"), "").unwrap();
        let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::lease::tests::hold_the_lease_of_this_folder", "--ignored"])
            .current_dir(folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while !is_locked(&path).unwrap() {
            assert!(holder.try_wait().unwrap().is_none(), "the holder ended before it was killed");
            thread::sleep(Duration::from_millis(2));
        }
        assert!(Lease::acquire(&path, "run x".to_owned()).unwrap_err().is_held());
        holder.kill().unwrap();
        holder.wait().unwrap();
        Lease::acquire(&path, "run x".to_owned()).unwrap();
    }

    #[test]
    fn looking_does_not_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        drop(Lease::acquire(&path, "run x".to_owned()).unwrap());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        is_locked(&path).unwrap();
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            for _ in 0..100 {
                Lease::acquire(&path, "run x".to_owned()).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
