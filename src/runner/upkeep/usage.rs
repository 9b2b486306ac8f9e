//! What a store takes on the disk, by kind and by experiment.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{files_below, is_stray};
use crate::store::{RunRow, Store};

/// What a store takes on the disk.
#[derive(Clone, Debug, Serialize)]
pub struct Usage {
    format: &'static str,
    pub bytes: u64,
    pub kinds: Vec<Share>,
    /// The runs of each experiment; a run counts to the one that it was made for.
    pub experiments: Vec<Share>,
}

/// The share of some files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    pub what: String,
    pub bytes: u64,
    /// Files of a kind, or runs of an experiment.
    pub count: u64,
}

/// Measures the store, whose runs are `rows`, those in the trash too.
pub fn usage(store: &Store, rows: &[RunRow]) -> Usage {
    let experiments: BTreeMap<&str, (&str, bool)> = rows
        .iter()
        .map(|row| (row.id.as_str(), (row.experiment().unwrap_or("(none)"), row.labels.is_trashed())))
        .collect();
    let (mut kinds, mut by_experiment) = (BTreeMap::new(), BTreeMap::new());
    let mut runs_seen = BTreeMap::new();
    for (path, bytes) in files_below(store.root()) {
        let below = path.strip_prefix(store.root()).unwrap_or(&path);
        let mut parts = below.iter().map(|part| part.to_string_lossy());
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let run = experiments.get(first.as_ref());
        let kind = match (run, first.as_ref(), second.as_ref()) {
            _ if below.ancestors().any(is_stray) => "unfinished files",
            (Some((_, true)), ..) => "runs in the trash",
            (Some(_), _, "checkpoints") => "checkpoints",
            (Some(_), _, "events.log") => "logs",
            (Some(_), _, "artifacts") => "artifacts",
            (Some(_), ..) => "other files of runs",
            (None, "cache", _) => "cache",
            (None, "reports", _) => "reports",
            (None, ".set-aside", _) => "set aside",
            (None, name, _) if name.starts_with("index.sqlite") => "index",
            _ => "other",
        };
        add(&mut kinds, kind, bytes, 1);
        if let Some((experiment, _)) = run {
            let is_new = runs_seen.insert(first.into_owned(), ()).is_none();
            add(&mut by_experiment, experiment, bytes, u64::from(is_new));
        }
    }
    let shares = |found: BTreeMap<String, (u64, u64)>| {
        let mut shares: Vec<Share> =
            found.into_iter().map(|(what, (bytes, count))| Share { what, bytes, count }).collect();
        shares.sort_by(|a, b| (b.bytes, &a.what).cmp(&(a.bytes, &b.what)));
        shares
    };
    let kinds = shares(kinds);
    let bytes = kinds.iter().map(|share| share.bytes).sum();
    Usage { format: "ablate-usage-1", bytes, kinds, experiments: shares(by_experiment) }
}

fn add(found: &mut BTreeMap<String, (u64, u64)>, what: &str, bytes: u64, count: u64) {
    let share = found.entry(what.to_owned()).or_default();
    share.0 += bytes;
    share.1 += count;
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::runner::testing;
    use crate::store::{Index, RunQuery, Trash};

    #[test]
    fn every_byte_has_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let [run, _] = [1, 2].map(|seed| testing::new_run(&store, seed));
        fs::write(run.checkpoints_path().join("step-00000001.safetensors"), vec![0; 1000]).unwrap();
        fs::write(run.checkpoints_path().join(".tmp-1"), vec![0; 70]).unwrap();
        fs::create_dir_all(store.root().join("cache/tokens")).unwrap();
        fs::write(store.root().join("cache/tokens/a"), vec![0; 500]).unwrap();
        let rows = Index::open(&store).unwrap().query(&RunQuery::default().from_trash(Trash::With)).unwrap();
        let usage = usage(&store, &rows);
        let of = |what: &str| usage.kinds.iter().find(|share| share.what == what).map_or(0, |share| share.bytes);
        assert_eq!((of("checkpoints"), of("unfinished files"), of("cache")), (1000, 70, 500));
        let whole: u64 = files_below(store.root()).iter().map(|(_, bytes)| bytes).sum();
        assert_eq!((usage.bytes, usage.kinds.iter().map(|share| share.bytes).sum::<u64>()), (whole, whole));
        assert_eq!(usage.experiments.iter().map(|share| share.count).sum::<u64>(), 2);
    }
}
