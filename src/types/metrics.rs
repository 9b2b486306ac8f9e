//! The metrics that training records: one table of names, labels, units, goals, and of what records them.
//!
//! A recorder takes entries of this table, and only this file can make one: what is recorded is in it by construction. The
//! choices of `experiment.metric`, the labels of figures, the usual goal and the lists of a task all come from here. Metrics
//! that it does not have are those of other programs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidName, MetricName};

/// A metric that training records.
#[derive(Debug, PartialEq)]
pub struct Metric {
    // Private, so that nobody else makes one.
    name: &'static str,
    /// What is measured, in words: `validation MLM loss`.
    pub label: &'static str,
    /// The unit, or what the number is; empty where the label says it.
    pub unit: &'static str,
    /// Which way is better, unless an experiment says otherwise.
    pub goal: Goal,
    pub source: Source,
}

/// A metric and what was measured.
pub type Measurement = (&'static Metric, f64);

/// What records a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every stage.
    Training,
    /// Pretraining.
    Pretraining,
    /// Pretraining on pairs: `objective.nsp` is on.
    Pairs,
    /// Fine-tuning for one of these tasks.
    Tasks(&'static [&'static str]),
}

/// A score of labelled examples: of those held out, and of those that are judged once, after the last step.
#[derive(Debug, PartialEq)]
pub struct Judged {
    pub valid: Metric,
    pub test: Metric,
}

/// What a metric of an evaluation is a mean over: where two runs differ in it, their values cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// The tokens of the held-out text.
    Tokens,
    /// The held-out text itself.
    Texts,
    /// The labelled examples of a task.
    Examples,
}

/// Which direction of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    Minimize,
    Maximize,
}

/// What costs no learning: a fact that a run measures, and the metric that it is held against.
#[derive(Debug)]
pub struct KnownFloor {
    /// The name of the fact.
    pub fact: &'static str,
    pub metric: &'static Metric,
    /// Two or three words.
    pub label: &'static str,
    /// What it is, in a sentence.
    pub explanation: &'static str,
    /// The fact that counts what an evaluation asks: the metric is known to what a sample of so many tells.
    pub questions: &'static str,
    /// A fact of a stricter floor for the same metric: with it, this one says nothing. Older runs lack it.
    pub unless: Option<&'static str>,
    /// The fact that is the standard deviation of one answer's score; absent for a share of right answers, where the share
    /// says it.
    pub spread: Option<&'static str>,
}

macro_rules! metrics {
    (
        training { $($item:ident = $name:literal, $label:literal, $unit:literal, $goal:ident, $source:ident;)* }
        judged { $($score:ident = $leaf:literal, $words:literal, $measure:literal, $better:ident, $tasks:expr;)* }
    ) => {
        $(
            #[doc = $label]
            pub static $item: Metric =
                Metric { name: $name, label: $label, unit: $unit, goal: Goal::$goal, source: Source::$source };
        )*
        $(
            #[doc = $words]
            pub static $score: Judged = Judged {
                valid: Metric {
                    name: concat!("valid/", $leaf),
                    label: concat!("validation ", $words),
                    unit: $measure,
                    goal: Goal::$better,
                    source: Source::Tasks($tasks),
                },
                test: Metric {
                    name: concat!("test/", $leaf),
                    label: concat!("test ", $words),
                    unit: $measure,
                    goal: Goal::$better,
                    source: Source::Tasks($tasks),
                },
            };
        )*
        static ALL: &[&Metric] = &[$(&$item,)* $(&$score.valid,)* $(&$score.test,)*];

        /// The names of all metrics.
        pub const NAMES: &[&str] =
            &[$($name,)* $(concat!("valid/", $leaf),)* $(concat!("test/", $leaf),)*];
    };
}

const CLASSIFY: &[&str] = &["classify"];
const NER: &[&str] = &["ner"];
/// The tasks of fine-tuning.
pub const TASKS: &[&str] = &["classify", "ner"];

// A metric is one line here, and the line that records it.
metrics! {
    training {
        VALID_MLM_LOSS = "valid/mlm_loss", "validation MLM loss", "nats/token", Minimize, Pretraining;
        MLM_LOSS_MASK =
            "valid/mlm_loss_mask", "validation MLM loss behind [MASK]", "nats/token", Minimize, Pretraining;
        MLM_LOSS_RANDOM =
            "valid/mlm_loss_random", "validation MLM loss where a random token stands", "nats/token", Minimize, Pretraining;
        MLM_LOSS_KEPT =
            "valid/mlm_loss_kept", "validation MLM loss where the token was kept", "nats/token", Minimize, Pretraining;
        VALID_NSP_LOSS = "valid/nsp_loss", "validation NSP loss", "nats/pair", Minimize, Pairs;
        MASKED_ACCURACY = "valid/masked_accuracy", "validation masked-token accuracy", "share", Maximize, Pretraining;
        ACCURACY_MASK = "valid/accuracy_mask", "validation accuracy where [MASK] stands", "share", Maximize, Pretraining;
        ACCURACY_RANDOM =
            "valid/accuracy_random", "validation accuracy where a random token stands", "share", Maximize, Pretraining;
        ACCURACY_KEPT =
            "valid/accuracy_kept", "validation accuracy where the token was kept", "share", Maximize, Pretraining;
        NSP_ACCURACY = "valid/nsp_accuracy", "validation NSP accuracy", "share", Maximize, Pairs;
        PERPLEXITY = "valid/perplexity", "validation perplexity", "", Minimize, Pretraining;
        BITS_PER_CHARACTER =
            "valid/bits_per_character", "validation MLM loss by characters", "bits/character", Minimize, Pretraining;
        TRAIN_LOSS = "train/loss", "training loss", "nats", Minimize, Training;
        TRAIN_MLM_LOSS = "train/mlm_loss", "training MLM loss", "nats/token", Minimize, Pretraining;
        TRAIN_MLM_LOSS_MASK =
            "train/mlm_loss_mask", "training MLM loss behind [MASK]", "nats/token", Minimize, Pretraining;
        TRAIN_MLM_LOSS_RANDOM =
            "train/mlm_loss_random", "training MLM loss where a random token stands", "nats/token", Minimize, Pretraining;
        TRAIN_MLM_LOSS_KEPT =
            "train/mlm_loss_kept", "training MLM loss where the token was kept", "nats/token", Minimize, Pretraining;
        TRAIN_ACCURACY_MASK =
            "train/accuracy_mask", "training accuracy where [MASK] stands", "share", Maximize, Pretraining;
        TRAIN_ACCURACY_RANDOM =
            "train/accuracy_random", "training accuracy where a random token stands", "share", Maximize, Pretraining;
        TRAIN_ACCURACY_KEPT =
            "train/accuracy_kept", "training accuracy where the token was kept", "share", Maximize, Pretraining;
        TRAIN_NSP_LOSS = "train/nsp_loss", "training NSP loss", "nats/pair", Minimize, Pairs;
        LEARNING_RATE = "train/lr", "learning rate", "", Minimize, Training;
        GRAD_NORM = "train/grad_norm", "training gradient norm", "L2", Minimize, Training;
        TOKENS = "train/tokens", "training tokens", "", Maximize, Training;
        REAL_TOKEN_SHARE =
            "train/real_token_share", "computed positions that hold a token", "share", Maximize, Training;
        SPEED = "time/tokens_per_s", "speed", "tokens/s", Maximize, Training;
    }
    judged {
        LOSS = "loss", "loss", "nats", Minimize, TASKS;
        ACCURACY = "accuracy", "accuracy", "share", Maximize, CLASSIFY;
        MICRO_F1 = "micro_f1", "micro F1", "", Maximize, CLASSIFY;
        MACRO_F1 = "macro_f1", "macro F1", "", Maximize, CLASSIFY;
        ENTITY_F1 = "entity_f1", "entity F1", "", Maximize, NER;
        ENTITY_MACRO_F1 = "entity_macro_f1", "entity macro F1", "", Maximize, NER;
        CHAR_MACRO_F1 = "char_macro_f1", "character macro F1", "", Maximize, NER;
        CHAR_MACRO_F1_WITHOUT_O =
            "char_macro_f1_without_o", "character macro F1 without O", "", Maximize, NER;
        CHAR_ACCURACY = "char_accuracy", "character accuracy", "share", Maximize, NER;
    }
}

/// The fact that counts the masked tokens of an evaluation.
pub const VALID_MASKED_TOKENS: &str = "valid_masked_tokens";
/// The fact that counts those of them behind `[MASK]`.
pub const VALID_MASK_TOKENS: &str = "valid_mask_tokens";
/// The fact that counts the tokens behind `[MASK]` that an evaluation asks of train texts.
pub const TRAIN_MASK_TOKENS: &str = "train_mask_tokens";
/// The fact that counts the pairs of an evaluation.
pub const VALID_PAIRS: &str = "valid_pairs";
/// The fact that is the standard deviation of a token's loss for who knows nothing but the tokens' frequencies.
pub const UNIGRAM_SPREAD: &str = "unigram_spread";

/// The fact that is the standard deviation of a token's loss for who copies what is shown.
pub const COPY_SPREAD: &str = "copy_spread";
/// The fact that is the standard deviation of a token's loss for who counts its two neighbours.
pub const NEIGHBOURS_SPREAD: &str = "mlm_loss_mask_neighbours_spread";

/// The floors of pretraining: what costs no learning, each held against the metric that it bounds.
pub static FLOORS: [&KnownFloor; 10] = [
    &UNIGRAM_ENTROPY,
    &COPYING,
    &UNIGRAM_BEHIND_MASK,
    &NEIGHBOURS_LOSS,
    &NEIGHBOURS,
    &COPYING_AND_NEIGHBOURS,
    &NEIGHBOURS_BEHIND_MASK,
    &MOST_FREQUENT,
    &BAG_OF_WORDS,
    &LENGTHS,
];

pub static UNIGRAM_ENTROPY: KnownFloor = KnownFloor {
    fact: "unigram_entropy",
    metric: &VALID_MLM_LOSS,
    label: "unigram entropy",
    explanation: "The loss of knowing nothing but how often each token of the held-out text occurs.",
    questions: VALID_MASKED_TOKENS,
    unless: Some(COPYING.fact),
    spread: Some(UNIGRAM_SPREAD),
};

pub static COPYING: KnownFloor = KnownFloor {
    fact: "copy_loss",
    metric: &VALID_MLM_LOSS,
    label: "copying",
    explanation: "The best loss without any context: who knows the frequencies of the held-out tokens, repeats what is shown \
                  where that is likely to be the answer (a tenth of the questions shows it), and guesses elsewhere.",
    questions: VALID_MASKED_TOKENS,
    unless: None,
    spread: Some(COPY_SPREAD),
};

pub static UNIGRAM_BEHIND_MASK: KnownFloor = KnownFloor {
    fact: "unigram_entropy",
    metric: &MLM_LOSS_MASK,
    label: "unigram entropy",
    explanation: "The best loss without any context: who knows nothing but how often each token of the held-out text occurs.",
    questions: VALID_MASK_TOKENS,
    unless: None,
    spread: Some(UNIGRAM_SPREAD),
};

pub static NEIGHBOURS_LOSS: KnownFloor = KnownFloor {
    fact: "mlm_loss_mask_neighbours",
    metric: &MLM_LOSS_MASK,
    label: "two neighbours",
    explanation: "The loss of counting which tokens stood between the same two neighbours, beside either, and anywhere.",
    questions: VALID_MASK_TOKENS,
    unless: None,
    spread: Some(NEIGHBOURS_SPREAD),
};

pub static NEIGHBOURS: KnownFloor = KnownFloor {
    fact: "mlm_baseline_neighbours",
    metric: &MASKED_ACCURACY,
    label: "two neighbours",
    explanation: "Counting which tokens stood between the same two neighbours: what a model without wider context knows.",
    questions: VALID_MASKED_TOKENS,
    unless: Some(COPYING_AND_NEIGHBOURS.fact),
    spread: None,
};

pub static COPYING_AND_NEIGHBOURS: KnownFloor = KnownFloor {
    fact: "masked_accuracy_neighbours",
    metric: &MASKED_ACCURACY,
    label: "two neighbours",
    explanation: "Counting which tokens stood between the same two neighbours where [MASK] stands, and repeating what is shown \
                  elsewhere: what a model without wider context knows.",
    questions: VALID_MASKED_TOKENS,
    unless: None,
    spread: None,
};

pub static MOST_FREQUENT: KnownFloor = KnownFloor {
    fact: "most_frequent_token",
    metric: &ACCURACY_MASK,
    label: "most frequent token",
    explanation: "Always the token that occurs most often in the held-out text: what a model without any context knows.",
    questions: VALID_MASK_TOKENS,
    unless: None,
    spread: None,
};

pub static NEIGHBOURS_BEHIND_MASK: KnownFloor = KnownFloor {
    fact: "accuracy_mask_neighbours",
    metric: &ACCURACY_MASK,
    label: "two neighbours",
    explanation: "Counting which tokens stood between the same two neighbours: what a model without wider context knows.",
    questions: VALID_MASK_TOKENS,
    unless: None,
    spread: None,
};

pub static BAG_OF_WORDS: KnownFloor = KnownFloor {
    fact: "nsp_baseline_bag_of_b",
    metric: &NSP_ACCURACY,
    label: "bag of words of B",
    explanation: "Naive Bayes on the words of B alone: what negatives give away by their words.",
    questions: VALID_PAIRS,
    unless: None,
    spread: None,
};

pub static LENGTHS: KnownFloor = KnownFloor {
    fact: "nsp_baseline_lengths",
    metric: &NSP_ACCURACY,
    label: "lengths alone",
    explanation: "The better guess for each pair of lengths: what negatives give away by their length.",
    questions: VALID_PAIRS,
    unless: None,
    spread: None,
};

/// All metrics, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    ALL.iter().copied()
}

/// The metric of this name, if training records it.
pub fn find(name: &str) -> Option<&'static Metric> {
    all().find(|metric| metric.name == name)
}

/// What fine-tuning for a task records beside what every stage does: held-out scores, then test scores.
pub fn of_task(task: &str) -> impl Iterator<Item = &'static Metric> {
    all().filter(move |metric| matches!(metric.source, Source::Tasks(tasks) if tasks.contains(&task)))
}

/// What decides in fine-tuning, by task.
const DECIDING: &[(&str, &Metric)] = &[("classify", &ACCURACY.valid), ("ner", &ENTITY_F1.valid)];

/// The metric that decides unless an experiment names one: of pretraining, or of fine-tuning for a task.
pub fn deciding(task: Option<&str>) -> &'static Metric {
    DECIDING.iter().find(|(name, _)| task == Some(name)).map_or(&MLM_LOSS_MASK, |(_, metric)| metric)
}

/// The metrics that usually decide, of every stage: a run records one of them.
pub fn deciding_by_stage() -> impl Iterator<Item = &'static Metric> {
    DECIDING.iter().map(|(_, metric)| *metric).chain([&MLM_LOSS_MASK, &VALID_MLM_LOSS])
}

/// What came after the first stored runs: parts of the loss, and the loss in another unit. Earlier programs did not record
/// them: with them in the digest chain, none of their runs would come out the same again. Nor did they ask about
/// [`TRAIN_TEXTS`].
static LATER: [&Metric; 4] = [&BITS_PER_CHARACTER, &MLM_LOSS_MASK, &MLM_LOSS_RANDOM, &MLM_LOSS_KEPT];

/// What evaluations measure on a sample of the train texts, as they do on held-out ones.
static TRAIN_TEXTS: [&Metric; 6] = [
    &TRAIN_MLM_LOSS_MASK,
    &TRAIN_MLM_LOSS_RANDOM,
    &TRAIN_MLM_LOSS_KEPT,
    &TRAIN_ACCURACY_MASK,
    &TRAIN_ACCURACY_RANDOM,
    &TRAIN_ACCURACY_KEPT,
];

/// Whether the metric of this name is measured on train texts by evaluations: without dropout, masked as held-out texts are.
pub fn is_of_train_texts(name: &str) -> bool {
    TRAIN_TEXTS.iter().any(|metric| metric.name == name)
}

/// Whether two executions of one spec are held to agree bit for bit on the metric of this name, and the digest chain covers
/// it: on all but what the clock says, and but what earlier programs did not record beside the same loss.
pub fn is_deterministic(name: &str) -> bool {
    !name.starts_with("time/") && LATER.iter().all(|later| later.name != name) && !is_of_train_texts(name)
}

/// Whether values of the metric of this name can be compared between runs that differ in this basis.
pub fn is_comparable_across(name: &str, basis: Basis) -> bool {
    if !["valid/", "test/"].iter().any(|group| name.starts_with(group)) && !is_of_train_texts(name) {
        return true;
    }
    let is_of_task = find(name).is_some_and(|metric| matches!(metric.source, Source::Tasks(_)));
    match basis {
        Basis::Examples => !is_of_task,
        Basis::Texts => is_of_task,
        Basis::Tokens => is_of_task || name == BITS_PER_CHARACTER.name,
    }
}

impl Metric {
    /// `group/name`, as it is recorded.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The group: `train` and `time` are measured at every step, but for [what evaluations ask](is_of_train_texts) of train
    /// texts; `valid` at every evaluation, `test` at the last one.
    pub fn group(&self) -> &'static str {
        self.name.split_once('/').map_or("", |(group, _)| group)
    }

    /// The recorded name.
    pub fn metric_name(&self) -> MetricName {
        MetricName(self.name.to_owned())
    }

    /// Whether checkpoints are told better from worse by it: the loss that people follow while a run trains.
    pub fn is_criterion(&self) -> bool {
        *self == VALID_MLM_LOSS || *self == LOSS.valid
    }

    /// Whether it is a loss: what runs on a device without the bitwise promise are compared by.
    pub fn is_loss(&self) -> bool {
        self.unit.starts_with("nats")
    }
}

impl PartialEq<Metric> for MetricName {
    fn eq(&self, other: &Metric) -> bool {
        self.0 == other.name
    }
}

/// For an axis: `validation MLM loss (nats/token)`.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label)?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " ({})", self.unit) }
    }
}

/// Words in names of metrics, without digits at their ends, of which more is better.
const SCORES: [&str; 34] = [
    "acc",
    "map",
    "auc",
    "auroc",
    "auprc",
    "roc",
    "f",
    "bleu",
    "sacrebleu",
    "chrf",
    "meteor",
    "top",
    "hit",
    "hits",
    "score",
    "r",
    "iou",
    "miou",
    "dice",
    "jaccard",
    "ndcg",
    "mrr",
    "pearson",
    "spearman",
    "spearmanr",
    "corr",
    "mcc",
    "kappa",
    "psnr",
    "ssim",
    "em",
    "match",
    "sensitivity",
    "specificity",
];

impl Goal {
    pub const ALL: [Self; 2] = [Self::Minimize, Self::Maximize];

    /// The goal that goes with a metric unless somebody says otherwise. Of a metric that the table does not have, as other
    /// programs record them, only what its name says is known.
    pub fn usual(metric: &str) -> Self {
        if let Some(known) = find(metric) {
            return known.goal;
        }
        let name = metric.to_lowercase();
        let words = || {
            name.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        };
        let is = |known: &[&str]| words().any(|word| known.contains(&word));
        let begins = |known: &[&str]| words().any(|word| known.iter().any(|known| word.starts_with(known)));
        let is_score =
            is(&SCORES) || begins(&["accura", "rouge", "precision", "recall", "reward", "f1"]) || name.contains("f1");
        if is_score && !begins(&["loss", "err"]) { Self::Maximize } else { Self::Minimize }
    }

    /// The name in experiment files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimize => "minimize",
            Self::Maximize => "maximize",
        }
    }

    /// Whether `left` is better than `right`.
    pub fn prefers(self, left: f64, right: f64) -> bool {
        match self {
            Self::Minimize => left < right,
            Self::Maximize => left > right,
        }
    }

    /// The best of these values.
    pub fn best(self, values: impl IntoIterator<Item = f64>) -> Option<f64> {
        values.into_iter().reduce(|best, value| if self.prefers(value, best) { value } else { best })
    }
}

impl FromStr for Goal {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { kind: "goal", text: text.to_owned(), rule: "minimize or maximize" };
        Self::ALL.into_iter().find(|goal| goal.name() == text).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_valid_and_told_apart() {
        assert_eq!(all().map(Metric::name).collect::<Vec<_>>(), NAMES);
        assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), NAMES.len());
        for metric in all() {
            assert_eq!(metric.name.parse(), Ok(metric.metric_name()));
            assert!(matches!(metric.group(), "train" | "valid" | "test" | "time"), "{}", metric.name);
            assert!(!metric.label.is_empty());
        }
    }

    #[test]
    fn losses_fall_and_scores_rise() {
        for metric in all() {
            let is_score = ["accuracy", "f1", "tokens"].iter().any(|word| metric.name.contains(word))
                || *metric == REAL_TOKEN_SHARE;
            assert_eq!(metric.goal == Goal::Maximize, is_score, "{}", metric.name);
            assert_eq!(metric.is_loss(), metric.name.contains("loss"), "{}", metric.name);
        }
        assert_eq!((Goal::usual("eval/f1"), Goal::usual("eval/cost")), (Goal::Maximize, Goal::Minimize));
        for score in [
            "acc",
            "val/acc",
            "valid.acc",
            "val_acc",
            "test/Accuracy",
            "AUROC",
            "bleu",
            "top1",
            "top5_acc",
            "mAP",
            "r2",
            "rougeL",
            "mIoU",
            "ndcg",
            "ndcg@10",
            "hit@10",
            "psnr",
            "exact_match",
            "macro_f1",
            "F1Score",
            "eval_f1",
            "f1-macro",
            "recall@5",
            "balanced_accuracy",
        ] {
            assert_eq!(Goal::usual(score), Goal::Maximize, "{score}");
        }
        for cost in [
            "loss",
            "val_loss",
            "acc_loss",
            "perplexity",
            "rmse",
            "wer",
            "error",
            "top1_error",
            "epoch",
            "lr",
            "mape",
            "nll",
            "fid",
        ] {
            assert_eq!(Goal::usual(cost), Goal::Minimize, "{cost}");
        }
        assert_eq!(Goal::Minimize.best([2.0, 1.0, 3.0]), Some(1.0));
    }

    #[test]
    fn what_is_a_mean_over_other_things_is_not_compared() {
        let across = |name: &str| [Basis::Tokens, Basis::Texts, Basis::Examples].map(|b| is_comparable_across(name, b));
        assert_eq!(across("valid/mlm_loss"), [false, false, true]);
        assert_eq!(across("valid/bits_per_character"), [true, false, true]);
        assert_eq!(across("train/mlm_loss_mask"), across("valid/mlm_loss_mask"));
        assert_eq!(across("test/accuracy"), [true, true, false]);
        assert_eq!(across("time/tokens_per_s"), [true; 3]);
    }

    #[test]
    fn a_task_is_decided_by_what_it_records() {
        for task in TASKS {
            assert!(of_task(task).any(|metric| metric == deciding(Some(task))), "{task}");
            assert_eq!(of_task(task).filter(|metric| metric.is_criterion()).count(), 1);
        }
        assert_eq!(deciding(None), &MLM_LOSS_MASK);
    }

    #[test]
    fn metrics_are_named_with_their_units() {
        let of_pretraining = [&VALID_MLM_LOSS, &VALID_NSP_LOSS, &MASKED_ACCURACY];
        let labels: Vec<String> =
            of_pretraining.into_iter().chain(of_task("ner").skip(1).take(1)).map(Metric::to_string).collect();
        insta::assert_snapshot!(labels.join("\n"), @"
        validation MLM loss (nats/token)
        validation NSP loss (nats/pair)
        validation masked-token accuracy (share)
        validation entity F1
        ");
    }
}
