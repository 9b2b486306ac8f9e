//! Pretraining in stages: a run that goes on from the weights of another, on other text, at another length.

use serde_json::Value;

use crate::determinism::{bits, recorded};
use crate::support::Workbench;

/// A stage after the run `before`, on other text and longer sequences, with pairs in one of its cells.
fn next(before: &str, extra: &str) -> String {
    format!(
        "[experiment]\nname = \"next\"\n[data]\ncorpus = \"demo\"\ndemo_documents = 50\ndemo_seed = 7\n[train]\nrun = \"{before}\"\n\
         steps = 12\nbatch_size = 8\nseq_len = 48\neval_every = 6\ncheckpoint_every = 4\n{extra}"
    )
}

fn show(workbench: &Workbench, run: &str) -> Value {
    workbench.json(&format!("show {run} --json"), "ablate-run-1")
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}

/// The runs of an experiment, oldest first.
fn of(workbench: &Workbench, name: &str) -> Vec<Value> {
    let rows = workbench.json(&format!("list experiment={name} --json"), "ablate-list-1");
    rows["runs"].as_array().unwrap().iter().rev().map(|row| show(workbench, id(row))).collect()
}

#[test]
fn a_stage_goes_on_from_another_with_its_model_and_its_tokenizer() {
    let workbench = Workbench::tiny("[objective]\npacking = \"concatenated\"\n");
    workbench.stdout("run tiny.toml --threads 1");
    let first = workbench.only_run();
    let pairs = "[sweep.grid]\n\"objective.nsp\" = [\"off\", \"random\"]\n";
    let workbench = workbench.write("next.toml", next(id(&first), pairs));
    workbench.stdout("run next.toml --threads 1");
    let stages = of(&workbench, "next");
    assert_eq!(stages.len(), 2);
    for stage in &stages {
        assert_eq!(stage["facts"]["starts_from"]["run"], first["id"]);
        assert_eq!(stage["facts"]["starts_from"]["weights"], first["facts"]["final_weights"]);
        assert_eq!(stage["facts"]["tokenizer_hash"], first["facts"]["tokenizer_hash"]);
        assert_eq!(stage["spec"]["model"], first["spec"]["model"]);
        assert_eq!(stage["spec"]["inputs"]["weights"], first["spec_hash"]);
        // It begins where the other ended, not at the logarithm of the vocabulary.
        let losses = |run: &Value| run["series"]["train/mlm_loss"]["values"].as_array().unwrap().clone();
        let (begins, ended) = (losses(stage)[0].as_f64().unwrap(), losses(&first)[0].as_f64().unwrap());
        assert!(begins < ended - 0.1, "{begins} after {ended}");
        let reproduced = workbench.stdout(&format!("reproduce {}", id(stage)));
        assert!(reproduced.contains("identical"), "{reproduced}");
        workbench.stdout(&format!("memorisation {} --spans 8 --length 3", id(stage)));
        workbench.stdout(&format!("fill-mask {} [MASK]", id(stage)));
    }
    assert_ne!(bits(&stages[0]), bits(&stages[1]));
    // A third stage, from the second, without the cache: the tokenizer is the first one's still.
    std::fs::remove_dir_all(workbench.path("runs/cache")).unwrap();
    let workbench = workbench.write("third.toml", next(id(&stages[0]), "").replace("\"next\"", "\"third\""));
    workbench.stdout("run third.toml --threads 1");
    let third = &of(&workbench, "third")[0];
    assert_eq!(third["facts"]["tokenizer_hash"], first["facts"]["tokenizer_hash"]);
    // What others stand on is not collected.
    let freed = workbench.run(&format!("delete {}", id(&first)));
    assert_ne!(freed.code, Some(0), "{}", freed.stdout);
}

#[test]
fn a_stage_of_what_cannot_be_gone_on_from_is_refused() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --threads 1");
    let first = workbench.only_run();
    let first = id(&first);
    let refused = |extra: &str, problem: &str| {
        let text = next(first, extra);
        let text = if extra.starts_with("seq_len") { text.replace("seq_len = 48\n", "") } else { text };
        std::fs::write(workbench.path("bad.toml"), text).unwrap();
        let output = workbench.run("plan bad.toml");
        assert_eq!(output.code, Some(2), "{}{}", output.stdout, output.stderr);
        let words =
            output.stderr.split_whitespace().collect::<Vec<_>>().join(" ").replace(first, "[RUN]").replace(" │ ", " ");
        assert!(words.contains(problem), "{words}");
    };
    refused(
        "[model]\nhidden_size = 64\n",
        "`model.hidden_size` is that of the run `[RUN]`, which pretraining starts from",
    );
    refused("[tokenizer]\nkind = \"bpe\"\n", "`tokenizer.kind` is that of the run");
    refused("seq_len = 1000\n", "`train.seq_len` 1000 is longer than that run has positions for");
    std::fs::write(workbench.path("bad.toml"), next("zzzz", "")).unwrap();
    let output = workbench.run("plan bad.toml");
    assert!(output.code == Some(2) && output.stderr.contains("zzzz"), "{}", output.stderr);
}

#[test]
fn recorded_values_of_a_stage_do_not_depend_on_threads() {
    let run = |threads: u8| {
        let workbench = Workbench::tiny("");
        workbench.stdout("run tiny.toml --threads 1");
        let first = workbench.only_run();
        let workbench = workbench.write("next.toml", next(id(&first), ""));
        workbench.stdout(&format!("run next.toml --threads {threads}"));
        recorded(&of(&workbench, "next")[0])
    };
    assert_eq!(run(1), run(2));
}
