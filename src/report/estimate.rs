//! What runs will take: from what like runs in the store took, or from a speed that was tried on this machine.
//!
//! ```text
//! time of a run = steps x operations of a step / speed  +  evaluations x operations of one / speed  +  start-up
//! ```
//!
//! The speed is that of the training steps alone, so that a smoke test of few steps predicts hours; the start-up is what a
//! run took beyond its steps and evaluations. Speeds hold for a machine, a
//! number of threads and a shape: the model, and the positions of a batch.

use std::collections::BTreeMap;

use crate::plan::{RunSpec, estimate, sequence_flops, training_flops};
use crate::store::{History, Index, RunQuery, RunState, Store, StoreError, StoredRun};
use crate::types::metrics;

/// Newest finished runs that are looked at.
const LOOKED_AT: usize = 32;
/// Seconds before the first step, where no run tells.
const START_UP: f64 = 0.3;
/// Factor within which parameters and positions are alike: NSP's head makes two sizes of one preset.
const LIKE: f64 = 1.05;

/// Speeds of training on this machine, in floating-point operations a second.
#[derive(Clone, Debug, Default)]
pub struct Speeds {
    here: Here,
    /// Of finished runs of any shape, newest first.
    finished: Vec<Sample>,
    /// Tried on this machine.
    tried: Vec<(Shape, f64)>,
}

/// Where runs are predicted for: other machines and other numbers of threads have speeds of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    pub host: String,
    pub threads: usize,
}

/// What the speed of training hangs on beside the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shape {
    parameters: f64,
    /// Of one forward pass.
    positions: f64,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    shape: Shape,
    at: Here,
    speed: f64,
    start_up: f64,
}

/// How long a run will take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    pub secs: f64,
    pub basis: Basis,
}

/// What a prediction rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// So many finished runs of its shape.
    LikeRuns(usize),
    /// Steps of its shape that were tried.
    Tried,
    /// The nearest of other shapes: a rough guide.
    OtherShapes,
}

impl Speeds {
    /// Reads the speeds of the newest finished runs; predictions are for runs here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(store: &Store, here: Here) -> Result<Self, StoreError> {
        let query = RunQuery::in_states(&[RunState::Finished]).limited(LOOKED_AT);
        let mut finished = Vec::new();
        for row in Index::open(store)?.query(&query)? {
            // A damaged run tells nothing, and is named by other commands.
            finished.extend(store.load(&row.id).ok().and_then(|run| Sample::of(&run)));
        }
        Ok(Self { here, finished, tried: Vec::new() })
    }

    /// Speeds of a machine on which nothing is finished.
    pub fn unknown(here: Here) -> Self {
        Self { here, ..Self::default() }
    }

    /// Lets `speed` measure those of `specs` whose shape no finished run has, every shape once, at most so many.
    pub fn try_others<'a>(
        &mut self,
        specs: impl Iterator<Item = &'a RunSpec>,
        most: usize,
        mut speed: impl FnMut(&RunSpec) -> Option<f64>,
    ) {
        for spec in specs {
            let Some(shape) = Shape::of(spec) else { continue };
            let is_known =
                self.like(shape).next().is_some() || self.tried.iter().any(|(tried, _)| tried.is_like(shape));
            if !is_known && self.tried.len() < most {
                self.tried.extend(speed(spec).map(|speed| (shape, speed)));
            }
        }
    }

    /// Predicts from like runs, then from like steps, then from the nearest of either; absent where nothing is known.
    pub fn predict(&self, spec: &RunSpec) -> Option<Prediction> {
        let shape = Shape::of(spec)?;
        let flops = estimate(spec).flops? + evaluation_flops(spec);
        let like = self.like(shape).map(|sample| sample.speed).collect::<Vec<_>>();
        let all = || {
            let finished = self.finished.iter().map(|sample| (sample.shape, sample.speed));
            finished.chain(self.tried.iter().copied())
        };
        let nearest = || all().min_by(|a, b| a.0.distance(shape).total_cmp(&b.0.distance(shape)));
        let (speed, basis) = match median(like.clone()) {
            Some(speed) => (speed, Basis::LikeRuns(like.len())),
            None => match self.tried.iter().find(|(tried, _)| tried.is_like(shape)) {
                Some((_, speed)) => (*speed, Basis::Tried),
                None => (nearest()?.1, Basis::OtherShapes),
            },
        };
        let start_up = median(self.finished.iter().map(|sample| sample.start_up).collect()).unwrap_or(START_UP);
        Some(Prediction { secs: flops / speed + start_up, basis })
    }

    fn like(&self, shape: Shape) -> impl Iterator<Item = &Sample> {
        self.finished.iter().filter(move |sample| sample.at == self.here && sample.shape.is_like(shape))
    }
}

impl Shape {
    fn of(spec: &RunSpec) -> Option<Self> {
        let train = &spec.training()?.train;
        let positions = (train.batch_size * train.seq_len) as f64;
        Some(Self { parameters: estimate(spec).parameters.total() as f64, positions })
    }

    /// By how many factors of e they differ.
    fn distance(self, other: Self) -> f64 {
        (self.parameters / other.parameters).ln().abs() + (self.positions / other.positions).ln().abs()
    }

    fn is_like(self, other: Self) -> bool {
        self.distance(other) < LIKE.ln()
    }
}

impl Sample {
    fn of(run: &StoredRun) -> Option<Self> {
        let spec = run.planned().ok()?;
        let step_secs = secs_of_steps(&run.history)?;
        let speed = training_flops(spec, run.history.last_step().0) / step_secs;
        let rest = run.history.working_secs() - step_secs;
        let execution = run.history.facts.get("execution")?;
        let machine = execution.get("machine")?;
        let threads = machine.get("threads")?.as_u64()? as usize;
        let at = Here { host: machine.get("host")?.as_str()?.to_owned(), threads };
        let start_up = (rest - evaluation_flops(spec) / speed).max(0.0);
        let is_told = speed.is_finite() && speed > 0.0;
        is_told.then_some(Self { shape: Shape::of(spec)?, at, speed, start_up })
    }
}

/// What all training steps took, by their tokens and speeds.
fn secs_of_steps(history: &History) -> Option<f64> {
    let tokens = history.series(&metrics::TOKENS.metric_name());
    let speeds = history.series(&metrics::SPEED.metric_name());
    let by_step = speeds.iter().map(|point| (point.step, point.value)).collect::<BTreeMap<_, _>>();
    let (mut before, mut secs) = (0.0, 0.0);
    for point in tokens {
        let speed = by_step.get(&point.step).copied().filter(|speed| *speed > 0.0)?;
        secs += (point.value - before) / speed;
        before = point.value;
    }
    (secs > 0.0).then_some(secs)
}

/// Operations of all evaluations of a run: forward passes over its held-out instances, and over some of the train side.
fn evaluation_flops(spec: &RunSpec) -> f64 {
    let Some(training) = spec.training() else { return 0.0 };
    let train = &training.train;
    let evaluations = train.planned_steps().map_or(0, |steps| steps.div_ceil(train.eval_every.max(1)));
    let of_train = spec.pretraining().map_or(0, |_| train.eval_train_instances());
    sequence_flops(spec) * (train.eval_instances + of_train) as f64 * evaluations as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

    fn spec(extra: &str) -> RunSpec {
        testing::tasks(extra).remove(0).spec
    }

    fn here(threads: usize) -> Here {
        Here { host: "mine".to_owned(), threads }
    }

    fn sample(spec: &RunSpec, threads: usize, speed: f64, start_up: f64) -> Sample {
        Sample { shape: Shape::of(spec).unwrap(), at: here(threads), speed, start_up }
    }

    /// The median of like runs; a smoke test of few steps predicts many, and its start-up is not multiplied.
    #[test]
    fn like_runs_speak() {
        let (short, long) = (spec(""), spec("[sweep.grid]\n\"train.steps\" = [4000]\n"));
        let mut speeds = Speeds::unknown(here(1));
        assert_eq!(speeds.predict(&short), None);
        speeds.finished = [4e9, 1e9, 2e9].map(|speed| sample(&short, 1, speed, 5.0)).to_vec();
        speeds.finished.push(sample(&short, 2, 1e12, 5.0));
        let at = Here { host: "other".to_owned(), threads: 1 };
        speeds.finished.push(Sample { at, ..sample(&short, 1, 1e12, 5.0) });
        let work = |spec: &RunSpec| estimate(spec).flops.unwrap() + evaluation_flops(spec);
        let basis = Basis::LikeRuns(3);
        assert_eq!(speeds.predict(&short), Some(Prediction { secs: work(&short) / 2e9 + 5.0, basis }));
        assert_eq!(speeds.predict(&long), Some(Prediction { secs: work(&long) / 2e9 + 5.0, basis }));
        assert!(work(&long) / work(&short) > 90.0);
    }

    /// Shapes that nothing finished has are tried, each once; what is beyond the number follows the nearest.
    #[test]
    fn other_shapes_are_tried() {
        let layers = |n: usize| spec(&format!("[sweep.grid]\n\"model.num_hidden_layers\" = [{n}]\n"));
        let specs = [spec(""), layers(4), layers(4), layers(8), layers(16)];
        let mut speeds = Speeds::unknown(here(1));
        speeds.finished = vec![sample(&specs[0], 1, 1e9, 0.0)];
        let mut tried = 0;
        speeds.try_others(specs.iter(), 2, |_| {
            tried += 1;
            Some(tried as f64 * 1e10)
        });
        assert_eq!(tried, 2);
        let basis = specs.each_ref().map(|spec| speeds.predict(spec).unwrap().basis);
        use Basis::{LikeRuns, OtherShapes, Tried};
        assert_eq!(basis, [LikeRuns(1), Tried, Tried, Tried, OtherShapes]);
        let last = speeds.predict(&specs[4]).unwrap();
        let expected = (estimate(&specs[4]).flops.unwrap() + evaluation_flops(&specs[4])) / 2e10;
        assert!((last.secs - expected).abs() < 1e-9);
    }
}
