//! Locks that the kernel releases when their holder dies, however it dies (`flock`).
//!
//! The lock is on a file, not the file itself, so nothing is left to clean up after a crash and no clock decides whether a
//! worker still lives. The files stay, empty: removing one while another process opens it would let two processes hold two
//! files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// What came of trying to lock a file.
#[derive(Debug)]
pub enum Tried {
    /// It is locked until the file is dropped.
    Locked(File),
    /// Somebody else holds it.
    Held,
    /// Nothing keeps others out here: on this file system locks do nothing, or there are none.
    Useless,
}

/// Locks `path` for this process alone. Tries for a few hundredths of a second, because somebody may be looking.
pub fn lock(path: &Path) -> io::Result<Tried> {
    const TRIES: u32 = 10;
    const PAUSE: Duration = Duration::from_millis(5);

    let file = OpenOptions::new().create(true).append(true).open(path)?;
    for attempt in 0..TRIES {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        match file.try_lock() {
            // Not every file system that says so keeps others out.
            Ok(()) => return Ok(if is_locked(path)? { Tried::Locked(file) } else { Tried::Useless }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if is_unsupported(&error) => return Ok(Tried::Useless),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(Tried::Held)
}

/// Whether anybody holds the lock on `path`. Looking takes a shared lock for an instant; it works in a read-only store.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) if is_unsupported(&error) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a file system said that it has no locks: ENOSYS and EOPNOTSUPP, or ENOLCK of an NFS server without a lock manager.
fn is_unsupported(error: &io::Error) -> bool {
    #[cfg(unix)]
    let has_none = error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error());
    #[cfg(not(unix))]
    let has_none = false;
    has_none || error.kind() == io::ErrorKind::Unsupported
}
