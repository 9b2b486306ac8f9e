//! Of several runs of the same science, the one that counts.

use std::collections::BTreeMap;

use super::index::RunRow;
use crate::types::SpecHash;

/// Of the runs of each identity the one nearest to being finished, the newest of equals where the rows are in the
/// order of a query. Runs that execute another one again do not count.
pub fn nearest_to_finished(rows: impl IntoIterator<Item = RunRow>) -> BTreeMap<SpecHash, RunRow> {
    let mut nearest: BTreeMap<SpecHash, RunRow> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.reproduces.is_none()) {
        let is_nearer = nearest.get(&row.identity).is_none_or(|known| row.state.distance() < known.state.distance());
        if is_nearer {
            nearest.insert(row.identity, row);
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::{at, spec, state};
    use crate::store::{Index, RunQuery, RunState, Store};

    #[test]
    fn the_nearest_to_finished_counts_and_a_reproduction_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("runs")).unwrap();
        let run = |seed, reached, provenance| {
            let run = store.create_run(&spec(seed, 0.15), &provenance, at(1)).unwrap();
            let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
            log.append(&state(reached, 2)).unwrap();
            run.id().clone()
        };
        let original = run(1, RunState::Failed, json!({}));
        let better = run(1, RunState::Interrupted, json!({}));
        run(1, RunState::Finished, json!({ "reproduces": original }));
        let other = run(2, RunState::Planned, json!({}));
        let rows = Index::open(&store).unwrap().query(&RunQuery::default()).unwrap();
        let nearest = nearest_to_finished(rows).into_values().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(nearest.len(), 2);
        assert!(nearest.contains(&better) && nearest.contains(&other));
    }
}
