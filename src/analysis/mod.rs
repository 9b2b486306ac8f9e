//! Analysis: stored points become numbers that a person may rely on. Pure: no clock, no disk, no randomness.
//!
//! A [`Comparison`] is everything that is known about one sweep. [`summarize`] turns it into one row per cell and a
//! winner, [`against_baseline`] and [`marginal_effects`] into differences with a verdict, and [`series`] makes curves
//! drawable. How sure anything is follows from the design of the sweep's luck (`luck`), and every verdict is decided once
//! (`verdicts`), under one error rate for the whole report. Nothing is sub-sampled or dropped in silence: a failed run is a row that says so.

mod anova;
mod answers;
mod associations;
mod cautions;
mod comparison;
mod diff;
mod effect;
mod effects;
#[cfg(test)]
pub(crate) mod fixture;
mod found_axes;
mod importance;
mod joint;
mod kept;
mod luck;
mod means;
mod noncentral;
mod pareto;
mod partial;
mod ped_anova;
#[cfg(test)]
mod planted_null;
mod scaling;
pub mod series;
mod settings;
mod shrinkage;
#[cfg(test)]
mod simulation;
pub mod statistics;
mod strength;
mod summary;
mod trend;
mod verdicts;

pub use anova::{Row as VarianceRow, Source as VarianceSource};
pub use answers::{Confusions, EntityScore, confusions, entity_scores, looked_at, side};
pub use cautions::cautions;
pub use comparison::{Axis, AxisKind, Cell, CellKey, Comparison, Floor, Goal, Point, RunData, RunState};
pub use diff::{LeafDifference, MetricDelta, diff_leaves, metric_deltas};
pub use effect::{Effect, Verdict};
pub use effects::{against_baseline, marginal_effects};
pub use found_axes::{FoundAxis, find_axes};
pub use importance::{Importance, Method, NoImportance, NotFactorial, Part, importance, percent};
pub use joint::{changing_together, join_axes};
pub use luck::{Difference, Measured, luck_in_words};
pub use means::{Means, is_full_grid};
pub use pareto::{Candidate, Cost, Place, pareto};
pub use partial::without_unrecorded;
pub use scaling::{LEAST_SIZES, ScalingLaw};
pub use settings::{settings_of, spelled};
pub use shrinkage::{Fit, Shrunken};
pub use statistics::wilson_interval;
pub use strength::{axis_strengths, strongest_axes};
pub use summary::{CellSummary, SeedOutcome, Standing, Summary, plus_minus, summarize};
pub use trend::Trend;
