//! `ablate compare` over any runs: axes from what differs, and answers to questions that have no comparison.

use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{TINY, Workbench};

/// Two cells of two seeds, and beside them another experiment that differs in size and steps.
fn workbench() -> Workbench {
    let workbench =
        Workbench::tiny("[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]\n[sweep.replicates]\nseeds = 2\n");
    workbench.stdout("run tiny.toml --set train.steps=10");
    workbench.stdout("run tiny.toml --set train.steps=10 --set experiment.name=\"wide\" --set model.hidden_size=64");
    workbench
}

fn names(axes: &Value) -> String {
    let axis = |axis: &Value| format!("{} {} with {}", axis["name"], axis["values"], axis["changes_with"]);
    axes.as_array().unwrap().iter().map(axis).collect::<Vec<_>>().join("; ")
}

#[test]
fn any_runs_are_compared_along_what_differs() {
    let workbench = workbench();
    let all = workbench.json("compare state=finished --json", "ablate-comparison-2");
    assert_snapshot!(names(&all["axes"]), @r#""hidden_size" ["32","64"] with ["attention_head_size"]; "mask_ratio" ["0.15","0.3"] with []"#);
    assert_eq!(all["cells"].as_array().unwrap().len(), 4);
    assert!(all["cells"].as_array().unwrap().iter().all(|cell| cell["n"] == 2), "{all}");
    assert_eq!((&all["metric"], &all["goal"]), (&json!("valid/mlm_loss_mask"), &json!("minimize")));

    let wide = workbench.json("compare wide --metric valid/masked_accuracy --json --out here", "ablate-comparison-2");
    assert_snapshot!(names(&wide["axes"]), @r#""mask_ratio" ["0.15","0.3"] with []"#);
    assert_eq!(wide["goal"], "maximize");
    assert!(workbench.path("here/report.html").exists() && workbench.path("here/effects.svg").exists());

    let ids: Vec<String> = workbench.list().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    let some = workbench.json(&format!("compare {} --json", ids.join(" ")), "ablate-comparison-2");
    assert_eq!(some["cells"], all["cells"], "ids name the same runs");
}

#[test]
fn a_query_and_its_file_have_the_same_numbers_and_the_same_pictures() {
    let workbench = workbench();
    let file = workbench.json("compare tiny.toml --set train.steps=10 --out file --json", "ablate-comparison-2");
    let query = workbench.json("compare tiny hidden_size=32 --out query --json", "ablate-comparison-2");
    assert_eq!((&file["cells"], &file["effects"]), (&query["cells"], &query["effects"]));
    workbench.stdout("compare tiny hidden_size=32 --out again");
    let mut compared = 0;
    for entry in fs::read_dir(workbench.path("query")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".svg") || name.ends_with(".png") {
            let read = |folder: &str| fs::read(workbench.path(&format!("{folder}/{name}"))).unwrap();
            assert!(read("query") == read("again"), "{name}: the same runs, other bytes");
            compared += 1;
        }
    }
    assert!(compared >= 6, "{compared}");
}

#[test]
fn what_is_no_comparison_is_explained() {
    let workbench = workbench();
    let refused = |line: &str| {
        let output = workbench.run(line);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{line}");
        workbench.scrub(&output.stderr)
    };
    let answers = [
        "compare state=failed",
        "compare nobody",
        "compare latest",
        "compare tiny state=failed",
        "compare tiny mask_ratio=0.3",
        "compare hidden_size=64 mask_ratio=0.3 limit=1",
        "compare state=finished --set train.steps=3",
        "compare state=finished --metric valid/mlm_los",
        "compare mask_ration=0.3",
    ];
    assert_snapshot!(answers.map(refused).concat(), @r"
    error: no run matches `state=failed`; `ablate list` shows all runs
    error: `nobody` is no experiment and begins no run's id

      nobody
      ^^^^^^
      `ablate list` shows all runs
    error: one run matches `latest`: [RUN]. A comparison needs runs that differ; widen the query
    error: no run of `tiny` matches the rest of `tiny state=failed`; `ablate list tiny` shows them
    error: the 2 runs that match `tiny mask_ratio=0.3` differ in nothing but the seed: they are one cell, and there is nothing to compare. Widen the query, or see a run with `ablate show [RUN]`
    error: one run matches `hidden_size=64 mask_ratio=0.3 limit=1`: [RUN]. A comparison needs runs that differ; widen the query
    error: --set train.steps=3 changes an experiment file; a query takes runs as they are: write KEY=VALUE alone
    error: no run has recorded `valid/mlm_los`; recorded are time/tokens_per_s, train/accuracy_kept, train/accuracy_mask, train/accuracy_random, train/grad_norm, train/loss, train/lr, train/mlm_loss, train/mlm_loss_kept, train/mlm_loss_mask, train/mlm_loss_random, train/real_token_share, train/tokens, valid/accuracy_kept, valid/accuracy_mask, valid/accuracy_random, valid/bits_per_character, valid/masked_accuracy, valid/mlm_loss, valid/mlm_loss_kept, valid/mlm_loss_mask, valid/mlm_loss_random, valid/perplexity
    error: no run has a setting `mask_ration`

      mask_ration=0.3
      ^^^^^^^^^^^
      did you mean `objective.mask_ratio`?
    ");
    assert!(refused("compare missing.toml").contains("cannot read the experiment file `missing.toml`"));
    assert!(!workbench.path("runs/reports/query state=failed").exists());
}

/// A run that is made again proves something, and is no replicate.
#[test]
fn reproductions_are_left_out_and_said_to_be() {
    let workbench = workbench();
    workbench.stdout("reproduce latest");
    let output = workbench.run("compare state=finished --json");
    assert!(output.stderr.contains("1 run left out: runs that execute another one again"), "{}", output.stderr);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(json["cells"].as_array().unwrap().iter().all(|cell| cell["seeds"].as_array().unwrap().len() == 2));
}

/// Tokenizers have other tokens: each is shown by itself, and all of them together by the character.
#[test]
fn tokenizers_are_compared_by_the_character_alone() {
    let grid = "[sweep.grid]\n\"tokenizer.vocab_size\" = [850, 900]\n\"objective.mask_ratio\" = [0.15, 0.3]\n";
    let text = TINY.replace("vocab_size = 900\n", "") + grid;
    let workbench = Workbench::tiny("").write("tiny.toml", text);
    let said = workbench.run("run tiny.toml --set train.steps=10").stderr;
    assert!(
        said.contains("`valid/mlm_loss_mask` is a mean over other tokens for each value of `vocab_size`"),
        "{said}"
    );
    let apart = workbench.json("compare tiny.toml --set train.steps=10 --json", "ablate-comparison-parts-1");
    let parts = apart["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    for part in parts {
        assert_eq!(names(&part["axes"]), "\"mask_ratio\" [\"0.15\",\"0.3\"] with []");
        assert_eq!(part["cells"].as_array().unwrap().len(), 2);
        assert!(part["floors"].as_array().unwrap().iter().all(|floor| floor["plus_minus"].as_f64().unwrap() > 0.0));
    }
    let together = "compare tiny.toml --set train.steps=10 --metric valid/bits_per_character --json";
    let together = workbench.json(together, "ablate-comparison-2");
    assert_eq!(together["cells"].as_array().unwrap().len(), 4);
    assert!(together["cells"].as_array().unwrap().iter().all(|cell| cell["mean"].as_f64().unwrap() > 0.0));
    let by_query = "compare tiny --metric valid/bits_per_character --json";
    assert_eq!(workbench.json(by_query, "ablate-comparison-2")["cells"].as_array().unwrap().len(), 4);
    let refused = workbench.run("compare tiny");
    assert!(refused.code == Some(2) && refused.stderr.contains("cannot be compared"), "{}", refused.stderr);
}
