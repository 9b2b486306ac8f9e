//! The two-neighbour floor: how often a masked token is guessed from the tokens to its left and right by counting alone.
//!
//! A BERT below it has not learnt context. The guess is the best of an interpolation (Jelinek & Mercer 1980) of how often a
//! token stood between both neighbours, beside either, and anywhere. Only the contexts of the questions are counted, in one
//! pass over the first train tokens, so the memory is that of the questions whatever the corpus.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::batch::Batch;
use super::instance::TokenDocuments;
use super::recorder::{RecordError, Recorder};

/// Train tokens that are counted, at most.
const COUNTED: usize = 8 << 20;

/// What a guess weighs: between both neighbours, beside one of them, anywhere.
const BETWEEN: f64 = 0.6;
const BESIDE: f64 = 0.35;
const ANYWHERE: f64 = 0.05;

/// The name of the fact.
pub const FACT: &str = "mlm_baseline_neighbours";

/// Records the share of the masked tokens of `questions` that counting on `train` gets right.
pub fn record<D: TokenDocuments + ?Sized>(
    train: &D,
    questions: &[Batch],
    vocab: usize,
    recorder: &mut dyn Recorder,
) -> Result<(), RecordError> {
    recorder.fact(FACT, json!(accuracy(train, questions, vocab)))
}

/// How often tokens were seen in one place.
#[derive(Clone, Debug, Default)]
struct Seen {
    counts: BTreeMap<u32, u32>,
    all: u32,
}

impl Seen {
    fn add(&mut self, token: u32) {
        *self.counts.entry(token).or_default() += 1;
        self.all += 1;
    }

    fn share(&self, token: u32) -> f64 {
        match self.counts.get(&token) {
            Some(&count) => f64::from(count) / f64::from(self.all),
            None => 0.0,
        }
    }
}

/// The counts that the questions ask for.
struct Neighbours {
    between: HashMap<(u32, u32), Seen>,
    after: Vec<Option<Seen>>,
    before: Vec<Option<Seen>>,
    anywhere: Vec<u32>,
    all: u32,
}

fn accuracy<D: TokenDocuments + ?Sized>(train: &D, questions: &[Batch], vocab: usize) -> f64 {
    let asked: Vec<(u32, u32, u32)> = questions.iter().flat_map(contexts).collect();
    let mut neighbours = Neighbours {
        between: HashMap::new(),
        after: vec![None; vocab],
        before: vec![None; vocab],
        anywhere: vec![0; vocab],
        all: 0,
    };
    for &(left, right, _) in &asked {
        neighbours.between.entry((left, right)).or_default();
        neighbours.after[left as usize].get_or_insert_default();
        neighbours.before[right as usize].get_or_insert_default();
    }
    let (mut counted, mut sentence) = (0, Vec::new());
    for document in 0..train.documents() {
        for number in train.sentences(document) {
            sentence.clear();
            train.read_sentence(number, &mut sentence);
            neighbours.count(&sentence);
            counted += sentence.len();
        }
        if counted >= COUNTED {
            break;
        }
    }
    let right = asked.iter().filter(|(left, right, token)| neighbours.guess(*left, *right) == Some(*token)).count();
    right as f64 / asked.len().max(1) as f64
}

/// Left neighbour, right neighbour and answer of each masked token, as the model sees them.
fn contexts(batch: &Batch) -> Vec<(u32, u32, u32)> {
    let ids = &batch.tokens.ids;
    let context = |(&row, &label): (&i32, &i32)| (ids[row as usize - 1], ids[row as usize + 1], label as u32);
    batch.rows.iter().zip(&batch.labels).map(context).collect()
}

impl Neighbours {
    fn count(&mut self, sentence: &[u32]) {
        for (place, &token) in sentence.iter().enumerate() {
            self.anywhere[token as usize] += 1;
            self.all += 1;
            let left = place.checked_sub(1).map(|place| sentence[place]);
            let right = sentence.get(place + 1).copied();
            let after = left.and_then(|left| self.after[left as usize].as_mut());
            let before = right.and_then(|right| self.before[right as usize].as_mut());
            if let (Some(left), Some(right), true, true) = (left, right, after.is_some(), before.is_some())
                && let Some(seen) = self.between.get_mut(&(left, right))
            {
                seen.add(token);
            }
            after.into_iter().chain(before).for_each(|seen| seen.add(token));
        }
    }

    /// The best guess between two tokens; of equally good ones the smaller id.
    fn guess(&self, left: u32, right: u32) -> Option<u32> {
        let between = self.between.get(&(left, right));
        let (after, before) = (self.after[left as usize].as_ref(), self.before[right as usize].as_ref());
        let most_frequent = (0u32..).zip(&self.anywhere).max_by_key(|(id, count)| (**count, std::cmp::Reverse(*id)));
        let seen = [between, after, before].into_iter().flatten();
        let mut candidates: Vec<u32> = seen.flat_map(|seen| seen.counts.keys().copied()).collect();
        candidates.extend(most_frequent.map(|(id, _)| id));
        candidates.sort_unstable();
        candidates.dedup();
        let share = |seen: Option<&Seen>, token| seen.map_or(0.0, |seen| seen.share(token));
        let score = |token: u32| {
            BETWEEN * share(between, token)
                + BESIDE * 0.5 * (share(after, token) + share(before, token))
                + ANYWHERE * f64::from(self.anywhere[token as usize]) / f64::from(self.all.max(1))
        };
        candidates
            .into_iter()
            .map(|token| (token, score(token)))
            .fold(None, |best, (token, score)| match best {
                Some((_, highest)) if highest >= score => best,
                _ => Some((token, score)),
            })
            .map(|(token, _)| token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::instance::Instance;
    use crate::trainer::instance::tests::Toy;
    use crate::trainer::masking::{Masked, Shown};

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
        assert_eq!(accuracy(&train, &[right], 60), 1.0);
        let wrong = Batch::collate(&[question([10, 20, 12]), question([10, 11, 12])]);
        assert_eq!(accuracy(&train, &[wrong], 60), 0.5);
        // Where nothing was seen the most frequent token is guessed, of equals the smallest: here all are.
        let unseen = Batch::collate(&[question([40, 10, 41]), question([40, 20, 41])]);
        assert_eq!(accuracy(&train, &[unseen], 60), 0.5);
    }
}
