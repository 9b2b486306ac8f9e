//! Facts: what a run really trained on, measured from its instances and set beside what was asked.
//!
//! Each of the reference systems trained on something else than its authors believed: rates that were not the asked ones,
//! negatives from 33 documents, special tokens inside of segments. A run measures its first instances before it begins and
//! warns of what it finds.

use std::collections::BTreeSet;

use serde_json::json;

use super::batch::{Batch, Batches};
use super::evaluation::ValidSet;
use super::instance::Instance;
use super::lengths::TrainBatches;
use super::masking::{MaskSpec, Shown};
use crate::plan::{Nsp, ObjectiveSpec, RunSpec, Stretch};
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::recorder::{RecordError, Recorder};
use crate::types::metrics;

/// Train instances that are measured.
const SAMPLE: u64 = 2048;

/// A measured share may be off the asked one by so much.
const TOLERANCE: f64 = 0.02;

/// The masked share may be off by so much of itself: little where tokens are counted, more where whole words are fitted in.
const MASKED_TOLERANCE: f64 = 0.03;
const WHOLE_WORD_TOLERANCE: f64 = 0.2;

/// Measures the first train instances and records sizes and rates; warns where something is off what was asked.
pub fn record<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    train: &TrainBatches<D>,
    valid: &ValidSet,
    recorder: &mut dyn Recorder,
) -> Result<(), RecordError> {
    let batches = &train.full;
    let instances = &batches.instances;
    let (sample, rates) = Rates::measure(spec, batches);
    recorder.fact("train_instances", json!(instances.len()))?;
    recorder.fact("skipped_documents", json!(instances.skipped_documents()))?;
    recorder.fact(metrics::VALID_MASKED_TOKENS, json!(valid.masked_tokens()))?;
    recorder.fact(metrics::VALID_MASK_TOKENS, json!(valid.mask_tokens()))?;
    recorder.fact(metrics::TRAIN_MASK_TOKENS, json!(valid.train_mask_tokens()))?;
    recorder.fact("valid_mask_ratio", json!(MaskSpec::EVALUATION.ratio))?;
    recorder.fact("mask_rate", json!(rates.masked))?;
    recorder.fact("mask_token_rate", json!(rates.mask_token))?;
    recorder.fact("random_token_rate", json!(rates.random_token))?;
    recorder.fact("mean_length", json!(rates.mean_length))?;
    recorder.fact("padding_avoided", json!(rates.padding_avoided))?;
    let mut warnings = rates.warnings(spec.objective());
    warnings.extend(beyond_vocabulary(&sample, spec.tokenizer.vocab_size));
    if !train.short.is_empty() {
        let stages = train.short.iter().map(|(stretch, batches)| of_stretch(spec, stretch, batches));
        let (stages, of_stages): (Vec<_>, Vec<_>) = stages.unzip();
        recorder.fact("seq_len_warmup", json!(stages))?;
        warnings.extend(of_stages.into_iter().flatten());
    }
    if spec.objective().nsp != Nsp::Off {
        let judged = valid.pairs().iter().map(|batch| batch.nsp_labels.len()).sum::<usize>();
        recorder.fact(metrics::VALID_PAIRS, json!(judged))?;
        let negatives = sample.nsp_labels.iter().sum::<i32>();
        recorder.fact("nsp_negative_rate", json!(f64::from(negatives) / sample.nsp_labels.len() as f64))?;
        let pairs: Vec<Instance> =
            (0..instances.len().min(SAMPLE as usize)).map(|i| instances.instance(0, i)).collect();
        warnings.extend(misshapen(&pairs, batches));
        let sources: Vec<u32> = pairs.iter().filter_map(|pair| pair.negative_document).collect();
        if spec.objective().nsp == Nsp::Random {
            recorder.fact("nsp_negative_documents", json!(sources.iter().collect::<BTreeSet<_>>().len()))?;
            warnings.extend(few_sources(&sources, instances.documents()));
        }
        if spec.objective().nsp_double_softmax {
            warnings.push("a second softmax stands in the NSP loss: it cannot fall below 0.3133".to_owned());
        }
    }
    warnings.iter().try_for_each(|warning| recorder.warning(warning))
}

/// What a stretch of shorter sequences trains on, and what is off what was asked.
fn of_stretch<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    stretch: &Stretch,
    batches: &Batches<D>,
) -> (serde_json::Value, Vec<String>) {
    let (_, rates) = Rates::measure(spec, batches);
    let stage = json!({
        "seq_len": stretch.seq_len,
        "steps": stretch.steps.end - stretch.steps.start,
        "batch_size": stretch.batch_size,
        "train_instances": batches.instances.len(),
        "mask_rate": rates.masked,
        "mean_length": rates.mean_length,
    });
    let at_length = |warning: String| format!("of sequences of {} tokens: {warning}", stretch.seq_len);
    (stage, rates.warnings(spec.objective()).into_iter().map(at_length).collect())
}

struct Rates {
    /// Selected tokens, as a share of the ordinary ones.
    masked: f64,
    /// The same where each sequence has the asked share, rounded to whole tokens.
    whole_tokens: f64,
    /// Of the selected, those shown as `[MASK]`, and as a random token.
    mask_token: f64,
    random_token: f64,
    selected: usize,
    mean_length: f64,
    /// The share of padding if every sequence were padded to the longest.
    padding_avoided: f64,
}

impl Rates {
    /// The first instances, as the model sees them, and their rates.
    fn measure<D: TokenDocuments + ?Sized>(spec: &RunSpec, batches: &Batches<D>) -> (Batch, Self) {
        let sample = batches.range(0..SAMPLE.min(batches.instances.len() as u64));
        let rates = Self::of(&sample, batches.specials.first_ordinary, spec.objective().mask_ratio);
        (sample, rates)
    }

    fn of(batch: &Batch, first_ordinary: u32, ratio: f64) -> Self {
        // A place is ordinary if an ordinary token is shown there, or if it was selected and shows [MASK].
        let mut is_ordinary: Vec<bool> = batch.tokens.ids.iter().map(|&id| id >= first_ordinary).collect();
        for (&row, _) in batch.rows.iter().zip(&batch.shown).filter(|(_, shown)| **shown == Shown::Mask) {
            is_ordinary[row as usize] = true;
        }
        let sequences = &batch.tokens.sequences;
        let ordinary = |b: usize| is_ordinary[sequences.rows_of(b)].iter().filter(|&&is| is).count();
        let ordinary: Vec<usize> = (0..sequences.len()).map(ordinary).collect();
        let all = ordinary.iter().sum::<usize>() as f64;
        let rounded = ordinary.iter().map(|&n| (n as f64 * ratio).round().max(1.0)).sum::<f64>();
        let shown = |how| batch.shown.iter().filter(|&&shown| shown == how).count();
        let selected = batch.rows.len();
        let real = batch.real_tokens() as f64;
        Self {
            masked: selected as f64 / all,
            whole_tokens: rounded / all,
            mask_token: shown(Shown::Mask) as f64 / selected as f64,
            random_token: shown(Shown::Random) as f64 / selected as f64,
            selected,
            mean_length: real / sequences.len() as f64,
            padding_avoided: 1.0 - real / (sequences.len() * sequences.longest()) as f64,
        }
    }

    /// What is off what was asked, and by more than the draws of so few tokens explain.
    fn warnings(&self, asked: &ObjectiveSpec) -> Vec<String> {
        let is_off = |measured: f64, asked: f64| {
            let chance = 4.0 * (asked * (1.0 - asked) / self.selected as f64).sqrt();
            (measured - asked).abs() > chance.max(TOLERANCE)
        };
        let mut warnings = Vec::new();
        let tolerance = if asked.whole_word { WHOLE_WORD_TOLERANCE } else { MASKED_TOLERANCE };
        if (self.masked - self.whole_tokens).abs() > tolerance * self.whole_tokens {
            warnings.push(format!("{:.3} of the tokens are masked, not the asked {}", self.masked, asked.mask_ratio));
        }
        for (measured, asked, shown) in [
            (self.mask_token, asked.mask_token_prob, "as [MASK]"),
            (self.random_token, asked.random_token_prob, "as a random token"),
        ] {
            if is_off(measured, asked) {
                warnings.push(format!("{measured:.3} of the masked tokens are shown {shown}, not the asked {asked}"));
            }
        }
        warnings
    }
}

/// Ids that the embedding has no row for: one of the reference systems clamped them, and counted them as right.
fn beyond_vocabulary(batch: &Batch, size: usize) -> Option<String> {
    let labels = batch.labels.iter().map(|&label| label as u32);
    let largest = batch.tokens.ids.iter().copied().chain(labels).max()?;
    (largest as usize >= size).then(|| format!("the token id {largest} is beyond the vocabulary of {size} entries"))
}

/// Pairs that are not `[CLS] A [SEP] B [SEP]`.
fn misshapen<D: TokenDocuments + ?Sized>(pairs: &[Instance], batches: &Batches<D>) -> Option<String> {
    let specials = batches.specials;
    let is_pair = |pair: &&Instance| {
        let count = |id: u32| pair.tokens.iter().filter(|&&token| token == id).count();
        let ends = [pair.tokens.first(), pair.tokens.last()] == [Some(&specials.cls), Some(&specials.sep)];
        ends && [count(specials.cls), count(specials.sep), count(specials.mask), count(specials.pad)] == [1, 2, 0, 0]
    };
    let wrong = pairs.iter().filter(|pair| !is_pair(pair)).count();
    (wrong > 0).then(|| format!("{wrong} of {} pairs are not [CLS] A [SEP] B [SEP]", pairs.len()))
}

/// Negatives from far fewer documents than independent draws would come from: the model can learn the documents.
fn few_sources(sources: &[u32], documents: usize) -> Option<String> {
    let distinct = sources.iter().collect::<BTreeSet<_>>().len();
    let documents = documents as f64;
    let expected = documents * (1.0 - libm::pow(1.0 - 1.0 / documents, sources.len() as f64));
    ((distinct as f64) < 0.5 * expected).then(|| {
        format!(
            "{} negatives come from {distinct} documents, where {expected:.0} are to be expected: the model can tell them \
             by their documents",
            sources.len()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::tests::tiny_spec;

    fn rates(masked: f64, mask_token: f64, random_token: f64) -> Rates {
        let (whole_tokens, selected, mean_length, padding_avoided) = (0.1, 20_000, 1.0, 0.0);
        Rates { masked, whole_tokens, mask_token, random_token, selected, mean_length, padding_avoided }
    }

    #[test]
    fn rates_that_are_not_the_asked_ones_are_said() {
        let asked = ObjectiveSpec { mask_ratio: 0.1, ..tiny_spec().objective().clone() };
        assert_eq!(rates(0.101, 0.803, 0.098).warnings(&asked), Vec::<String>::new());
        insta::assert_snapshot!(rates(0.09, 0.6, 0.18).warnings(&asked).join("\n"), @r"
        0.090 of the tokens are masked, not the asked 0.1
        0.600 of the masked tokens are shown as [MASK], not the asked 0.8
        0.180 of the masked tokens are shown as a random token, not the asked 0.1
        ");
    }

    #[test]
    fn negatives_from_few_documents_are_said() {
        let from = |documents: u32| (0..1000).map(|i| i * 7919 % documents).collect::<Vec<u32>>();
        assert_eq!(few_sources(&from(997), 1000), None);
        insta::assert_snapshot!(few_sources(&from(33), 1000).unwrap(), @"1000 negatives come from 33 documents, where 632 are to be expected: the model can tell them by their documents");
        // A corpus of two documents has no more to give.
        assert_eq!(few_sources(&from(2), 2), None);
    }
}
