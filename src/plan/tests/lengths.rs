//! `train.seq_len_warmup`: what is refused, how it is stored, and what it costs.

use proptest::prelude::*;

use super::{alone, file, planned, read, spec};
use crate::plan::{LengthStage, RunSpec, TrainLength, estimate, experiment_file, sequence_flops, training_flops};

const RISING: &str = "train.seq_len_warmup = [[16, 0.4], [32, 0.2]]\n";

fn mistakes(rest: &str) -> String {
    match read(&file(rest), "x.toml", &[], &mut alone) {
        Err(problems) => problems.to_string(),
        Ok(experiment) => experiment.warnings.iter().map(|warning| warning.line(&experiment.source)).collect(),
    }
}

#[test]
fn lengths_that_lead_nowhere_are_refused() {
    insta::assert_snapshot!(mistakes("train.seq_len_warmup = [[32, 0.4], [16, 0.2]]"), @"x.toml:3:24: error: the lengths of `train.seq_len_warmup` do not rise: 16 follows 32 (in order: 16, 32, 128)");
    insta::assert_snapshot!(mistakes("train.seq_len = 64\ntrain.seq_len_warmup = [[16, 0.4], [64, 0.2]]"), @"x.toml:4:24: error: `train.seq_len_warmup` has the length 64, and `train.seq_len` is 64: what comes first is shorter (in order: 16, 64)");
    insta::assert_snapshot!(mistakes("train.batch_size = 10\ntrain.seq_len_warmup = [[24, 0.4]]"), @"x.toml:4:24: error: a batch of 10 x 128 = 1280 tokens does not make whole sequences of the length 24 of `train.seq_len_warmup` (lengths that do: 8, 10, 16, 20, 32, 40, 64, 80)");
    insta::assert_snapshot!(mistakes("train.batch_size = 1\ntrain.seq_len = 13\ntrain.seq_len_warmup = [[8, 0.4]]"), @"x.toml:5:24: error: a batch of 1 x 13 = 13 tokens does not make whole sequences of the length 8 of `train.seq_len_warmup` (no shorter length does: take another batch size)");
    insta::assert_snapshot!(mistakes("train.seq_len_warmup = [[16, 0.7], [32, 0.2], [64, 0.1]]"), @"x.toml:3:24: error: the shares of `train.seq_len_warmup` leave no step for sequences of 128 (together they are less than 1: the rest is made at `train.seq_len`)");
    insta::assert_snapshot!(mistakes("train.seq_len_warmup = [16, 0.4]"), @r#"x.toml:3:24: error: `train.seq_len_warmup` must be a list of lengths, at least 8, each with its share of the steps, between 0 and 1, like [[16, 0.4], [32, 0.2]], or "off", not the list [16, 0.4] (`train.seq_len_warmup`: Shorter sequences first: lengths, each with its share of all steps; the rest is made at seq_len. A step has as many tokens at every length)"#);
    insta::assert_snapshot!(mistakes("[sweep.grid]\n\"train.batch_size\" = [32, 12]\n\"train.seq_len_warmup\" = [\"off\", [[16, 0.4]], [[20, 0.4]]]"), @"
    x.toml:5:47: error: a batch of 32 x 128 = 4096 tokens does not make whole sequences of the length 20 of `train.seq_len_warmup` (lengths that do: 8, 16, 32, 64)
    x.toml:5:47: error: a batch of 12 x 128 = 1536 tokens does not make whole sequences of the length 20 of `train.seq_len_warmup` (lengths that do: 8, 12, 16, 24, 32, 48, 64, 96)
    ");
}

/// Examples of a task are cut, not packed: there is nothing to make shorter sequences of.
#[test]
fn fine_tuning_has_no_lengths() {
    let stage = "[finetune]\ntask = \"classify\"\ndata = \"a.tsv\"\n";
    insta::assert_snapshot!(mistakes(&format!("{stage}train.seq_len_warmup = [[16, 0.4]]")), @"x.toml:6:7: error: unknown key `finetune.train.seq_len_warmup` (did you mean `train.seq_len_warmup`?)");
    insta::assert_snapshot!(mistakes(&format!("{stage}start = \"random\"\n[sweep.grid]\n\"train.seq_len_warmup\" = [\"off\", [[16, 0.4]]]")), @r#"x.toml:8:1: error: `train.seq_len_warmup` is varied, but no run reads it where `finetune.start` is random (vary it only where it is read: `[[sweep.when]]` with `if = { "finetune.start" = "pretrained" }` and `grid = { "train.seq_len_warmup" = [...] }`)"#);
    let tuned = spec(stage).to_toml().unwrap();
    let with = tuned.replace("[train]\n", "[train]\nseq_len_warmup = [[16, 0.4]]\n");
    let refused = RunSpec::from_toml(&with).expect_err("fine-tuning with lengths").to_string();
    assert_eq!(refused, "the specification has the unknown key `train.seq_len_warmup`");
}

/// Off is what runs were before there were lengths; what is said is one setting, as it is written.
#[test]
fn lengths_are_one_setting_of_the_identity() {
    let (plain, rising) = (spec(""), spec(RISING));
    assert_eq!(spec("train.seq_len_warmup = \"off\"").hash(), plain.hash());
    assert!(!plain.to_toml().unwrap().contains("seq_len_warmup"));
    let lines = |spec: &RunSpec| spec.canonical().lines().map(str::to_owned).collect::<Vec<_>>();
    let added = lines(&rising).into_iter().filter(|line| !lines(&plain).contains(line)).collect::<Vec<_>>();
    assert_eq!(added, ["train.seq_len_warmup=[[16, 0.4], [32, 0.2]]"]);
    let stored = rising.to_toml().unwrap();
    assert!(stored.contains("\nseq_len_warmup = [[16, 0.4], [32, 0.2]]\n"), "{stored}");
    assert_eq!(RunSpec::from_toml(&stored), Ok(rising.clone()));
    for no_length in ["[[0, 0.4]]", "[[-16, 0.4]]", "[[16.0, 0.4]]", "[16, 0.4]", "[[16]]"] {
        assert!(RunSpec::from_toml(&stored.replace("[[16, 0.4], [32, 0.2]]", no_length)).is_err(), "{no_length}");
    }
    let again = experiment_file(&rising, "again", None).unwrap().unwrap();
    assert_eq!(planned(&again, &[]).runs()[0].hash, rising.hash(), "{again}");
}

#[test]
fn lengths_are_an_axis() {
    let grid = "[sweep.grid]\n\"train.seq_len_warmup\" = [\"off\", [[16, 0.4], [32, 0.2]], [[64, 0.9]]]\n";
    let labels = |text: &str, sets: &[&str]| {
        planned(text, sets).cells.iter().map(|cell| cell.label.clone()).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(labels(&file(grid), &[]), @"
    seq_len_warmup=off
    seq_len_warmup=[[16, 0.4], [32, 0.2]]
    seq_len_warmup=[[64, 0.9]]
    ");
    assert_eq!(labels(&file(grid), &["train.seq_len_warmup=[[8, 0.5]]"]), "seq_len_warmup=[[8, 0.5]]");
    assert_eq!(labels(&file(grid), &["train.seq_len_warmup=[[[8, 0.5]], \"off\"]"]).lines().count(), 2);
    let drawn = "[sweep.random]\nn = 2\n\"train.seq_len_warmup\" = { choice = [\"off\", [[16, 0.4]]] }\n";
    assert_eq!(planned(&file(drawn), &[]).cells.len(), 2);
    // Other batches are other luck.
    let seeds = "[sweep.replicates]\nseeds = 1\n";
    let plan = planned(&file(&format!("{grid}{seeds}")), &[]);
    assert_ne!(plan.cells[0].runs[0].seed, plan.cells[1].runs[0].seed);
}

/// Shares of all steps hang on how many there are: no run is the beginning of a longer one.
#[test]
fn a_run_with_rising_lengths_shares_no_steps() {
    let constant = "schedule.kind = \"constant\"\nschedule.warmup_steps = 0\n";
    assert!(spec(constant).trajectory().is_some());
    assert!(spec(&format!("{constant}{RISING}")).trajectory().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Every step is in one stretch, that of its place among all steps, and has as many positions as any.
    #[test]
    fn each_step_has_the_length_of_its_place(
        steps in 0u64..400, shares in prop::collection::vec(1u32..30, 0..4), batch in 1usize..5,
    ) {
        let mut train = spec("train.seq_len = 128\n").train().clone();
        let lengths = [8, 16, 32, 64];
        train.batch_size = batch;
        train.seq_len_warmup = shares.iter().zip(lengths)
            .map(|(&share, seq_len)| LengthStage { seq_len, share: f64::from(share) / 100.0 }).collect();
        let stretches = train.stretches(steps);
        prop_assert_eq!(stretches.len(), shares.len() + 1);
        for step in 0..steps {
            let of_step: Vec<_> = stretches.iter().filter(|stretch| stretch.steps.contains(&step)).collect();
            prop_assert_eq!(of_step.len(), 1);
            prop_assert_eq!(of_step[0].batch_size * of_step[0].seq_len, train.positions_a_pass());
            // In whole hundredths: the first stage whose end, to the nearest step, is beyond this one.
            let ends = shares.iter().scan(0, |sum, share| { *sum += u64::from(*share); Some(*sum) });
            let nearest = |sum: u64| (sum * steps + 50) / 100;
            let place = ends.into_iter().position(|sum| nearest(sum) > step).unwrap_or(shares.len());
            let expected = if place == shares.len() { 128 } else { lengths[place] };
            prop_assert_eq!(of_step[0].seq_len, expected, "step {}", step);
        }
    }
}

/// The operations of a run are those of its stretches, each a run of its length; its positions are those of any.
#[test]
fn a_run_costs_what_its_stretches_cost() {
    for rest in ["", "objective.nsp = \"random\"\n", "train.gradient_accumulation_steps = 3\n"] {
        let of =
            |steps: u64, batch: usize, seq_len: usize| {
                let its = format!("{rest}[train]\nsteps = {steps}\nbatch_size = {batch}\nseq_len = {seq_len}\n");
                estimate(&spec(&its.replace(
                    "train.gradient_accumulation_steps = 3\n[train]",
                    "[train]\ngradient_accumulation_steps = 3",
                )))
            };
        let rising = spec(&format!("{rest}train.steps = 1000\n{RISING}"));
        let cost = estimate(&rising);
        let parts = [of(400, 256, 16), of(200, 128, 32), of(400, 32, 128)];
        let sum: f64 = parts.iter().map(|part| part.flops.unwrap()).sum();
        assert!((cost.flops.unwrap() / sum - 1.0).abs() < 1e-12);
        assert_eq!(cost.positions, of(1000, 32, 128).positions);
        // A run that was stopped has made the first of its steps.
        let begun = parts[0].flops.unwrap() + of(100, 128, 32).flops.unwrap();
        assert!((training_flops(&rising, 500) / begun - 1.0).abs() < 1e-12);
        assert_eq!(sequence_flops(&rising), sequence_flops(&spec(rest)));
    }
}

/// A budget pays for so many steps that one more would be too many; one of tokens for as many as without shorter lengths.
#[test]
fn a_budget_counts_every_length() {
    let steps =
        |budget: &str, lengths: &str| estimate(&spec(&format!("train.budget = {budget}\n{lengths}"))).steps.unwrap();
    assert_eq!(steps("{ tokens = 1e6 }", RISING), steps("{ tokens = 1e6 }", ""));
    for flops in [3e11, 1e12, 1.234e13, 7e13] {
        for lengths in [RISING, "train.seq_len_warmup = [[8, 0.05], [16, 0.05], [32, 0.05], [64, 0.8]]\n"] {
            let run = spec(&format!("train.budget = {{ flops = {flops:e} }}\n{lengths}"));
            let cost = |steps: u64| {
                let mut run = run.clone();
                run.train_mut().length = TrainLength::Steps(steps);
                estimate(&run).flops.unwrap()
            };
            let steps = estimate(&run).steps.unwrap();
            assert!(cost(steps) <= flops && cost(steps + 1) > flops, "{steps} steps for {flops:e}");
        }
    }
    assert!(steps("{ flops = 1e13 }", RISING) > steps("{ flops = 1e13 }", ""), "shorter sequences are cheaper");
}
