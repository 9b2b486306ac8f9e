//! The two-neighbour floors: how well the token behind a `[MASK]` is guessed from the tokens to its left and right by counting
//! alone.
//!
//! A BERT below them has not learnt context. The guess is the best of an interpolation (Jelinek & Mercer 1980) of how often a
//! token stood between both neighbours, beside either, and anywhere, on the first train tokens. The loss is that of Witten &
//! Bell's (1991) smoothing of the same counts: a context that was seen n times with t different tokens weighs n / (n + t), and
//! what is left goes to the wider context. Only the contexts of the questions are counted, and of no more tokens than a bound,
//! so the memory is bounded whatever the corpus.

use std::cmp::Reverse;
use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::json;

use super::batch::Batch;
use super::masking::Shown;
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::recorder::{RecordError, Recorder};
use crate::types::metrics;

/// Train tokens that are counted, at most.
const COUNTED: usize = 8 << 20;

/// What a guess weighs: between both neighbours, beside one of them, anywhere.
const BETWEEN: f64 = 0.6;
const BESIDE: f64 = 0.35;
const ANYWHERE: f64 = 0.05;

/// Records how well counting on `train` guesses the masked tokens of `questions`; what is not behind `[MASK]` is copied, which
/// is right in `accuracy_shown` of the cases.
pub fn record<D: TokenDocuments + ?Sized>(
    train: &D,
    questions: &[Batch],
    vocab: usize,
    accuracy_shown: f64,
    recorder: &mut dyn Recorder,
) -> Result<(), RecordError> {
    let found = Found::of(train, questions, vocab);
    recorder.fact(metrics::NEIGHBOURS_BEHIND_MASK.fact, json!(found.accuracy))?;
    recorder.fact(metrics::NEIGHBOURS_LOSS.fact, json!(found.loss))?;
    recorder.fact(metrics::NEIGHBOURS_SPREAD, json!(found.spread))?;
    let hidden = found.asked as f64 / questions.iter().map(|batch| batch.rows.len()).sum::<usize>().max(1) as f64;
    // Where nothing is shown there is nothing to copy, and no accuracy of it.
    let copied = if hidden < 1.0 { (1.0 - hidden) * accuracy_shown } else { 0.0 };
    recorder.fact(metrics::COPYING_AND_NEIGHBOURS.fact, json!(hidden * found.accuracy + copied))
}

/// What counting scores behind `[MASK]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Found {
    asked: usize,
    accuracy: f64,
    /// The mean loss, nats a token, and its standard deviation over tokens.
    loss: f64,
    spread: f64,
}

impl Found {
    fn of<D: TokenDocuments + ?Sized>(train: &D, questions: &[Batch], vocab: usize) -> Self {
        let asked: Vec<(u32, u32, u32)> = questions.iter().flat_map(contexts).collect();
        let neighbours = Neighbours::count(train, &asked, vocab);
        let score = |&(left, right, token): &(u32, u32, u32)| {
            (neighbours.guess(left, right) == token, -libm::log(neighbours.probability(left, right, token)))
        };
        let scores: Vec<(bool, f64)> = asked.par_iter().map(score).collect();
        let n = scores.len().max(1) as f64;
        let loss = scores.iter().map(|(_, loss)| loss).sum::<f64>() / n;
        let variance = scores.iter().map(|(_, it)| (it - loss) * (it - loss)).sum::<f64>() / n;
        let accuracy = scores.iter().filter(|(is_right, _)| *is_right).count() as f64 / n;
        Self { asked: asked.len(), accuracy, loss, spread: variance.sqrt() }
    }
}

/// How often tokens were seen in one place, by token.
#[derive(Clone, Debug, Default)]
struct Seen {
    counts: Vec<(u32, u32)>,
    all: u32,
}

impl Seen {
    fn of(mut tokens: Vec<u32>) -> Self {
        tokens.sort_unstable();
        let counts = tokens.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect();
        Self { counts, all: tokens.len() as u32 }
    }
}

impl Seen {
    /// Witten and Bell's probability of a token here, `wider` being that in the wider context.
    fn smoothed(&self, token: u32, wider: f64) -> f64 {
        let (seen, different) = (f64::from(self.all), self.counts.len() as f64);
        if self.all == 0 {
            return wider;
        }
        let place = self.counts.binary_search_by_key(&token, |(token, _)| *token);
        let count = place.map_or(0.0, |place| f64::from(self.counts[place].1));
        (count + different * wider) / (seen + different)
    }
}

/// The shares of one place's tokens, asked for in ascending order.
struct Shares<'s> {
    left: &'s [(u32, u32)],
    all: u32,
}

impl<'s> Shares<'s> {
    fn of(seen: Option<&'s Seen>) -> Self {
        seen.map_or(Self { left: &[], all: 0 }, |seen| Self { left: &seen.counts, all: seen.all })
    }

    fn next(&mut self, token: u32) -> f64 {
        while let [(first, count), rest @ ..] = self.left
            && *first <= token
        {
            self.left = rest;
            if *first == token {
                return f64::from(*count) / f64::from(self.all);
            }
        }
        0.0
    }
}

/// The counts that the questions ask for.
struct Neighbours {
    between: HashMap<(u32, u32), Seen>,
    after: Vec<Option<Seen>>,
    before: Vec<Option<Seen>>,
    anywhere: Vec<u32>,
    all: u32,
    most_frequent: u32,
}

/// Left neighbour, right neighbour and answer of each token behind `[MASK]`, as the model sees them.
fn contexts(batch: &Batch) -> Vec<(u32, u32, u32)> {
    let ids = &batch.tokens.ids;
    let context = |(&row, &label): (&i32, &i32)| (ids[row as usize - 1], ids[row as usize + 1], label as u32);
    let hidden = batch.shown.iter().map(|shown| *shown == Shown::Mask);
    let asked = batch.rows.iter().zip(&batch.labels).zip(hidden);
    asked.filter(|(_, is_hidden)| *is_hidden).map(|(it, _)| context(it)).collect()
}

impl Neighbours {
    fn count<D: TokenDocuments + ?Sized>(train: &D, asked: &[(u32, u32, u32)], vocab: usize) -> Self {
        let mut anywhere = vec![0; vocab];
        each_sentence(train, |tokens| tokens.iter().for_each(|&token| anywhere[token as usize] += 1));
        let (mut follows, mut precedes) = (vec![false; vocab], vec![false; vocab]);
        let mut between: HashMap<(u32, u32), Vec<u32>> = HashMap::new();
        for &(left, right, _) in asked {
            follows[left as usize] = true;
            precedes[right as usize] = true;
            between.entry((left, right)).or_default();
        }
        each_sentence(train, |tokens| {
            for place in tokens.windows(3).filter(|it| follows[it[0] as usize] && precedes[it[2] as usize]) {
                if let Some(seen) = between.get_mut(&(place[0], place[2])) {
                    seen.push(place[1]);
                }
            }
        });
        // One side after the other: the lists of one are as long as the text.
        let after = beside(train, &follows, &anywhere, |pair| (pair[0], pair[1]));
        let before = beside(train, &precedes, &anywhere, |pair| (pair[1], pair[0]));
        let most_frequent = (0..).zip(&anywhere).max_by_key(|&(id, count)| (*count, Reverse(id)));
        Self {
            between: between.into_par_iter().map(|(context, tokens)| (context, Seen::of(tokens))).collect(),
            after,
            before,
            all: anywhere.iter().sum(),
            most_frequent: most_frequent.map_or(0, |(id, _)| id),
            anywhere,
        }
    }

    /// The probability of a token between two others.
    fn probability(&self, left: u32, right: u32, token: u32) -> f64 {
        let vocabulary = self.anywhere.len() as f64;
        let anywhere = (f64::from(self.anywhere[token as usize]) + 1.0) / (f64::from(self.all) + vocabulary);
        let after = self.after[left as usize].as_ref().map_or(anywhere, |seen| seen.smoothed(token, anywhere));
        let before = self.before[right as usize].as_ref().map_or(anywhere, |seen| seen.smoothed(token, anywhere));
        let beside = 0.5 * (after + before);
        self.between.get(&(left, right)).map_or(beside, |seen| seen.smoothed(token, beside))
    }

    /// The best guess between two tokens; of equally good ones the smaller id.
    fn guess(&self, left: u32, right: u32) -> u32 {
        let between = self.between.get(&(left, right));
        let (after, before) = (self.after[left as usize].as_ref(), self.before[right as usize].as_ref());
        let seen = [between, after, before];
        let mut candidates = vec![self.most_frequent];
        candidates.extend(seen.iter().flatten().flat_map(|seen| &seen.counts).map(|(token, _)| token));
        candidates.sort();
        candidates.dedup();
        let [mut between, mut after, mut before] = seen.map(Shares::of);
        let (mut best, mut highest) = (self.most_frequent, f64::NEG_INFINITY);
        for token in candidates {
            let anywhere = f64::from(self.anywhere[token as usize]) / f64::from(self.all.max(1));
            let score = BETWEEN * between.next(token)
                + BESIDE * 0.5 * (after.next(token) + before.next(token))
                + ANYWHERE * anywhere;
            if score > highest {
                (best, highest) = (token, score);
            }
        }
        best
    }
}

/// What was seen on one side of each token that is `asked` for: `of_pair` gives it, and its neighbour, of two in a row.
fn beside<D: TokenDocuments + ?Sized>(
    train: &D,
    asked: &[bool],
    anywhere: &[u32],
    of_pair: impl Fn(&[u32]) -> (u32, u32),
) -> Vec<Option<Seen>> {
    let room = |(&asked, &count): (&bool, &u32)| asked.then(|| Vec::with_capacity(count as usize));
    let mut lists: Vec<Option<Vec<u32>>> = asked.iter().zip(anywhere).map(room).collect();
    each_sentence(train, |tokens| {
        for (token, neighbour) in tokens.windows(2).map(&of_pair) {
            if let Some(seen) = &mut lists[token as usize] {
                seen.push(neighbour);
            }
        }
    });
    lists.into_par_iter().map(|tokens| tokens.map(Seen::of)).collect()
}

/// The sentences that are counted.
fn each_sentence<D: TokenDocuments + ?Sized>(train: &D, mut count: impl FnMut(&[u32])) {
    let (mut counted, mut sentence) = (0, Vec::new());
    for document in 0..train.documents() {
        for number in train.sentences(document) {
            sentence.clear();
            train.read_sentence(number, &mut sentence);
            count(&sentence);
            counted += sentence.len();
        }
        if counted >= COUNTED {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::pretraining::instance::Instance;
    use crate::trainer::pretraining::instance::tests::Toy;
    use crate::trainer::pretraining::masking::{Masked, Shown};

    #[test]
    fn what_stood_between_two_tokens_is_guessed_there() {
        // Between 10 and 12 stands 11, between 10 and 13 stands 20: either neighbour alone would not tell.
        let train = Toy(vec![vec![vec![10, 11, 12], vec![10, 20, 13], vec![30, 20, 12], vec![30, 11, 13]]; 3]);
        let question = |tokens: [u32; 3]| {
            let ids = vec![2, tokens[0], 4, tokens[2], 3];
            let masked = Masked { position: 2, label: tokens[1], shown: Shown::Mask };
            (Instance { segments: vec![0; 5], tokens: ids, ..Instance::default() }, vec![masked])
        };
        let right = Batch::collate(&[question([10, 11, 12]), question([10, 20, 13]), question([30, 11, 13])]);
        let accuracy = |questions: Batch| Found::of(&train, &[questions], 60).accuracy;
        assert_eq!(accuracy(right), 1.0);
        let wrong = Batch::collate(&[question([10, 20, 12]), question([10, 11, 12])]);
        assert_eq!(accuracy(wrong), 0.5);
        // Where nothing was seen the most frequent token is guessed, of equals the smallest: here all are.
        let unseen = Batch::collate(&[question([40, 10, 41]), question([40, 20, 41])]);
        assert_eq!(accuracy(unseen), 0.5);
    }

    /// Probabilities of all tokens add up to one, whatever was seen; what is shown as it is, is not asked.
    #[test]
    fn probabilities_are_a_distribution_and_copies_are_not_asked() {
        let train = Toy::random(30, 5);
        let asked = [(7, 9, 0), (8, 8, 0), (11, 40, 0), (59, 58, 0)];
        let neighbours = Neighbours::count(&train, &asked, 60);
        for (left, right, _) in asked {
            let sum: f64 = (0..60).map(|token| neighbours.probability(left, right, token)).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{left} {right}: {sum}");
        }
        let masked = |position, shown| Masked { position, label: 10, shown };
        let instance = Instance { segments: vec![0; 4], tokens: vec![2, 4, 10, 3], ..Instance::default() };
        let batch = Batch::collate(&[(instance, vec![masked(1, Shown::Mask), masked(2, Shown::Kept)])]);
        assert_eq!(contexts(&batch), [(2, 10, 10)]);
    }
}
