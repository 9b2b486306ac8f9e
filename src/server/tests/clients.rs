//! What clients do from the first call to the last, and what the rest of the program sees of it.

use std::thread;

use hyper::Method;
use serde_json::{Value, json};

use super::{Bench, options};
use crate::store::{Index, Lineage, Logged, RunQuery, RunState, Store};
use crate::types::{RunId, Timestamp};

fn asked(text: &str) -> RunQuery {
    RunQuery::parse(text, Timestamp::from_unix_millis(0)).unwrap()
}

/// A parameter, tag or metric of a run as clients see it.
fn held(run: &Value, kind: &str) -> Vec<String> {
    let items = run["data"][kind].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| format!("{}={}", item["key"].as_str().unwrap(), item["value"])).collect()
}

#[test]
fn a_run_is_a_run_of_the_store() {
    let bench = Bench::new();
    let experiment =
        bench.post("experiments/create", &json!({ "name": "grus", "tags": [{ "key": "team", "value": "a=b" }] }));
    let experiment = experiment["experiment_id"].as_str().unwrap().to_owned();
    let tags = json!([{ "key": "mlflow.user", "value": "ana" }, { "key": "mlflow.runName", "value": "first" }]);
    let made = bench.post("runs/create", &json!({ "experiment_id": experiment, "user_id": "ana", "tags": tags }));
    let info = &made["run"]["info"];
    let id = info["run_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (&info["run_uuid"], &info["run_name"], &info["user_id"]),
        (&info["run_id"], &json!("first"), &json!("ana"))
    );
    assert_eq!(info["artifact_uri"], format!("mlflow-artifacts:/{experiment}/{id}/artifacts"));
    bench.post("runs/log-parameter", &json!({ "run_id": id, "key": "lr", "value": "1e-4" }));
    bench.post("runs/log-metric", &json!({ "run_id": id, "key": "val/loss", "value": 0.5, "timestamp": 5, "step": 3 }));
    bench.post("runs/set-tag", &json!({ "run_id": id, "key": "mlflow.note.content", "value": "# why" }));
    bench.post("runs/set-tag", &json!({ "run_id": id, "key": "stage", "value": "prod" }));
    bench.post("runs/update", &json!({ "run_id": id, "status": "FINISHED", "run_name": "second" }));

    let run = bench.get(&format!("runs/get?run_id={id}"))["run"].clone();
    assert_eq!(held(&run, "params"), ["lr=\"1e-4\""]);
    assert_eq!(held(&run, "metrics"), ["val/loss=0.5"]);
    let tags =
        [r##"mlflow.runName="second""##, r##"mlflow.note.content="# why""##, r#"mlflow.user="ana""#, r#"stage="prod""#];
    assert_eq!(held(&run, "tags"), tags);

    let mut index = Index::open(bench.store()).unwrap();
    let [row] = &index.query(&asked("grus lr=0.0001 val/loss<1 tag=\"stage=prod\"")).unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(
        (row.id.as_str(), row.state, row.labels.name.as_deref()),
        (id.as_str(), RunState::Finished, Some("second"))
    );
    assert_eq!(row.logged_by.as_deref(), Some("an HTTP client"));
    assert_eq!(bench.get("experiments/get-by-name?experiment_name=grus")["experiment"]["tags"][0]["value"], "a=b");
}

#[test]
fn experiments_are_renamed_deleted_and_restored_with_their_runs() {
    let bench = Bench::new();
    let experiment = bench.post("experiments/create", &json!({ "name": "old" }))["experiment_id"].clone();
    let create = || bench.post("runs/create", &json!({ "experiment_id": experiment }))["run"]["info"]["run_id"].clone();
    let (run, trashed) = (create(), create());
    bench.post("runs/delete", &json!({ "run_id": trashed }));
    bench.post("runs/delete", &json!({ "run_id": trashed }));
    bench.post("experiments/update", &json!({ "experiment_id": experiment, "new_name": "new" }));
    let found = |view: &str| {
        let found = bench.post("runs/search", &json!({ "experiment_ids": [experiment], "run_view_type": view }));
        found["runs"].as_array().cloned().unwrap_or_default().len()
    };
    assert_eq!([found("ACTIVE_ONLY"), found("DELETED_ONLY"), found("ALL")], [1, 1, 2]);
    let info = bench.get(&format!("runs/get?run_id={}", run.as_str().unwrap()))["run"]["info"].clone();
    assert_eq!(info["experiment_id"], experiment);
    for name in ["old", "new"] {
        let taken = bench.call("experiments/create", &json!({ "name": name }));
        assert_eq!(taken.fault(), (400, "RESOURCE_ALREADY_EXISTS".into()), "runs still say `{name}`");
        assert_eq!(Index::open(bench.store()).unwrap().query(&asked(name)).unwrap().len(), 1, "{name}");
    }
    bench.post("experiments/delete", &json!({ "experiment_id": experiment }));
    assert_eq!([found("ACTIVE_ONLY"), found("DELETED_ONLY")], [0, 2]);
    let refused = bench.call("runs/create", &json!({ "experiment_id": experiment }));
    assert_eq!(refused.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    let refused = bench.call("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 1, "timestamp": 1 }));
    assert_eq!(refused.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    bench.post("experiments/restore", &json!({ "experiment_id": experiment }));
    assert_eq!([found("ACTIVE_ONLY"), found("DELETED_ONLY")], [1, 1], "what was in the trash before stays there");
    bench.post("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 1, "timestamp": 1 }));
    let listed = bench.get("experiments/list?view_type=ALL");
    assert_eq!(listed["experiments"].as_array().unwrap().len(), 2);
}

/// Clients that log at once get what they wrote, in their order, and a server after this one finds all of it.
#[test]
fn what_was_acknowledged_is_there() {
    const CLIENTS: usize = 6;
    const EACH: i64 = 40;
    let bench = Bench::new();
    let runs: Vec<String> = (0..CLIENTS).map(|_| bench.run()).collect();
    thread::scope(|scope| {
        for run in &runs {
            let bench = &bench;
            scope.spawn(move || {
                for step in 0..EACH {
                    let body = json!({ "run_id": run, "key": "m", "value": step, "timestamp": step, "step": step });
                    bench.post("runs/log-metric", &body);
                    bench
                        .post("runs/log-parameter", &json!({ "run_id": run, "key": format!("p{step}"), "value": "v" }));
                }
            });
        }
    });
    let bench = bench.again(&options());
    for run in &runs {
        let found = bench.get(&format!("metrics/get-history?run_id={run}&metric_key=m"));
        let steps: Vec<i64> =
            found["metrics"].as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()).collect();
        assert_eq!(steps, (0..EACH).collect::<Vec<_>>());
        let run = bench.get(&format!("runs/get?run_id={run}"))["run"].clone();
        assert_eq!(held(&run, "params").len(), usize::try_from(EACH).unwrap());
    }
}

#[test]
fn artifacts_are_put_listed_and_fetched() {
    let bench = Bench::new();
    let run = bench.run();
    let base = "/api/2.0/mlflow-artifacts/artifacts";
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (path, bytes) in [("a.txt", b"one".to_vec()), ("sub/b%20c.bin", content.clone()), ("sub/empty", Vec::new())] {
        let answer = bench.ask(&Method::PUT, &format!("{base}/0/{run}/artifacts/{path}"), bytes);
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    }
    let files = |address: &str| {
        let answer = bench.ask(&Method::GET, address, "");
        let files = answer.json()["files"].as_array().cloned().unwrap_or_default();
        let file = |file: &Value| format!("{}:{}", file["path"].as_str().unwrap(), file["file_size"]);
        files.iter().map(file).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(files(&format!("{base}?path=0/{run}/artifacts")), "a.txt:3 sub:null");
    assert_eq!(files(&format!("{base}?path=0/{run}/artifacts/sub")), "b c.bin:3000000 empty:0");
    assert_eq!(
        files(&format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path=sub")),
        "sub/b c.bin:3000000 sub/empty:0"
    );
    let fetched = bench.ask(&Method::GET, &format!("{base}/0/{run}/artifacts/sub/b%20c.bin"), "");
    assert_eq!(fetched.bytes, content);
    assert_eq!(fetched.headers["content-disposition"], "attachment; filename*=UTF-8''b%20c.bin");
    let removed = bench.ask(&Method::DELETE, &format!("{base}/0/{run}/artifacts/sub"), "");
    assert_eq!(removed.status.as_u16(), 200);
    assert_eq!(files(&format!("{base}?path=0/{run}/artifacts")), "a.txt:3");
    for other in ["1", "x", ""] {
        let answer = bench.ask(&Method::GET, &format!("{base}/{other}/{run}/artifacts/a.txt"), "");
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{other}");
    }
}

/// What another program does in the store is seen, and its runs are read and not written.
#[test]
fn runs_that_ablate_trained_are_shown() {
    use crate::store::Event;

    let bench = Bench::new();
    bench.get("experiments/search?max_results=5");
    let provenance = json!({ "experiment": { "name": "quickstart" }, "spec_hash": "x" });
    let dir = crate::store::testing::create(
        bench.store(),
        &crate::store::testing::spec(1, 0.15),
        &provenance,
        crate::store::testing::at(1),
    )
    .unwrap();
    let mut log = dir.open_log(&dir.acquire_lease().unwrap()).unwrap();
    log.append(&Event::State { state: RunState::Running, reason: None, at: crate::store::testing::at(2) }).unwrap();
    log.append(&crate::store::testing::evaluation(10, 2.5)).unwrap();
    log.append(&Event::State { state: RunState::Finished, reason: None, at: crate::store::testing::at(3) }).unwrap();
    bench.app.reader.look_if_due(true).unwrap();
    bench.app.changed(dir.id());
    let experiment = bench.get("experiments/get-by-name?experiment_name=quickstart")["experiment"].clone();
    let filter = "params.mask_ratio = '0.15' and metrics.`valid/mlm_loss` < 3 and status = 'FINISHED'";
    let found =
        bench.post("runs/search", &json!({ "experiment_ids": [experiment["experiment_id"]], "filter": filter }));
    let run = &found["runs"][0];
    assert_eq!(run["info"]["run_id"], dir.id().as_str());
    assert!(held(run, "params").contains(&"objective.mask_ratio=\"0.15\"".to_owned()));
    let history = bench.get(&format!("metrics/get-history?run_id={}&metric_key=valid/mlm_loss", dir.id()));
    assert_eq!(history["metrics"][0]["step"], 10);
    let refused = bench.call("runs/log-metric", &json!({ "run_id": dir.id(), "key": "m", "value": 1, "timestamp": 1 }));
    assert_eq!(refused.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    bench.post("runs/set-tag", &json!({ "run_id": dir.id(), "key": "seen", "value": "yes" }));
    assert!(dir.labels().unwrap().tags.contains("seen=yes"));
}

/// What another run starts from stays, whichever way it is asked for.
#[test]
fn what_others_start_from_is_not_put_into_the_trash() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("runs")).unwrap();
    let at = Timestamp::from_unix_millis(1);
    let make = |starts_from: Option<&RunId>| {
        let lineage = Lineage { starts_from: starts_from.cloned(), ..Lineage::default() };
        let run = store.create_logged(&Logged::default(), &json!({}), &lineage, at).unwrap();
        run.dir().id().clone()
    };
    let first = make(None);
    let heir = make(Some(&first));
    let bench = Bench::on(folder, &options());
    let refused = bench.call("runs/delete", &json!({ "run_id": first }));
    assert_eq!(refused.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    let change = json!({ "runs": [first], "trash": true }).to_string();
    assert!(bench.ask(&Method::POST, "/api/v1/labels", change).status.is_client_error());
    assert!(!bench.store().run(&first).unwrap().labels().unwrap().is_trashed());
    bench.post("runs/delete", &json!({ "run_id": heir }));
}
