//! The queue: which tasks may be executed now, and how far each is to be trained.
//!
//! Without early stopping, every task is trained to its end, in order, and one that stands on others waits for all of them. With
//! it, the tasks of a cell are trained from rung to rung as [`halving`] decides.

use std::collections::{BTreeSet, VecDeque};

use super::halving::{self, Standing};
use crate::plan::HalvingSpec;

/// A task, and the step at which it is to stop; without one it is trained to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    pub task: usize,
    pub until: Option<u64>,
}

/// Early stopping, and the tasks that it is about.
#[derive(Clone, Debug)]
pub struct Halving {
    pub spec: HalvingSpec,
    /// The tasks of each cell.
    pub cells: Vec<Vec<usize>>,
    /// How many steps each task has.
    pub steps: Vec<u64>,
}

/// Tasks that wait for a worker.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Leg>,
    /// For each task those that must have ended before it.
    after: Vec<BTreeSet<usize>>,
    ended: BTreeSet<usize>,
    governor: Option<Governor>,
}

impl Queue {
    /// Every task to its end, each after all those that it stands on.
    pub fn whole(after: Vec<BTreeSet<usize>>) -> Self {
        let waiting = (0..after.len()).map(|task| Leg { task, until: None }).collect();
        Self { waiting, after, ended: BTreeSet::new(), governor: None }
    }

    /// The tasks of all cells, from rung to rung.
    pub fn halving(halving: Halving) -> Self {
        let after = vec![BTreeSet::new(); halving.steps.len()];
        Self { waiting: VecDeque::new(), after, ended: BTreeSet::new(), governor: Some(Governor::new(halving)) }
    }

    /// What may begin now; none while all wait for others, or nothing is left.
    pub fn take(&mut self) -> Option<Leg> {
        if self.waiting.is_empty()
            && let Some(governor) = &mut self.governor
        {
            self.waiting.extend(governor.legs());
        }
        let may_begin = |leg: &Leg| self.after[leg.task].is_subset(&self.ended);
        let at = self.waiting.iter().position(may_begin)?;
        self.waiting.remove(at)
    }

    /// A leg that could not begin yet, to be tried after the others.
    pub fn put_back(&mut self, leg: Leg) {
        self.waiting.push_back(leg);
    }

    /// Whether nothing waits; more may come when a leg ends.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets nothing more begin.
    pub fn close(&mut self) {
        self.waiting.clear();
        self.governor = None;
    }

    /// A task came to its end, whatever that was.
    pub fn ended(&mut self, task: usize) {
        self.ended.insert(task);
    }

    /// A leg ended, with this value of the metric at its rung; none where the task failed.
    pub fn arrived(&mut self, leg: Leg, value: Option<f64>) {
        if let Some(governor) = &mut self.governor {
            governor.arrived(leg, value);
        }
    }

    /// What the legs are compared by, where tasks are stopped early.
    pub fn halving_spec(&self) -> Option<&HalvingSpec> {
        self.governor.as_ref().map(|governor| &governor.halving.spec)
    }

    /// Why a task that was stopped did not go on.
    pub fn reason(&self, task: usize) -> Option<String> {
        let governor = self.governor.as_ref()?;
        let cell = governor.halving.cells.iter().position(|tasks| tasks.contains(&task))?;
        Some(halving::reason(&governor.standings, cell, &governor.halving.spec))
    }
}

/// Sends cells to their next rung.
#[derive(Debug)]
struct Governor {
    halving: Halving,
    standings: Vec<Standing>,
    /// For each cell on its way, what its tasks have brought so far: a value, or none for a failure.
    brought: Vec<Vec<(usize, Option<f64>)>>,
}

impl Governor {
    fn new(halving: Halving) -> Self {
        let cells = halving.cells.len();
        let no_tasks = |tasks: &Vec<usize>| Standing { is_over: tasks.is_empty(), ..Standing::default() };
        let standings = halving.cells.iter().map(no_tasks).collect();
        Self { halving, standings, brought: vec![Vec::new(); cells] }
    }

    /// The legs of the next cell.
    fn legs(&mut self) -> Vec<Leg> {
        let Some(cell) = halving::next(&self.standings, self.halving.spec.reduction_factor) else { return Vec::new() };
        self.standings[cell].is_on_its_way = true;
        self.brought[cell].clear();
        let rungs = self.standings[cell].values.len();
        let leg = |&task: &usize| Leg { task, until: self.halving.spec.next_rung(rungs, self.halving.steps[task]) };
        self.halving.cells[cell].iter().map(leg).collect()
    }

    fn arrived(&mut self, leg: Leg, value: Option<f64>) {
        let Some(cell) = self.halving.cells.iter().position(|tasks| tasks.contains(&leg.task)) else { return };
        let brought = &mut self.brought[cell];
        brought.push((leg.task, value));
        if brought.len() < self.halving.cells[cell].len() {
            return;
        }
        // In the order of the seeds, whoever came first: sums of floats hang on their order.
        brought.sort_by_key(|(task, _)| *task);
        let standing = &mut self.standings[cell];
        standing.is_on_its_way = false;
        let values: Option<Vec<f64>> = brought.iter().map(|(_, value)| *value).collect();
        let mean =
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64).filter(|mean| mean.is_finite());
        standing.is_over = leg.until.is_none() || mean.is_none();
        if leg.until.is_some() {
            let sign = if self.halving.spec.maximize { -1.0 } else { 1.0 };
            standing.values.push(mean.map_or(f64::INFINITY, |mean| sign * mean));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Queue) -> Vec<Leg> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_task_waits_for_all_that_it_stands_on() {
        let after: [&[usize]; 5] = [&[1], &[], &[0], &[], &[0, 3]];
        let mut queue = Queue::whole(after.map(|tasks| tasks.iter().copied().collect()).to_vec());
        let tasks = |legs: Vec<Leg>| legs.into_iter().map(|leg| leg.task).collect::<Vec<_>>();
        assert_eq!(tasks(drain(&mut queue)), [1, 3]);
        queue.ended(1);
        assert_eq!(tasks(drain(&mut queue)), [0]);
        queue.ended(0);
        assert_eq!(tasks(drain(&mut queue)), [2]);
        queue.ended(3);
        assert_eq!(tasks(drain(&mut queue)), [4]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_cell_comes_to_a_rung_with_all_its_seeds_and_their_mean() {
        let metric = "valid/mlm_loss".parse().unwrap();
        let spec = HalvingSpec { min_steps: 10, reduction_factor: 2, metric, maximize: false };
        let cells = vec![vec![0, 1], vec![2, 3]];
        let mut queue = Queue::halving(Halving { spec, cells, steps: vec![40; 4] });
        let leg = |task, until| Leg { task, until: Some(until) };
        let first = drain(&mut queue);
        assert_eq!(first, [leg(0, 10), leg(1, 10), leg(2, 10), leg(3, 10)]);
        for (leg, value) in first.into_iter().zip([5.0, 7.0, 6.5, 6.5]) {
            assert_eq!(queue.take(), None);
            queue.arrived(leg, Some(value));
        }
        let second = drain(&mut queue);
        assert_eq!(second, [leg(0, 20), leg(1, 20)]);
        assert!(queue.reason(2).is_some_and(|reason| reason.contains("6.5000 is number 2 of 2")));
        second.into_iter().for_each(|leg| queue.arrived(leg, Some(1.0)));
        // One of one at rung 1 is not among the best half of it, but somebody comes to the end.
        assert_eq!(drain(&mut queue), [0, 1].map(|task| Leg { task, until: None }));
        queue.close();
        assert!(queue.is_empty());
    }
}
