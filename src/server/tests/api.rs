//! Our own interface: what it says is what the commands say, and streams go on where they ended.

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Bench, options};

fn get(bench: &Bench, address: &str) -> Answer {
    bench.ask(&Method::GET, &format!("/api/v1/{address}"), "")
}

/// Six runs of two learning rates, three seeds each.
fn six_runs(bench: &Bench) -> Vec<String> {
    let mut runs = Vec::new();
    for (rate, seed) in [("0.1", 1), ("0.1", 2), ("0.1", 3), ("0.5", 1), ("0.5", 2), ("0.5", 3)] {
        let at = 1_700_000_000_000_i64 + runs.len() as i64;
        let run = bench.post("runs/create", &json!({ "experiment_id": "0", "start_time": at }));
        let run = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let params = json!([{ "key": "lr", "value": rate }, { "key": "seed", "value": seed.to_string() }]);
        let metric = |step: i64| {
            let value = if step == 1_500 { json!("Infinity") } else { json!(f64::from(seed) + step as f64) };
            json!({ "key": "val loss", "value": value, "timestamp": 1, "step": step })
        };
        let metrics: Vec<Value> = (0..2_000).map(metric).collect();
        bench.post("runs/log-batch", &json!({ "run_id": run, "params": params, "metrics": metrics }));
        bench.post("runs/update", &json!({ "run_id": run, "status": "FINISHED" }));
        runs.push(run);
    }
    runs
}

#[test]
fn runs_are_listed_by_pages_and_shown() {
    let bench = Bench::new();
    let runs = six_runs(&bench);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&bench, &format!("runs?query=lr%3D0.5&limit=2&after={after}")).json();
        assert_eq!(page["format"], "ablate-list-1");
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, runs[3..].iter().rev().cloned().collect::<Vec<_>>(), "newest first");
    let sorted = get(&bench, "runs?sort=-seed&limit=2").json();
    assert!(sorted["runs"].as_array().unwrap().iter().all(|run| run["seed"] == 3));

    let one = get(&bench, &format!("runs/{}", runs[0])).json();
    assert_eq!((&one["format"], &one["state"]), (&json!("ablate-run-1"), &json!("finished")));
    assert_eq!(one["series"]["val loss"], json!({ "points": 2_000, "last": { "step": 1_999, "value": 2_000.0 } }));
    for (address, status) in [
        ("runs?query=nonsense+%3D", 400),
        ("runs?limit=0", 400),
        ("runs?after=x", 400),
        ("runs?sort=nothing", 400),
        ("runs/zzzzzzzz", 404),
        ("runs/..%2f..", 404),
        ("compare?query=lr%3D0.5", 400),
    ] {
        assert_eq!(get(&bench, address).status.as_u16(), status, "{address}");
    }
}

#[test]
fn series_keep_their_peaks_at_any_zoom() {
    let bench = Bench::new();
    let run = six_runs(&bench)[0].clone();
    let far = get(&bench, &format!("runs/{run}/series?metric=val+loss&points=100")).json();
    let series = &far["series"]["val loss"];
    let max = series["buckets"]["max"].as_array().unwrap();
    assert_eq!(max.iter().filter(|max| **max == json!("Infinity")).count(), 1);
    assert!(max.len() <= 100 && max.len() > 90);
    let near = get(&bench, &format!("runs/{run}/series?from=1499&to=1501")).json();
    let exact = &near["series"]["val loss"]["exact"];
    assert_eq!(exact, &json!({ "steps": [1499, 1500, 1501], "values": [1500.0, "Infinity", 1502.0] }));
    assert_eq!(get(&bench, &format!("runs/{run}/series?metric=none")).status.as_u16(), 404);
    assert_eq!(get(&bench, &format!("runs/{run}/series?points=0")).status.as_u16(), 400);
}

/// Parameters that vary are axes, and the seed is one of luck: runs of clients are compared as all others.
#[test]
fn runs_of_clients_are_compared() {
    let bench = Bench::new();
    six_runs(&bench);
    let compared = get(&bench, "compare?query=Default&metric=val+loss").json();
    assert_eq!((&compared["format"], &compared["axes"][0]["name"]), (&json!("ablate-comparison-2"), &json!("lr")));
    assert_eq!(compared["axes"].as_array().unwrap().len(), 1, "the seed is no axis");
    let cells = compared["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2);
    assert!(cells.iter().all(|cell| cell["n"] == 3 && cell["mean"] == 2_001.0), "{cells:?}");
}

#[test]
fn a_stream_goes_on_where_it_ended() {
    let bench = Bench::new();
    let begun = get(&bench, "changes").text();
    let id = begun.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(begun.starts_with("retry: "));
    let runs = [bench.run(), bench.run()];
    bench.post("runs/set-tag", &json!({ "run_id": runs[0], "key": "a", "value": "b" }));
    let headers = [("host", "127.0.0.1:5000"), ("last-event-id", id.as_str())];
    for caught_up in [
        bench.send(&Method::GET, "/api/v1/changes", &headers, "").text(),
        get(&bench, &format!("changes?since={id}")).text(),
    ] {
        let data = caught_up.lines().filter_map(|line| line.strip_prefix("data: "));
        let told: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
        let ids: Vec<&str> = told.iter().map(|run| run["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [runs[1].as_str(), runs[0].as_str()], "each once, at its last change: {caught_up}");
        assert_eq!(told[1]["labels"]["tags"], json!(["a=b"]));
    }
    // Another server knows nothing of these numbers.
    let bench = bench.again(&options());
    assert!(get(&bench, &format!("changes?since={id}")).text().contains("event: behind"));
}
