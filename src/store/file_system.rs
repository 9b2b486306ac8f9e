//! What the file system of a store is: whether it is reached over a network, where SQLite's locks are not to be trusted, so that the
//! index lies on the machine of whoever asks; and whether a lock taken here is one on every other machine.

use std::path::Path;

/// Whom a lock (`flock`) on a file system keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locks {
    /// The processes of all machines.
    All,
    /// Those of all machines, but with one of these options of the mount those of one.
    ExceptWith(&'static [&'static str]),
    /// The processes of one machine, or nobody can say.
    OneMachine,
}

/// File systems over a network, by the number that Linux has for them (statfs(2)). What their locks do stands in nfs(5) (`local_lock`), mount.lustre(8)
/// (`localflock`), mount.cifs(8) (`nobrl`), and for BeeGFS in its `tuneUseGlobalFileLocks`, which is off unless somebody turned it on. A file
/// system in user space has locks of one machine unless it brings its own (libfuse: `flock`).
const NETWORK: [(u64, &str, Locks); 12] = [
    (0x6969, "NFS", Locks::ExceptWith(&["local_lock=all", "local_lock=flock", "nolock"])),
    (0x517b, "SMB", Locks::ExceptWith(&["nobrl"])),
    (0xff53_4d42, "CIFS", Locks::ExceptWith(&["nobrl"])),
    (0xfe53_4d42, "SMB2", Locks::ExceptWith(&["nobrl"])),
    (0x5346_414f, "AFS", Locks::All),
    (0x00c3_6400, "Ceph", Locks::All),
    (0x0bd0_0bd0, "Lustre", Locks::ExceptWith(&["localflock"])),
    (0x4750_4653, "GPFS", Locks::All),
    (0x1983_0326, "BeeGFS", Locks::OneMachine),
    (0x0102_1997, "9P", Locks::OneMachine),
    (0x7461_636f, "OCFS2", Locks::All),
    (0x6573_5546, "FUSE", Locks::OneMachine),
];

/// What kind of network file system `path` is on, if it is on one. Where it cannot be told, it is taken for a local one.
pub(super) fn network(path: &Path) -> Option<&'static str> {
    kind(path).map(|(name, _)| name)
}

/// Why a lock at `path` keeps out only the processes of this machine, where others may see the files.
pub(super) fn locks_of_one_machine(path: &Path) -> Option<String> {
    let options = || mount_options(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, &path.canonicalize().ok()?);
    match kind(path)? {
        (name, Locks::OneMachine) => Some(format!("locks on {name} keep out the processes of one machine only")),
        (name, Locks::ExceptWith(local)) => {
            let options = options()?;
            let option = options.split(',').find(|option| local.contains(option))?;
            Some(format!("with `{option}`, locks on {name} keep out the processes of one machine only"))
        }
        (_, Locks::All) => None,
    }
}

fn kind(path: &Path) -> Option<(&'static str, Locks)> {
    #[cfg(target_os = "linux")]
    {
        let magic = rustix::fs::statfs(path).ok()?.f_type;
        // The type differs between machines; the numbers have 32 bits.
        let magic = magic as u64 & 0xffff_ffff;
        NETWORK.iter().find(|(number, ..)| *number == magic).map(|(_, name, locks)| (*name, *locks))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (path, &NETWORK);
        None
    }
}

/// The options of the file system that `path` is on, from what Linux says of its mounts (proc(5): `mountinfo`).
fn mount_options(mounts: &str, path: &Path) -> Option<String> {
    let mut found: Option<(usize, String)> = None;
    for line in mounts.lines() {
        let (mount, system) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?.replace("\\040", " ");
        let options = system.split(' ').nth(2).unwrap_or_default();
        // Of two mounts at one place the later one hides the other.
        if path.starts_with(&point) && found.as_ref().is_none_or(|(length, _)| *length <= point.len()) {
            found = Some((point.len(), options.to_owned()));
        }
    }
    found.map(|(_, options)| options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_local() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!((network(folder.path()), locks_of_one_machine(folder.path())), (None, None));
        assert_eq!(network(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_options_are_those_of_the_innermost_mount() {
        let mounts = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro
90 22 0:50 / /home rw - nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1
91 22 0:51 / /home/my\\040data rw - nfs server:/data rw,vers=3,nolock,local_lock=all
92 90 0:52 / /home rw - nfs4 other:/home rw,local_lock=flock
";
        for (path, expected) in [
            ("/tmp/runs", "rw,errors=remount-ro"),
            ("/home/runs", "rw,local_lock=flock"),
            ("/homes/runs", "rw,errors=remount-ro"),
            ("/home/my data/runs", "rw,vers=3,nolock,local_lock=all"),
        ] {
            assert_eq!(mount_options(mounts, Path::new(path)).as_deref(), Some(expected), "{path}");
        }
        assert_eq!(mount_options("nonsense", Path::new("/")), None);
    }
}
