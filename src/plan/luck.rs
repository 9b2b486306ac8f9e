//! The luck of a sweep as a design: which runs draw alike, and which for themselves.
//!
//! What chance does to a run hangs on its seed and on the settings that shape the draws: the text, the shapes of the
//! weights, the batches, the masks. Runs that agree in those settings are a *whole plot* of a split-plot design (Yates
//! 1935). Of a number of replicates, each plot gets seeds of its own, counted up from a number that is hashed from those
//! settings alone. Cells that differ in the schedule, the optimizer or the number of steps then meet the same luck, cells
//! that differ in the model or the mask meet luck of their own, and averages over cells average luck. A cell has the same
//! seeds in every sweep that has it, and alone.
//!
//! Fine-tuning that starts from a pretraining of the plan has its seed, whatever it does: it inherits that run's luck, and
//! analysis, which takes runs of different seeds for independent, must know. From a stored run, or from random weights, it
//! is a plot by its own settings.

use crate::experiment::{Replicate, keys};
use crate::types::{ContentHash, Seed};

/// Seeds are drawn below this, so that they can be read and typed.
const SEEDS: u64 = 1 << 31;

/// Leaves of fine-tuning that re-draw luck, where it has luck of its own.
const OF_FINE_TUNING: [&str; 7] = [
    "finetune.task",
    "finetune.data_hash",
    "finetune.text_column",
    "finetune.pair_column",
    "finetune.label_column",
    "finetune.valid_fraction",
    "finetune.fold",
];

/// How a run comes by its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Luck {
    Given(Seed),
    /// Its whole plot draws it for the replicate of this number.
    Drawn(u64),
}

impl Luck {
    pub fn of(replicate: Replicate) -> Self {
        replicate.seed.map_or(Self::Drawn(replicate.number), Self::Given)
    }

    /// The seed of a run whose plot is these lines of its canonical form: see [`redrawing`].
    pub fn seed(self, plot: impl FnOnce() -> String) -> Seed {
        match self {
            Self::Given(seed) => seed,
            Self::Drawn(number) => {
                let first = ContentHash::of(plot().as_bytes()).first_u64() % SEEDS;
                Seed((first + number % SEEDS) % SEEDS)
            }
        }
    }
}

/// Of the canonical lines of a specification, those that re-draw luck. The seed is not among them.
pub(super) fn redrawing(canonical: &str) -> String {
    let redraws = |key: &str| {
        let is_input = key.starts_with("inputs.") || OF_FINE_TUNING.contains(&key);
        key != "train.seed" && (is_input || keys::redraws_luck(key))
    };
    canonical.split_inclusive('\n').filter(|line| line.split_once('=').is_some_and(|(key, _)| redraws(key))).collect()
}
