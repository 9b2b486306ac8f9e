//! Of several runs of the same science, the one that counts.

use std::collections::BTreeMap;

use super::index::RunRow;
use crate::types::SpecHash;

/// Of the runs of each identity the one nearest to being finished, the newest of equals where the rows are in the
/// order of a query. Runs that execute another one again do not count, and neither do those of guests, which have none.
pub fn nearest_to_finished(rows: impl IntoIterator<Item = RunRow>) -> BTreeMap<SpecHash, RunRow> {
    let mut nearest: BTreeMap<SpecHash, RunRow> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.reproduces.is_none()) {
        let Some(identity) = row.identity else { continue };
        let is_nearer = nearest.get(&identity).is_none_or(|known| row.state.distance() < known.state.distance());
        if is_nearer {
            nearest.insert(identity, row);
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::{at, spec, state};
    use crate::store::{Index, Lineage, NewRun, RunQuery, RunState, Store, Subject};

    #[test]
    fn the_nearest_to_finished_counts_and_a_reproduction_never_does() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("runs")).unwrap();
        let run = |seed, reached, reproduces| {
            let subject = Subject::Planned(Box::new(spec(seed, 0.15)));
            let lineage = Lineage { reproduces, ..Lineage::default() };
            let new = NewRun { subject: &subject, provenance: &json!({}), lineage: &lineage };
            let run = store.create_run(&new, at(1)).unwrap();
            let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
            log.append(&state(reached, 2)).unwrap();
            run.id().clone()
        };
        let original = run(1, RunState::Failed, None);
        let better = run(1, RunState::Interrupted, None);
        run(1, RunState::Finished, Some(original));
        let other = run(2, RunState::Planned, None);
        let rows = Index::open(&store).unwrap().query(&RunQuery::default()).unwrap();
        let nearest = nearest_to_finished(rows).into_values().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(nearest.len(), 2);
        assert!(nearest.contains(&better) && nearest.contains(&other));
    }
}
