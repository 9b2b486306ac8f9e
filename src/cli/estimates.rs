//! What runs will take, from what similar runs in the store took.

use std::collections::BTreeMap;

use crate::plan::{Measured, RunSpec, estimate};
use crate::store::{Index, RunQuery, RunState, Store, StoreError};

/// Newest finished runs that are looked at.
const LOOKED_AT: usize = 64;

/// Floating-point operations a second that finished runs reached, by parameter count.
#[derive(Clone, Debug, Default)]
pub struct Speeds {
    by_size: BTreeMap<u64, Vec<f64>>,
}

impl Speeds {
    /// Reads the speeds of the newest finished runs.
    pub fn read(store: &Store) -> Result<Self, StoreError> {
        let query = RunQuery { states: vec![RunState::Finished], limit: Some(LOOKED_AT), ..RunQuery::default() };
        let mut speeds = Self::default();
        for row in Index::open(store)?.query(&query)? {
            let (Some(started), Some(ended)) = (row.started_at, row.ended_at) else { continue };
            let Ok(spec) = store.run(&row.id)?.read_spec() else { continue };
            let known = Measured { train_instances: None, tokens_per_sec: None };
            let cost = estimate(&spec, known);
            let secs = ended.secs_since(started);
            if let (Some(flops), true) = (cost.flops, secs > 0.0) {
                speeds.by_size.entry(cost.parameters.total()).or_default().push(flops / secs);
            }
        }
        Ok(speeds)
    }

    /// Seconds that a run will take, and from how many runs that is known: runs of the same size where there are some,
    /// of any size otherwise.
    pub fn predict(&self, spec: &RunSpec) -> Option<(f64, usize)> {
        let cost = estimate(spec, Measured { train_instances: None, tokens_per_sec: None });
        let mut speeds = match self.by_size.get(&cost.parameters.total()) {
            Some(same) => same.clone(),
            None => self.by_size.values().flatten().copied().collect(),
        };
        speeds.sort_by(f64::total_cmp);
        let median = *speeds.get(speeds.len() / 2)?;
        Some((cost.flops? / median, speeds.len()))
    }
}
