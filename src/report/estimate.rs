//! What runs will take, from what runs in the store took.

use std::collections::BTreeMap;

use crate::plan::{RunSpec, estimate};
use crate::store::{Index, RunQuery, RunState, Store, StoreError};

/// Newest finished runs that are looked at.
const LOOKED_AT: usize = 64;

/// Floating-point operations a second that finished runs reached, by parameter count.
#[derive(Clone, Debug, Default)]
pub struct Speeds {
    by_size: BTreeMap<u64, Vec<f64>>,
}

/// How long a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    pub secs: f64,
    /// Finished runs that it rests on.
    pub runs: usize,
    /// Whether those runs are of the same size; a speed of another size is a rough guide.
    pub same_size: bool,
}

impl Speeds {
    /// Reads the speeds of the newest finished runs.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let query = RunQuery { states: vec![RunState::Finished], limit: Some(LOOKED_AT), ..RunQuery::default() };
        let mut speeds = Self::default();
        for row in Index::open(store)?.query(&query)? {
            let (Some(started), Some(ended)) = (row.started_at, row.ended_at) else { continue };
            let Ok(spec) = store.run(&row.id)?.read_spec() else { continue };
            let cost = estimate(&spec);
            let secs = ended.secs_since(started);
            if let (Some(flops), true) = (cost.flops, secs > 0.0) {
                speeds.by_size.entry(cost.parameters.total()).or_default().push(flops / secs);
            }
        }
        Ok(speeds)
    }

    /// Predicts from the runs whose size is nearest; absent where nothing was ever finished.
    pub fn predict(&self, spec: &RunSpec) -> Option<Prediction> {
        let cost = estimate(spec);
        let size = cost.parameters.total();
        let distance = |other: &u64| (*other as f64 / size as f64).ln().abs();
        let (&nearest, speeds) = self.by_size.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)))?;
        let mut speeds = speeds.clone();
        speeds.sort_by(f64::total_cmp);
        let median = speeds[speeds.len() / 2];
        // NSP's head makes two sizes of one preset.
        let same_size = distance(&nearest) < 0.05;
        Some(Prediction { secs: cost.flops? / median, runs: speeds.len(), same_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

    fn spec(extra: &str) -> RunSpec {
        testing::tasks(extra).remove(0).spec
    }

    /// The median speed of the nearest size, and a word on whether that is this size.
    #[test]
    fn the_nearest_size_speaks() {
        let (small, large) = (spec(""), spec("[sweep.grid]\n\"model.num_hidden_layers\" = [8]\n"));
        let cost = |spec: &RunSpec| estimate(spec);
        let mut speeds = Speeds::default();
        assert_eq!(speeds.predict(&small), None);
        speeds.by_size.insert(cost(&small).parameters.total(), vec![4e9, 1e9, 2e9]);
        let secs = cost(&small).flops.unwrap() / 2e9;
        assert_eq!(speeds.predict(&small), Some(Prediction { secs, runs: 3, same_size: true }));
        let guess = speeds.predict(&large).unwrap();
        assert!(!guess.same_size && (guess.secs - cost(&large).flops.unwrap() / 2e9).abs() < 1e-9);
        speeds.by_size.insert(cost(&large).parameters.total(), vec![8e9]);
        assert_eq!(speeds.predict(&large).map(|guess| (guess.runs, guess.same_size)), Some((1, true)));
    }
}
