//! BERT on one page (Devlin et al. 2019), top-down: the encoder, its embeddings, attention and feed-forward network, then
//! the two heads of pretraining and their losses.
//!
//! What is heavy is written twice, one below the other. `composed` says it in burn's operations: it is the definition, and
//! runs on every device. `fused` hands the same weights to one kernel with hand-written gradients, where tensors live on
//! Flex; `None` where the kernel does not know a variant. Both draw the same dropout and agree to rounding.
//!
//! Each sublayer f is framed as `LayerNorm(x + Dropout(f(x)))` (post-LN, as in BERT) or as `x + Dropout(f(LayerNorm(x)))`
//! (pre-LN, as in GPT-2); the first of a pre-LN encoder may go without its norm (ModernBERT).
//!
//! Shapes: R rows (tokens of the batch), B sequences, S places of the longest, D hidden, H heads, K head width, V vocabulary,
//! M masked rows, C classes.

use burn::tensor::{Int, Tensor, activation};

use super::forward_pass::{ForwardPass, TrainingPass, normalisation, sites};
use super::tokens::{Tokens, int_tensor};
use super::weights::{
    Attention, Bert, BertForPreTraining, Dense, Embedding, Embeddings, FeedForward, LayerNorm, value,
};
use crate::plan::{Activation, ModelSpec, NormPosition, PositionEmbedding};
use crate::trainer::kernels::{self, Between, Compute, Rotary, narrow};
use crate::trainer::sequences::Sequences;

impl Bert {
    /// Runs the embeddings and the encoder. `training` is `None` for evaluation.
    ///
    /// # Shapes
    /// - output: `[R, D]`, a row for each token
    pub fn encode(&self, tokens: &Tokens, model: &ModelSpec, training: Option<TrainingPass>) -> Tensor<2> {
        let pass = ForwardPass::new(self.compute, model, &tokens.sequences, training);
        let mut hidden = self.embeddings.forward(tokens, &pass);
        for (l, layer) in self.layers.iter().enumerate() {
            hidden = layer.attention.forward(hidden, l, &pass);
            hidden = layer.feed_forward.forward(hidden, l, &pass);
        }
        match &self.norm {
            Some(norm) => layer_norm(hidden, norm, model.layer_norm_eps),
            None => hidden,
        }
    }
}

impl Embeddings {
    /// The sum of the three embeddings, normalised if so asked, through dropout: `[R, D]`.
    fn forward(&self, tokens: &Tokens, pass: &ForwardPass) -> Tensor<2> {
        let positions = match &self.position_embeddings {
            Some(table) => table.weight.val(),
            None => {
                let words = self.word_embeddings.weight.val();
                let [s, d] = [tokens.sequences.longest(), words.dims()[1]];
                let table = match pass.model.position_embedding_type {
                    PositionEmbedding::Rotary | PositionEmbedding::RelativeKey => vec![0.0; s * d],
                    PositionEmbedding::Absolute | PositionEmbedding::Sinusoidal => sinusoidal_table(s, d),
                };
                Tensor::<1>::from_floats(table.as_slice(), &words.device()).reshape([s, d])
            }
        };
        match pass.compute {
            Compute::Kernels => self.fused(positions, tokens, pass),
            Compute::Composed => self.composed(positions, tokens, pass),
        }
    }

    fn composed(&self, positions: Tensor<2>, tokens: &Tokens, pass: &ForwardPass) -> Tensor<2> {
        let device = positions.device();
        let rows = |table: Tensor<2>, ids: &[u32]| {
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            table.select(0, int_tensor(&ids, &device))
        };
        let words = rows(self.word_embeddings.weight.val(), &tokens.ids);
        let sum = words + rows(positions, &tokens.sequences.positions());
        let sum = sum + rows(self.token_type_embeddings.weight.val(), &tokens.segments);
        let normed = match &self.layer_norm {
            Some(norm) => layer_norm(sum, norm, pass.model.layer_norm_eps),
            None => sum,
        };
        pass.dropout(normed, pass.model.hidden_dropout_prob, sites::EMBEDDINGS)
    }

    fn fused(&self, positions: Tensor<2>, tokens: &Tokens, pass: &ForwardPass) -> Tensor<2> {
        let rows = |table: &Embedding| table.weight.dims()[0];
        let kernel = kernels::Embeddings {
            sequences: tokens.sequences.clone(),
            hidden: positions.dims()[1],
            rows: [rows(&self.word_embeddings), positions.dims()[0], rows(&self.token_type_embeddings)],
            words: tokens.ids.clone(),
            positions: tokens.sequences.positions(),
            segments: tokens.segments.clone(),
            norm: self.layer_norm.is_some().then(|| normalisation(pass.model)),
            mask: pass.mask(pass.model.hidden_dropout_prob, sites::EMBEDDINGS),
        };
        let tables = [&self.word_embeddings.weight, &self.token_type_embeddings.weight].map(value);
        let [words, segments] = tables;
        let mut inputs = vec![words, positions.into_dispatch(), segments];
        inputs.extend(self.layer_norm.iter().flat_map(LayerNorm::values));
        kernels::apply(kernel, inputs, Between::Keep)
    }
}

impl Attention {
    /// Multi-head self-attention of layer `l` (Vaswani et al. 2017) in its frame: `[R, D]` to `[R, D]`. Positions may turn
    /// queries and keys (Su et al. 2021), or keys may have a vector for their distance (Shaw et al. 2018), and a token may see
    /// its neighbours alone (Beltagy et al. 2020).
    fn forward(&self, hidden: Tensor<2>, l: usize, pass: &ForwardPass) -> Tensor<2> {
        match pass.compute {
            Compute::Kernels => self.fused(&hidden, l, pass),
            Compute::Composed => None,
        }
        .unwrap_or_else(|| self.composed(hidden, l, pass))
    }

    fn composed(&self, hidden: Tensor<2>, l: usize, pass: &ForwardPass) -> Tensor<2> {
        let padding = pass.padding(&hidden.device());
        framed(hidden, self.layer_norm.as_ref(), sites::attention(l), pass, |x| {
            let [b, s] = padding.shape();
            let (h, k) = (pass.model.num_attention_heads, pass.model.attention_head_size);
            // [R, H K] -> [B, S, H K] -> [B, H, S, K]
            let heads =
                |projection: &Dense| padding.pad(dense(x.clone(), projection)).reshape([b, s, h, k]).swap_dims(1, 2);
            let (query, key, value) = (heads(&self.query), heads(&self.key), heads(&self.value));
            let turned = |x: Tensor<4>| pass.rotary().map_or(x.clone(), |rotary| turned(x, rotary));
            let (query, key) = (turned(query), turned(key));
            // [B, H, S, S]
            let scores = query.clone().matmul(key.transpose());
            let scores = match &self.distance {
                Some(table) => scores + terms_of_distances(query, table.weight.val()),
                None => scores,
            };
            let scores = padding.mask(scores / (k as f64).sqrt());
            let scores = padding.within(scores, pass.model.reach(l));
            let probabilities = pass.dropout_of_probabilities(activation::softmax(scores, 3), padding, l);
            let context = probabilities.matmul(value).swap_dims(1, 2).reshape([b, s, h * k]);
            dense(padding.unpad(context), &self.output)
        })
    }

    fn fused(&self, hidden: &Tensor<2>, l: usize, pass: &ForwardPass) -> Option<Tensor<2>> {
        let kernel = kernels::Attention {
            sequences: pass.sequences.clone(),
            hidden: hidden.dims()[1],
            heads: pass.model.num_attention_heads,
            head_width: pass.model.attention_head_size,
            rotary: pass.rotary().cloned(),
            is_relative: self.distance.is_some(),
            reach: pass.model.reach(l),
            probabilities: pass.mask(pass.model.attention_probs_dropout_prob, sites::probabilities(l)),
            residual: pass.residual(sites::attention(l), self.layer_norm.is_some()),
        };
        let mut inputs = vec![hidden.clone().into_dispatch()];
        for projection in [&self.query, &self.key, &self.value, &self.output] {
            inputs.extend(projection.values()?);
        }
        inputs.extend(self.layer_norm.iter().flat_map(LayerNorm::values));
        inputs.extend(self.distance.iter().map(|table| value(&table.weight)));
        Some(kernels::apply(kernel, inputs, pass.between()))
    }
}

impl FeedForward {
    /// The two-layer network of layer `l`, gated if so asked (Shazeer 2020), in its frame: `[R, D]` to `[R, D]`.
    fn forward(&self, hidden: Tensor<2>, l: usize, pass: &ForwardPass) -> Tensor<2> {
        match pass.compute {
            Compute::Kernels => self.fused(&hidden, l, pass),
            Compute::Composed => None,
        }
        .unwrap_or_else(|| self.composed(hidden, l, pass))
    }

    fn composed(&self, hidden: Tensor<2>, l: usize, pass: &ForwardPass) -> Tensor<2> {
        framed(hidden, Some(&self.layer_norm), sites::feed_forward(l), pass, |x| {
            let inner = dense(x, &self.intermediate);
            let inner = if pass.model.is_gated_act {
                let [active, gate] = inner.chunk(2, 1).try_into().expect("invariant: two halves");
                activate(active, pass.model.hidden_act) * gate
            } else {
                activate(inner, pass.model.hidden_act)
            };
            dense(inner, &self.output)
        })
    }

    fn fused(&self, hidden: &Tensor<2>, l: usize, pass: &ForwardPass) -> Option<Tensor<2>> {
        let kernel = kernels::FeedForward {
            sequences: pass.sequences.clone(),
            hidden: hidden.dims()[1],
            intermediate: pass.model.intermediate_size,
            activation: pass.model.hidden_act,
            is_gated: pass.model.is_gated_act,
            residual: pass.residual(sites::feed_forward(l), true),
        };
        let mut inputs = vec![hidden.clone().into_dispatch()];
        inputs.extend(self.intermediate.values()?);
        inputs.extend(self.output.values()?);
        inputs.extend(self.layer_norm.values());
        Some(kernels::apply(kernel, inputs, pass.between()))
    }
}

impl BertForPreTraining {
    /// Logits over the vocabulary for the chosen rows of the encoder's output.
    ///
    /// # Shapes
    /// - hidden: `[R, D]`; rows: `[M]`; output: `[M, V]`
    pub fn mlm_logits(&self, hidden: Tensor<2>, rows: Tensor<1, Int>, model: &ModelSpec) -> Tensor<2> {
        let mut chosen = hidden.select(0, rows);
        if let Some(transform) = &self.mlm.transform {
            let inner = activate(dense(chosen, &transform.dense), model.hidden_act);
            chosen = layer_norm(inner, &transform.layer_norm, model.layer_norm_eps);
        }
        let logits = product(chosen, self.mlm_projection().weight.val());
        match &self.mlm.bias {
            Some(bias) => logits + bias.val().unsqueeze::<2>(),
            None => logits,
        }
    }

    /// The mean cross-entropy in nats of the masked rows: what training minimises. Fused, the logits never are a tensor.
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
        match self.bert.compute {
            Compute::Kernels => self.fused_mlm_loss(&hidden, &rows, &labels, model),
            Compute::Composed => None,
        }
        .unwrap_or_else(|| cross_entropy(self.mlm_logits(hidden, rows, model), labels).mean())
    }

    fn fused_mlm_loss(
        &self,
        hidden: &Tensor<2>,
        rows: &Tensor<1, Int>,
        labels: &Tensor<1, Int>,
        model: &ModelSpec,
    ) -> Option<Tensor<1>> {
        let (mlm, projection) = (&self.mlm, &self.mlm_projection().weight);
        let [vocabulary, d] = projection.dims();
        let transform = kernels::Transform { activation: model.hidden_act, norm: normalisation(model) };
        let kernel = kernels::MaskedLoss {
            hidden: d,
            vocabulary,
            rows: integers(rows.clone()),
            labels: integers(labels.clone()),
            has_bias: mlm.bias.is_some(),
            transform: mlm.transform.is_some().then_some(transform),
        };
        let mut inputs = vec![hidden.clone().into_dispatch(), value(projection)];
        inputs.extend(mlm.bias.as_ref().map(value));
        if let Some(transform) = &mlm.transform {
            inputs.extend(transform.dense.values()?);
            inputs.extend(transform.layer_norm.values());
        }
        // Its backward pass comes first of all: computing it again would save nothing.
        Some(kernels::apply(kernel, inputs, Between::Keep))
    }

    /// Logits for (B follows A, B does not follow A), from the first token of each sequence: `[B, 2]`.
    /// `None` where the model has no NSP head.
    pub fn nsp_logits(&self, hidden: Tensor<2>, sequences: &Sequences) -> Option<Tensor<2>> {
        let head = self.nsp.as_ref()?;
        let pooled = dense(first_rows(hidden, sequences), &head.pooler).tanh();
        Some(dense(pooled, &head.classifier))
    }

    /// The projection onto the vocabulary: the word embeddings themselves, unless it is untied.
    fn mlm_projection(&self) -> &Embedding {
        self.mlm.decoder.as_ref().unwrap_or(&self.bert.embeddings.word_embeddings)
    }
}

/// A sublayer: `function` with dropout (at `site`), the residual sum and the layer normalisation, if there is one, around it.
fn framed(
    hidden: Tensor<2>,
    norm: Option<&LayerNorm>,
    site: usize,
    pass: &ForwardPass,
    function: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Tensor<2> {
    let eps = pass.model.layer_norm_eps;
    let branch = |x: Tensor<2>| pass.dropout(function(x), pass.model.hidden_dropout_prob, site);
    match (pass.model.norm_position, norm) {
        (NormPosition::Post, Some(norm)) => layer_norm(hidden.clone() + branch(hidden), norm, eps),
        (NormPosition::Pre, Some(norm)) => hidden.clone() + branch(layer_norm(hidden, norm, eps)),
        (_, None) => hidden.clone() + branch(hidden),
    }
}

/// `x W^T + b` on the last axis.
pub fn dense(x: Tensor<2>, weights: &Dense) -> Tensor<2> {
    let product = product(x, weights.weight.val());
    match &weights.bias {
        Some(bias) => product + bias.val().unsqueeze::<2>(),
        None => product,
    }
}

/// Layer normalisation of the last axis (Ba, Kiros & Hinton 2016): biased variance, `eps` inside the root. Without an offset it
/// is RMSNorm (Zhang & Sennrich 2019), which does not centre either.
fn layer_norm(x: Tensor<2>, norm: &LayerNorm, eps: f64) -> Tensor<2> {
    let centred = if norm.bias.is_some() { x.clone() - means_of_rows(x) } else { x };
    let variance = means_of_rows(centred.clone().square());
    let scaled = centred / (variance + eps).sqrt() * norm.weight.val().unsqueeze::<2>();
    match &norm.bias {
        Some(bias) => scaled + bias.val().unsqueeze::<2>(),
        None => scaled,
    }
}

/// `x W^T`, with the instruction set that this process is held to.
fn product(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    if narrow::is_asked_for(&x) { narrow::product(x, weight) } else { x.matmul(weight.transpose()) }
}

/// The mean of each row, with the instruction set that this process is held to: `[R, 1]`.
fn means_of_rows(x: Tensor<2>) -> Tensor<2> {
    if narrow::is_asked_for(&x) { narrow::means_of_rows(x) } else { x.mean_dim(1) }
}

/// Each head of `[B, H, S, K]` turned by its position: the halves of a head are the parts of complex numbers.
fn turned(x: Tensor<4>, rotary: &Rotary) -> Tensor<4> {
    let [_, _, s, k] = x.dims();
    let [cosines, sines] =
        rotary.tables().map(|table| Tensor::<1>::from_floats(table, &x.device()).reshape([1, 1, s, k / 2]));
    let [a, b] = x.chunk(2, 3).try_into().expect("invariant: two halves");
    let first = a.clone() * cosines.clone() - b.clone() * sines.clone();
    Tensor::cat(vec![first, b * cosines + a * sines], 3)
}

/// The product of each query with the vector of its distance to each key, which the rows of `table` are in order, from the
/// largest one behind: `[B, H, S, K]` and `[2 P - 1, K]` to `[B, H, S, S]`.
fn terms_of_distances(query: Tensor<4>, table: Tensor<2>) -> Tensor<4> {
    let [b, h, s, k] = query.dims();
    let zero = table.dims()[0] / 2;
    let distances: Vec<i32> = (0..s * s).map(|i| (zero + i / s - i % s) as i32).collect();
    // [S, S, K], a row for each query.
    let vectors = table.select(0, int_tensor(&distances, &query.device())).reshape([s, s, k]);
    let terms = query.swap_dims(0, 2).reshape([s, h * b, k]).matmul(vectors.transpose());
    terms.reshape([s, h, b, s]).swap_dims(0, 2)
}

/// The activation function, element by element.
fn activate<const N: usize>(x: Tensor<N>, function: Activation) -> Tensor<N> {
    match function {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluNew => activation::gelu_approximate(x),
        Activation::Relu => activation::relu(x),
    }
}

/// The first token of each sequence: `[R, D]` to `[B, D]`.
pub fn first_rows(hidden: Tensor<2>, sequences: &Sequences) -> Tensor<2> {
    let first: Vec<i32> = sequences.starts()[..sequences.len()].iter().map(|&row| row as i32).collect();
    let first = int_tensor(&first, &hidden.device());
    hidden.select(0, first)
}

/// Cross-entropy in nats of each row of `logits` (`[M, C]`) against its label (`[M]`): `[M]`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let log_probabilities = activation::log_softmax(logits, 1);
    log_probabilities.gather(1, labels.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1).neg()
}

/// The sines and cosines of Vaswani et al. 2017, section 3.5: `[S, D]`, sines in the even columns.
pub fn sinusoidal_table(s: usize, d: usize) -> Vec<f32> {
    let angle =
        |position: usize, column: usize| position as f64 / libm::pow(10_000.0, (column / 2 * 2) as f64 / d as f64);
    let value = |i: usize| {
        let (position, column) = (i / d, i % d);
        let angle = angle(position, column);
        (if column % 2 == 0 { libm::sin(angle) } else { libm::cos(angle) }) as f32
    };
    (0..s * d).map(value).collect()
}

/// The elements of an integer tensor that counts something.
fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Vec<u32> {
    tensor.into_data().iter::<i64>().map(|i| u32::try_from(i).expect("invariant: an id is not negative")).collect()
}
