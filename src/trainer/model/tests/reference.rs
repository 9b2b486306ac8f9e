//! BERT once more, in plain loops over f64 and by Hugging Face's parameter names: the oracle of the model's tests.

use std::collections::BTreeMap;

use crate::plan::{Activation, NormPosition, PositionEmbedding, RunSpec};
use crate::trainer::model::parameters::Parameter;
use crate::trainer::pretraining::batch::Batch;
use crate::trainer::rng::{Dropout, Purpose, Stream};
use crate::types::Seed;

/// Rows of numbers.
type Rows = Vec<Vec<f64>>;

pub struct Reference<'a> {
    spec: &'a RunSpec,
    weights: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    /// The step whose dropout is drawn; `None`: no dropout.
    step: Option<u64>,
}

impl<'a> Reference<'a> {
    pub fn new(spec: &'a RunSpec, parameters: &[Parameter], step: Option<u64>) -> Self {
        let widen = |p: &Parameter| (p.shape.clone(), p.values.iter().map(|&v| f64::from(v)).collect());
        Self { spec, weights: parameters.iter().map(|p| (p.name.clone(), widen(p))).collect(), step }
    }

    /// The value `i` of a parameter, to be changed for a finite difference.
    pub fn value(&mut self, name: &str, i: usize) -> &mut f64 {
        &mut self.weights.get_mut(name).unwrap().1[i]
    }

    /// MLM loss + NSP loss of a batch, as the step loop minimises it.
    pub fn loss(&self, batch: &Batch) -> f64 {
        let hidden = self.encode(batch);
        let mlm: f64 = batch
            .rows
            .iter()
            .zip(&batch.labels)
            .map(|(&row, &label)| cross_entropy(&self.mlm_logits(&hidden[row as usize]), label as usize))
            .sum::<f64>()
            / batch.rows.len() as f64;
        if batch.nsp_labels.is_empty() {
            return mlm;
        }
        let nsp: f64 = batch
            .nsp_labels
            .iter()
            .enumerate()
            .map(|(b, &label)| {
                cross_entropy(&self.nsp_logits(&hidden[batch.tokens.sequences.starts()[b]]), label as usize)
            })
            .sum::<f64>()
            / batch.nsp_labels.len() as f64;
        mlm + nsp
    }

    /// The encoder's output, a row for each token.
    pub fn encode(&self, batch: &Batch) -> Rows {
        let model = &self.spec.model;
        let d = model.hidden_size;
        let positions = batch.tokens.sequences.positions();
        let row = |i: usize| -> Vec<f64> {
            let position = positions[i] as usize;
            (0..d)
                .map(|j| {
                    let place = match model.position_embedding_type {
                        PositionEmbedding::Absolute => {
                            self.at("bert.embeddings.position_embeddings.weight", position * d + j)
                        }
                        PositionEmbedding::Sinusoidal => {
                            let angle = position as f64 / 10_000f64.powf((j / 2 * 2) as f64 / d as f64);
                            if j % 2 == 0 { angle.sin() } else { angle.cos() }
                        }
                        PositionEmbedding::Rotary | PositionEmbedding::RelativeKey => 0.0,
                    };
                    self.at("bert.embeddings.word_embeddings.weight", batch.tokens.ids[i] as usize * d + j)
                        + place
                        + self.at(
                            "bert.embeddings.token_type_embeddings.weight",
                            batch.tokens.segments[i] as usize * d + j,
                        )
                })
                .collect()
        };
        let mut hidden: Rows = (0..batch.tokens.ids.len()).map(row).collect();
        if model.embedding_layer_norm {
            hidden = self.norm(&hidden, "bert.embeddings.LayerNorm");
        }
        hidden = self.drop(hidden, model.hidden_dropout_prob, 0);
        for l in 0..model.num_hidden_layers {
            let name = format!("bert.encoder.layer.{l}");
            hidden = self.residual(hidden, &format!("{name}.attention.output.LayerNorm"), 2 + 3 * l, |x| {
                self.attention(x, batch, &name, l)
            });
            hidden = self.residual(hidden, &format!("{name}.output.LayerNorm"), 3 + 3 * l, |x| {
                let inner = self.dense(x, &format!("{name}.intermediate.dense"));
                let inner: Rows = inner.iter().map(|row| self.feed(row)).collect();
                self.dense(&inner, &format!("{name}.output.dense"))
            });
        }
        if model.norm_position == NormPosition::Pre { self.norm(&hidden, "bert.encoder.norm") } else { hidden }
    }

    pub fn mlm_logits(&self, hidden: &[f64]) -> Vec<f64> {
        let mut x = vec![hidden.to_vec()];
        if self.spec.model.mlm_head_transform {
            x = self.dense(&x, "cls.predictions.transform.dense");
            x[0].iter_mut().for_each(|v| *v = self.activate(*v));
            x = self.norm(&x, "cls.predictions.transform.LayerNorm");
        }
        let tied = self.spec.model.tie_word_embeddings;
        let table = if tied { "bert.embeddings.word_embeddings.weight" } else { "cls.predictions.decoder.weight" };
        let d = hidden.len();
        let logit = |v: usize| {
            let product: f64 = (0..d).map(|j| x[0][j] * self.at(table, v * d + j)).sum();
            product + if self.spec.model.mlm_head_bias { self.at("cls.predictions.bias", v) } else { 0.0 }
        };
        (0..self.spec.tokenizer.vocab_size).map(logit).collect()
    }

    pub fn nsp_logits(&self, first: &[f64]) -> Vec<f64> {
        let pooled = self.dense(&vec![first.to_vec()], "bert.pooler.dense");
        let pooled: Rows = vec![pooled[0].iter().map(|v| v.tanh()).collect()];
        self.dense(&pooled, "cls.seq_relationship").remove(0)
    }

    /// What the second projection of the feed-forward network reads.
    fn feed(&self, row: &[f64]) -> Vec<f64> {
        let f = self.spec.model.intermediate_size;
        let gate = |j: usize| if self.spec.model.is_gated_act { row[f + j] } else { 1.0 };
        (0..f).map(|j| self.activate(row[j]) * gate(j)).collect()
    }

    /// Rows whose heads are turned by the angles of their positions.
    fn turned(&self, x: Rows, positions: &[u32]) -> Rows {
        let model = &self.spec.model;
        let k = model.attention_head_size;
        if model.position_embedding_type != PositionEmbedding::Rotary {
            return x;
        }
        let turned = |(row, &position): (Vec<f64>, &u32)| {
            let value = |c: usize| {
                let (i, pair) = (c % k, c % k % (k / 2));
                let angle = f64::from(position) * model.rope_theta.powf(-2.0 * pair as f64 / k as f64);
                let other = if i < k / 2 { -row[c + k / 2] } else { row[c - k / 2] };
                row[c] * angle.cos() + other * angle.sin()
            };
            (0..row.len()).map(value).collect()
        };
        x.into_iter().zip(positions).map(turned).collect()
    }

    fn attention(&self, x: &Rows, batch: &Batch, name: &str, l: usize) -> Rows {
        let (model, site) = (&self.spec.model, 1 + 3 * l);
        let (sequences, heads, k) = (&batch.tokens.sequences, model.num_attention_heads, model.attention_head_size);
        let project = |part: &str| self.dense(x, &format!("{name}.attention.self.{part}"));
        let positions = sequences.positions();
        let (query, key) = (self.turned(project("query"), &positions), self.turned(project("key"), &positions));
        let value = project("value");
        let mut context = vec![vec![0.0; heads * k]; x.len()];
        for (b, length) in sequences.lengths().enumerate() {
            let first = sequences.starts()[b];
            for h in 0..heads {
                for i in 0..length {
                    let score = |j: usize| -> f64 {
                        if model.reach(l).is_some_and(|reach| i.abs_diff(j) > reach) {
                            return f64::NEG_INFINITY;
                        }
                        let table = format!("{name}.attention.self.distance_embedding.weight");
                        let row = model.max_position_embeddings - 1 + i - j;
                        let distance = |c: usize| match model.position_embedding_type {
                            PositionEmbedding::RelativeKey => self.at(&table, row * k + c - h * k),
                            _ => 0.0,
                        };
                        let columns = h * k..h * k + k;
                        let dot: f64 = columns.map(|c| query[first + i][c] * (key[first + j][c] + distance(c))).sum();
                        dot / (k as f64).sqrt()
                    };
                    let scores: Vec<f64> = (0..length).map(score).collect();
                    let peak = scores.iter().copied().fold(f64::MIN, f64::max);
                    let total: f64 = scores.iter().map(|v| (v - peak).exp()).sum();
                    for (j, v) in scores.iter().enumerate() {
                        let element = sequences.first_score(b, h, heads) + i * sequences.score_stride(b) + j;
                        let kept = self.kept(element, model.attention_probs_dropout_prob, site);
                        let probability = (v - peak).exp() / total * kept;
                        for c in h * k..h * k + k {
                            context[first + i][c] += probability * value[first + j][c];
                        }
                    }
                }
            }
        }
        self.dense(&context, &format!("{name}.attention.output.dense"))
    }

    fn residual(&self, x: Rows, norm: &str, site: usize, function: impl Fn(&Rows) -> Rows) -> Rows {
        let p = self.spec.model.hidden_dropout_prob;
        let add =
            |a: &Rows, b: Rows| a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect();
        match self.spec.model.norm_position {
            _ if !self.weights.contains_key(&format!("{norm}.weight")) => add(&x, self.drop(function(&x), p, site)),
            NormPosition::Post => self.norm(&add(&x, self.drop(function(&x), p, site)), norm),
            NormPosition::Pre => add(&x, self.drop(function(&self.norm(&x, norm)), p, site)),
        }
    }

    fn at(&self, name: &str, i: usize) -> f64 {
        self.weights.get(name).unwrap_or_else(|| panic!("no parameter {name}")).1[i]
    }

    fn dense(&self, x: &Rows, name: &str) -> Rows {
        let (shape, weight) = &self.weights[&format!("{name}.weight")];
        let bias = self.weights.get(&format!("{name}.bias"));
        let output = |row: &Vec<f64>, o: usize| -> f64 {
            let product: f64 = row.iter().zip(&weight[o * shape[1]..]).map(|(a, b)| a * b).sum();
            product + bias.map_or(0.0, |(_, bias)| bias[o])
        };
        x.iter().map(|row| (0..shape[0]).map(|o| output(row, o)).collect()).collect()
    }

    fn norm(&self, x: &Rows, name: &str) -> Rows {
        let row = |row: &Vec<f64>| {
            let offsets = self.weights.get(&format!("{name}.bias"));
            let mean = offsets.map_or(0.0, |_| row.iter().sum::<f64>() / row.len() as f64);
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let scale = 1.0 / (variance + self.spec.model.layer_norm_eps).sqrt();
            let value = |(j, v): (usize, &f64)| {
                (v - mean) * scale * self.at(&format!("{name}.weight"), j)
                    + offsets.map_or(0.0, |(_, offset)| offset[j])
            };
            row.iter().enumerate().map(value).collect()
        };
        x.iter().map(row).collect()
    }

    fn drop(&self, x: Rows, p: f64, site: usize) -> Rows {
        let width = x[0].len();
        let row = |(i, row): (usize, Vec<f64>)| {
            row.iter().enumerate().map(|(j, v)| v * self.kept(i * width + j, p, site)).collect()
        };
        x.into_iter().enumerate().map(row).collect()
    }

    /// 0 for a dropped element, the scale for a kept one.
    fn kept(&self, element: usize, p: f64, site: usize) -> f64 {
        let Some(step) = self.step else { return 1.0 };
        let dropout = Dropout::new(p);
        let stream = Stream::new(Seed(self.spec.train().seed.0), Purpose::Dropout, step, site as u64);
        if stream.keeps(element as u64, dropout) { f64::from(dropout.scale) } else { 0.0 }
    }

    fn activate(&self, x: f64) -> f64 {
        match self.spec.model.hidden_act {
            Activation::Gelu => x * 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
            Activation::GeluNew => {
                x * 0.5 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }
            Activation::Relu => x.max(0.0),
        }
    }
}

fn cross_entropy(logits: &[f64], label: usize) -> f64 {
    let peak = logits.iter().copied().fold(f64::MIN, f64::max);
    logits.iter().map(|v| (v - peak).exp()).sum::<f64>().ln() + peak - logits[label]
}
