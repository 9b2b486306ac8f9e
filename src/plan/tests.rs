//! Tests of the whole way from text to plan; the laws of single parts are tested beside them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::experiment::{Kind, Source, keys};
use crate::types::ContentHash;

mod algebra;
mod bases;
mod budgets;
mod explained;
mod fuzzed;
mod lengths;
mod luck;
mod mistakes;
mod oracle;
mod overrides;
mod problems;
mod random;
mod schema_1;
mod seeds;
mod stored;
mod typos;

pub const QUICKSTART: &str = include_str!("../../experiments/quickstart.toml");
pub const PETITIONS: &str = include_str!("../../experiments/petitions.toml");

/// A file with the required keys, and `rest` after them.
pub fn file(rest: &str) -> String {
    format!("experiment.name = \"x\"\ndata.corpus = \"demo\"\n{rest}")
}

/// For files that build on nothing.
pub fn alone(path: &str, _: &str) -> Result<Source, String> {
    Err(format!("nobody has `{path}`"))
}

/// The experiment of a file without mistakes.
pub fn experiment(text: &str, sets: &[&str]) -> Experiment {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    read(text, "x.toml", &sets, &mut alone).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Facts that depend on the corpus's name alone.
pub fn facts(corpus: &CorpusRef) -> Result<CorpusFacts, String> {
    let format = corpus.format.unwrap_or(CorpusFormat::Sentences);
    let named = format!("{} {:?}", corpus.name.trim_start_matches("./"), corpus.demo);
    Ok(CorpusFacts { hash: ContentHash::of(named.as_bytes()), format, bytes: 1000, documents: Some(10) })
}

/// Knows every corpus, and examples of two classes or of one kind of entity.
pub struct Everything;

impl LookUp for Everything {
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
        facts(corpus)
    }

    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String> {
        Ok(ContentHash::of(name.as_bytes()))
    }

    fn run(&mut self, name: &str) -> Result<RunSpec, String> {
        Err(format!("nobody knows the run {name}"))
    }

    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
        let labels: &[&str] = match examples.task {
            Task::Classify => &["0", "1"],
            Task::Ner => &["O", "B-PS", "I-PS"],
        };
        Ok(ExamplesFacts {
            data_hash: ContentHash::of(examples.data.as_bytes()),
            test_hash: examples.test.as_ref().map(|name| ContentHash::of(name.as_bytes())),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        })
    }
}

/// The plan of a file without mistakes.
pub fn planned(text: &str, sets: &[&str]) -> Plan {
    let plan = plan_with(&experiment(text, sets), &mut Everything).unwrap_or_else(|problems| panic!("{problems}"));
    // The hash is put together from sections; it must be the hash of the whole.
    plan.cells.iter().flat_map(|cell| &cell.runs).for_each(|run| assert_eq!(run.hash, run.spec.hash()));
    plan
}

/// The specification of a file that declares one run.
pub fn spec(rest: &str) -> RunSpec {
    let plan = planned(&file(rest), &[]);
    assert_eq!(plan.cells.len(), 1);
    plan.cells[0].runs[0].spec.clone()
}

#[test]
fn the_shipped_experiments_are_sixteen_cells_each() {
    for (text, seeds) in [(QUICKSTART, 3), (PETITIONS, 1)] {
        let experiment = experiment(text, &[]);
        assert!(experiment.warnings.is_empty() && !experiment.question.is_empty());
        let plan = plan(&experiment, facts).expect("a plan");
        assert_eq!((plan.cells.len(), plan.runs().len(), plan.duplicates()), (16, 16 * seeds, 0));
        assert_eq!(plan.baseline, Some(0));
    }
    let plan = planned(QUICKSTART, &[]);
    let labels: Vec<&str> = plan.cells.iter().map(|cell| cell.label.as_str()).collect();
    insta::assert_snapshot!(labels.join("\n"), @r#"
    preset=modern-nano mask_ratio=0.15 nsp=off schedule=linear
    preset=modern-nano mask_ratio=0.15 nsp=off schedule=cosine
    preset=modern-nano mask_ratio=0.15 nsp=random schedule=linear
    preset=modern-nano mask_ratio=0.15 nsp=random schedule=cosine
    preset=modern-nano mask_ratio=0.3 nsp=off schedule=linear
    preset=modern-nano mask_ratio=0.3 nsp=off schedule=cosine
    preset=modern-nano mask_ratio=0.3 nsp=random schedule=linear
    preset=modern-nano mask_ratio=0.3 nsp=random schedule=cosine
    preset=modern-micro mask_ratio=0.15 nsp=off schedule=linear
    preset=modern-micro mask_ratio=0.15 nsp=off schedule=cosine
    preset=modern-micro mask_ratio=0.15 nsp=random schedule=linear
    preset=modern-micro mask_ratio=0.15 nsp=random schedule=cosine
    preset=modern-micro mask_ratio=0.3 nsp=off schedule=linear
    preset=modern-micro mask_ratio=0.3 nsp=off schedule=cosine
    preset=modern-micro mask_ratio=0.3 nsp=random schedule=linear
    preset=modern-micro mask_ratio=0.3 nsp=random schedule=cosine
    "#);
}

#[test]
fn the_baseline_needs_no_value_for_an_axis_of_one() {
    let text = file(
        "[experiment.baseline]\nobjective.mask_ratio = 0.3\n[sweep.grid]\n\"train.batch_size\" = [8]\n\"objective.mask_ratio\" = [0.15, 0.30]\n",
    );
    assert_eq!(planned(&text, &[]).baseline, Some(1));
}

#[test]
fn layers_win_in_order() {
    let grid = "[sweep.grid]\n\"model.preset\" = [\"aiffel-1m\", \"bert-mini\", \"aiffel-1.26m\"]\n";
    let text = file(&format!("[model]\nintermediate_size = 300\n{grid}"));
    let models: Vec<ModelSpec> = planned(&text, &[]).runs().iter().map(|run| run.spec.model.clone()).collect();
    assert_eq!(models.iter().map(|model| model.hidden_size).collect::<Vec<_>>(), [96, 256, 128]);
    assert_eq!(models.iter().map(|model| model.attention_head_size).collect::<Vec<_>>(), [32, 64, 16]);
    assert!(models.iter().all(|model| model.intermediate_size == 300), "a key of the file wins over the preset");
    assert_eq!(models.iter().map(|model| model.mlm_head_transform).collect::<Vec<_>>(), [false, true, false]);
    let swept = file("[model]\npreset = \"bert-mini\"\n[sweep.grid]\nmodel.num_hidden_layers = [1, 3]\n");
    let layers: Vec<usize> = planned(&swept, &[]).runs().iter().map(|run| run.spec.model.num_hidden_layers).collect();
    assert_eq!(layers, [1, 3], "an axis wins over the preset");
}

#[test]
fn bert_tiny_is_the_default_model() {
    assert_eq!(spec("").model, spec("model.preset = \"bert-tiny\"").model);
}

#[test]
fn replicates_are_seeds_and_nothing_else() {
    let seeds = |rest: &str| planned(&file(rest), &[]).cells[0].runs.iter().map(|run| run.seed.0).collect::<Vec<_>>();
    assert_eq!(seeds(""), [0]);
    assert_eq!(seeds("train.seed = 5"), [5]);
    assert_eq!(seeds("train.seed = 5\n[sweep.replicates]\nseeds = 3\npaired = true"), [5, 6, 7]);
    assert_eq!(seeds("[sweep.replicates]\nseeds = [9, 2, 4]"), [9, 2, 4]);
    let plan = planned(&file("[sweep.replicates]\nseeds = 2"), &[]);
    let [first, second] = &plan.cells[0].runs[..] else { panic!("two runs") };
    let mut reseeded = first.spec.clone();
    reseeded.train_mut().seed = second.seed;
    assert_eq!(reseeded, second.spec);
}

#[test]
fn equal_specifications_run_once() {
    // Two names of one corpus, and a preset that says what the defaults say.
    let text = file(
        "[sweep.grid]\nmodel.preset = [\"bert-tiny\", \"bert-mini\"]\n[model]\nhidden_size = 64\nnum_hidden_layers = 1\nintermediate_size = 64\nnum_attention_heads = 2\n",
    );
    let plan = planned(&text, &[]);
    assert_eq!((plan.cells.len(), plan.runs().len(), plan.duplicates()), (2, 1, 1));
    let text = "experiment.name = \"x\"\n[sweep.grid]\ndata.corpus = [\"a.txt\", \"./a.txt\", \"b.txt\"]\n";
    let plan = planned(text, &[]);
    assert_eq!((plan.cells.len(), plan.runs().len(), plan.duplicates()), (3, 2, 1));
}

#[test]
fn each_corpus_is_looked_up_once() {
    let text = "experiment.name = \"x\"\n[sweep.grid]\ndata.corpus = [\"demo\", \"b.txt\"]\nobjective.mask_ratio = [0.1, 0.2]\n[[sweep.when]]\nif.data.corpus = \"demo\"\ngrid.data.demo_seed = [0, 1]\n";
    let mut asked = Vec::new();
    let plan = plan(&experiment(text, &[]), |corpus| {
        asked.push((corpus.name.clone(), corpus.demo.map(|demo| demo.seed)));
        facts(corpus)
    });
    assert_eq!(asked, [("demo".into(), Some(0)), ("demo".into(), Some(1)), ("b.txt".into(), None)]);
    assert_eq!(plan.expect("a plan").cells.len(), 6, "the demo's seed is nothing to b.txt");
}

#[test]
fn a_corpus_that_is_not_there_is_reported_where_it_is_named() {
    let text = file("").replace("demo", "gone.txt");
    let refused = plan(&experiment(&text, &[]), |_| Err::<CorpusFacts, _>("no such file: gone.txt"));
    insta::assert_snapshot!(refused.expect_err("no corpus"), @"x.toml:2:15: error: no such file: gone.txt");
    let single = |corpus: &CorpusRef| facts(corpus).map(|facts| CorpusFacts { documents: Some(1), ..facts });
    let refused = plan(&experiment(&text, &[]), single);
    insta::assert_snapshot!(refused.expect_err("one document"), @"x.toml:2:15: error: the corpus has 1 document(s), and needs at least 2");
}

/// The key table and the specification have the same keys, so that nothing is accepted and then left out.
#[test]
fn every_setting_reaches_the_specification() {
    let mut leaves = BTreeSet::new();
    let betas = |key: String| key.trim_end_matches(|c: char| c == '.' || c.is_ascii_digit()).to_owned();
    let optional = "train.epochs = 2\nschedule.warmup_steps = 3\ntrain.gradient_checkpointing = true\n\
                    train.seq_len_warmup = [[16, 0.5]]\n\
                    objective.nsp_negative_documents = 33\ntokenizer.separator = \"/\"";
    for rest in ["", optional, "tokenizer.dictionary = \"a\""] {
        leaves.extend(spec(rest).leaves().into_iter().map(|(key, _)| key));
    }
    // The sections of a fine-tuning stage's own are those of any run.
    let stage = "[finetune]\ntask = \"classify\"\ndata = \"a.tsv\"\n";
    let its_optional = "test = \"b.tsv\"\npair_column = \"b\"\ntrain.steps = 3\nschedule.warmup_steps = 1\n\
                        hidden_dropout_prob = 0.1\nattention_probs_dropout_prob = 0.1\nclassifier_dropout = 0.1\n\
                        head_lr = 1e-3\nearly_stopping_patience = 2\n\
                        fold = \"1/5\"\nlimit = 100\n";
    for rest in [stage.to_owned(), format!("{stage}{its_optional}")] {
        let of_stage = |key: String| {
            let key = betas(key);
            let (section, _) = keys::split(&key);
            let own = ["optimizer", "schedule", "train"].contains(&section)
                && keys::find(&format!("finetune.{key}")).is_some();
            if own { format!("finetune.{key}") } else { key }
        };
        leaves.extend(spec(&rest).leaves().into_iter().map(|(key, _)| of_stage(key)));
    }
    assert!(leaves.remove("inputs.weights"));
    let own = [
        "finetune.data_hash",
        "finetune.test_hash",
        "finetune.labels",
        "schema",
        "numerics",
        "stage",
        "model.architecture",
        "data.corpus_hash",
        "data.demo.documents",
        "data.demo.seed",
        "tokenizer.dictionary_hash",
    ];
    let elsewhere =
        ["finetune.run", "train.run", "model.preset", "data.demo_documents", "data.demo_seed", "train.budget"];
    let settings = keys::all().filter(|key| key.is_setting() && !elsewhere.contains(&key.name));
    let expected: BTreeSet<String> = settings.map(|key| key.name.to_owned()).chain(own.map(str::to_owned)).collect();
    assert_eq!(leaves.into_iter().map(betas).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_choice_of_every_key_is_a_specification() {
    for key in keys::all().filter(|key| key.is_setting()) {
        let Kind::Choice { choices, .. } = key.kind else { continue };
        for &choice in choices {
            let corpus = "experiment.name = \"x\"\ndata.corpus = \"a.txt\"\n";
            let stage = match choice {
                _ if key.name == "finetune.task" => "finetune.data = \"a.tsv\"\n",
                _ if key.name.starts_with("finetune.") => "finetune.task = \"ner\"\nfinetune.data = \"a.tsv\"\n",
                _ => "",
            };
            planned(&format!("{corpus}{stage}{} = \"{choice}\"\n", key.name), &[]);
        }
    }
    for masking in ["\"static\"", "{ copies = 4 }"] {
        spec(&format!("objective.masking = {masking}"));
    }
    assert_eq!(spec("optimizer.clip_norm = \"off\"").optimizer().clip_norm, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Neither the order of tables and keys nor the spelling of numbers is part of a specification.
    #[test]
    fn the_order_of_the_file_changes_nothing(order in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle()) {
        let lines = [
            ("experiment.name = \"x\"", "experiment.name = \"x\""),
            ("data.corpus = \"demo\"", "data.corpus = 'demo'"),
            ("objective.mask_ratio = 0.3", "objective.mask_ratio = 0.30"),
            ("optimizer.lr = 1e-3", "optimizer.lr = 0.001"),
            ("optimizer.clip_norm = 1", "optimizer.clip_norm = 1.0"),
            ("train.steps = 1000", "train.steps = 1_000"),
            ("model.preset = \"micro\"", "model.preset = \"micro\""),
            ("sweep.grid.objective.nsp = [\"off\", \"swap\"]", "sweep.grid.\"objective.nsp\" = [\"off\", \"swap\"]"),
        ];
        let plain: String = lines.iter().map(|(line, _)| format!("{line}\n")).collect();
        let shuffled: String = order.iter().map(|&i| format!("{}\n", lines[i].1)).collect();
        let hashes = |text: &str| planned(text, &[]).runs().iter().map(|run| run.hash).collect::<Vec<_>>();
        prop_assert_eq!(hashes(&plain), hashes(&shuffled));
    }
}

#[test]
fn a_fine_tuned_run_as_a_file_has_its_own_settings_and_the_seed() {
    let text =
        file("train.steps = 4\ntrain.seed = 7\n[finetune]\ntask = \"classify\"\ndata = \"x.tsv\"\ntrain.steps = 3\n");
    let plan = planned(&text, &[]);
    let tuned = plan.runs().into_iter().find(|run| matches!(run.spec.stage, StageSpec::Finetune(_))).unwrap();
    let text = experiment_file(&tuned.spec, "again", Some("7h2kq9xw")).unwrap().unwrap();
    for said in ["seed = 7", "run = \"7h2kq9xw\"", "[finetune.train]\nsteps = 3", "data = \"x.tsv\""] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    assert!(!text.contains("[model]") && !text.contains("corpus"), "{text}");
}

/// Pretraining that goes on from a run has its model and its tokenizer, and a corpus of its own.
#[test]
fn a_run_that_goes_on_as_a_file_leaves_to_the_other_what_is_its() {
    let spec = planned(&file("train.steps = 4\n"), &[]).runs()[0].spec.clone();
    let text = experiment_file(&spec, "again", Some("7h2kq9xw")).unwrap().unwrap();
    for said in ["run = \"7h2kq9xw\"", "corpus = \"demo\"", "[objective]", "steps = 4"] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    assert!(!text.contains("[model]") && !text.contains("[tokenizer]"), "{text}");
}

/// Whatever file plans a run, the file that is made of the run's specification plans it again.
#[test]
fn a_specification_as_a_file_plans_the_same_run() {
    let sets: [&[&str]; 13] = [
        &[],
        &["objective.nsp=random", "objective.masking=static"],
        &["objective.masking={ copies = 10 }", "schedule.kind=cosine"],
        &["train.epochs=2", "schedule.warmup_steps=5"],
        &["optimizer.kind=muon", "optimizer.clip_norm=off"],
        &[
            "model.preset=modern-tiny",
            "model.local_attention=8",
            "model.first_attention_norm=false",
            "objective.mask_ratio=0.3",
        ],
        &["tokenizer.kind=bpe", "tokenizer.vocab_size=3000", "data.demo_documents=77", "data.demo_seed=3"],
        &[
            "train.seed=9007199254740991",
            "train.seq_len=32",
            "model.norm_type=rms_norm",
            "objective.packing=concatenated",
        ],
        &["schedule.kind=plateau", "train.eval_every=10"],
        &["train.gradient_accumulation_steps=4", "train.isa=avx2", "train.checkpoint_every=7"],
        &["train.seq_len_warmup=[[16, 0.4], [32, 0.25]]", "train.isa=avx2"],
        &["optimizer.lr=1e-35", "optimizer.eps=1e-12", "model.initializer_range=0.0500000001"],
        &["model.hidden_dropout_prob=0", "model.attention_probs_dropout_prob=0", "model.mlm_bias_init=unigram"],
    ];
    for sets in sets {
        let plan = planned(
            &file("train.steps = 40"),
            &sets.iter().filter(|set| !set.starts_with("train.epochs")).copied().collect::<Vec<_>>(),
        );
        let spec = &plan.cells[0].runs[0].spec;
        let text = experiment_file(spec, "again", None).unwrap().expect("it was planned by a file");
        let again = planned(&text, &[]);
        assert_eq!(again.cells[0].runs[0].hash, spec.hash(), "{sets:?}\n{text}");
        assert_eq!(again.runs().len(), 1);
    }
    for text in [QUICKSTART, PETITIONS] {
        for run in planned(text, &[]).runs() {
            let text = experiment_file(&run.spec, "again", None).unwrap().unwrap();
            assert_eq!(planned(&text, &[]).runs()[0].hash, run.hash, "{text}");
        }
    }
}
