//! The seeds that a number of replicates draws: who shares luck with whom, and that nothing else counts.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const REPEATED: &str = "[sweep.replicates]\nseeds = 3\n";
const TASK: &str = "finetune.task = \"classify\"\nfinetune.data = \"a.tsv\"\n";

/// The seeds of every cell, by its label.
fn seeds(rest: &str, sets: &[&str]) -> BTreeMap<String, Vec<u64>> {
    let plan = planned(&file(&format!("{rest}{REPEATED}")), sets);
    plan.cells.into_iter().map(|cell| (cell.label, cell.runs.iter().map(|run| run.seed.0).collect())).collect()
}

/// How many groups of cells with the same seeds the plan of a sweep has. Seeds of two groups, and of two replicates, differ.
fn plots(rest: &str) -> usize {
    let seeds = seeds(rest, &[]);
    let plots: BTreeSet<&Vec<u64>> = seeds.values().collect();
    let all: BTreeSet<&u64> = plots.iter().copied().flatten().collect();
    assert_eq!(all.len(), 3 * plots.len(), "{seeds:?}");
    plots.len()
}

/// They are the identity of runs: a change here trains every sweep again.
#[test]
fn the_seeds_are_these() {
    let seeds = seeds("[sweep.grid]\nobjective.mask_ratio = [0.15, 0.3]\n", &[]);
    insta::assert_snapshot!(format!("{seeds:?}"), @r#"{"mask_ratio=0.15": [1568933706, 1568933707, 1568933708], "mask_ratio=0.3": [1101479104, 1101479105, 1101479106]}"#);
    assert!(seeds.values().flatten().all(|seed| *seed < 1 << 31));
}

#[test]
fn cells_share_luck_where_they_differ_in_what_redraws_none() {
    let schedules = "schedule.kind = [\"constant\", \"noam\"]\noptimizer.lr = [1e-3, 1e-4]\ntrain.steps = [10, 20]\n";
    let dropout = "model.hidden_dropout_prob = [0.0, 0.1]\n";
    let redrawn =
        "model.preset = [\"nano\", \"micro\"]\nobjective.mask_ratio = [0.15, 0.3]\ntrain.batch_size = [8, 16]\n";
    assert_eq!(plots(&format!("[sweep.grid]\n{schedules}{dropout}")), 1);
    assert_eq!(plots(&format!("[sweep.grid]\n{redrawn}")), 8);
    assert_eq!(plots(&format!("[sweep.grid]\n{schedules}{redrawn}")), 8);
}

#[test]
fn a_cell_has_its_seeds_in_every_sweep_and_alone() {
    let ratios = |ratios: &str| seeds(&format!("[sweep.grid]\nobjective.mask_ratio = [{ratios}]\n"), &[]);
    let (few, many) = (ratios("0.15, 0.3"), ratios("0.4, 0.3, 0.2, 0.15"));
    assert!(few.iter().all(|(label, seeds)| many[label] == *seeds));
    assert_eq!(seeds("objective.mask_ratio = 0.3\n", &[])[""], few["mask_ratio=0.3"]);
    assert_eq!(seeds("", &["objective.mask_ratio=0.3"])[""], few["mask_ratio=0.3"]);
    // A label is no setting, and neither is a default that is written out.
    let spelled = "objective.mask_ratio = 0.30\nobjective.whole_word = false\n";
    assert_eq!(seeds(spelled, &[])[""], few["mask_ratio=0.3"]);
    let hashes = |text: &str| planned(text, &[]).runs().iter().map(|run| run.hash).collect::<BTreeSet<_>>();
    let sweep = hashes(&file(&format!("[sweep.grid]\nobjective.mask_ratio = [0.15, 0.3]\n{REPEATED}")));
    assert!(hashes(&file(&format!("objective.mask_ratio = 0.3\n{REPEATED}"))).is_subset(&sweep));
}

#[test]
fn replicates_count_up_and_keep_their_luck() {
    let three = &seeds("", &[])[""];
    let five = &seeds("", &["sweep.replicates.seeds=5"])[""];
    assert_eq!((&five[..3], five.len()), (&three[..], 5));
    assert_eq!(seeds("train.seed = 2\n", &[])[""], five[2..], "other luck, and the next replicates");
    let plan = planned(&file(&format!("train.seed = 2\n{REPEATED}")), &[]);
    let numbers: Vec<u64> = plan.cells[0].runs.iter().map(|run| run.replicate.number).collect();
    assert_eq!((numbers, plan.cells[0].runs[0].replicate.to_string().as_str()), (vec![2, 3, 4], "replicate=2"));
}

/// What every cell had before: one seed, a list, or numbers that are paired.
#[test]
fn common_seeds_are_as_they_were() {
    let grid = "[sweep.grid]\nobjective.mask_ratio = [0.15, 0.3]\n";
    let hashes = |rest: &str| planned(&file(&format!("{grid}{rest}")), &[]).runs().iter().map(|run| run.hash).collect();
    let listed: Vec<SpecHash> = hashes("[sweep.replicates]\nseeds = [0, 1]\n");
    assert_eq!(hashes("[sweep.replicates]\nseeds = 2\npaired = true\n"), listed);
    assert_eq!(hashes(""), [listed[0], listed[2]]);
    let alone = spec("objective.mask_ratio = 0.3\ntrain.seed = 1\n").hash();
    assert_eq!(alone, listed[3]);
}

/// Fine-tuning has the luck of the pretraining that it starts from, and none of its settings gives it another one.
#[test]
fn fine_tuning_has_the_luck_of_its_pretraining() {
    let heads = "finetune.encoder = [\"trained\", \"frozen\"]\nfinetune.train.batch_size = [8, 16]\n";
    let text = |grid: &str| format!("{TASK}[sweep.grid]\n{grid}");
    let plan = planned(&file(&format!("{}objective.mask_ratio = [0.15, 0.3]\n{REPEATED}", text(heads))), &[]);
    let runs = || plan.cells.iter().flat_map(|cell| &cell.runs);
    assert!(runs().all(|run| run.inputs[0].seed == run.seed && run.inputs[0].replicate == run.replicate));
    let pretrained: BTreeSet<SpecHash> = runs().map(|run| run.inputs[0].hash).collect();
    assert_eq!((runs().count(), pretrained.len()), (24, 6), "pretraining knows nothing of what comes after it");
    let seeds: BTreeSet<u64> = runs().map(|run| run.seed.0).collect();
    assert_eq!(seeds.len(), 6);
    let alone = planned(&file(&format!("objective.mask_ratio = 0.3\n{REPEATED}")), &[]);
    assert!(alone.runs().iter().all(|run| pretrained.contains(&run.hash)));
}

/// Without a pretraining of the plan, the task and its batches make the plots.
#[test]
fn fine_tuning_from_random_weights_has_luck_of_its_own() {
    let random = |grid: &str| format!("{TASK}finetune.start = \"random\"\n[sweep.grid]\n{grid}\n");
    assert_eq!(plots(&random("finetune.optimizer.eps = [1e-8, 1e-6]\nfinetune.train.batch_size = [8, 16]")), 2);
    assert_eq!(plots(&random("finetune.valid_fraction = [0.1, 0.2]\nfinetune.optimizer.lr = [1e-3, 1e-4]")), 2);
    assert_eq!(
        plots(&random("finetune.fold = [\"1/2\", \"2/2\"]\nfinetune.limit = [10, 100]")),
        2,
        "limits share examples"
    );
    // Whatever the pretraining would have been is none of it.
    let with = |ratio: f64| seeds(&format!("{TASK}finetune.start = \"random\"\nobjective.mask_ratio = {ratio}\n"), &[]);
    assert_eq!(with(0.15), with(0.3));
}

/// A stored run brings its luck with it: what is drawn is the order of the examples and the head.
#[test]
fn fine_tuning_of_a_stored_run_draws_by_its_task_and_its_start() {
    struct Stored;
    impl LookUp for Stored {
        fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
            facts(corpus)
        }
        fn dictionary(&mut self, name: &str) -> Result<crate::types::ContentHash, String> {
            Everything.dictionary(name)
        }
        fn run(&mut self, name: &str) -> Result<RunSpec, String> {
            Ok(spec(&format!("train.seed = {name}\n")))
        }
        fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
            Everything.examples(examples)
        }
    }
    let grid = "[sweep.grid]\nfinetune.run = [\"7\", \"8\"]\nfinetune.train.batch_size = [8, 16]\nfinetune.optimizer.lr = [1e-3, 1e-4]\n";
    let plan = plan_with(&experiment(&format!("experiment.name = \"x\"\n{TASK}{grid}{REPEATED}"), &[]), &mut Stored);
    let plan = plan.unwrap_or_else(|problems| panic!("{problems}"));
    let plots: BTreeSet<Vec<u64>> =
        plan.cells.iter().map(|cell| cell.runs.iter().map(|run| run.seed.0).collect()).collect();
    assert_eq!((plan.cells.len(), plots.len()), (8, 4));
}

/// Runs that differ in their number of steps alone are still one trajectory.
#[test]
fn replicates_share_their_steps() {
    let rest = "[schedule]\nkind = \"constant\"\nwarmup_steps = 5\n[train]\neval_every = 10\n[sweep.grid]\ntrain.steps = [20, 40]\n";
    assert_eq!(planned(&file(&format!("{rest}{REPEATED}")), &[]).savings(|_| true).steps, 60);
}
