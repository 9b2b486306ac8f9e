//! A linear-chain conditional random field on the logits of tags (Lafferty, McCallum & Pereira 2001).
//!
//! The score of tags y_1 .. y_T is `start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_(t-1), y_t] + end[y_T]`, with the
//! parameters and names of `pytorch-crf`. The loss is `log Z - score(gold)`; its gradients are the marginal probabilities of
//! tags and of pairs of tags less those of the gold tags. Both come from the forward-backward algorithm in f64 on the host,
//! the same on every device and for any number of threads: sequences are independent, and their gradients are added up in
//! their order.
//!
//! Shapes: R rows, C tags.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::parameters::Initializer;

/// The scores of first tags `[C]`, of last tags `[C]`, and of one tag (row) before another (column) `[C, C]`.
#[derive(Module, Debug)]
pub struct Crf {
    pub start_transitions: Param<Tensor<1>>,
    pub end_transitions: Param<Tensor<1>>,
    pub transitions: Param<Tensor<2>>,
}

impl Crf {
    /// Fresh scores, uniform in (-0.1, 0.1).
    pub fn new(init: &Initializer, tags: usize) -> Self {
        const BOUND: f64 = 0.1;
        Self {
            start_transitions: init.uniform("crf.start_transitions", [tags], BOUND),
            end_transitions: init.uniform("crf.end_transitions", [tags], BOUND),
            transitions: init.uniform("crf.transitions", [tags, tags], BOUND),
        }
    }

    /// The negative log-likelihood of the gold tags in nats, summed over the sequences: `[1]`.
    ///
    /// `tags` has one for each row of `emissions` (`[R, C]`); `sequences` are the rows of each sequence, none of them empty.
    /// Rows of no sequence count nothing.
    pub fn loss(&self, emissions: Tensor<2>, tags: &[i32], sequences: &[Range<usize>]) -> Tensor<1> {
        let scores = self.scores();
        let c = scores.tags;
        let values = values(emissions.clone());
        let of_sequence = |rows: &Range<usize>| {
            let gold: Vec<usize> = tags[rows.clone()].iter().map(|&tag| tag as usize).collect();
            scores.gradients(&values[rows.start * c..rows.end * c], &gold)
        };
        let found: Vec<Gradients> = sequences.par_iter().map(of_sequence).collect();
        let mut of_emissions = vec![0.0f32; values.len()];
        let mut sum = Gradients {
            loss: 0.0,
            emissions: Vec::new(),
            start: vec![0.0; c],
            end: vec![0.0; c],
            transitions: vec![0.0; c * c],
        };
        for (rows, its) in sequences.iter().zip(&found) {
            let place = &mut of_emissions[rows.start * c..rows.end * c];
            place.iter_mut().zip(&its.emissions).for_each(|(place, &gradient)| *place = gradient as f32);
            sum.loss += its.loss;
            add(&mut sum.start, &its.start);
            add(&mut sum.end, &its.end);
            add(&mut sum.transitions, &its.transitions);
        }
        let single = |gradient: &[f64]| gradient.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let linear = product(emissions, of_emissions)
            + product(self.start_transitions.val(), single(&sum.start))
            + product(self.end_transitions.val(), single(&sum.end))
            + product(self.transitions.val(), single(&sum.transitions));
        // A linear function with the loss's gradients, moved to the loss's value.
        let away = sum.loss - f64::from(linear.clone().into_scalar::<f32>());
        linear + away
    }

    /// The most probable tags (Viterbi 1967) for `emissions`, `R x C` values: one for each row, 0 for rows of no sequence. Of
    /// equally probable ones the smaller tag comes first.
    pub fn decode(&self, emissions: &[f32], sequences: &[Range<usize>]) -> Vec<u32> {
        let scores = self.scores();
        let c = scores.tags;
        let of_sequence = |rows: &Range<usize>| scores.best(&emissions[rows.start * c..rows.end * c]);
        let found: Vec<Vec<u32>> = sequences.par_iter().map(of_sequence).collect();
        let mut tags = vec![0; emissions.len() / c];
        for (rows, its) in sequences.iter().zip(found) {
            tags[rows.clone()].copy_from_slice(&its);
        }
        tags
    }

    fn scores(&self) -> Scores {
        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let start = double(values(self.start_transitions.val()));
        let (end, transitions) = (double(values(self.end_transitions.val())), double(values(self.transitions.val())));
        Scores { tags: start.len(), start, end, transitions }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("invariant: scores are f32")
}

/// `sum(tensor * factors)`, as the product of two vectors: burn's sums over very many depend on the thread count.
fn product<const D: usize>(tensor: Tensor<D>, factors: Vec<f32>) -> Tensor<1> {
    let n = factors.len();
    let factors = Tensor::<2>::from_data(TensorData::new(factors, [n, 1]), &tensor.device());
    tensor.reshape([1, n]).matmul(factors).reshape([1])
}

fn add(sum: &mut [f64], more: &[f64]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The parameters on the host.
struct Scores {
    tags: usize,
    start: Vec<f64>,
    end: Vec<f64>,
    transitions: Vec<f64>,
}

/// The loss of a sequence and its gradients.
struct Gradients {
    loss: f64,
    emissions: Vec<f64>,
    start: Vec<f64>,
    end: Vec<f64>,
    transitions: Vec<f64>,
}

impl Scores {
    fn transition(&self, from: usize, to: usize) -> f64 {
        self.transitions[from * self.tags + to]
    }

    /// The score of `tags`.
    fn score(&self, emissions: &[f32], tags: &[usize]) -> f64 {
        let c = self.tags;
        let emitted: f64 = tags.iter().enumerate().map(|(t, &tag)| f64::from(emissions[t * c + tag])).sum();
        let moved: f64 = tags.windows(2).map(|pair| self.transition(pair[0], pair[1])).sum();
        self.start[tags[0]] + emitted + moved + self.end[tags[tags.len() - 1]]
    }

    /// For each place and tag the log of the summed weight of all beginnings that end there: `[T, C]`.
    fn forward(&self, emissions: &[f32]) -> Vec<f64> {
        let c = self.tags;
        let mut alpha: Vec<f64> = (0..c).map(|tag| self.start[tag] + f64::from(emissions[tag])).collect();
        for t in 1..emissions.len() / c {
            for tag in 0..c {
                let ways = (0..c).map(|from| alpha[(t - 1) * c + from] + self.transition(from, tag));
                let sum = log_sum(ways);
                alpha.push(sum + f64::from(emissions[t * c + tag]));
            }
        }
        alpha
    }

    /// For each place and tag the log of the summed weight of all ends after it: `[T, C]`.
    fn backward(&self, emissions: &[f32]) -> Vec<f64> {
        let (c, steps) = (self.tags, emissions.len() / self.tags);
        let mut beta = vec![0.0; steps * c];
        beta[(steps - 1) * c..].copy_from_slice(&self.end);
        for t in (0..steps - 1).rev() {
            for tag in 0..c {
                let way = |to: usize| {
                    self.transition(tag, to) + f64::from(emissions[(t + 1) * c + to]) + beta[(t + 1) * c + to]
                };
                beta[t * c + tag] = log_sum((0..c).map(way));
            }
        }
        beta
    }

    fn gradients(&self, emissions: &[f32], gold: &[usize]) -> Gradients {
        let (c, steps) = (self.tags, gold.len());
        let (alpha, beta) = (self.forward(emissions), self.backward(emissions));
        let log_z = log_sum((0..c).map(|tag| alpha[(steps - 1) * c + tag] + self.end[tag]));
        let mut marginals: Vec<f64> = alpha.iter().zip(&beta).map(|(a, b)| libm::exp(a + b - log_z)).collect();
        let mut transitions = vec![0.0; c * c];
        for t in 1..steps {
            for from in 0..c {
                for to in 0..c {
                    let weight = alpha[(t - 1) * c + from]
                        + self.transition(from, to)
                        + f64::from(emissions[t * c + to])
                        + beta[t * c + to];
                    transitions[from * c + to] += libm::exp(weight - log_z);
                }
            }
        }
        gold.iter().enumerate().for_each(|(t, &tag)| marginals[t * c + tag] -= 1.0);
        gold.windows(2).for_each(|pair| transitions[pair[0] * c + pair[1]] -= 1.0);
        Gradients {
            loss: log_z - self.score(emissions, gold),
            start: marginals[..c].to_vec(),
            end: marginals[(steps - 1) * c..].to_vec(),
            emissions: marginals,
            transitions,
        }
    }

    fn best(&self, emissions: &[f32]) -> Vec<u32> {
        let (c, steps) = (self.tags, emissions.len() / self.tags);
        let mut score: Vec<f64> = (0..c).map(|tag| self.start[tag] + f64::from(emissions[tag])).collect();
        let mut came_from = Vec::with_capacity(steps);
        for t in 1..steps {
            let best_way = |tag: usize| first_best((0..c).map(|from| score[from] + self.transition(from, tag)));
            let ways: Vec<(usize, f64)> = (0..c).map(best_way).collect();
            score = ways.iter().enumerate().map(|(tag, way)| way.1 + f64::from(emissions[t * c + tag])).collect();
            came_from.push(ways.into_iter().map(|way| way.0).collect::<Vec<_>>());
        }
        let (last, _) = first_best((0..c).map(|tag| score[tag] + self.end[tag]));
        let mut tags = vec![last as u32; steps];
        for t in (1..steps).rev() {
            tags[t - 1] = came_from[t - 1][tags[t] as usize] as u32;
        }
        tags
    }
}

/// `log sum exp`, without overflow.
fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    largest + libm::log(values.map(|value| libm::exp(value - largest)).sum())
}

/// The first of equal maxima, and its value.
fn first_best(values: impl Iterator<Item = f64>) -> (usize, f64) {
    values.enumerate().fold((0, f64::NEG_INFINITY), |best, (i, value)| if value > best.1 { (i, value) } else { best })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    fn scores(tags: usize, values: &[f64]) -> Scores {
        let part = |from: usize, n: usize| values[from..from + n].to_vec();
        Scores { tags, start: part(0, tags), end: part(tags, tags), transitions: part(2 * tags, tags * tags) }
    }

    /// All sequences of so many tags, in the order of numbers.
    fn all(tags: usize, steps: usize) -> Vec<Vec<usize>> {
        (0..tags.pow(steps as u32)).map(|n| (0..steps).rev().map(|t| n / tags.pow(t as u32) % tags).collect()).collect()
    }

    fn case() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f32>, Vec<usize>)> {
        (1usize..5, 1usize..6).prop_flat_map(|(tags, steps)| {
            (
                Just(tags),
                prop::collection::vec(-3.0..3.0f64, 2 * tags + tags * tags),
                prop::collection::vec(-3.0..3.0f32, steps * tags),
                prop::collection::vec(0..tags, steps),
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// Partition, loss, marginals and the best tags against the sum over all sequences of tags.
        #[test]
        fn everything_equals_brute_force((tags, parameters, emissions, gold) in case()) {
            let scores = scores(tags, &parameters);
            let paths = all(tags, gold.len());
            let weights: Vec<f64> = paths.iter().map(|path| scores.score(&emissions, path)).collect();
            let log_z = log_sum(weights.iter().copied());
            let found = scores.gradients(&emissions, &gold);
            prop_assert!((found.loss - (log_z - scores.score(&emissions, &gold))).abs() < 1e-9);
            let expectation = |of: &dyn Fn(&[usize]) -> f64| {
                paths.iter().zip(&weights).map(|(path, weight)| (weight - log_z).exp() * of(path)).sum::<f64>() - of(&gold)
            };
            for t in 0..gold.len() {
                for tag in 0..tags {
                    let expected = expectation(&|path| f64::from(u8::from(path[t] == tag)));
                    prop_assert!((found.emissions[t * tags + tag] - expected).abs() < 1e-9);
                }
            }
            for from in 0..tags {
                for to in 0..tags {
                    let expected = expectation(&|path| path.windows(2).filter(|p| *p == [from, to]).count() as f64);
                    prop_assert!((found.transitions[from * tags + to] - expected).abs() < 1e-9);
                }
            }
            let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let best: Vec<usize> = scores.best(&emissions).into_iter().map(|tag| tag as usize).collect();
            prop_assert!((scores.score(&emissions, &best) - largest).abs() < 1e-9);
        }
    }

    fn model(tags: usize, device: &Device) -> Crf {
        Crf::new(&Initializer::new(crate::types::Seed(3), 0.02, device), tags)
    }

    /// The gradients that come out of burn against finite differences of the loss.
    #[test]
    fn gradients_reach_the_emissions_and_the_parameters() {
        let device = Device::flex().autodiff();
        let (tags, rows) = (3, 7);
        let crf = model(tags, &device);
        let emissions: Vec<f32> = (0..rows * tags).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect();
        let gold = [0, 1, 2, 2, 0, 1, 1];
        let sequences = [0..3, 4..5, 5..7];
        let tensor = |values: &[f32]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, tags]), &device);
        let loss = |values: &[f32]| crf.loss(tensor(values), &gold, &sequences).into_scalar::<f32>();
        let tracked = tensor(&emissions).require_grad();
        let total = crf.loss(tracked.clone(), &gold, &sequences);
        let scores = crf.scores();
        let expected: f64 = sequences
            .iter()
            .map(|rows| {
                let gold: Vec<usize> = gold[rows.clone()].iter().map(|&tag| tag as usize).collect();
                scores.gradients(&emissions[rows.start * tags..rows.end * tags], &gold).loss
            })
            .sum();
        assert!((f64::from(total.clone().into_scalar::<f32>()) - expected).abs() < 1e-5);
        let gradients = total.backward();
        let found = values(tracked.grad(&gradients).unwrap());
        for (i, &gradient) in found.iter().enumerate() {
            let moved = |by: f32| {
                let mut values = emissions.clone();
                values[i] += by;
                f64::from(loss(&values))
            };
            let expected = (moved(0.05) - moved(-0.05)) / 0.1;
            assert!((f64::from(gradient) - expected).abs() < 1e-3, "{i}: {gradient}, not {expected}");
        }
        assert!(found[3 * tags..4 * tags].iter().all(|&gradient| gradient == 0.0));
        let of_transitions = values(crf.transitions.val().grad(&gradients).unwrap());
        let mut sum = vec![0.0; tags * tags];
        for rows in &sequences {
            let gold: Vec<usize> = gold[rows.clone()].iter().map(|&tag| tag as usize).collect();
            add(&mut sum, &scores.gradients(&emissions[rows.start * tags..rows.end * tags], &gold).transitions);
        }
        assert!(of_transitions.iter().zip(&sum).all(|(found, expected)| (f64::from(*found) - expected).abs() < 1e-5));
    }

    #[test]
    fn rows_of_no_sequence_have_no_tag() {
        let crf = model(3, &Device::flex().autodiff());
        let emissions = [0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0];
        assert_eq!(crf.decode(&emissions, &[1..3]), [0, 2, 0]);
    }
}
