//! Filling in masks: what a trained model expects behind each `[MASK]` of a text.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::batch::Batch;
use super::instance::Instance;
use crate::plan::RunSpec;
use crate::trainer::model::int_tensor;
use crate::trainer::model::{
    BertForPreTraining,
    parameters::{Parameter, Weights},
};
use crate::trainer::tokenizer::SpecialIds;
use crate::trainer::tokenizer::Tokenizer;

/// A text that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FillMaskError {
    #[error("the text has no [MASK]; write one where the model is to guess, as in \"서울은 [MASK] 수도다\"")]
    NoMask,
    #[error("the text has {tokens} tokens with [CLS] and [SEP], and the model has {positions} positions; shorten it")]
    TooLong { tokens: usize, positions: usize },
}

/// What a model says about a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// The ids that the model read, `[CLS]` and `[SEP]` included.
    pub ids: Vec<u32>,
    /// For each `[MASK]`, in order.
    pub masks: Vec<Mask>,
    /// The logits for (B follows A, B does not follow A), where the model has that head.
    pub nsp_logits: Option<Vec<f32>>,
}

/// What a model expects behind one `[MASK]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The place in [`Filled::ids`].
    pub position: usize,
    /// The most probable tokens, the best first.
    pub guesses: Vec<Guess>,
}

/// A token that may stand behind a `[MASK]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    pub id: u32,
    pub token: String,
    pub probability: f64,
    pub logit: f32,
}

/// The `top` guesses for each `[MASK]` of `text`, by the model of `spec` with these weights.
///
/// # Errors
/// When the text has no mask, or is longer than the model.
pub fn fill_mask(
    spec: &RunSpec,
    weights: &[Parameter],
    tokenizer: &Tokenizer,
    text: &str,
    top: usize,
) -> Result<Filled, FillMaskError> {
    let SpecialIds { cls, sep, mask, .. } = tokenizer.special_ids();
    let ids = [vec![cls], tokenizer.encode_marked(text), vec![sep]].concat();
    let (tokens, positions) = (ids.len(), spec.model.max_position_embeddings);
    if tokens > positions {
        return Err(FillMaskError::TooLong { tokens, positions });
    }
    let masks: Vec<usize> = (0..tokens).filter(|&place| ids[place] == mask).collect();
    if masks.is_empty() {
        return Err(FillMaskError::NoMask);
    }
    let device = Device::flex().autodiff();
    let model = BertForPreTraining::new(spec, &device).with_parameters(weights, &device).valid();
    let device = Device::flex();
    let instance = Instance { segments: vec![0; tokens], tokens: ids.clone(), ..Instance::default() };
    let batch = Batch::collate(&[(instance, Vec::new())]);
    let hidden = model.bert.encode(&batch.tokens, &spec.model, None);
    let rows: Vec<i32> = masks.iter().map(|&place| place as i32).collect();
    let logits = values(model.mlm_logits(hidden.clone(), int_tensor(&rows, &device), &spec.model));
    let nsp_logits = model.nsp_logits(hidden, &batch.tokens.sequences).map(values);
    let rows = logits.chunks(spec.tokenizer.vocab_size);
    let of_mask = |(&position, row): (&usize, &[f32])| Mask { position, guesses: best(row, tokenizer, top) };
    Ok(Filled { ids, masks: masks.iter().zip(rows).map(of_mask).collect(), nsp_logits })
}

fn values(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_into_vec().expect("invariant: logits are f32")
}

/// The `top` most probable tokens of a row of logits; of equals the smaller id comes first.
fn best(row: &[f32], tokenizer: &Tokenizer, top: usize) -> Vec<Guess> {
    let peak = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| libm::exp(f64::from(logit) - f64::from(peak));
    let total: f64 = row.iter().map(|&logit| weight(logit)).sum();
    let mut ids: Vec<usize> = (0..row.len()).collect();
    ids.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
    let guess = |id: usize| Guess {
        id: id as u32,
        token: tokenizer.token(id as u32).unwrap_or_default().to_owned(),
        probability: weight(row[id]) / total,
        logit: row[id],
    };
    ids.into_iter().take(top).map(guess).collect()
}
