//! The JSON of every report, over a small store: what commands print and a server sends.

mod named;

use insta::assert_snapshot;
use serde::Serialize;
use serde_json::{Value, json};

use super::comparison::{document, of_plan, of_query, read};
use super::difference::{Difference, ProvenanceDifference};
use super::estimate::Here;
use super::explanation::ExplanationReport;
use super::find::find_id;
use super::listing::Listing;
use super::planned::{Existing, PlanReport};
use super::record::RunRecord;
use crate::analysis::summarize;
use crate::experiment::{Experiment, keys};
use crate::plan::{self, CorpusFacts, CorpusFormat, Plan};
use crate::store::{
    ChainDigest, Event, Index, Lineage, Logged, Metrics, NewRun, Overview, RunQuery, RunState, Store, Subject,
};
use crate::types::{ContentHash, RunId, Step, Timestamp};

const FILE: &str = r#"
    [experiment]
    name = "rates"
    question = "Which rate?"
    [data]
    corpus = "demo"
    [model]
    preset = "nano"
    [train]
    steps = 2
    [sweep.grid]
    "optimizer.lr" = [1e-3, 2e-3]
    [sweep.replicates]
    seeds = [0, 1]
"#;

fn planned() -> (Experiment, Plan) {
    planned_of(FILE)
}

fn planned_of(file: &str) -> (Experiment, Plan) {
    let alone = &mut |_: &str, _: &str| Err("stands on no file".to_owned());
    let experiment = plan::read(file, "rates.toml", &[], alone).unwrap();
    let hash = ContentHash::of(b"");
    let facts = CorpusFacts { hash, format: CorpusFormat::Demo, bytes: 1, documents: None };
    let plan = plan::plan(&experiment, |_| Ok::<_, String>(facts)).unwrap();
    (experiment, plan)
}

/// A store in which the plan's runs were trained but for the last, which failed.
fn trained(plan: &Plan) -> (tempfile::TempDir, Store, Vec<RunId>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("runs")).unwrap();
    let at = Timestamp::from_unix_millis;
    let mut ids = Vec::new();
    for (number, cell) in (0..).zip(&plan.cells) {
        for (other, planned) in (0..).zip(&cell.runs) {
            let axes: serde_json::Map<_, _> =
                cell.axes.iter().map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap())).collect();
            let mut provenance = json!({ "experiment": { "name": "rates", "axes": axes } });
            if let Some(baseline) = plan.baseline {
                let its =
                    plan.cells[baseline].axes.iter().map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap()));
                provenance["experiment"]["baseline"] = Value::Object(its.collect());
            }
            let begin = 10_000 * (2 * number + other);
            let run = store.create_planned(&planned.spec, &provenance, at(begin)).unwrap();
            let lease = run.acquire_lease().unwrap();
            let mut log = run.open_log(&lease).unwrap();
            let metric = |name: &str, value: f64| Metrics(vec![(name.parse().unwrap(), value)]);
            let loss = 6.0 + 0.5 * number as f64 + 0.125 * other as f64;
            let (end, reason) = match (number, other) {
                (1, 1) => (RunState::Failed, Some("the loss was NaN".to_owned())),
                _ => (RunState::Finished, None),
            };
            for event in [
                Event::State { state: RunState::Running, reason: None, at: at(begin + 1_000) },
                Event::Resumed { step: Step(0), at: at(begin + 1_000) },
                Event::Fact { name: "unigram_entropy".into(), value: json!(5.5) },
                Event::Fact { name: "unigram_spread".into(), value: json!(2.0) },
                Event::Fact { name: "valid_masked_tokens".into(), value: json!(1600) },
                Event::Step { step: Step(1), chain: ChainDigest(1), metrics: metric("train/loss", 9.0) },
                Event::Step { step: Step(2), chain: ChainDigest(2), metrics: metric("train/loss", f64::NAN) },
                Event::Warning { text: "a warning".into() },
                Event::Evaluation { step: Step(2), metrics: metric("valid/mlm_loss", loss) },
                Event::State { state: end, reason, at: at(begin + 5_000) },
            ] {
                log.append(&event).unwrap();
            }
            ids.push(run.id().clone());
        }
    }
    (folder, store, ids)
}

/// The JSON of a report with the runs named by their number, and `parts` of it left out.
fn shown(report: &impl Serialize, ids: &[RunId], left_out: &[&str]) -> String {
    let mut json = serde_json::to_value(report).unwrap();
    for part in left_out {
        *json.pointer_mut(part).unwrap() = Value::from("...");
    }
    let text = serde_json::to_string_pretty(&json).unwrap();
    // The identity of a specification is tested where it is made.
    let without_hash = |line: &str| match line.split_once("\"spec_hash\": ") {
        Some((indent, _)) => format!("{indent}\"spec_hash\": \"...\",\n"),
        None => format!("{line}\n"),
    };
    let mut text: String = text.lines().map(without_hash).collect();
    for (number, id) in (1..).zip(ids) {
        text = text.replace(id.as_str(), &format!("RUN-{number}"));
    }
    text
}

#[test]
fn a_listing_names_every_run() {
    let (_, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let mut index = Index::open(&store).unwrap();
    let rows = index.query(&RunQuery::default().limited(1)).unwrap();
    let mut rows = index.facts(rows).unwrap();
    rows[0].row.disk_bytes = 0; // As long as the specification's text is.
    assert_snapshot!(shown(&Listing::of(rows, &RunQuery::default()), &ids, &[]), @r#"
    {
      "format": "ablate-list-1",
      "runs": [
        {
          "id": "RUN-4",
          "spec_hash": "...",
          "logged_by": null,
          "state": "failed",
          "reason": "the loss was NaN",
          "created_at": "1970-01-01T00:00:30.000Z",
          "started_at": "1970-01-01T00:00:31.000Z",
          "ended_at": "1970-01-01T00:00:35.000Z",
          "worked_secs": 4.0,
          "steps_done": 2,
          "total_steps": 2,
          "parameters": null,
          "experiment": "rates",
          "axes": {
            "optimizer.lr": 0.002
          },
          "experiments": [
            {
              "name": "rates",
              "axes": {
                "optimizer.lr": 0.002
              }
            }
          ],
          "labels": {},
          "replicate": null,
          "seed": 1,
          "reproduces": null,
          "torn_bytes": 0,
          "disk_bytes": 0,
          "metric": "valid/mlm_loss",
          "metrics": {
            "train/loss": null,
            "valid/mlm_loss": 6.625
          }
        }
      ]
    }
    "#);
}

#[test]
fn a_record_has_specification_provenance_and_every_value() {
    let (_, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let Overview { run, series } = store.overview(&ids[3]).unwrap();
    assert_snapshot!(shown(&RunRecord::of(&run, Some(&series)), &ids, &["/spec"]), @r#"
    {
      "format": "ablate-run-1",
      "id": "RUN-4",
      "spec_hash": "...",
      "state": "failed",
      "reason": "the loss was NaN",
      "started_at": "1970-01-01T00:00:31.000Z",
      "ended_at": "1970-01-01T00:00:35.000Z",
      "spec": "...",
      "logged": null,
      "lineage": {},
      "labels": {},
      "torn_bytes": 0,
      "provenance": {
        "experiment": {
          "name": "rates",
          "axes": {
            "optimizer.lr": 0.002
          }
        }
      },
      "facts": {
        "unigram_entropy": 5.5,
        "unigram_spread": 2.0,
        "valid_masked_tokens": 1600
      },
      "warnings": [
        "a warning"
      ],
      "series": {
        "train/loss": {
          "steps": [
            1,
            2
          ],
          "values": [
            9.0,
            null
          ]
        },
        "valid/mlm_loss": {
          "steps": [
            2
          ],
          "values": [
            6.625
          ]
        }
      }
    }
    "#);
}

#[test]
fn a_difference_has_settings_metrics_and_provenance() {
    let (_, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let [first, second] = [&ids[0], &ids[2]].map(|id| read(&store, id).unwrap());
    let host = ProvenanceDifference { key: "machine.host".into(), first: "a".into(), second: "b".into() };
    assert_snapshot!(shown(&Difference::of(&first, &second, vec![host]), &ids, &[]), @r#"
    {
      "format": "ablate-diff-1",
      "runs": [
        "RUN-1",
        "RUN-3"
      ],
      "settings": [
        {
          "key": "optimizer.lr",
          "first": "0.001",
          "second": "0.002"
        }
      ],
      "metrics": [
        {
          "metric": "train/loss",
          "first": null,
          "second": null,
          "delta": null
        },
        {
          "metric": "valid/mlm_loss",
          "first": 6.0,
          "second": 6.5,
          "delta": 0.5
        }
      ],
      "provenance": [
        {
          "key": "machine.host",
          "first": "a",
          "second": "b"
        }
      ]
    }
    "#);
}

#[test]
fn a_plan_says_what_it_costs_and_what_is_there() {
    let (experiment, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let existing = Existing::read(&store, Here::default()).unwrap();
    let report = PlanReport::of(&experiment, &plan, &existing);
    assert_snapshot!(shown(&report, &ids, &["/cells/0"]), @r#"
    {
      "format": "ablate-plan-1",
      "experiment": "rates",
      "question": "Which rate?",
      "arithmetic": "grid 2 = 2 cells",
      "cells": [
        "...",
        {
          "axes": {
            "optimizer.lr": 0.002
          },
          "label": "lr=0.002",
          "parameters": 277888,
          "steps": 2,
          "tokens": 8192,
          "flops": 2680553472.0,
          "disk_bytes": 10003968,
          "runs": [
            {
              "replicate": 0,
              "seed": 0,
              "spec_hash": "...",
              "state": "finished",
              "seconds": null
            },
            {
              "replicate": 1,
              "seed": 1,
              "spec_hash": "...",
              "state": "failed",
              "seconds": null
            }
          ]
        }
      ],
      "runs": 4,
      "duplicates": 0,
      "shared_steps": 0
    }
    "#);
    assert_eq!([0, 1].map(|cell| existing.of(&plan.cells[cell])), ["2/2", "1/2, 1 failed"]);
}

#[test]
fn an_explanation_names_each_layer_and_its_place() {
    let (experiment, _) = planned();
    let explanation = plan::explain(&experiment, keys::find("optimizer.lr").unwrap());
    assert_snapshot!(shown(&ExplanationReport::of(&experiment, &explanation), &[], &[]), @r#"
    {
      "format": "ablate-explain-1",
      "key": "optimizer.lr",
      "doc": "The peak learning rate",
      "cells": 2,
      "without_value": 0,
      "layers": [
        {
          "layer": "default",
          "value": "5e-4",
          "cells": 0
        },
        {
          "layer": "[sweep.grid]",
          "value": "0.001",
          "cells": 1,
          "file": "rates.toml",
          "line": 12,
          "column": 23
        },
        {
          "layer": "[sweep.grid]",
          "value": "0.002",
          "cells": 1,
          "file": "rates.toml",
          "line": 12,
          "column": 29
        }
      ]
    }
    "#);
}

#[test]
fn a_comparison_says_in_numbers_what_the_tables_say() {
    let (experiment, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let comparison = of_plan(&experiment, &plan, &store).unwrap();
    let document = document(&comparison, &summarize(&comparison), "report.html".as_ref());
    assert_snapshot!(shown(&document, &ids, &["/effects", "/against_best", "/importance", "/winner", "/statement"]), @r#"
    {
      "format": "ablate-comparison-2",
      "experiment": "rates",
      "metric": "valid/mlm_loss",
      "goal": "minimize",
      "axes": [
        {
          "name": "lr",
          "values": [
            "0.001",
            "0.002"
          ],
          "settings": [
            "lr"
          ],
          "changes_with": []
        }
      ],
      "cells": [
        {
          "axes": {
            "lr": "0.001"
          },
          "n": 2,
          "mean": 6.0625,
          "sd": 0.08838834764831845,
          "interval_95": [
            5.268362203989081,
            6.856637796010919
          ],
          "min": 6.0,
          "max": 6.125,
          "missing": "",
          "seeds": [
            {
              "seed": 0,
              "run": "RUN-1",
              "state": "finished",
              "reason": null,
              "value": 6.0,
              "last_step": 2
            },
            {
              "seed": 1,
              "run": "RUN-2",
              "state": "finished",
              "reason": null,
              "value": 6.125,
              "last_step": 2
            }
          ]
        },
        {
          "axes": {
            "lr": "0.002"
          },
          "n": 1,
          "mean": 6.5,
          "sd": null,
          "interval_95": null,
          "min": 6.5,
          "max": 6.5,
          "missing": "1 failed",
          "seeds": [
            {
              "seed": 0,
              "run": "RUN-3",
              "state": "finished",
              "reason": null,
              "value": 6.5,
              "last_step": 2
            },
            {
              "seed": 1,
              "run": "RUN-4",
              "state": "failed",
              "reason": "the loss was NaN",
              "value": null,
              "last_step": 2
            }
          ]
        }
      ],
      "effects": "...",
      "against_baseline": [],
      "against_best": "...",
      "importance": "...",
      "floors": [
        {
          "metric": "valid/mlm_loss",
          "label": "unigram entropy",
          "value": 5.5,
          "plus_minus": 0.098,
          "range": null
        },
        {
          "metric": "valid/mlm_loss_mask",
          "label": "unigram entropy",
          "value": 5.5,
          "plus_minus": null,
          "range": null
        }
      ],
      "headline": "No axis can be told from luck in valid/mlm_loss; best of 2 cells: lr=0.001 at 6.062 ± 0.79, not told apart from one other.",
      "how_sure": "3 of 4 runs finished, 1 failed, 2 cells with 1 to 2 seeds each; ± is half of a 95 % interval, and about one report of twenty says better or worse falsely.",
      "statement": "...",
      "cautions": [
        "4 of these runs were trained before `valid/mlm_loss_mask` was recorded, so all are compared by `valid/mlm_loss`, of which a fifth is about tokens that are shown: what lies above its copy floor shows no trace of context.",
        "No cell is better than unigram entropy (5.500 ± 0.098), which costs no learning: differences are between failures."
      ],
      "luck": "Luck: all cells share 2 seeds, so that only whole seeds are independent (1 degree of freedom).",
      "winner": "...",
      "report": "report.html"
    }
    "#);
}

fn asked(text: &str) -> RunQuery {
    RunQuery::parse(text, Timestamp::from_unix_millis(0)).unwrap()
}

/// A reproduction is not the latest, while there is anything else; and a comparison knows the word.
#[test]
fn the_latest_run_is_no_reproduction() {
    let (experiment, plan) = planned();
    let (_folder, store, ids) = trained(&plan);
    let spec = &plan.cells[0].runs[0].spec;
    let later = Timestamp::from_unix_millis(1_000_000);
    let (subject, lineage) =
        (Subject::Planned(Box::new(spec.clone())), Lineage { reproduces: Some(ids[0].clone()), ..Lineage::default() });
    store.create_run(&NewRun { subject: &subject, provenance: &json!({}), lineage: &lineage }, later).unwrap();
    assert_eq!(find_id(&store, "latest", crate::types::Timestamp::from_unix_millis(0)).unwrap(), ids[3]);
    assert_eq!(find_id(&store, &ids[1].as_str()[..6], crate::types::Timestamp::from_unix_millis(0)).unwrap(), ids[1]);
    let alone = of_query(&asked("latest"), &experiment.metric, &store).unwrap_err().to_string();
    assert!(alone.starts_with("one run matches `latest`") && alone.contains(ids[3].as_str()), "{alone}");
    let two = of_query(&asked(&format!("latest {}", ids[0])), &experiment.metric, &store).unwrap();
    assert_eq!(two.comparison.runs.len(), 2);
}

/// Guests without a seed are repetitions; those that say the same twice are one.
#[test]
fn runs_of_guests_are_repetitions_or_the_same_again() {
    let (_folder, store) = crate::store::testing::new_store();
    let log = |parameters: Value, at: i64, value: f64| {
        let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
        let logged = Logged { by: "train.py".into(), experiment: Some("e".into()), parameters };
        let time = Timestamp::from_unix_millis;
        let mut run = store.create_logged(&logged, &json!({}), &Lineage::default(), time(at)).unwrap();
        run.points(vec![crate::store::testing::point("acc", 1, value)]).unwrap();
        run.state(RunState::Finished, None, time(at + 10)).unwrap();
    };
    for (i, value) in [0.5, 0.6, 0.7].into_iter().enumerate() {
        log(json!({ "lr": 0.1 }), i as i64, value);
        log(json!({ "lr": 0.2 }), i as i64, value + 0.25);
    }
    let compared = |text: &str| of_query(&asked(text), &"acc".parse().unwrap(), &store).unwrap().comparison;
    let comparison = compared("");
    let values: Vec<Vec<f64>> =
        comparison.cells().iter().map(|cell| cell.outcomes(&comparison.metric).values().copied().collect()).collect();
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!(values.into_iter().map(sorted).collect::<Vec<_>>(), [[0.5, 0.6, 0.7], [0.75, 0.85, 0.95]]);
    assert_eq!(comparison.cautions, ["6 runs say no seed: each counts as a repetition with luck of its own."]);
    assert_eq!(comparison.goal, crate::types::metrics::Goal::Maximize);
    // The same settings and seed once more: the later one counts.
    for (at, value) in [(100, 0.1), (300, 0.3), (200, 0.2)] {
        log(json!({ "lr": 0.3, "seed": 4 }), at, value);
    }
    let comparison = compared("");
    let last = comparison.cells()[2].outcomes(&comparison.metric).values().copied().collect::<Vec<_>>();
    assert_eq!(last, [0.3]);
    assert!(
        comparison.cautions[1].starts_with("2 runs repeat the settings and the seed of another"),
        "{:?}",
        comparison.cautions
    );
}

#[test]
fn a_word_that_means_nothing_is_told_from_one_that_the_rest_excludes() {
    let (experiment, plan) = planned();
    let (_folder, store, _) = trained(&plan);
    let refused = |text: &str| of_query(&asked(text), &experiment.metric, &store).unwrap_err().to_string();
    assert!(refused("rates2").contains("`rates2` is no experiment and begins no run's id; did you mean `rates`?"));
    assert!(refused("rates state=lost").starts_with("no run of `rates` matches the rest of `rates state=lost`"));
    assert!(refused("state=lost").starts_with("no run matches `state=lost`"));
}
