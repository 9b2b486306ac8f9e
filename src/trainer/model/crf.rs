//! A linear-chain conditional random field on the logits of tags (Lafferty, McCallum & Pereira 2001).
//!
//! The score of tags y_1 .. y_T is `start[y_1] + sum_t emission[t, y_t] + sum_t transition[y_(t-1), y_t] + end[y_T]`, with the
//! parameters and names of `pytorch-crf`. The loss is `log Z - score(gold)`; its gradients are the marginal probabilities of
//! tags and of pairs of tags less those of the gold tags. Both come from the forward-backward algorithm in f64 on the host,
//! the same on every device and for any number of threads: sequences are independent, and their gradients are added up in
//! their order. Logs of sums over tags cost an exponential for each tag, not for each pair: `log sum_i e^(a_i + b_ij)` is
//! `m + log sum_i e^(a_i - m) e^(b_ij)` with m the largest `a_i`, and `e^(b_ij)` is there once for all.
//!
//! Shapes: R rows, C tags.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::initial::Initializer;

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
        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        let (start, end) = (double(values(self.start_transitions.val())), double(values(self.end_transitions.val())));
        Scores::new(start, end, double(values(self.transitions.val())))
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
#[derive(Clone)]
struct Scores {
    tags: usize,
    start: Vec<f64>,
    end: Vec<f64>,
    transitions: Vec<f64>,
    /// `e^transition`; absent where one is so far from 0 that products of these could overflow or vanish.
    weights: Option<Vec<f64>>,
}

/// Which of a transition's two tags a sum runs over.
#[derive(Clone, Copy, Debug)]
enum Over {
    From,
    To,
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
    fn new(start: Vec<f64>, end: Vec<f64>, transitions: Vec<f64>) -> Self {
        /// With two more factors, one at most 1 and one at most e^300, everything stays well within f64's e^-745 to e^709.
        const MODERATE: f64 = 300.0;
        let is_moderate = transitions.iter().all(|transition| transition.abs() <= MODERATE);
        let weights = is_moderate.then(|| transitions.iter().map(|&transition| libm::exp(transition)).collect());
        Self { tags: start.len(), start, end, transitions, weights }
    }

    fn transition(&self, from: usize, to: usize) -> f64 {
        self.transitions[from * self.tags + to]
    }

    /// For each tag the log of the sum over the others of `e^(logs[other] + transition)`.
    fn log_sums(&self, logs: &[f64], over: Over) -> Vec<f64> {
        let c = self.tags;
        let place = |other: usize, tag: usize| match over {
            Over::From => other * c + tag,
            Over::To => tag * c + other,
        };
        match &self.weights {
            Some(weights) => {
                let (largest, factors) = exponentials(logs);
                let sum =
                    |tag| factors.iter().enumerate().map(|(other, f)| f * weights[place(other, tag)]).sum::<f64>();
                (0..c).map(|tag| largest + libm::log(sum(tag))).collect()
            }
            None => (0..c)
                .map(|tag| log_sum(logs.iter().enumerate().map(|(other, l)| l + self.transitions[place(other, tag)])))
                .collect(),
        }
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
        for emissions in emissions.chunks_exact(c).skip(1) {
            let sums = self.log_sums(&alpha[alpha.len() - c..], Over::From);
            alpha.extend(sums.iter().zip(emissions).map(|(sum, &emission)| sum + f64::from(emission)));
        }
        alpha
    }

    /// For each place and tag the log of the summed weight of all ends after it: `[T, C]`.
    fn backward(&self, emissions: &[f32]) -> Vec<f64> {
        let (c, steps) = (self.tags, emissions.len() / self.tags);
        let mut beta = vec![0.0; steps * c];
        beta[(steps - 1) * c..].copy_from_slice(&self.end);
        for t in (1..steps).rev() {
            let sums = self.log_sums(&after(emissions, &beta, t * c..(t + 1) * c), Over::To);
            beta[(t - 1) * c..t * c].copy_from_slice(&sums);
        }
        beta
    }

    /// For each pair of tags how often it is to be expected: `[C, C]`.
    fn expected_pairs(&self, emissions: &[f32], alpha: &[f64], beta: &[f64], log_z: f64) -> Vec<f64> {
        let (c, steps) = (self.tags, emissions.len() / self.tags);
        let mut pairs = vec![0.0; c * c];
        for t in 1..steps {
            let before = &alpha[(t - 1) * c..t * c];
            let after: Vec<f64> = after(emissions, beta, t * c..(t + 1) * c).iter().map(|log| log - log_z).collect();
            let rows = pairs.chunks_exact_mut(c).enumerate();
            if self.weights.is_some() {
                let (largest, before) = exponentials(before);
                let after: Vec<f64> = after.iter().map(|log| libm::exp(log + largest)).collect();
                rows.for_each(|(from, row)| {
                    row.iter_mut().zip(&after).for_each(|(pair, to)| *pair += before[from] * to)
                });
            } else {
                let weight = |from: usize, to: usize| libm::exp(before[from] + self.transition(from, to) + after[to]);
                rows.for_each(|(from, row)| {
                    row.iter_mut().enumerate().for_each(|(to, pair)| *pair += weight(from, to))
                });
            }
        }
        for (pair, weight) in pairs.iter_mut().zip(self.weights.iter().flatten()) {
            *pair *= weight;
        }
        pairs
    }

    fn gradients(&self, emissions: &[f32], gold: &[usize]) -> Gradients {
        let (c, steps) = (self.tags, gold.len());
        let (alpha, beta) = (self.forward(emissions), self.backward(emissions));
        let log_z = log_sum((0..c).map(|tag| alpha[(steps - 1) * c + tag] + self.end[tag]));
        let mut marginals: Vec<f64> = alpha.iter().zip(&beta).map(|(a, b)| libm::exp(a + b - log_z)).collect();
        let mut transitions = self.expected_pairs(emissions, &alpha, &beta, log_z);
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

/// At one place, for each tag the log of the summed weight of what it emits and of all ends after it.
fn after(emissions: &[f32], beta: &[f64], place: Range<usize>) -> Vec<f64> {
    emissions[place.clone()].iter().zip(&beta[place]).map(|(&emission, beta)| f64::from(emission) + beta).collect()
}

/// The largest of `logs`, and `e^(log - largest)` of each.
fn exponentials(logs: &[f64]) -> (f64, Vec<f64>) {
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (largest, logs.iter().map(|log| libm::exp(log - largest)).collect())
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
    use crate::types::Seed;

    fn scores(tags: usize, values: &[f64]) -> Scores {
        let part = |from: usize, n: usize| values[from..from + n].to_vec();
        Scores::new(part(0, tags), part(tags, tags), part(2 * tags, tags * tags))
    }

    /// By products of exponentials, and without them.
    fn both_ways(scores: &Scores) -> [Scores; 2] {
        assert!(scores.weights.is_some());
        [scores.clone(), Scores { weights: None, ..scores.clone() }]
    }

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    /// All sequences of so many tags, in the order of numbers.
    fn all(tags: usize, steps: usize) -> Vec<Vec<usize>> {
        (0..tags.pow(steps as u32)).map(|n| (0..steps).rev().map(|t| n / tags.pow(t as u32) % tags).collect()).collect()
    }

    /// Up to four tags and six steps: the parameters, the emissions and the gold tags.
    fn case() -> impl Strategy<Value = (usize, Vec<f64>, Vec<f32>, Vec<usize>)> {
        (1usize..5, 1usize..7).prop_flat_map(|(tags, steps)| {
            (
                Just(tags),
                prop::collection::vec(-3.0..3.0f64, 2 * tags + tags * tags),
                prop::collection::vec(-3.0..3.0f32, steps * tags),
                prop::collection::vec(0..tags, steps),
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Partition, loss, all marginals and the best tags against the sum over all sequences of tags.
        #[test]
        fn everything_equals_brute_force((tags, parameters, emissions, gold) in case()) {
            let (scores, steps) = (scores(tags, &parameters), gold.len());
            let paths = all(tags, steps);
            let weights: Vec<f64> = paths.iter().map(|path| scores.score(&emissions, path)).collect();
            let log_z = log_sum(weights.iter().copied());
            // What the gradients are: expected counts, less those of the gold tags.
            let mut counts = vec![0.0; steps * tags];
            let mut pairs = vec![0.0; tags * tags];
            let mut count = |path: &[usize], probability: f64| {
                path.iter().enumerate().for_each(|(t, tag)| counts[t * tags + tag] += probability);
                path.windows(2).for_each(|pair| pairs[pair[0] * tags + pair[1]] += probability);
            };
            paths.iter().zip(&weights).for_each(|(path, weight)| count(path, (weight - log_z).exp()));
            count(&gold, -1.0);
            for scores in both_ways(&scores) {
                let found = scores.gradients(&emissions, &gold);
                prop_assert!((found.loss - (log_z - scores.score(&emissions, &gold))).abs() < 1e-9);
                prop_assert!(close(&found.emissions, &counts));
                prop_assert!(close(&found.start, &counts[..tags]) && close(&found.end, &counts[(steps - 1) * tags..]));
                prop_assert!(close(&found.transitions, &pairs));
            }
            let largest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let best: Vec<usize> = scores.best(&emissions).into_iter().map(|tag| tag as usize).collect();
            prop_assert!((scores.score(&emissions, &best) - largest).abs() < 1e-9);
        }

        /// Up to where exponentials are multiplied, they give what their logs give when added.
        #[test]
        fn exponentials_serve_for_all_that_is_moderate((tags, parameters, emissions, gold) in case()) {
            let far: Vec<f64> = parameters.iter().map(|value| value * 100.0).collect();
            let emissions: Vec<f32> = emissions.iter().map(|value| value * 200.0).collect();
            let [fast, plain] = both_ways(&scores(tags, &far)).map(|scores| scores.gradients(&emissions, &gold));
            prop_assert!((fast.loss - plain.loss).abs() < 1e-9);
            prop_assert!(close(&fast.emissions, &plain.emissions) && close(&fast.transitions, &plain.transitions));
        }

        /// Small whole numbers tie often: the smallest last tag is taken, then the smallest before it, and so on.
        #[test]
        fn of_equal_sequences_the_smaller_tags_are_best(
            (tags, parameters, emissions, gold) in case(),
        ) {
            let whole: Vec<f64> = parameters.iter().map(|value| (value / 2.0).round()).collect();
            let emissions: Vec<f32> = emissions.iter().map(|value| (value / 2.0).round()).collect();
            let scores = scores(tags, &whole);
            let paths = all(tags, gold.len());
            let weight = |path: &Vec<usize>| scores.score(&emissions, path);
            let largest = paths.iter().map(weight).fold(f64::NEG_INFINITY, f64::max);
            let best = paths.iter().filter(|path| weight(path) == largest);
            let expected = best.min_by_key(|path| path.iter().rev().copied().collect::<Vec<_>>()).unwrap();
            let found: Vec<usize> = scores.best(&emissions).into_iter().map(|tag| tag as usize).collect();
            prop_assert_eq!(&found, expected);
        }
    }

    fn model(tags: usize, device: &Device) -> Crf {
        Crf::new(&Initializer::new(Seed(3), 0.02, device), tags)
    }

    const TAGS: usize = 3;
    const GOLD: [i32; 7] = [0, 1, 2, 2, 0, 1, 1];

    /// Several sequences, one of them of a single row, and a row of none.
    const SEQUENCES: [Range<usize>; 3] = [0..3, 4..5, 5..7];

    fn emissions() -> Vec<f32> {
        (0..GOLD.len() * TAGS).map(|i| ((i * 7 % 11) as f32 - 5.0) / 4.0).collect()
    }

    fn tensor(emissions: &[f32], device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(emissions.to_vec(), [emissions.len() / TAGS, TAGS]), device)
    }

    /// The loss and what burn makes of its gradients: of the emissions, the first and the last tags, and the transitions.
    fn loss_and_gradients(crf: &Crf, emissions: &[f32], device: &Device) -> (f32, [Vec<f32>; 4]) {
        let emissions = tensor(emissions, device).require_grad();
        // Other than 1, so that what comes from above is seen to be passed on.
        let loss = crf.loss(emissions.clone(), &GOLD, &SEQUENCES) / 2.0;
        let gradients = loss.backward();
        let found = [
            values(emissions.grad(&gradients).unwrap()),
            values(crf.start_transitions.val().grad(&gradients).unwrap()),
            values(crf.end_transitions.val().grad(&gradients).unwrap()),
            values(crf.transitions.val().grad(&gradients).unwrap()),
        ];
        (loss.into_scalar::<f32>(), found)
    }

    /// The loss in f64, by the sum over all sequences of tags, of emissions and parameters in the order of the gradients.
    fn loss_by_brute_force(arguments: &[Vec<f64>; 4]) -> f64 {
        let scores = scores(TAGS, &arguments[1..].concat());
        let emissions: Vec<f32> = arguments[0].iter().map(|&value| value as f32).collect();
        let of_sequence = |rows: &Range<usize>| {
            let gold: Vec<usize> = GOLD[rows.clone()].iter().map(|&tag| tag as usize).collect();
            let emissions = &emissions[rows.start * TAGS..rows.end * TAGS];
            let weights: Vec<f64> = all(TAGS, gold.len()).iter().map(|path| scores.score(emissions, path)).collect();
            log_sum(weights.iter().copied()) - scores.score(emissions, &gold)
        };
        SEQUENCES.iter().map(of_sequence).sum()
    }

    /// What comes out of burn for every number, against central differences of the sum over all sequences of tags.
    #[test]
    fn gradients_reach_the_emissions_and_the_parameters() {
        /// A power of two: emissions move by it without rounding.
        const STEP: f64 = 1.0 / 4096.0;
        let device = Device::flex().autodiff();
        let crf = model(TAGS, &device);
        let (loss, gradients) = loss_and_gradients(&crf, &emissions(), &device);
        let Scores { start, end, transitions, .. } = crf.scores();
        let mut arguments = [emissions().into_iter().map(f64::from).collect(), start, end, transitions];
        assert!((f64::from(loss) - loss_by_brute_force(&arguments) / 2.0).abs() < 1e-6);
        for (a, found) in gradients.iter().enumerate() {
            assert_eq!(found.len(), arguments[a].len());
            for (i, found) in found.iter().enumerate() {
                let mut moved = |by: f64| {
                    arguments[a][i] += by;
                    let loss = loss_by_brute_force(&arguments) / 2.0;
                    arguments[a][i] -= by;
                    loss
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{a} {i}: {found}, not {expected}");
            }
        }
        assert_eq!(gradients[0][3 * TAGS..4 * TAGS], [0.0; TAGS]);
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let device = Device::flex().autodiff();
        let crf = model(TAGS, &device);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| loss_and_gradients(&crf, &emissions(), &device))
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }

    /// Scores that no probability survives: the loss is the distance of the gold tags from the best ones, the gradients are
    /// certain.
    #[test]
    fn extreme_scores_neither_overflow_nor_vanish() {
        let parameters = [0.0, 0.0, 0.0, 0.0, 0.0, -1e4, 2e4, 0.0];
        let scores = scores(2, &parameters);
        let found = scores.gradients(&[0.0, 5e4, 0.0, 0.0, -3e4, 0.0], &[0, 1, 1]);
        // The best tags are 1, 0, 1 with 5e4 + 2e4 - 1e4; the gold ones have -1e4.
        assert_eq!(scores.best(&[0.0, 5e4, 0.0, 0.0, -3e4, 0.0]), [1, 0, 1]);
        assert_eq!(found.loss, 7e4);
        assert_eq!(found.emissions, [-1.0, 1.0, 1.0, -1.0, 0.0, 0.0]);
        assert_eq!(found.transitions, [0.0, 0.0, 1.0, -1.0]);
    }

    #[test]
    fn rows_of_no_sequence_have_no_tag() {
        let crf = model(TAGS, &Device::flex());
        let emissions = [0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0];
        assert_eq!(crf.decode(&emissions, std::slice::from_ref(&(1..3))), [0, 2, 0]);
        assert_eq!(crf.decode(&emissions, &[]), [0, 0, 0]);
    }
}
