//! The page without a browser: every view of a store in which everything that can be named is named like markup.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Bench, options};
use crate::server::Options;
use crate::server::route::Access;
use crate::server::routes;

pub const EVIL: &str = "<script>alert(1)</script>\"'&한글";

/// A server with runs of two settings, all of whose texts are evil.
pub fn bench() -> (Bench, Vec<String>) {
    let bench = Bench::new();
    let experiment = bench.post("experiments/create", &json!({ "name": EVIL }));
    let run = |(lr, seed): (f64, u64)| {
        let tags = json!([{ "key": "mlflow.note.content", "value": EVIL }, { "key": "why", "value": EVIL }]);
        let made = bench.post(
            "runs/create",
            &json!({ "experiment_id": experiment["experiment_id"], "run_name": EVIL, "start_time": 1, "tags": tags }),
        );
        let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        let loss = |step: u64| json!({ "key": "val loss", "value": lr + step as f64 / 7.0 + seed as f64 / 100.0, "timestamp": 1, "step": step });
        let params = json!([{ "key": "lr", "value": lr.to_string() }, { "key": "seed", "value": seed.to_string() }, { "key": "note", "value": EVIL }]);
        let metrics: Vec<Value> = (0..4)
            .map(loss)
            .chain([json!({ "key": "train/loss", "value": "NaN", "timestamp": 1, "step": 0 })])
            .collect();
        bench.post("runs/log-batch", &json!({ "run_id": id, "params": params, "metrics": metrics }));
        bench.post("runs/update", &json!({ "run_id": id, "status": "FINISHED", "end_time": 2 }));
        id
    };
    let runs = [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 3)].map(run).to_vec();
    (bench, runs)
}

pub fn view(bench: &Bench, path: &str) -> String {
    let answer = bench.ask(&Method::GET, path, "");
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
    answer.text()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn what_people_name_is_text_in_every_view() {
    let (bench, runs) = bench();
    let experiment = format!("/experiments/{}", encoded(EVIL));
    let views = [
        "/",
        "/?columns=id,note,lr&sort=-lr",
        "/?group=lr,note",
        "/experiments",
        &experiment,
        &format!("/runs/{}", runs[0]),
        "/compare?q=state=finished",
    ];
    for path in views {
        let html = view(&bench, path);
        assert!(!html.contains("<script>alert") && !html.contains("\"'&한"), "{path}");
        assert!(
            html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") || path.contains("compare") || path.contains("lr"),
            "{path}"
        );
    }
    let evil = encoded(EVIL);
    for path in
        [format!("/?q={evil}"), format!("/compare?q={evil}"), format!("/?columns={evil}"), format!("/?sort={evil}")]
    {
        assert!(!view(&bench, &path).contains("<script>alert"), "{path}");
    }
}

/// The addresses of style and scripts in a view.
fn named_in(html: &str) -> Vec<String> {
    let parts = html.split('"').filter(|part| part.starts_with("/assets/"));
    parts.map(str::to_owned).collect()
}

/// No view lets a script be but those of the program, and none asks anybody else.
#[test]
fn a_views_policy_holds_its_own_content() {
    let (bench, runs) = bench();
    for path in ["/".to_owned(), format!("/runs/{}", runs[0]), "/compare?q=state=finished".to_owned()] {
        let answer = bench.ask(&Method::GET, &path, "");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
        let html = answer.text();
        for script in html.split("<script").skip(1) {
            let tag = script.split('>').next().unwrap();
            assert!(tag.contains("src=\"/assets/") || tag.contains("application/json"), "{path}: {tag}");
        }
        for address in html.split("href=\"").chain(html.split("src=\"")).skip(1) {
            let address = address.split('"').next().unwrap();
            assert!(!address.contains("//") || address.starts_with("https://"), "{path}: {address}");
        }
        // Inline style is in the report alone, whose policy allows it.
        assert!(path.starts_with("/compare") || !html.contains(" style=\""), "{path}");
    }
    // Every file that a view or a script names is there, at an address of its content: it is kept for a year.
    let mut addresses: Vec<String> =
        ["/", "/compare?q=state=finished"].iter().flat_map(|path| named_in(&view(&bench, path))).collect();
    let mut at = 0;
    while let Some(address) = addresses.get(at).cloned() {
        let answer = bench.ask(&Method::GET, &address, "");
        assert_eq!(answer.status, StatusCode::OK, "{address}");
        let folder = &address[..=address.rfind('/').unwrap()];
        let text = answer.text();
        let imported = text.split("\"./").skip(1).map(|rest| format!("{folder}{}", rest.split('"').next().unwrap()));
        for other in imported.filter(|_| address.ends_with(".js") && !address.contains("uPlot")) {
            if !addresses.contains(&other) {
                addresses.push(other);
            }
        }
        at += 1;
    }
    assert!(addresses.len() >= 11, "{addresses:?}");
    assert_eq!(bench.ask(&Method::GET, "/assets/0123456789abcdef/page.js", "").status, StatusCode::NOT_FOUND);
    assert_eq!(bench.ask(&Method::GET, "/assets/x/..%2fmod.rs", "").status, StatusCode::NOT_FOUND);
}

#[test]
fn a_view_says_what_the_runs_are() {
    let (bench, runs) = bench();
    let table = view(&bench, "/?q=lr%20%3E%200.15&columns=id,lr,seed");
    assert!(runs[2..].iter().all(|run| table.contains(run)) && runs[..2].iter().all(|run| !table.contains(run)));
    let wrong = view(&bench, "/?q=lr%20%3E");
    assert!(wrong.contains("role=\"alert\"") && wrong.contains("a value is missing here"), "{wrong}");
    let run = view(&bench, &format!("/runs/{}/", runs[0]));
    assert!(run.contains("val loss") && run.contains("finished") && run.contains("Parameters"));
    let experiment = view(&bench, &format!("/experiments/{}", encoded(EVIL)));
    // Two cells, found by what the runs differ in, and the answer about them.
    assert!(
        experiment.contains("What matters") && experiment.matches("class=\"squares\"").count() == 2,
        "{experiment}"
    );
    let compared = view(&bench, &format!("/compare?run={}&run={}", runs[0], runs[2]));
    assert!(compared.contains(&format!("href=\"/runs/{}/\"", runs[0])), "links lead to the runs");
    assert_eq!(bench.ask(&Method::GET, "/experiments/nobody", "").status, StatusCode::NOT_FOUND);
    assert_eq!(bench.ask(&Method::GET, "/runs/zzzzzzzz", "").status, StatusCode::NOT_FOUND);
}

/// Who opens an address that leads nowhere reads why; a program is told in JSON.
#[test]
fn a_fault_is_a_page_for_people() {
    let (bench, _) = bench();
    let host = ("host", "127.0.0.1:5000");
    for path in ["/runs/zzzzzzzz", "/experiments/nobody", "/nowhere"] {
        let opened = bench.send(&Method::GET, path, &[host, ("accept", "text/html,*/*;q=0.8")], "");
        assert_eq!(opened.status, StatusCode::NOT_FOUND, "{path}");
        assert!(opened.text().contains("role=\"alert\"") && opened.text().contains("All runs"), "{}", opened.text());
        let asked = bench.send(&Method::GET, path, &[host], "");
        assert_eq!((asked.status, asked.json()["message"].is_string()), (StatusCode::NOT_FOUND, true), "{path}");
    }
}

pub fn say(bench: &Bench, change: &Value) -> Answer {
    bench.ask(&Method::POST, "/api/v1/labels", change.to_string())
}

#[test]
fn what_people_say_is_kept_and_nonsense_is_not() {
    let (bench, runs) = bench();
    let labels = |run: &str| bench.store().run(&run.parse().unwrap()).unwrap().labels().unwrap();
    let change =
        json!({ "runs": [runs[0], runs[1]], "add": ["keep"], "remove": ["none"], "name": "한글", "note": "a\nb" });
    assert_eq!(say(&bench, &change).json()["changed"], 2);
    let found = labels(&runs[1]);
    assert!(
        found.tags.contains("keep") && found.name.as_deref() == Some("한글") && found.note.as_deref() == Some("a\nb")
    );
    assert_eq!(say(&bench, &json!({ "runs": [runs[0]], "trash": true })).status, StatusCode::OK);
    assert!(labels(&runs[0]).is_trashed() && !view(&bench, "/").contains(&runs[0]));
    assert!(view(&bench, "/?trash=1").contains(&runs[0]));
    assert_eq!(say(&bench, &json!({ "runs": [runs[0]], "trash": false, "name": "" })).status, StatusCode::OK);
    assert!(!labels(&runs[0]).is_trashed() && labels(&runs[0]).name.is_none());
    let before = labels(&runs[2]);
    for bad in [
        json!({ "runs": [] }),
        json!({ "runs": ["zzzzzzzz"], "add": ["x"] }),
        json!({ "runs": [runs[2]], "add": [""] }),
        json!({ "runs": [runs[2]], "add": ["a\nb"] }),
        json!({ "runs": [runs[2]], "name": "x".repeat(201) }),
        json!({ "runs": [runs[2]], "note": "x".repeat(20_001) }),
        json!({ "runs": [runs[2]], "colour": "red" }),
        json!([1]),
    ] {
        assert!(say(&bench, &bad).status.is_client_error(), "{bad}");
    }
    assert_eq!(labels(&runs[2]), before);
}

/// A server that only shows takes no word, and says so in its views.
#[test]
fn a_server_that_only_shows_offers_no_change() {
    let (bench, runs) = bench();
    let bench = bench.again(&Options { is_read_only: true, root_path: "/lab".to_owned(), ..options() });
    assert_eq!(say(&bench, &json!({ "runs": [runs[0]], "add": ["x"] })).status, StatusCode::FORBIDDEN);
    let html = view(&bench, "/lab/");
    assert!(html.contains("data-read-only") && html.contains(&format!("href=\"/lab/runs/{}\"", runs[0])), "{html}");
}

/// Pages are opened from anywhere; what they send and ask for is not.
#[test]
fn only_views_may_be_opened_from_elsewhere() {
    let (bench, _) = bench();
    let headers = [("host", "127.0.0.1:5000"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    for route in routes::all().filter(|route| route.method == Method::GET && !route.pattern.contains('{')) {
        let status = bench.send(&Method::GET, route.pattern, &headers, "").status;
        assert_eq!(status == StatusCode::FORBIDDEN, route.access != Access::Page, "{}: {status}", route.pattern);
    }
}

#[test]
fn a_query_for_the_trash_is_a_view_of_it() {
    let (bench, runs) = bench();
    let trash = json!({ "runs": [runs[0]], "trash": true });
    assert_eq!(bench.ask(&Method::POST, "/api/v1/labels", trash.to_string()).status, StatusCode::OK);
    for path in ["/?trash=1", "/?q=trash%20%3D%20yes"] {
        let html = view(&bench, path);
        assert!(html.contains(&runs[0]) && html.contains("Runs in the trash"), "{path}");
        assert!(html.contains("data-do=\"restore\"") && !html.contains("data-do=\"trash\""), "{path}");
    }
}

/// Of a metric that is better when larger, as of others: what is no number is not the best.
#[test]
fn a_field_without_a_number_has_no_shade() {
    for metric in ["valid/accuracy", "valid/loss"] {
        let bench = Bench::new();
        for (a, b, seed) in [1, 2].into_iter().flat_map(|a| [(a, 1, 1), (a, 1, 2), (a, 2, 1), (a, 2, 2)]) {
            let run = bench.run();
            let value = if (a, b) == (2, 1) { json!("NaN") } else { json!(0.1 * f64::from(a + b)) };
            let parameter = |key: &str, value: i32| json!({ "key": key, "value": value.to_string() });
            bench.post(
                "runs/log-batch",
                &json!({ "run_id": run, "params": [parameter("a", a), parameter("b", b), parameter("seed", seed)],
                    "metrics": [{ "key": metric, "value": value, "timestamp": 1, "step": 1 }] }),
            );
            bench.post("runs/update", &json!({ "run_id": run, "status": "FINISHED" }));
        }
        let html = view(&bench, &format!("/experiments/Default?metric={metric}"));
        let map = html.split("aria-label=\"Map\"").nth(1).expect("a map");
        let fields: Vec<&str> = map.split("<td").skip(1).take(4).collect();
        let odd: Vec<&&str> = fields.iter().filter(|field| field.contains("NaN")).collect();
        assert!(odd.len() == 1 && !odd[0].contains("shade"), "{metric}: {fields:?}");
        assert_eq!(fields.iter().filter(|field| field.contains("shade")).count(), 3, "{metric}");
    }
}
