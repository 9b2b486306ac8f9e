//! Dead axes: a key that is varied where no run would read it. Its cells would be one run under several names.

use crate::experiment::keys;
use crate::experiment::{Axis, Diagnostic, Experiment, Point, Settings, Value};

/// Where a key is not read, and what would be.
struct Rule {
    keys: &'static [&'static str],
    /// What makes the key dead: the key and the words of its value.
    is_dead: fn(&Settings<'_>) -> Option<String>,
    /// The condition under which it is read, as TOML.
    condition: &'static str,
}

static RULES: &[Rule] = &[
    Rule {
        keys: &[
            "objective.nsp_negative_prob",
            "objective.short_seq_prob",
            "objective.nsp_weight",
            "objective.nsp_double_softmax",
            "model.nsp_head_bias",
        ],
        is_dead: |cell| (cell.text("objective.nsp")? == "off").then(|| "`objective.nsp` is off".to_owned()),
        condition: r#""objective.nsp" = ["random", "swap"]"#,
    },
    Rule {
        keys: &["objective.nsp_negative_documents"],
        is_dead: |cell| unless(cell, "objective.nsp", "random"),
        condition: r#""objective.nsp" = "random""#,
    },
    Rule {
        keys: &["objective.mask_dice"],
        is_dead: |cell| {
            let whole = &cell.get("objective.whole_word")?.value;
            (*whole == Value::Bool(false)).then(|| "`objective.whole_word` is false".to_owned())
        },
        condition: r#""objective.whole_word" = true"#,
    },
    Rule {
        keys: &["optimizer.clip_scope"],
        is_dead: |cell| {
            let norm = &cell.get("optimizer.clip_norm")?.value;
            (*norm == Value::Off).then(|| "`optimizer.clip_norm` is off".to_owned())
        },
        condition: r#""optimizer.clip_norm" = 1.0"#,
    },
    Rule {
        keys: &["optimizer.decay_exempt"],
        is_dead: |cell| {
            (cell.float("optimizer.weight_decay")? == 0.0).then(|| "`optimizer.weight_decay` is 0".to_owned())
        },
        condition: r#""optimizer.weight_decay" = 0.01"#,
    },
    Rule {
        keys: &["schedule.plateau_factor", "schedule.plateau_patience", "schedule.plateau_threshold"],
        is_dead: |cell| unless(cell, "schedule.kind", "plateau"),
        condition: r#""schedule.kind" = "plateau""#,
    },
    Rule {
        keys: &[
            "finetune.schedule.plateau_factor",
            "finetune.schedule.plateau_patience",
            "finetune.schedule.plateau_threshold",
        ],
        is_dead: |cell| unless(cell, "finetune.schedule.kind", "plateau"),
        condition: r#""finetune.schedule.kind" = "plateau""#,
    },
    Rule {
        keys: &["finetune.schedule.decay_ratio"],
        is_dead: |cell| unless(cell, "finetune.schedule.kind", "wsd"),
        condition: r#""finetune.schedule.kind" = "wsd""#,
    },
    Rule {
        keys: &["finetune.lstm_hidden_size"],
        is_dead: |cell| unless(cell, "finetune.head", "bilstm_crf"),
        condition: r#""finetune.head" = "bilstm_crf""#,
    },
    Rule {
        keys: &["finetune.text_column", "finetune.pair_column", "finetune.label_column"],
        is_dead: |cell| unless(cell, "finetune.task", "classify"),
        condition: r#""finetune.task" = "classify""#,
    },
    Rule {
        keys: &["schedule.decay_ratio"],
        is_dead: |cell| unless(cell, "schedule.kind", "wsd"),
        condition: r#""schedule.kind" = "wsd""#,
    },
    Rule {
        keys: &["tokenizer.min_frequency"],
        is_dead: |cell| {
            let kind = cell.text("tokenizer.kind").filter(|kind| matches!(*kind, "unigram" | "character"))?;
            Some(format!("`tokenizer.kind` is {kind}"))
        },
        condition: r#""tokenizer.kind" = ["wordpiece", "bpe"]"#,
    },
    Rule {
        keys: &["data.demo_documents", "data.demo_seed"],
        is_dead: |cell| {
            let corpus = cell.text("data.corpus").filter(|corpus| *corpus != "demo")?;
            Some(format!("`data.corpus` is {corpus}"))
        },
        condition: r#""data.corpus" = "demo""#,
    },
    Rule {
        keys: &["data.text_field"],
        is_dead: |cell| {
            let (corpus, format) = (cell.text("data.corpus")?, cell.text("data.format")?);
            match (corpus, format) {
                ("demo", _) => Some("`data.corpus` is demo".to_owned()),
                (_, "auto" | "jsonl") => None,
                _ => Some(format!("`data.format` is {format}")),
            }
        },
        condition: r#""data.format" = "jsonl""#,
    },
];

/// What only pretraining reads.
static PRETRAINING: Rule = Rule {
    keys: &[],
    is_dead: |cell| {
        cell.text("finetune.task")?;
        (cell.text("finetune.start")? == "random").then(|| "`finetune.start` is random".to_owned())
    },
    condition: r#""finetune.start" = "pretrained""#,
};

fn is_of_pretraining(key: &str) -> bool {
    let (section, leaf) = keys::split(key);
    let is_shared = matches!(leaf, "seed" | "device" | "isa" | "gradient_checkpointing");
    matches!(section, "objective" | "optimizer" | "schedule") || (section == "train" && !is_shared)
}

/// The key and the words of its value, if that is not `needed`.
fn unless(cell: &Settings<'_>, key: &str, needed: &str) -> Option<String> {
    let found = cell.text(key).filter(|found| *found != needed)?;
    Some(format!("`{key}` is {found}"))
}

/// The rules about the axes of an experiment, by the index of the axis; most experiments have none.
pub(super) struct DeadAxes<'e> {
    experiment: &'e Experiment,
    rules: Vec<(usize, &'static Rule)>,
}

impl<'e> DeadAxes<'e> {
    pub(super) fn new(experiment: &'e Experiment) -> Self {
        let of = |axis: &Axis| {
            let name = axis.key.name;
            let rules = RULES.iter().filter(move |rule| rule.keys.contains(&name));
            rules.chain(is_of_pretraining(name).then_some(&PRETRAINING)).collect::<Vec<_>>()
        };
        let axes = experiment.axes.iter().enumerate();
        let rules = axes.flat_map(|(i, axis)| of(axis).into_iter().map(move |rule| (i, rule))).collect();
        Self { experiment, rules }
    }

    /// The axes that exist at `point`, but are dead there.
    pub(super) fn at<'p>(&'p self, point: &'p Point, cell: &'p Settings<'_>) -> impl Iterator<Item = Diagnostic> + 'p {
        self.rules.iter().filter(|(axis, _)| point.get(*axis).is_some()).filter_map(|(axis, rule)| {
            let cause = (rule.is_dead)(cell)?;
            let axis = &self.experiment.axes[*axis];
            let name = axis.key.name;
            let problem = Diagnostic::error(format!("`{name}` is varied, but no run reads it where {cause}"));
            Some(problem.at(axis.place.clone(), "this axis").help(format!(
                "vary it only where it is read: `[[sweep.when]]` with `if = {{ {} }}` and `grid = {{ \"{name}\" = [...] }}`",
                rule.condition
            )))
        })
    }
}
