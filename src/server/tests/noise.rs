//! Bodies and addresses that nobody would write: each is answered, and never as if the server were at fault.

use hyper::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Bench;
use crate::server::routes::{self, Takes};

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
