//! `--set KEY=VALUE`.

use super::{QUICKSTART, alone, experiment, file, planned};
use crate::plan::{Masking, TrainLength, Warmup, read};

#[test]
fn arguments_win_over_the_file() {
    let text = file("train.batch_size = 8\ntrain.steps = 10\nschedule.warmup_ratio = 0.2\n");
    let sets = ["train.batch_size=16", "schedule.kind=cosine", "objective.masking={copies=3}", "data.corpus=a b.txt"];
    let spec = planned(&text, &sets).runs()[0].spec.clone();
    assert_eq!((spec.train().batch_size, spec.objective().masking), (16, Masking::Copies(3)));
    assert_eq!(spec.data().unwrap().corpus, "a b.txt");
    let replaced = planned(&text, &["train.epochs=2", "schedule.warmup_steps = 3"]).runs()[0].spec.clone();
    assert_eq!((replaced.train().length, replaced.schedule().warmup), (TrainLength::Epochs(2.0), Warmup::Steps(3)));
    let last = planned(&text, &["train.steps=1", "train.steps=2"]).runs()[0].spec.clone();
    assert_eq!(last.train().length, TrainLength::Steps(2), "the last of several arguments wins");
}

#[test]
fn text_needs_no_quotes() {
    assert_eq!(experiment(&file(""), &["experiment.name=123"]).name, "123");
    assert_eq!(experiment(&file(""), &["experiment.name=\"a = b\""]).name, "a = b");
}

#[test]
fn a_swept_key_is_fixed_or_given_other_values() {
    let fixed = planned(QUICKSTART, &["objective.mask_ratio=0.15"]);
    assert_eq!((fixed.cells.len(), fixed.baseline), (8, Some(0)));
    let listed = planned(QUICKSTART, &["objective.mask_ratio=[0.1, 0.15, 0.2]", "sweep.replicates.seeds=2"]);
    assert_eq!((listed.runs().len(), listed.baseline), (48, Some(4)));
    let added = planned(QUICKSTART, &["sweep.grid.\"train.batch_size\"=[8, 16]"]);
    assert_eq!(added.cells.len(), 32);
}

#[test]
fn a_list_of_tables_is_given_whole() {
    let zip = "sweep.zip=[{ \"model.preset\" = [\"nano\", \"micro\"], optimizer.lr = [2e-3, 1e-3] }]";
    assert_eq!(planned(&file(""), &[zip]).tally.to_string(), "zip 2 = 2 cells");
    let exclude = "sweep.exclude=[{ match = { \"schedule.kind\" = \"cosine\" }, because = \"known\" }]";
    assert_eq!(planned(QUICKSTART, &[exclude, "sweep.replicates.paired=true"]).cells.len(), 8);
}

#[test]
fn narrowing_may_leave_no_baseline() {
    let narrowed = experiment(QUICKSTART, &["objective.mask_ratio=0.4"]);
    assert!(narrowed.baseline.is_none());
    insta::assert_snapshot!(narrowed.warnings[0].line(&narrowed.source), @"x.toml:13:18: warning: the baseline model.preset = modern-nano, objective.mask_ratio = 0.15, objective.nsp = off, schedule.kind = linear describes 0 of the cells that --set leaves, not one (nothing is compared with a baseline)");
}

#[test]
fn mistakes_name_the_argument() {
    let sets = ["train.steps=many", "train.step=3", "train.epochs=1", "schedule.warmup_steps=-1", "nsp=off", "model"];
    let sets = sets.map(str::to_owned);
    insta::assert_snapshot!(read(&file(""), "x.toml", &sets, &mut alone).expect_err("mistakes"), @r#"
    --set train.steps=many: error: `train.steps` must be a whole number, at least 1, not the text "many" (`train.steps`: Optimizer steps; excludes epochs and budget)
    --set train.step=3: error: unknown key `train.step` (did you mean `train.steps`?)
    --set schedule.warmup_steps=-1: error: `schedule.warmup_steps` must be a whole number, at least 0, not -1 (`schedule.warmup_steps`: The warmup in steps; excludes warmup_ratio)
    --set nsp=off: error: unknown key `nsp` (did you mean `objective.nsp`?)
    --set model: error: `--set` takes KEY=VALUE (write for example --set train.steps=100)
    "#);
    let sets = [
        "sweep.zip.optimizer.lr=[1, 2]",
        "sweep.when={}",
        "sweep.replicates.paired=false",
        "sweep.replicates.seeds=[3, 4, 3]",
    ];
    let sets = sets.map(str::to_owned);
    insta::assert_snapshot!(read(&file(""), "x.toml", &sets, &mut alone).expect_err("mistakes"), @r"
    --set sweep.zip.optimizer.lr=[1, 2]: error: `sweep.zip` is a list of tables, and an argument gives it whole (write --set 'sweep.zip=[{ ... }]', or change the file)
    --set sweep.when={}: error: `sweep.when` must be a list of tables, not a table (write --set 'sweep.when=[{ ... }]')
    --set sweep.replicates.seeds=[3, 4, 3]: error: `sweep.replicates.seeds` has the seed 3 twice (`sweep.replicates.seeds` must be how many seeds, at least 1, or a list of distinct whole numbers)
    --set sweep.replicates.paired=false: error: `sweep.replicates.paired = false` goes with a number of seeds, not with one or a list (write seeds = 3 under [sweep.replicates], or take this out)
    ");
    let both = ["train.steps=3".to_owned(), "train.epochs=3".to_owned()];
    insta::assert_snapshot!(read(&file(""), "x.toml", &both, &mut alone).expect_err("mistakes"), @"--set train.steps=3: error: `train.steps` and `train.epochs` exclude each other (take one of them out)");
}
