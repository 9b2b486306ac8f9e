//! Whether a store is reached over a network. SQLite's locks are not to be trusted there, so the index lies on the machine of whoever
//! asks.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_local() {
        assert_eq!(network(tempfile::tempdir().unwrap().path()), None);
        assert_eq!(network(Path::new("/nowhere")), None);
    }
}
