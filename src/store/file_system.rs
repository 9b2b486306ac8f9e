//! What the file system of a store can be relied on for: whether locks hold, and whether others may reach it over a network.
//!
//! Runs are held by locks (`flock`). A file system that lets two hold one lock (an NFS mount with `nolock`, some of FUSE) is found
//! out by holding a lock twice, each time one is taken. SQLite's own locks are not to be trusted over a network, so there the index
//! lies on the machine of whoever asks.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// File systems over a network, by the number that Linux has for them (statfs(2)).
const NETWORK: [(u64, &str); 12] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x0102_1997, "9P"),
    (0x7461_636f, "OCFS2"),
    (0x6573_5546, "FUSE"),
];

/// What kind of network file system `path` is on, if it is on one. Where it cannot be told, it is taken for a local one.
pub(super) fn network(path: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        let magic = rustix::fs::statfs(path).ok()?.f_type;
        // The type differs between machines; the numbers have 32 bits.
        let magic = magic as u64 & 0xffff_ffff;
        NETWORK.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (path, &NETWORK);
        None
    }
}

/// Whether a lock that this process holds on the file at `path` keeps others out: by trying to hold it once more.
pub(super) fn lock_holds(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Ok(()) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_tried_against_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lease");
        let file = File::create(&path).unwrap();
        assert!(!lock_holds(&path).unwrap(), "nobody holds it, as on a file system whose locks do nothing");
        file.lock().unwrap();
        assert!(lock_holds(&path).unwrap());
    }

    #[test]
    fn a_local_folder_is_local() {
        assert_eq!(network(tempfile::tempdir().unwrap().path()), None);
        assert_eq!(network(Path::new("/nowhere")), None);
    }
}
