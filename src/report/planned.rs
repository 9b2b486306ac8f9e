//! What an experiment amounts to, and how much of it the store has: the answer of `plan`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::estimate::{Here, Speeds};
use crate::experiment::Experiment;
use crate::plan::{Cell, Estimate, Plan, PlannedRun, estimate};
use crate::store::{Index, RunQuery, RunState, Store, StoreError, nearest_to_finished};
use crate::types::{Seed, SpecHash};

/// What the store has of plans.
#[derive(Clone, Debug, Default)]
pub struct Existing {
    states: BTreeMap<SpecHash, RunState>,
    pub speeds: Speeds,
}

impl Existing {
    /// Nothing, here.
    pub fn nothing(here: Here) -> Self {
        Self { states: BTreeMap::new(), speeds: Speeds::unknown(here) }
    }

    /// Reads the states of all runs, and the speeds of those here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(store: &Store, here: Here) -> Result<Self, StoreError> {
        let rows = Index::open(store)?.query(&RunQuery::default())?;
        let states = nearest_to_finished(rows).into_iter().map(|(hash, row)| (hash, row.state)).collect();
        Ok(Self { states, speeds: Speeds::read(store, here)? })
    }

    /// How far a specification is; nothing where it has no run.
    pub fn state(&self, hash: SpecHash) -> Option<RunState> {
        self.states.get(&hash).copied()
    }

    /// How many of `runs` are in a state.
    pub fn count(&self, runs: &[&PlannedRun], state: RunState) -> usize {
        runs.iter().filter(|run| self.state(run.hash) == Some(state)).count()
    }

    /// `2/3` finished, and what else there is.
    pub fn of(&self, cell: &Cell) -> String {
        let states: Vec<RunState> = cell.runs.iter().filter_map(|run| self.state(run.hash)).collect();
        let count = |state| states.iter().filter(|&&s| s == state).count();
        let mut text = format!("{}/{}", count(RunState::Finished), cell.runs.len());
        for state in RunState::ALL {
            let n = count(state);
            if state != RunState::Finished && n > 0 {
                text.push_str(&format!(", {n} {state}"));
            }
        }
        text
    }
}

/// What a run of the cell costs.
pub fn cost(cell: &Cell) -> Option<Estimate> {
    cell.runs.first().map(|run| estimate(&run.spec))
}

/// A plan with its costs.
#[derive(Clone, Debug, Serialize)]
pub struct PlanReport {
    format: &'static str,
    pub experiment: String,
    pub question: String,
    pub arithmetic: String,
    pub cells: Vec<PlannedCell>,
    pub runs: usize,
    pub duplicates: usize,
    pub shared_steps: u64,
}

/// One cell; `None` stands for what is not known before training.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedCell {
    pub axes: Map<String, Value>,
    pub label: String,
    pub parameters: Option<u64>,
    pub steps: Option<u64>,
    /// Positions at full sequences, under the name that this format has for them.
    pub tokens: Option<u64>,
    pub flops: Option<f64>,
    pub disk_bytes: Option<u64>,
    pub runs: Vec<PlannedSeed>,
}

/// One run of a cell.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedSeed {
    pub replicate: u64,
    pub seed: Seed,
    pub spec_hash: SpecHash,
    pub state: Option<RunState>,
    pub seconds: Option<f64>,
}

impl PlanReport {
    /// The report of `plan`.
    pub fn of(experiment: &Experiment, plan: &Plan, existing: &Existing) -> Self {
        Self {
            format: "ablate-plan-1",
            experiment: experiment.name.clone(),
            question: experiment.question.clone(),
            arithmetic: plan.tally.to_string(),
            cells: plan.cells.iter().map(|cell| PlannedCell::of(cell, existing)).collect(),
            runs: plan.runs().len(),
            duplicates: plan.duplicates(),
            shared_steps: plan.savings(|_| true).steps,
        }
    }
}

impl PlannedCell {
    fn of(cell: &Cell, existing: &Existing) -> Self {
        let cost = cost(cell);
        let seed = |run: &PlannedRun| PlannedSeed {
            replicate: run.replicate.number,
            seed: run.seed,
            spec_hash: run.hash,
            state: existing.state(run.hash),
            seconds: existing.speeds.predict(&run.spec).map(|prediction| prediction.secs),
        };
        let axis =
            |(key, value): &(&str, crate::experiment::Value)| ((*key).to_owned(), value.to_json().unwrap_or_default());
        Self {
            axes: cell.axes.iter().map(axis).collect(),
            label: cell.label.clone(),
            parameters: cost.map(|c| c.parameters.total()),
            steps: cost.and_then(|c| c.steps),
            tokens: cost.and_then(|c| c.positions),
            flops: cost.and_then(|c| c.flops),
            disk_bytes: cost.map(|c| c.disk_bytes),
            runs: cell.runs.iter().map(seed).collect(),
        }
    }
}
