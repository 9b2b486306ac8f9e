//! Dead axes: a key that is varied where no run would read it. Its cells would be one run under several names.

use std::fmt;

use super::run_spec::Task;
use crate::experiment::keys;
use crate::experiment::{Axis, Diagnostic, Experiment, Point, Settings, Value, problem};

/// What the names of fine-tuning's own keys begin with.
const FINE_TUNING: &str = keys::STAGES[1];

/// Keys, and what another one must be where they are read.
struct Rule {
    keys: &'static [&'static str],
    /// The key that decides.
    decides: &'static str,
    needs: Needs,
}

/// What the deciding key must be.
enum Needs {
    OneOf(&'static [&'static str]),
    /// Not the first of these words, but such a one as the second.
    Not(&'static str, &'static str),
    True,
    /// A number other than 0 that is not switched off, such as this one.
    Number(&'static str),
}

/// Rules about keys that there are once.
static RULES: &[Rule] = &[
    Rule {
        keys: &[
            "objective.nsp_negative_prob",
            "objective.short_seq_prob",
            "objective.nsp_weight",
            "objective.nsp_double_softmax",
            "model.nsp_head_bias",
        ],
        decides: "objective.nsp",
        needs: Needs::OneOf(&["random", "swap"]),
    },
    Rule { keys: &["objective.packing"], decides: "objective.nsp", needs: Needs::OneOf(&["off"]) },
    Rule { keys: &["objective.nsp_negative_documents"], decides: "objective.nsp", needs: Needs::OneOf(&["random"]) },
    Rule { keys: &["model.mlm_bias_init"], decides: "model.mlm_head_bias", needs: Needs::True },
    Rule { keys: &["model.rope_theta"], decides: "model.position_embedding_type", needs: Needs::OneOf(&["rotary"]) },
    Rule { keys: &["model.global_attn_every_n_layers"], decides: "model.local_attention", needs: Needs::Number("32") },
    Rule { keys: &["objective.mask_dice"], decides: "objective.whole_word", needs: Needs::True },
    Rule { keys: &["finetune.lstm_hidden_size"], decides: "finetune.head", needs: Needs::OneOf(&["bilstm_crf"]) },
    Rule {
        keys: &["finetune.text_column", "finetune.pair_column", "finetune.label_column"],
        decides: "finetune.task",
        needs: Needs::OneOf(Task::WITH_COLUMNS),
    },
    Rule {
        keys: &["finetune.attention_probs_dropout_prob"],
        decides: "finetune.encoder",
        needs: Needs::OneOf(&["trained"]),
    },
    Rule { keys: &["finetune.layer_lr_decay"], decides: "finetune.encoder", needs: Needs::Not("frozen", "trained") },
    Rule { keys: &["finetune.pooling"], decides: "finetune.task", needs: Needs::OneOf(Task::OF_WHOLE_TEXTS) },
    Rule { keys: &["tokenizer.min_frequency"], decides: "tokenizer.kind", needs: Needs::OneOf(&["wordpiece", "bpe"]) },
    Rule { keys: &["data.demo_documents", "data.demo_seed"], decides: "data.corpus", needs: Needs::OneOf(&["demo"]) },
    Rule { keys: &["data.text_field"], decides: "data.corpus", needs: Needs::Not("demo", "corpus/*.jsonl") },
    Rule { keys: &["data.text_field"], decides: "data.format", needs: Needs::OneOf(&["jsonl", "auto"]) },
];

/// Rules about the keys of every stage, without what their names begin with.
static RULES_OF_STAGES: &[Rule] = &[
    Rule { keys: &["optimizer.clip_scope"], decides: "optimizer.clip_norm", needs: Needs::Number("1.0") },
    Rule { keys: &["optimizer.momentum"], decides: "optimizer.kind", needs: Needs::OneOf(&["muon"]) },
    Rule { keys: &["optimizer.decay_exempt"], decides: "optimizer.weight_decay", needs: Needs::Number("0.01") },
    Rule {
        keys: &["schedule.plateau_factor", "schedule.plateau_patience", "schedule.plateau_threshold"],
        decides: "schedule.kind",
        needs: Needs::OneOf(&["plateau"]),
    },
    Rule { keys: &["schedule.decay_ratio"], decides: "schedule.kind", needs: Needs::OneOf(&["wsd"]) },
];

/// What only pretraining reads: nothing does where fine-tuning starts without it.
static PRETRAINING: Rule = Rule { keys: &[], decides: "finetune.start", needs: Needs::OneOf(&["pretrained"]) };

fn is_of_pretraining(key: &str) -> bool {
    let (section, leaf) = keys::split(key);
    let is_shared = leaf == "seed" || keys::SHARED_BY_STAGES.contains(&leaf);
    matches!(section, "objective" | "optimizer" | "schedule") || (section == "train" && !is_shared)
}

/// The rules about a key, with what the names of their stage's keys begin with.
fn rules_about(key: &str) -> impl Iterator<Item = (&'static str, &'static Rule)> {
    let stage = if key.starts_with(FINE_TUNING) { FINE_TUNING } else { "" };
    let once = RULES.iter().filter(move |rule| rule.keys.contains(&key)).map(|rule| ("", rule));
    let leaf = key.strip_prefix(stage).unwrap_or(key);
    let of_stage = RULES_OF_STAGES.iter().filter(move |rule| rule.keys.contains(&leaf)).map(move |rule| (stage, rule));
    once.chain(of_stage).chain(is_of_pretraining(key).then_some(("", &PRETRAINING)))
}

impl Rule {
    /// Why nothing reads the keys in this cell: the deciding key and its value.
    fn cause(&self, stage: &str, cell: &Settings<'_>) -> Option<String> {
        let decides = format!("{stage}{}", self.decides);
        if decides.starts_with(FINE_TUNING) {
            Task::of(cell)?;
        }
        let value = &cell.get(&decides)?.value;
        (!self.needs.holds(value)).then(|| format!("`{decides}` is {value}"))
    }

    /// The condition under which the keys are read, as TOML.
    fn condition(&self, stage: &str) -> String {
        format!("\"{stage}{}\" = {}", self.decides, self.needs)
    }
}

impl Needs {
    fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::OneOf(words), Value::Text(found)) => words.contains(&found.as_str()),
            (Self::Not(word, _), Value::Text(found)) => found != word,
            (Self::True, value) => *value == Value::Bool(true),
            (Self::Number(_), value) => !matches!(value, Value::Off | Value::Float(0.0) | Value::Integer(0)),
            (Self::OneOf(_) | Self::Not(..), _) => false,
        }
    }
}

/// As TOML: the value, or the values.
impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf([word]) | Self::Not(_, word) => write!(f, "\"{word}\""),
            Self::OneOf(words) => write!(f, "{words:?}"),
            Self::True => f.write_str("true"),
            Self::Number(example) => f.write_str(example),
        }
    }
}

/// The rules about the axes of an experiment, by the index of the axis; most experiments have none.
pub(super) struct DeadAxes<'e> {
    experiment: &'e Experiment,
    rules: Vec<(usize, &'static str, &'static Rule)>,
}

impl<'e> DeadAxes<'e> {
    pub(super) fn new(experiment: &'e Experiment) -> Self {
        let axes = experiment.axes.iter().enumerate();
        let of = |(i, axis): (usize, &Axis)| rules_about(axis.key.name).map(move |(stage, rule)| (i, stage, rule));
        Self { experiment, rules: axes.flat_map(of).collect() }
    }

    /// The axes that exist at `point`, but are dead there.
    pub(super) fn at<'p>(&'p self, point: &'p Point, cell: &'p Settings<'_>) -> impl Iterator<Item = Diagnostic> + 'p {
        self.rules.iter().filter(|(axis, ..)| point.get(*axis).is_some()).filter_map(|(axis, stage, rule)| {
            let cause = rule.cause(stage, cell)?;
            let axis = &self.experiment.axes[*axis];
            let name = axis.key.name;
            let problem = Diagnostic::error(&problem::DEAD_AXIS, format!("`{name}` is varied, but no run reads it where {cause}"));
            Some(problem.at(axis.place.clone(), "this axis").help(format!(
                "vary it only where it is read: `[[sweep.when]]` with `if = {{ {} }}` and `grid = {{ \"{name}\" = [...] }}`",
                rule.condition(stage)
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_speak_of_keys_that_there_are() {
        let of_stages = keys::STAGES.iter().flat_map(|stage| RULES_OF_STAGES.iter().map(move |rule| (*stage, rule)));
        for (stage, rule) in RULES.iter().map(|rule| ("", rule)).chain(of_stages) {
            for name in rule.keys.iter().chain([&rule.decides]) {
                assert!(keys::find(&format!("{stage}{name}")).is_some(), "{stage}{name}");
            }
        }
    }
}
