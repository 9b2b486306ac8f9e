//! Shorter sequences first, within one run: killed, resumed, on any number of threads, reproduced, continued and shown.

use crate::determinism::{Victim, bits, kill_after, recorded};
use crate::support::Workbench;

const RISING: &str =
    "seq_len_warmup = [[8, 0.4], [16, 0.3]]\n[objective]\nnsp = \"random\"\n[schedule]\nkind = \"cosine\"\n";

#[test]
fn a_run_is_killed_in_each_of_its_lengths_and_comes_out_the_same() {
    let line = "run tiny.toml --set train.steps=300 --set train.eval_every=100 --set train.checkpoint_every=20 \
                --set train.gradient_accumulation_steps=2";
    let reference = Workbench::tiny(RISING);
    reference.stdout(&format!("{line} --threads 1"));
    let reference = reference.only_run();
    let workbench = Workbench::tiny(RISING);
    for step in [30, 100, 90] {
        kill_after(&workbench, &format!("{line} --threads 1"), Victim::Worker, step);
    }
    workbench.stdout(&format!("{line} --threads 3"));
    let run = workbench.only_run();
    assert_eq!((bits(&run), recorded(&run)), (bits(&reference), recorded(&reference)));
    let reproduced = workbench.json("reproduce latest --json", "ablate-reproduce-1");
    assert_eq!(reproduced["verdict"]["verdict"], "identical");
}

/// An axis of lengths, from its plan to its comparison; runs that differ in it; and a stage that goes on from one with lengths of its own.
#[test]
fn lengths_are_planned_compared_shown_and_gone_on_from() {
    let grid = "[sweep.grid]\n\"train.seq_len_warmup\" = [\"off\", [[8, 0.4], [16, 0.3]]]\n";
    let workbench = Workbench::tiny(grid);
    let plan = workbench.stdout("plan tiny.toml");
    assert!(plan.contains("[[8, 0.4], [16, 0.3]]"), "{plan}");
    workbench.stdout("run tiny.toml --threads 1");
    for line in ["compare tiny.toml --tables", "compare experiment=tiny --tables", "list"] {
        let text = workbench.stdout(line);
        assert!(text.contains("[[8, 0.4], [16, 0.3]]") && text.contains("off"), "{line}\n{text}");
    }
    let ids: Vec<String> = workbench.list().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    let rising = ids.iter().find(|id| workbench.stdout(&format!("show {id}")).contains("seq_len_warmup = [["));
    let rising = rising.expect("a run that says its lengths");
    let plain = ids.iter().find(|id| *id != rising).unwrap();
    let diff = workbench.stdout(&format!("diff {plain} {rising}"));
    let row = diff.lines().find(|line| line.contains("train.seq_len_warmup")).unwrap_or_else(|| panic!("{diff}"));
    assert!(row.contains("[[8, 0.4], [16, 0.3]]") && diff.matches("seq_len_warmup").count() == 1, "{diff}");
    let text = workbench.stdout(&format!("show {rising} --toml"));
    assert!(text.contains("seq_len_warmup = [[8, 0.4], [16, 0.3]]"), "{text}");

    let next = format!(
        "[experiment]\nname = \"next\"\n[data]\ncorpus = \"demo\"\ndemo_documents = 50\n[train]\nrun = \"{rising}\"\nsteps = 12\n\
         batch_size = 8\nseq_len = 48\nseq_len_warmup = [[24, 0.5]]\neval_every = 6\n"
    );
    let workbench = workbench.write("next.toml", next);
    workbench.stdout("run next.toml --threads 1");
    let verdict = workbench.json("reproduce latest --json", "ablate-reproduce-1");
    assert_eq!(verdict["verdict"]["verdict"], "identical");
}
