//! Facts: what a run really trained on, measured from its instances and set beside what was asked.

use serde_json::json;

use super::batch::{Batch, Batches};
use super::evaluation::ValidSet;
use super::instance::TokenDocuments;
use super::masking::Shown;
use super::recorder::{RecordError, Recorder};
use crate::plan::{Nsp, RunSpec};

/// Train instances that are measured.
const SAMPLE: u64 = 2048;

/// Measures the first train instances and records sizes and rates; warns where a rate is off what was asked.
pub fn record<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    batches: &Batches<D>,
    valid: &ValidSet,
    recorder: &mut dyn Recorder,
) -> Result<(), RecordError> {
    let sample = batches.range(0..SAMPLE.min(batches.instances.len() as u64));
    let rates = Rates::of(&sample, batches.specials.first_ordinary);
    recorder.fact("train_instances", json!(batches.instances.len()))?;
    recorder.fact("skipped_documents", json!(batches.instances.skipped_documents()))?;
    recorder.fact("valid_masked_tokens", json!(valid.masked_tokens()))?;
    recorder.fact("mask_rate", json!(rates.masked))?;
    recorder.fact("mask_token_rate", json!(rates.shown_as(&sample, Shown::Mask)))?;
    recorder.fact("random_token_rate", json!(rates.shown_as(&sample, Shown::Random)))?;
    recorder.fact("mean_length", json!(rates.mean_length))?;
    recorder.fact("padding_avoided", json!(rates.padding_avoided))?;
    if (rates.masked - spec.objective.mask_ratio).abs() > 0.02 {
        let (measured, asked) = (rates.masked, spec.objective.mask_ratio);
        recorder.warning(&format!("{measured:.3} of the tokens are masked, not the asked {asked}"))?;
    }
    if spec.objective.nsp != Nsp::Off {
        let negatives = sample.nsp_labels.iter().sum::<i32>();
        recorder.fact("nsp_negative_rate", json!(f64::from(negatives) / sample.nsp_labels.len() as f64))?;
    }
    Ok(())
}

struct Rates {
    /// Selected tokens, as a share of the ordinary ones.
    masked: f64,
    mean_length: f64,
    /// The share of padding if every sequence were padded to the longest.
    padding_avoided: f64,
}

impl Rates {
    fn of(batch: &Batch, first_ordinary: u32) -> Self {
        // A place is ordinary if an ordinary token is shown there, or if it was selected and shows [MASK].
        let shown_ordinary = batch.tokens.ids.iter().filter(|&&id| id >= first_ordinary).count();
        let hidden = batch.shown.iter().filter(|&&shown| shown == Shown::Mask).count();
        let (real, sequences) = (batch.real_tokens() as f64, &batch.tokens.sequences);
        Self {
            masked: batch.rows.len() as f64 / (shown_ordinary + hidden) as f64,
            mean_length: real / sequences.len() as f64,
            padding_avoided: 1.0 - real / (sequences.len() * sequences.longest()) as f64,
        }
    }

    fn shown_as(&self, batch: &Batch, shown: Shown) -> f64 {
        batch.shown.iter().filter(|&&s| s == shown).count() as f64 / batch.shown.len() as f64
    }
}
