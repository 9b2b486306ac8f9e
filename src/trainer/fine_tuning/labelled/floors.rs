//! Floors: how far guesses get that read nothing, or nothing but strings of characters. A number without its floor misleads.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::metrics::{classification, tagging};
use super::texts::TextExample;
use super::{TaggedText, index_of};

/// What a guess reaches.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// The last part of the metric's name.
    pub metric: &'static str,
    pub label: &'static str,
    pub value: f64,
    pub explanation: &'static str,
}

/// The floors of classification: the most frequent class, and naive Bayes on strings of one to three characters, both
/// learnt from `train` and judged on `held_out`.
pub fn of_texts(train: &[TextExample], held_out: &[TextExample], labels: &[String]) -> Vec<Floor> {
    let class = |example: &TextExample| index_of(labels, &example.label).unwrap_or_default();
    let gold: Vec<usize> = held_out.iter().map(class).collect();
    let mut counts = vec![0usize; labels.len()];
    train.iter().for_each(|example| counts[class(example)] += 1);
    let most = counts.iter().max().copied().unwrap_or_default();
    let majority = counts.iter().position(|&count| count == most).unwrap_or_default();
    let guess = classification(&gold, &vec![majority; gold.len()]);
    let bayes = NaiveBayes::fit(train.iter().map(|example| (text_of(example), class(example))), labels.len());
    let found: Vec<usize> = held_out.iter().map(|example| bayes.class(&text_of(example))).collect();
    let bayes = classification(&gold, &found);
    let floor = |metric, label, value, explanation| Floor { metric, label, value, explanation };
    let (majority, strings) = ("the most frequent class", "character naive Bayes");
    let all_the_same = "Saying the most frequent class of the train examples every time.";
    let no_order = "Multinomial naive Bayes on strings of one to three characters: what words say without their order.";
    vec![
        floor("accuracy", majority, guess.accuracy, all_the_same),
        floor("macro_f1", majority, guess.macro_f1, all_the_same),
        floor("accuracy", strings, bayes.accuracy, no_order),
        floor("macro_f1", strings, bayes.macro_f1, no_order),
    ]
}

/// The floors of tagging: everything outside of entities.
pub fn of_tagged(held_out: &[TaggedText], labels: &[String]) -> Vec<Floor> {
    let tags = |text: &TaggedText| text.tags.iter().map(|tag| index_of(labels, tag).unwrap_or_default()).collect();
    let gold: Vec<Vec<usize>> = held_out.iter().map(tags).collect();
    let nothing: Vec<Vec<usize>> = gold.iter().map(|tags| vec![0; tags.len()]).collect();
    let gold: Vec<&[usize]> = gold.iter().map(Vec::as_slice).collect();
    let nothing: Vec<&[usize]> = nothing.iter().map(Vec::as_slice).collect();
    let scores = tagging(&gold, &nothing, labels);
    let explanation = "Tagging every character O: no entity is found.";
    [("char_accuracy", scores.char_accuracy), ("char_macro_f1", scores.char_macro_f1), ("entity_f1", scores.entity_f1)]
        .map(|(metric, value)| Floor { metric, label: "all O", value, explanation })
        .to_vec()
}

fn text_of(example: &TextExample) -> String {
    match &example.pair {
        Some(pair) => format!("{}\n{pair}", example.text),
        None => example.text.clone(),
    }
}

/// Multinomial naive Bayes on strings of characters, add-one smoothed.
struct NaiveBayes {
    /// The number of each string that was seen.
    strings: HashMap<Box<str>, u32>,
    /// Log probability of each string in each class.
    log_likelihood: Vec<f64>,
    log_prior: Vec<f64>,
    classes: usize,
}

impl NaiveBayes {
    const LENGTHS: RangeInclusive<usize> = 1..=3;

    fn fit(examples: impl Iterator<Item = (String, usize)>, classes: usize) -> Self {
        let mut strings: HashMap<Box<str>, u32> = HashMap::new();
        let (mut counts, mut prior): (Vec<f64>, Vec<f64>) = (Vec::new(), vec![1.0; classes]);
        for (text, class) in examples {
            prior[class] += 1.0;
            each_string(&text, |string| {
                let id = match strings.get(string) {
                    Some(&id) => id as usize,
                    None => {
                        let id = strings.len();
                        strings.insert(string.into(), id as u32);
                        counts.resize(counts.len() + classes, 1.0);
                        id
                    }
                };
                counts[id * classes + class] += 1.0;
            });
        }
        let totals: Vec<f64> = (0..classes).map(|class| counts.iter().skip(class).step_by(classes).sum()).collect();
        let log_likelihood =
            counts.iter().enumerate().map(|(i, count)| libm::log(count / totals[i % classes])).collect();
        let all: f64 = prior.iter().sum();
        Self { strings, log_likelihood, log_prior: prior.iter().map(|n| libm::log(n / all)).collect(), classes }
    }

    /// The most probable class; strings that were never seen say nothing.
    fn class(&self, text: &str) -> usize {
        let mut scores = self.log_prior.clone();
        each_string(text, |string| {
            if let Some(&id) = self.strings.get(string) {
                let of_string = &self.log_likelihood[id as usize * self.classes..];
                scores.iter_mut().zip(of_string).for_each(|(score, log)| *score += log);
            }
        });
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores.iter().position(|&score| score == best).unwrap_or_default()
    }
}

/// Every string of one to three characters of a text, spaces included.
fn each_string(text: &str, mut take: impl FnMut(&str)) {
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    for length in NaiveBayes::LENGTHS {
        for window in ends.windows(length + 1) {
            take(&text[window[0]..window[length]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, label: &str) -> TextExample {
        TextExample { text: text.into(), pair: None, label: label.into(), line: 1 }
    }

    #[test]
    fn the_majority_and_the_letters_are_judged_on_what_was_not_learnt() {
        let train = [text("좋다", "1"), text("좋아", "1"), text("별로", "0"), text("좋네", "1")];
        let held_out = [text("좋군", "1"), text("별점", "0"), text("별로야", "0"), text("참 좋", "1")];
        let labels = ["0".to_owned(), "1".to_owned()];
        let value = |label: &str| {
            let floors = of_texts(&train, &held_out, &labels);
            floors.into_iter().find(|floor| floor.label == label && floor.metric == "accuracy").unwrap().value
        };
        assert_eq!(value("the most frequent class"), 0.5);
        assert_eq!(value("character naive Bayes"), 1.0);
    }

    /// Against the formula, string by string.
    #[test]
    fn naive_bayes_is_its_formula() {
        let bayes = NaiveBayes::fit([("가나".to_owned(), 0), ("가".to_owned(), 1)].into_iter(), 2);
        // Strings: 가, 나, 가나. Class 0 has each once, class 1 가 once; add one each.
        let of = |string: &str, class: usize| bayes.log_likelihood[bayes.strings[string] as usize * 2 + class];
        assert!((of("가", 0) - (2.0f64 / 6.0).ln()).abs() < 1e-12);
        assert!((of("나", 1) - (1.0f64 / 4.0).ln()).abs() < 1e-12);
        assert!((of("가", 1) - (2.0f64 / 4.0).ln()).abs() < 1e-12);
    }

    #[test]
    fn all_o_finds_no_entity() {
        let tagged = TaggedText { characters: vec!['가', '나'], tags: vec!["B-A".into(), "O".into()], line: 1 };
        let floors = of_tagged(&[tagged], &["O", "B-A", "I-A"].map(str::to_owned));
        assert_eq!(floors.iter().map(|floor| floor.value).collect::<Vec<_>>(), [0.5, (2.0 / 3.0) / 2.0, 0.0]);
    }
}
