//! The heads and their losses: masked-language modelling on the masked rows only, and next-sentence prediction.
//!
//! Shapes: R rows (tokens of the batch), B sequences, D hidden, V vocabulary, M masked rows.

use burn::tensor::{Int, Tensor, TensorData, activation};

use super::{BertForPreTraining, sublayer};
use crate::plan::ModelSpec;
use crate::trainer::kernels::{self, Path};
use crate::trainer::sequences::Sequences;

impl BertForPreTraining {
    /// Logits over the vocabulary for the chosen rows of the encoder's output.
    ///
    /// # Shapes
    /// - hidden: `[R, D]`; rows: `[M]`; output: `[M, V]`
    pub fn mlm_logits(&self, hidden: Tensor<2>, rows: Tensor<1, Int>, model: &ModelSpec) -> Tensor<2> {
        let mut chosen = hidden.select(0, rows);
        if let Some(transform) = &self.mlm.transform {
            let inner = sublayer::dense(chosen, &transform.dense);
            let inner = sublayer::activate(inner, model.hidden_act);
            chosen = sublayer::layer_norm(inner, &transform.layer_norm, model.layer_norm_eps);
        }
        let projection = self.mlm.decoder.as_ref().unwrap_or(&self.bert.embeddings.word_embeddings);
        let logits = chosen.matmul(projection.weight.val().transpose());
        match &self.mlm.bias {
            Some(bias) => logits + bias.val().unsqueeze::<2>(),
            None => logits,
        }
    }

    /// The mean cross-entropy in nats of the masked rows: what training minimises, without making the logits a tensor.
    ///
    /// # Shapes
    /// - hidden: `[R, D]`; rows, labels: `[M]`, as in [`mlm_logits`](Self::mlm_logits); output: `[1]`
    pub fn mlm_loss(
        &self,
        hidden: Tensor<2>,
        rows: Tensor<1, Int>,
        labels: Tensor<1, Int>,
        model: &ModelSpec,
    ) -> Tensor<1> {
        self.mlm_loss_by(self.bert.path(), hidden, rows, labels, model)
    }

    /// [`mlm_loss`](Self::mlm_loss) by the kernels or by burn's own operations, which agree to rounding.
    pub fn mlm_loss_by(
        &self,
        path: Path,
        hidden: Tensor<2>,
        rows: Tensor<1, Int>,
        labels: Tensor<1, Int>,
        model: &ModelSpec,
    ) -> Tensor<1> {
        if path == Path::Kernels
            && let Some(loss) = kernels::masked_loss(self, &hidden, &rows, &labels, model)
        {
            return loss;
        }
        cross_entropy(self.mlm_logits(hidden, rows, model), labels).mean()
    }

    /// Logits for (B follows A, B does not follow A), from the first token of each sequence: `[B, 2]`.
    /// `None` where the model has no NSP head.
    pub fn nsp_logits(&self, hidden: Tensor<2>, sequences: &Sequences) -> Option<Tensor<2>> {
        let head = self.nsp.as_ref()?;
        let pooled = sublayer::dense(first_rows(hidden, sequences), &head.pooler).tanh();
        Some(sublayer::dense(pooled, &head.classifier))
    }
}

/// The first token of each sequence: `[R, D]` to `[B, D]`.
pub fn first_rows(hidden: Tensor<2>, sequences: &Sequences) -> Tensor<2> {
    let first: Vec<i32> = sequences.starts()[..sequences.len()].iter().map(|&row| row as i32).collect();
    let first = Tensor::from_data(TensorData::from(first.as_slice()), &hidden.device());
    hidden.select(0, first)
}

/// Cross-entropy in nats of each row of `logits` (`[M, C]`) against its label (`[M]`): `[M]`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let log_probabilities = activation::log_softmax(logits, 1);
    log_probabilities.gather(1, labels.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1).neg()
}
