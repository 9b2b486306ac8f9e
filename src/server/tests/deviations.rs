//! Where MLflow's own server is wrong, and everything else that its clients rely on: what is sent is what is given back.

use hyper::Method;
use serde_json::{Value, json};

use super::{Bench, options};
use crate::store::{Index, RunQuery, RunState};

fn history(bench: &Bench, run: &str, key: &str) -> Vec<Value> {
    let found = bench.get(&format!("metrics/get-history?run_id={run}&metric_key={key}"));
    found["metrics"].as_array().cloned().unwrap_or_default()
}

#[test]
fn numbers_come_back_as_they_were_sent() {
    let bench = Bench::new();
    let run = bench.run();
    let values = [
        json!("NaN"),
        json!("Infinity"),
        json!("-Infinity"),
        json!(f64::MAX),
        json!(5e-324),
        json!(-0.0),
        json!(0.1 + 0.2),
    ];
    for (at, value) in values.iter().enumerate() {
        bench.post(
            "runs/log-metric",
            &json!({ "run_id": run, "key": "m", "value": value, "timestamp": at, "step": at }),
        );
    }
    let found: Vec<Value> = history(&bench, &run, "m").into_iter().map(|point| point["value"].clone()).collect();
    assert_eq!(found, values);
    assert_eq!(found[5].to_string(), "-0.0");
    let latest = bench.get(&format!("runs/get?run_id={run}"));
    assert_eq!(latest["run"]["data"]["metrics"][0]["step"], 6);
}

#[test]
fn steps_are_of_64_bits_or_refused() {
    let bench = Bench::new();
    let run = bench.run();
    for step in [i64::MAX, i64::MIN, 0, -1] {
        bench.post("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 1, "timestamp": 7, "step": step }));
    }
    let steps: Vec<i64> = history(&bench, &run, "m").iter().map(|point| point["step"].as_i64().unwrap()).collect();
    assert_eq!(steps, [i64::MIN, -1, 0, i64::MAX]);
    for step in ["9223372036854775808", "1.5", "1e30", "true", "\"x\""] {
        let body = format!(r#"{{"run_id":"{run}","key":"m","value":1,"timestamp":1,"step":{step}}}"#);
        let answer = bench.ask(&Method::POST, "/api/2.0/mlflow/runs/log-metric", body);
        assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{step}");
    }
    assert_eq!(history(&bench, &run, "m").len(), 4);
}

/// What is no request is told so at once, and not by a status after which clients try again.
#[test]
fn what_is_no_json_is_a_bad_request() {
    let bench = Bench::new();
    let run = bench.run();
    let nan = format!(r#"{{"run_id":"{run}","key":"m","value":NaN,"timestamp":1}}"#);
    let deep = format!("{{\"metrics\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["", "[]", "{", "null", "\"x\"", "{\"run_id\":}", "\u{feff}{}", nan.as_str(), "{}{}"] {
        let answer = bench.ask(&Method::POST, "/api/2.0/mlflow/runs/log-metric", body.to_owned());
        assert_eq!(answer.fault(), (400, "BAD_REQUEST".into()), "{}", &body[..body.len().min(50)]);
    }
    let answer = bench.ask(&Method::POST, "/api/2.0/mlflow/runs/log-inputs", deep.replace("metrics", "datasets"));
    assert_eq!(answer.fault(), (400, "BAD_REQUEST".into()), "what is nested deeper than anybody needs");
    assert_eq!(history(&bench, &run, "m"), [Value::Null; 0]);
    for body in [json!({}), json!({ "run_id": 3 }), json!({ "run_id": run }), json!({ "run_id": run, "key": "m" })] {
        let answer = bench.call("runs/log-metric", &body);
        assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{body}: {}", answer.text());
    }
    let bytes = bench.ask(&Method::POST, "/api/2.0/mlflow/runs/get", vec![0xff, 0xfe]);
    assert_eq!(bytes.status.as_u16(), 405);
}

#[test]
fn unknown_states_are_refused() {
    let bench = Bench::new();
    let run = bench.run();
    let answer = bench.call("runs/update", &json!({ "run_id": run, "status": "WEIRD" }));
    assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    for status in ["FAILED", "KILLED", "SCHEDULED", "RUNNING", "FINISHED"] {
        let info =
            bench.post("runs/update", &json!({ "run_id": run, "status": status, "end_time": 1_700_000_009_000_i64 }));
        assert_eq!(info["run_info"]["status"], status);
    }
    let info = &bench.get(&format!("runs/get?run_id={run}"))["run"]["info"];
    assert_eq!(
        (&info["start_time"], &info["end_time"]),
        (&json!(1_700_000_000_000_i64), &json!(1_700_000_009_000_i64))
    );
}

/// Nothing is cut: what is longer than is taken is refused whole.
#[test]
fn nothing_is_cut() {
    let bench = Bench::new();
    let run = bench.run();
    let long = "x".repeat(100_000);
    let params = json!([{ "key": "p", "value": long }]);
    bench.post("runs/log-batch", &json!({ "run_id": run, "params": params, "tags": [{ "key": "t", "value": long }] }));
    let data = bench.get(&format!("runs/get?run_id={run}"))["run"]["data"].clone();
    assert_eq!((&data["params"][0]["value"], &data["tags"][0]["value"]), (&json!(long), &json!(long)));
    let longer = "x".repeat(100_001);
    for body in [
        json!({ "run_id": run, "params": [{ "key": "a", "value": "1" }, { "key": "q", "value": longer }] }),
        json!({ "run_id": run, "params": [{ "key": "a", "value": "1" }], "tags": [{ "key": "q", "value": longer }] }),
        json!({ "run_id": run, "params": [{ "key": "a", "value": "1" }, { "key": "a", "value": "1" }] }),
        json!({ "run_id": run, "params": [{ "key": "a", "value": "1" }], "metrics": [{ "key": "m/../x", "value": 1 }] }),
        json!({ "run_id": run, "params": [{ "key": "a", "value": "1" }, { "key": "p", "value": "other" }] }),
    ] {
        assert_eq!(bench.call("runs/log-batch", &body).fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    }
    let data = bench.get(&format!("runs/get?run_id={run}"))["run"]["data"].clone();
    assert_eq!(data["params"].as_array().unwrap().len(), 1, "a refused batch left something behind");
}

#[test]
fn faults_say_nothing_of_the_inside_and_are_found_by_clients() {
    let bench = Bench::new();
    bench.post("experiments/create", &json!({ "name": "twice" }));
    let again = bench.call("experiments/create", &json!({ "name": "twice" }));
    assert_eq!(again.fault(), (400, "RESOURCE_ALREADY_EXISTS".into()));
    assert!(!again.text().contains("SQL") && !again.text().contains("runs/"), "{}", again.text());
    for (address, fault) in [
        ("experiments/get?experiment_id=77", (404, "RESOURCE_DOES_NOT_EXIST")),
        ("experiments/get-by-name?experiment_name=none", (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/get?run_id=zzzzzzzz", (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/get?run_id=../../etc", (404, "RESOURCE_DOES_NOT_EXIST")),
        ("runs/get", (400, "INVALID_PARAMETER_VALUE")),
        ("metrics/get-history?run_id=zzzzzzzz&metric_key=m", (404, "RESOURCE_DOES_NOT_EXIST")),
        ("nothing/here", (404, "ENDPOINT_NOT_FOUND")),
        ("runs/search", (405, "INVALID_PARAMETER_VALUE")),
    ] {
        let answer = bench.ask(&Method::GET, &format!("/api/2.0/mlflow/{address}"), "");
        assert_eq!(answer.fault(), (fault.0, fault.1.to_owned()), "{address}");
    }
    let filter = bench.call("runs/search", &json!({ "experiment_ids": ["0"], "filter": "metrics.a < " }));
    assert_eq!(filter.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    for most in [0, -1, 50_001] {
        let answer = bench.call("runs/search", &json!({ "experiment_ids": ["0"], "max_results": most }));
        assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()));
    }
    assert!(bench.post("experiments/search", &json!({}))["experiments"].is_array(), "max_results has a default");
}

/// A client that is killed leaves a run that is lost; one that speaks again is heard, by a server that was killed too.
#[test]
fn a_silent_run_is_lost_until_it_speaks() {
    let hasty = crate::server::Options { lost_after_secs: 0.05, ..options() };
    let bench = Bench::with(&hasty);
    let run = bench.run();
    let state = |bench: &Bench| {
        let mut index = Index::open(bench.store()).unwrap();
        index.query(&RunQuery::default()).unwrap()[0].state
    };
    for _ in 0..500 {
        if state(&bench) == RunState::Lost {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(state(&bench), RunState::Lost);
    assert_eq!(bench.get(&format!("runs/get?run_id={run}"))["run"]["info"]["status"], "KILLED");
    let bench = bench.again(&options());
    bench.post("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 1, "timestamp": 1 }));
    assert_eq!(state(&bench), RunState::Running);
    let found = bench.get(&format!("runs/get?run_id={run}"))["run"].clone();
    assert_eq!((&found["info"]["status"], &found["data"]["metrics"][0]["value"]), (&json!("RUNNING"), &json!(1.0)));
    bench.post("runs/update", &json!({ "run_id": run, "status": "FINISHED" }));
    assert_eq!(state(&bench), RunState::Finished);
}

/// Runs and points that come while a client turns pages are neither skipped nor sent twice.
#[test]
fn pages_do_not_shift() {
    let bench = Bench::new();
    let create = |bench: &Bench, at: i64| {
        let run = bench.post("runs/create", &json!({ "experiment_id": "0", "start_time": 1_700_000_000_000_i64 + at }));
        run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    };
    let mut made: Vec<String> = (0..7).map(|at| create(&bench, at)).collect();
    made.reverse();
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page =
            bench.post("runs/search", &json!({ "experiment_ids": ["0"], "max_results": 2, "page_token": token }));
        for run in page["runs"].as_array().unwrap() {
            seen.push(run["info"]["run_id"].as_str().unwrap().to_owned());
        }
        create(&bench, 100 + seen.len() as i64);
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, made);

    let run = &made[0];
    let point = |step: i64| json!({ "key": "m", "value": step % 3, "timestamp": 10 * step, "step": step });
    let points: Vec<Value> = (0..25).map(point).collect();
    bench.post("runs/log-batch", &json!({ "run_id": run, "metrics": points }));
    bench.post("runs/log-batch", &json!({ "run_id": run, "metrics": points })); // Sent again, it is the same.
    let (mut steps, mut token) = (Vec::new(), String::new());
    loop {
        let page =
            bench.get(&format!("metrics/get-history?run_id={run}&metric_key=m&max_results=4&page_token={token}"));
        steps.extend(page["metrics"].as_array().unwrap().iter().map(|point| point["step"].as_i64().unwrap()));
        bench.post("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 9, "timestamp": 1, "step": -1 }));
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(steps, (0..25).collect::<Vec<_>>());
    for bad in ["x", "1.2", "eyJvZmZzZXQiOiAyfQ=="] {
        let body = json!({ "experiment_ids": ["0"], "page_token": bad });
        assert_eq!(bench.call("runs/search", &body).fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{bad}");
    }
}
