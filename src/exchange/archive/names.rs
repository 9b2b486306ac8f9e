//! Which paths may be in an archive: those that mean one and the same file below a folder on every system, and never anything
//! outside it.
//!
//! Writer and reader hold to the same rule, so that an archive that was made here can be taken in anywhere.

use std::collections::BTreeMap;

use crate::types::RunId;

/// The first entry, which speaks of all others.
pub(super) const CERTIFICATE: &str = "certificate.json";
/// What is said about the runs' experiments.
pub(super) const EXPERIMENTS: &str = "experiments.json";

/// Bytes of a path, and of a name in it, at most.
const LONGEST: (usize, usize) = (1024, 255);

/// Whose a file of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner<'p> {
    /// A run, and the path in its folder.
    Run(RunId, &'p str),
    /// A report: the folder of its experiment, its own folder, the path in that.
    Report(&'p str, &'p str, &'p str),
    Experiments,
}

impl<'p> Owner<'p> {
    /// The owner of the file at `path`; `None` where an archive has no such place.
    pub fn of(path: &'p str) -> Option<Self> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match first {
            "runs" => {
                let (id, rest) = rest.split_once('/')?;
                Some(Self::Run(id.parse().ok()?, rest))
            }
            "reports" => {
                let (shelf, rest) = rest.split_once('/')?;
                let (folder, rest) = rest.split_once('/')?;
                Some(Self::Report(shelf, folder, rest))
            }
            EXPERIMENTS if rest.is_empty() => Some(Self::Experiments),
            _ => None,
        }
    }
}

/// Whether a path may be in an archive.
///
/// # Errors
/// Says what is wrong with it.
pub(in crate::exchange) fn check(path: &str) -> Result<(), String> {
    if path.len() > LONGEST.0 {
        return Err(format!("its path has more than {} bytes", LONGEST.0));
    }
    path.split('/').try_for_each(check_name)
}

fn check_name(name: &str) -> Result<(), String> {
    let is_drive = name.len() >= 2 && name.as_bytes()[1] == b':' && name.as_bytes()[0].is_ascii_alphabetic();
    let problem = match name {
        "" => "a part of its path is empty",
        "." | ".." => "its path leads elsewhere",
        _ if name.len() > LONGEST.1 => "a name in its path has more than 255 bytes",
        _ if name.contains('\\') => "a backslash parts folders on some systems",
        _ if name.contains(char::is_control) => "its path has a control character",
        _ if is_drive || (cfg!(windows) && name.contains(':')) => "a colon names a drive on some systems",
        _ if name.ends_with(['.', ' ']) => "some systems drop the point or space at the end of a name",
        _ if name.starts_with(".tmp") => "such names are of files that are not in their place yet",
        _ => return Ok(()),
    };
    Err(problem.to_owned())
}

/// Two of these paths that cannot stand beside each other: the same but for the case of their letters, or a file where the other
/// needs a folder.
pub(in crate::exchange) fn collision<'p>(paths: impl IntoIterator<Item = &'p str>) -> Option<(&'p str, &'p str)> {
    // Each path and each folder above it, in small letters: how it is written, whether it is a file, and of which path.
    let mut known: BTreeMap<String, (&str, bool, (usize, &str))> = BTreeMap::new();
    for (number, path) in paths.into_iter().enumerate() {
        let ends = path.match_indices('/').map(|(at, _)| (at, false)).chain([(path.len(), true)]);
        for (end, is_file) in ends {
            let part = &path[..end];
            let (written, was_file, first) =
                *known.entry(part.to_lowercase()).or_insert((part, is_file, (number, path)));
            let (first, first_path) = first;
            if first != number && (written != part || was_file || is_file) {
                return Some((first_path, path));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::path::{Component, Path};

    use super::*;

    #[test]
    fn what_leads_elsewhere_is_no_path() {
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            "C:",
            "c:/x",
            "a/C:x",
            "a\\b",
            "\\\\host\\share",
            "a\0b",
            "a\nb",
            "a/b.",
            "a/b ",
            "runs/.tmp-1/x",
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&"x/".repeat(600)).is_err() && check(&"x".repeat(256)).is_err());
        for good in ["a", "runs/7h2kq9xw/artifacts/한글 표.csv", "a/...b", "a/-x", "a/ b", ".hidden"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn what_cannot_stand_side_by_side_is_found() {
        for (paths, expected) in [
            (&["a/b", "a/c", "ab"][..], None),
            (&["a/b", "a/B"], Some(("a/b", "a/B"))),
            (&["a/b/c", "A/b/d"], Some(("a/b/c", "A/b/d"))),
            (&["a", "a/b"], Some(("a", "a/b"))),
            (&["a/b", "a"], Some(("a/b", "a"))),
            (&["a/b", "a/b"], Some(("a/b", "a/b"))),
            (&["Ä", "ä"], Some(("Ä", "ä"))),
        ] {
            assert_eq!(collision(paths.iter().copied()), expected, "{paths:?}");
        }
    }

    #[test]
    fn every_file_has_an_owner_or_no_place() {
        let id: RunId = "7h2kq9xw".parse().unwrap();
        assert_eq!(Owner::of("runs/7h2kq9xw/a/b"), Some(Owner::Run(id, "a/b")));
        assert_eq!(
            Owner::of("reports/x/2026-01-01-00000000/report.html"),
            Some(Owner::Report("x", "2026-01-01-00000000", "report.html"))
        );
        assert_eq!(Owner::of("experiments.json"), Some(Owner::Experiments));
        for nowhere in
            ["runs/7h2kq9xw", "runs/cache/x", "runs", "index.sqlite", "reports/x", "reports/x/y", "experiments.json/x"]
        {
            assert_eq!(Owner::of(nowhere), None, "{nowhere}");
        }
    }

    proptest! {
        /// Whatever passes stays below the folder that it is joined to, name by name.
        #[test]
        fn a_path_that_passes_stays_below(path in "[a./\\\\:C \u{0}가]{0,12}") {
            if check(&path).is_ok() {
                let joined = Path::new("/store").join(&path);
                let inner = joined.strip_prefix("/store").unwrap();
                prop_assert!(inner.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert_eq!(inner.components().count(), path.split('/').count());
            }
        }
    }
}
