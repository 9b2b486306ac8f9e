//! What was seen of a heartbeat on this machine, and how long ago by this machine's own clock.
//!
//! A command that looks once cannot tell a heart that stands still from one between two beats. So what one saw is kept for the
//! next, in a folder of this user beside other temporary files. Clocks of other machines, and times of files, count for nothing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::types::ContentHash;

/// For how many seconds a place is known to hold exactly `content`.
pub fn unchanged_secs(place: &Path, content: &[u8]) -> f64 {
    match memory(place) {
        Some(memory) => remembered_secs(&memory, content, clock::secs_awake()),
        None => 0.0,
    }
}

/// The same, from a memory that is written anew when it is of other content.
///
/// After a restart of the machine its clock begins anew; what was seen before it was seen longer ago than the clock shows.
fn remembered_secs(memory: &Path, content: &[u8], now: f64) -> f64 {
    let hash = ContentHash::of(content).to_string();
    let known = fs::read_to_string(memory).ok();
    let since = known.as_deref().and_then(|known| known.strip_prefix(&hash)?.trim().parse::<f64>().ok());
    match since.filter(|since| (0.0..=now).contains(since)) {
        Some(since) => now - since,
        None => {
            let seen = format!("{hash} {now}\n");
            // By a rename, so that nobody reads half of it. What cannot be kept is seen for the first time again.
            let next = memory.with_extension(format!("{}", std::process::id()));
            let written = fs::File::create(&next).and_then(|mut file| file.write_all(seen.as_bytes()));
            let _ = written.and_then(|()| fs::rename(&next, memory));
            0.0
        }
    }
}

/// Nothing more is to be remembered of a place.
pub fn forget(place: &Path) {
    if let Some(memory) = memory(place) {
        let _ = fs::remove_file(memory);
    }
}

/// The file that remembers a place: in a folder that is this user's alone, and of this machine's clock alone, for machines may share
/// a folder of temporary files.
fn memory(place: &Path) -> Option<PathBuf> {
    let place = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let seen = [place.as_os_str().as_encoded_bytes(), b"\0", clock_of_this_machine().as_bytes()].concat();
    let name = ContentHash::of(&seen).short();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};

        let user = rustix::process::getuid().as_raw();
        let folder = std::env::temp_dir().join(format!("ablate-{user}"));
        let _ = fs::DirBuilder::new().mode(0o700).create(&folder);
        let is_ours = fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir() && found.uid() == user);
        is_ours.then(|| folder.join(format!("{name}.seen")))
    }
    #[cfg(not(unix))]
    {
        let folder = std::env::temp_dir().join("ablate");
        fs::create_dir_all(&folder).ok().map(|()| folder.join(format!("{name}.seen")))
    }
}

/// What tells this machine's clock from those of others: the boot, and the namespace of times; nothing where the system has neither.
fn clock_of_this_machine() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let times = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    format!("{} {}", boot.trim(), times.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_change_is_older_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let memory = folder.path().join("a.seen");
        let look = |content: &str, now: f64| remembered_secs(&memory, content.as_bytes(), now);
        assert_eq!([look("1", 100.0), look("1", 104.5), look("1", 130.0)], [0.0, 4.5, 30.0]);
        assert_eq!([look("2", 130.0), look("2", 131.0), look("1", 132.0), look("1", 140.0)], [0.0, 1.0, 0.0, 8.0]);
        // The machine was started again.
        assert_eq!([look("1", 5.0), look("1", 7.0)], [0.0, 2.0]);
        for damaged in
            ["", "x", "1", &format!("{} many\n", ContentHash::of(b"1")), &format!("{} NaN\n", ContentHash::of(b"1"))]
        {
            fs::write(&memory, damaged).unwrap();
            assert_eq!([look("1", 50.0), look("1", 51.0)], [0.0, 1.0], "{damaged:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn places_are_remembered_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        assert_eq!((unchanged_secs(&a, b"x"), unchanged_secs(&b, b"y")), (0.0, 0.0));
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(unchanged_secs(&a, b"x") > 0.0);
        forget(&a);
        assert_eq!(unchanged_secs(&a, b"x"), 0.0);
        [&a, &b].into_iter().for_each(|place| forget(place));
    }
}
