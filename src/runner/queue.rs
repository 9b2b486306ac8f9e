//! The queue: which tasks may be executed now, and how far each is to be trained.
//!
//! Without early stopping, every task is trained to its end, in order, and one that stands on others waits for all of them. With
//! it, the tasks of a cell are trained from rung to rung as [`halving`] decides.

use std::collections::{BTreeSet, VecDeque};

use super::halving::{self, RungResults};
use crate::plan::HalvingSpec;

/// A task, and the step at which it is to stop; without one it is trained to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
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
    waiting: VecDeque<Segment>,
    /// For each task those that must have ended before it.
    after: Vec<BTreeSet<usize>>,
    ended: BTreeSet<usize>,
    scheduler: Option<AshaScheduler>,
}

impl Queue {
    /// Every task to its end, each after all those that it stands on.
    pub fn whole(after: Vec<BTreeSet<usize>>) -> Self {
        let waiting = (0..after.len()).map(|task| Segment { task, until: None }).collect();
        Self { waiting, after, ended: BTreeSet::new(), scheduler: None }
    }

    /// The tasks of all cells, from rung to rung.
    pub fn halving(halving: Halving) -> Self {
        let after = vec![BTreeSet::new(); halving.steps.len()];
        Self { waiting: VecDeque::new(), after, ended: BTreeSet::new(), scheduler: Some(AshaScheduler::new(halving)) }
    }

    /// What may begin now; none while all wait for others, or nothing is left.
    pub fn take(&mut self) -> Option<Segment> {
        if self.waiting.is_empty()
            && let Some(scheduler) = &mut self.scheduler
        {
            self.waiting.extend(scheduler.segments());
        }
        let may_begin = |segment: &Segment| self.after[segment.task].is_subset(&self.ended);
        let at = self.waiting.iter().position(may_begin)?;
        self.waiting.remove(at)
    }

    /// A segment that could not begin yet, to be tried after the others.
    pub fn put_back(&mut self, segment: Segment) {
        self.waiting.push_back(segment);
    }

    /// Whether nothing waits; more may come when a segment ends.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets nothing more begin.
    pub fn close(&mut self) {
        self.waiting.clear();
        self.scheduler = None;
    }

    /// A task came to its end, whatever that was.
    pub fn ended(&mut self, task: usize) {
        self.ended.insert(task);
    }

    /// A segment ended, with this value of the metric at its rung; none where the task failed.
    pub fn arrived(&mut self, segment: Segment, value: Option<f64>) {
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.arrived(segment, value);
        }
    }

    /// What the segments are compared by, where tasks are stopped early.
    pub fn halving_spec(&self) -> Option<&HalvingSpec> {
        self.scheduler.as_ref().map(|scheduler| &scheduler.halving.spec)
    }

    /// Why a task that was stopped was not continued.
    pub fn reason(&self, task: usize) -> Option<String> {
        let scheduler = self.scheduler.as_ref()?;
        let cell = scheduler.halving.cells.iter().position(|tasks| tasks.contains(&task))?;
        Some(halving::reason(&scheduler.results, cell, &scheduler.halving.spec))
    }
}

/// Sends cells to their next rung.
#[derive(Debug)]
struct AshaScheduler {
    halving: Halving,
    results: Vec<RungResults>,
    /// For each cell on its way, the values that its tasks arrived with so far; none for a failure.
    arrivals: Vec<Vec<(usize, Option<f64>)>>,
}

impl AshaScheduler {
    fn new(halving: Halving) -> Self {
        let cells = halving.cells.len();
        let no_tasks = |tasks: &Vec<usize>| RungResults { is_over: tasks.is_empty(), ..RungResults::default() };
        let results = halving.cells.iter().map(no_tasks).collect();
        Self { halving, results, arrivals: vec![Vec::new(); cells] }
    }

    /// The segments of the next cell.
    fn segments(&mut self) -> Vec<Segment> {
        let Some(cell) = halving::next(&self.results, self.halving.spec.reduction_factor) else { return Vec::new() };
        self.results[cell].is_on_its_way = true;
        self.arrivals[cell].clear();
        let rungs = self.results[cell].values.len();
        let segment =
            |&task: &usize| Segment { task, until: self.halving.spec.next_rung(rungs, self.halving.steps[task]) };
        self.halving.cells[cell].iter().map(segment).collect()
    }

    fn arrived(&mut self, segment: Segment, value: Option<f64>) {
        let Some(cell) = self.halving.cells.iter().position(|tasks| tasks.contains(&segment.task)) else { return };
        let arrivals = &mut self.arrivals[cell];
        arrivals.push((segment.task, value));
        if arrivals.len() < self.halving.cells[cell].len() {
            return;
        }
        // In the order of the seeds, whoever came first: sums of floats hang on their order.
        arrivals.sort_by_key(|(task, _)| *task);
        let results = &mut self.results[cell];
        results.is_on_its_way = false;
        let values: Option<Vec<f64>> = arrivals.iter().map(|(_, value)| *value).collect();
        let mean =
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64).filter(|mean| mean.is_finite());
        results.is_over = segment.until.is_none() || mean.is_none();
        if segment.until.is_some() {
            let sign = if self.halving.spec.maximize { -1.0 } else { 1.0 };
            results.values.push(mean.map_or(f64::INFINITY, |mean| sign * mean));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(queue: &mut Queue) -> Vec<Segment> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_task_waits_for_all_that_it_stands_on() {
        let after: [&[usize]; 5] = [&[1], &[], &[0], &[], &[0, 3]];
        let mut queue = Queue::whole(after.map(|tasks| tasks.iter().copied().collect()).to_vec());
        let tasks = |segments: Vec<Segment>| segments.into_iter().map(|segment| segment.task).collect::<Vec<_>>();
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
        let segment = |task, until| Segment { task, until: Some(until) };
        let first = drain(&mut queue);
        assert_eq!(first, [segment(0, 10), segment(1, 10), segment(2, 10), segment(3, 10)]);
        for (segment, value) in first.into_iter().zip([5.0, 7.0, 6.5, 6.5]) {
            assert_eq!(queue.take(), None);
            queue.arrived(segment, Some(value));
        }
        let second = drain(&mut queue);
        assert_eq!(second, [segment(0, 20), segment(1, 20)]);
        assert!(queue.reason(2).is_some_and(|reason| reason.contains("6.5000 is number 2 of 2")));
        second.into_iter().for_each(|segment| queue.arrived(segment, Some(1.0)));
        // One of one at rung 1 is not among the best half of it, but somebody comes to the end.
        assert_eq!(drain(&mut queue), [0, 1].map(|task| Segment { task, until: None }));
        queue.close();
        assert!(queue.is_empty());
    }

    proptest! {
        /// Whatever stands on what, and whoever ends first: every task begins once, after all that it stands on.
        #[test]
        fn every_order_of_ends_begins_every_task_once_in_order(
            edges in prop::collection::vec((0usize..12, 0usize..12), 0..30),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let mut after = vec![BTreeSet::new(); 12];
            for (a, b) in edges.iter().filter(|(a, b)| a < b) {
                after[*b].insert(*a);
            }
            let mut queue = Queue::whole(after.clone());
            let (mut running, mut begun, mut ended) = (Vec::new(), Vec::new(), BTreeSet::new());
            for choice in choices {
                for Segment { task, until } in drain(&mut queue) {
                    prop_assert!(until.is_none() && after[task].is_subset(&ended));
                    begun.push(task);
                    running.push(task);
                }
                if running.is_empty() {
                    break;
                }
                let task = running.swap_remove(choice.index(running.len()));
                ended.insert(task);
                queue.ended(task);
            }
            begun.sort_unstable();
            prop_assert_eq!(begun, (0..12).collect::<Vec<_>>());
            prop_assert!(queue.is_empty());
        }
    }
}
