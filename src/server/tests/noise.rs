//! Bodies and addresses that nobody would write: each is answered, and never as if the server were at fault.

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Bench;
use crate::server::route::Takes;
use crate::server::routes;

/// The words that requests are made of.
const WORDS: [&str; 32] = [
    "run_id",
    "run_uuid",
    "experiment_id",
    "experiment_ids",
    "name",
    "new_name",
    "key",
    "value",
    "step",
    "timestamp",
    "metrics",
    "params",
    "tags",
    "datasets",
    "dataset",
    "digest",
    "filter",
    "order_by",
    "max_results",
    "page_token",
    "view_type",
    "run_view_type",
    "status",
    "start_time",
    "end_time",
    "run_name",
    "user_id",
    "artifact_location",
    "source",
    "source_type",
    "query",
    "metric",
];

/// JSON of the words of requests: what a handler reads, in any wrong shape.
fn any_json(run: String) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => Just(Value::String(run)),
        2 => Just(json!("0")),
        2 => prop::sample::select(vec!["FINISHED", "RUNNING", "metrics.a < 1", "NaN", "ALL", "zzzzzzzz.3", "1.2.3", "a b", "", "mlflow.runName"])
            .prop_map(|text| json!(text)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => any::<f64>().prop_filter_map("finite", |number| number.is_finite().then(|| json!(number))),
        1 => any::<String>().prop_map(Value::String),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        let object = prop::collection::vec((prop::sample::select(WORDS.to_vec()), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            object.prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    });
    prop::collection::vec((prop::sample::select(WORDS.to_vec()), tree), 0..8)
        .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

/// Whether an answer may be given to nonsense: 501 is what is not kept here, whatever is asked.
fn is_calm(status: u16) -> bool {
    status < 500 || status == 501
}

#[test]
fn nonsense_is_answered_calmly() {
    let bench = Bench::new();
    let run = bench.run();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
    let posts: Vec<_> = routes::all().filter(|route| route.takes == Takes::Json).collect();
    let asked = (prop::sample::select(posts), any_json(run));
    let checked = runner.run(&asked, |(route, body)| {
        let answer = bench.ask(&Method::POST, route.pattern, body.to_string());
        prop_assert!(is_calm(answer.status.as_u16()), "{} {}: {}", route.pattern, body, answer.text());
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn bytes_that_are_no_request_are_answered_calmly() {
    let bench = Bench::new();
    let run = bench.run();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    let any = (
        prop::sample::select(routes::all().filter(|route| !route.pattern.contains("changes")).collect::<Vec<_>>()),
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec((prop::sample::select(WORDS.to_vec()), "[%0-9a-zA-Z./+;é&=-]{0,12}"), 0..4),
        "[0-9a-zA-Z./%;-]{0,20}",
    );
    let checked = runner.run(&any, |(route, body, query, tail)| {
        let path = route.pattern.replace("{path*}", &format!("0/{run}/artifacts/{tail}")).replace("{id}", &run);
        let pairs: Vec<String> = query.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let address = format!("{path}?run_id={run}&{}", pairs.join("&"));
        let Ok(uri) = address.parse::<hyper::Uri>() else { return Ok(()) };
        let answer = bench.ask(&route.method, &uri.to_string(), body);
        prop_assert!(is_calm(answer.status.as_u16()), "{} {}: {}", route.method, address, answer.text());
        Ok(())
    });
    checked.unwrap();
}

/// A sound body of every route that takes JSON, about a run and an experiment.
fn sound_bodies(run: &str) -> Vec<(&'static str, Value)> {
    let tags = json!([{ "key": "team", "value": "ml" }, { "key": "mlflow.note.content", "value": "한국어" }]);
    let dataset = json!({ "tags": [{ "key": "mlflow.data.context", "value": "train" }],
        "dataset": { "name": "petitions", "digest": "ab12", "source_type": "local", "source": "{\"uri\": \"x\"}", "schema": "{}" } });
    let metric = json!({ "key": "train/loss", "value": 0.5, "timestamp": 1_700_000_000_000_i64, "step": 7 });
    let infinite = json!({ "key": "val_loss", "value": "Infinity", "timestamp": "1700000000000", "step": "-3" });
    let search = json!({ "experiment_ids": ["0"], "filter": "metrics.\"train/loss\" < 1.5 and params.lr = '0.1' and tags.team LIKE 'm%'",
        "run_view_type": "ACTIVE_ONLY", "max_results": 10, "order_by": ["metrics.`train/loss` DESC", "attributes.start_time"] });
    let mlflow = [
        ("experiments/create", json!({ "name": "another", "tags": tags })),
        (
            "experiments/search",
            json!({ "filter": "name LIKE 'a%'", "max_results": 5, "order_by": ["name DESC"], "view_type": "ALL" }),
        ),
        ("experiments/update", json!({ "experiment_id": "1", "new_name": "units" })),
        ("experiments/delete", json!({ "experiment_id": "1" })),
        ("experiments/restore", json!({ "experiment_id": "1" })),
        ("experiments/set-experiment-tag", json!({ "experiment_id": "0", "key": "a", "value": "b" })),
        ("experiments/delete-experiment-tag", json!({ "experiment_id": "0", "key": "a" })),
        (
            "runs/create",
            json!({ "experiment_id": "0", "start_time": 1_700_000_000_000_i64, "run_name": "first", "tags": tags }),
        ),
        ("runs/update", json!({ "run_id": run, "status": "FINISHED", "end_time": "1700000000001", "run_name": "x" })),
        ("runs/delete", json!({ "run_id": run })),
        ("runs/restore", json!({ "run_id": run })),
        ("runs/set-tag", json!({ "run_id": run, "key": "team", "value": "nlp" })),
        ("runs/delete-tag", json!({ "run_id": run, "key": "team" })),
        ("runs/search", search),
        ("runs/log-metric", json!({ "run_id": run, "key": "loss", "value": "NaN", "timestamp": 1, "step": 2 })),
        ("runs/log-parameter", json!({ "run_id": run, "key": "lr", "value": "0.1" })),
        (
            "runs/log-batch",
            json!({ "run_id": run, "metrics": [metric, infinite], "params": [{ "key": "seed", "value": "1" }], "tags": tags }),
        ),
        ("runs/log-inputs", json!({ "run_id": run, "datasets": [dataset] })),
        ("runs/outputs", json!({ "run_id": run, "models": [] })),
        ("logged-models/search", json!({ "experiment_ids": ["0"] })),
        ("logged-models", json!({ "experiment_id": "0" })),
    ];
    let ours = [
        (
            "/api/v1/labels",
            json!({ "runs": [run], "add": ["a"], "remove": ["b"], "name": "n", "note": "한국어", "trash": false }),
        ),
        ("/api/v1/views", json!({ "name": "mine", "address": "/?q=state%20%3D%20finished&columns=lr" })),
        ("/api/v1/execution", json!({ "do": "resume", "runs": [run] })),
    ];
    let found = |(of, body): (&str, Value)| {
        let route = routes::all().find(|route| {
            let its = route.pattern.strip_prefix("/api/2.0/mlflow/").unwrap_or(route.pattern);
            route.takes == Takes::Json && its == of
        });
        (route.unwrap_or_else(|| panic!("no route {of}")).pattern, body)
    };
    mlflow.into_iter().chain(ours).map(found).collect()
}

#[test]
fn every_body_has_a_sound_one_to_be_spoilt() {
    let known = sound_bodies("aaaaaaaa");
    for route in routes::all().filter(|route| route.takes == Takes::Json) {
        assert!(known.iter().any(|(pattern, _)| *pattern == route.pattern), "{}", route.pattern);
    }
}

/// Bodies of every route, spoilt; now and then a sound one, so that there is something to speak of.
#[test]
#[ignore = "ten minutes"]
fn fuzz_bodies() {
    /// Requests to one server, before another one is asked: each run that they make stays.
    const TO_ONE: usize = 5_000;

    let (mut bench, mut asked) = (Bench::new(), 0);
    let mut run = bench.run();
    crate::fuzzing::fuzz("bodies", |luck| {
        if asked == TO_ONE {
            (bench, asked) = (Bench::new(), 0);
            run = bench.run();
        }
        asked += 1;
        let known = sound_bodies(&run);
        let all: Vec<Vec<u8>> = known.iter().map(|(_, body)| body.to_string().into_bytes()).collect();
        let at = luck.below(known.len());
        let body = match luck.below(10) {
            0 => all[at].clone(),
            // Mostly of its own route, or of any.
            1 => luck.spoilt(&all, &WORDS),
            _ => luck.spoilt(&all[at..=at], &WORDS),
        };
        let answer = bench.ask(&Method::POST, known[at].0, body.clone());
        let status = answer.status.as_u16();
        assert!(is_calm(status), "{} {}: {}", known[at].0, String::from_utf8_lossy(&body), answer.text());
        match status {
            200..300 => "taken",
            400..500 => "refused",
            _ => "not kept",
        }
    });
}
