//! The page of a run, and what it asks for: series over time and tokens, kin, differences, answers of models, files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bench, options};
use crate::report::difference::ProvenanceDifference;
use crate::server::{Lent, Model, Options, Unanswered};
use crate::store::testing::{at, fact, spec, state, step};
use crate::store::{Lineage, NewRun, RunState, StoredRun, Subject};
use crate::types::RunId;

fn view(bench: &Bench, path: &str) -> String {
    let answer = bench.ask(&Method::GET, path, "");
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.text()
}

/// A planned run with this lineage that came to its end.
fn finished(bench: &Bench, seed: u64, weights: &str, lineage: &Lineage) -> RunId {
    let subject = Subject::Planned(Box::new(spec(seed, 0.15)));
    let new = NewRun { subject: &subject, provenance: &json!({ "experiment": { "name": "pilot" } }), lineage };
    let run = bench.store().create_run(&new, at(1)).unwrap();
    let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
    let ends = [fact("final_chain", "c"), fact("final_weights", weights), fact("unigram_entropy", 5.0)];
    log.append(&state(RunState::Running, 2)).unwrap();
    for event in (1..4).map(|at| step(at, 4.0)).chain([crate::store::testing::evaluation(3, 4.0)]).chain(ends) {
        log.append(&event).unwrap();
    }
    log.append(&state(RunState::Finished, 9)).unwrap();
    run.id().clone()
}

/// A run of 3,000 steps, of which every second says how many tokens it saw.
fn logged(bench: &Bench) -> String {
    let run = bench.run();
    let metric = |key: &str, step: i64, value: Value| json!({ "key": key, "value": value, "step": step, "timestamp": 5_000 + 10 * step });
    let loss = (0..3_000).map(|step| metric("loss", step, json!(if step == 7 { json!("NaN") } else { json!(step) })));
    let tokens = (0..1_500).map(|step| metric("tokens", 2 * step, json!(128 * step)));
    let metrics: Vec<Value> = loss.chain(tokens).collect();
    bench.post("runs/log-batch", &json!({ "run_id": run, "metrics": metrics }));
    run
}

/// Where a point lies is looked up, and where nobody said it, it lies nowhere.
#[test]
fn series_lie_over_what_their_steps_say() {
    let bench = Bench::new();
    let run = logged(&bench);
    let series = |query: &str| {
        bench.ask(&Method::GET, &format!("/api/v1/runs/{run}/series?metric=loss&{query}"), "").json()["series"]["loss"]
            .clone()
    };
    assert_eq!(series("from=4&to=6&x=tokens")["exact"]["x"], json!([256.0, null, 384.0]));
    assert_eq!(series("from=4&to=6&x=time")["exact"]["x"], json!([5_040, 5_050, 5_060]));
    assert_eq!(series("from=4&to=6")["exact"].get("x"), None);
    let buckets = &series("points=10&x=time")["buckets"];
    let (from, places) = (buckets["from"].as_array().unwrap(), buckets["x_from"].as_array().unwrap());
    assert!(from.iter().zip(places).all(|(step, x)| x.as_i64() == step.as_i64().map(|step| 5_000 + 10 * step)));
    assert_eq!((buckets["to"][9].clone(), buckets["x_to"][9].clone()), (json!(2_999), json!(34_990)));
    let asked =
        |query: &str| bench.ask(&Method::GET, &format!("/api/v1/runs/{run}/series?{query}"), "").status.as_u16();
    assert_eq!([asked("x=none"), asked("metric=none&x=time")], [404, 404]);
}

#[test]
fn each_point_is_a_line() {
    let bench = Bench::new();
    let run = logged(&bench);
    let answer = bench.ask(&Method::GET, &format!("/api/v1/runs/{run}/series.csv?metric=loss"), "");
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    let text = answer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3_001);
    assert_eq!(
        [lines[0], lines[1], lines[8]],
        ["step,value,time", "0,0,1970-01-01T00:00:05.000Z", "7,NaN,1970-01-01T00:00:05.070Z"]
    );
    assert_eq!(lines[3_000], "2999,2999,1970-01-01T00:00:34.990Z");
    for query in ["", "?metric=none"] {
        let status = bench.ask(&Method::GET, &format!("/api/v1/runs/{run}/series.csv{query}"), "").status;
        assert!(status.is_client_error(), "{query}");
    }
}

/// A page brings its curves; one that is kept up is told how long they are.
#[test]
fn a_page_that_is_kept_up_carries_no_curves() {
    let bench = Bench::new();
    let path = format!("/runs/{}", logged(&bench));
    let curves = |html: &str| -> Value {
        let from = html.split("id=\"curves\">").nth(1).unwrap();
        serde_json::from_str(from.split("</script>").next().unwrap()).unwrap()
    };
    let whole = curves(&view(&bench, &path));
    let headers = [("host", "127.0.0.1:5000"), ("x-ablate-part", "live")];
    let part = curves(&bench.send(&Method::GET, &path, &headers, "").text());
    assert!(whole["panels"][0]["curves"][0]["series"]["buckets"].is_object(), "{whole}");
    assert_eq!(part["panels"][0]["curves"][0], json!({ "name": "loss", "floors": [], "points": 3_000, "last": 2_999 }));
}

#[test]
fn kin_near_and_far_are_drawn_and_linked() {
    let bench = Bench::new();
    let first = finished(&bench, 1, "w", &Lineage::default());
    let lineage =
        Lineage { starts_from: Some(first.clone()), uses_tokenizer_of: Some(first.clone()), ..Lineage::default() };
    let second = finished(&bench, 2, "w", &lineage);
    let third = finished(&bench, 3, "w", &Lineage { starts_from: Some(second.clone()), ..Lineage::default() });
    let again = finished(&bench, 2, "w", &Lineage { reproduces: Some(second.clone()), ..lineage.clone() });
    let other = finished(&bench, 2, "v", &Lineage { reproduces: Some(second.clone()), ..lineage });
    let html = view(&bench, &format!("/runs/{second}"));
    let drawing = html.split("<svg").find(|part| part.contains("Lineage of")).unwrap();
    for run in [&first, &second, &third, &again, &other] {
        assert!(drawing.contains(&format!("href=\"/runs/{run}\"")), "{run}");
    }
    // `first` to `second`, and from it to three.
    assert_eq!(drawing.split("</svg>").next().unwrap().matches("<path").count(), 4);
    for words in ["this run uses tokenizer of", "starts from this run", "reproduces this run"] {
        let text = html.replace("</a>", "");
        assert!(text.contains(words), "{words}");
    }
    // Beside the command stands what came of it.
    let beside = html.split("trained again").nth(1).unwrap().split("</dl>").next().unwrap();
    assert_eq!((beside.matches("identical").count(), beside.matches("different").count()), (1, 1), "{beside}");
    let alone = finished(&bench, 9, "w", &Lineage::default());
    assert!(!view(&bench, &format!("/runs/{alone}")).contains("Lineage of"));
    // What it came to, against what costs no learning.
    assert!(html.contains("1.0000 below") && html.contains("unigram entropy"), "{html}");
}

#[test]
fn what_differs_from_another_run_is_told() {
    let bench = Bench::new();
    let [first, second] = [1, 2].map(|seed| finished(&bench, seed, "w", &Lineage::default()));
    bench.ask(&Method::POST, "/api/v1/labels", json!({ "runs": [second.as_str()], "name": "the <other>" }).to_string());
    for path in [
        format!("/runs/{first}/diff/{second}"),
        format!("/runs/{first}/diff?with=the+%3Cother%3E"),
        format!("/runs/{first}/diff?with={second}"),
    ] {
        let html = view(&bench, &path);
        assert!(html.contains("seed") && html.contains("train/loss") && html.contains("the &lt;other&gt;"), "{html}");
        assert!(!html.contains("mask_ratio"), "what they have in common is left out");
    }
    assert!(view(&bench, &format!("/runs/{first}/diff/{first}")).contains("The same specification"));
    for (with, status) in [("nobody", 404), ("", 400)] {
        assert_eq!(bench.ask(&Method::GET, &format!("/runs/{first}/diff?with={with}"), "").status.as_u16(), status);
    }
}

/// A model that says what it was asked, and counts how often it was loaded.
#[derive(Debug, Default)]
struct Echo(Arc<AtomicUsize>);

impl Lent for Echo {
    fn model(&self, _: &StoredRun) -> Result<Box<dyn Model>, Unanswered> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Echo::default()))
    }

    fn provenance_differences(&self, _: &StoredRun, _: &StoredRun) -> Vec<ProvenanceDifference> {
        Vec::new()
    }
}

impl Model for Echo {
    fn fill_mask(&self, text: &str, top: usize) -> Result<Value, Unanswered> {
        if !text.contains("[MASK]") {
            return Err(Unanswered::Request("the text has no <mask>".to_owned()));
        }
        let guess = json!({ "id": 1, "token": "<b>", "probability": 0.5, "logit": 1.0 });
        Ok(json!({ "step": 3, "text": text, "masks": [{ "position": 1, "guesses": vec![guess; top] }] }))
    }

    fn predict(&self, _: &str, _: Option<&str>) -> Result<Value, Unanswered> {
        Err(Unanswered::Request("pretrained".to_owned()))
    }
}

#[test]
fn a_model_is_loaded_once_and_answers() {
    let loaded = Arc::new(AtomicUsize::new(0));
    let lent: Arc<dyn Lent> = Arc::new(Echo(loaded.clone()));
    let bench = Bench::with(&Options { lent: Some(lent), is_read_only: false, ..options() });
    let run = finished(&bench, 1, "w", &Lineage::default());
    assert!(view(&bench, &format!("/runs/{run}")).contains("Ask the model"));
    let html = view(&bench, &format!("/runs/{run}/ask?text=a+%5BMASK%5D+%3Ci%3E&k=3"));
    assert_eq!(html.matches("&lt;b&gt;").count(), 3, "{html}");
    assert!(html.contains("a [MASK] &lt;i&gt;</textarea>") && html.contains("step 3"), "{html}");
    assert!(view(&bench, &format!("/runs/{run}/ask?text=nothing")).contains("the text has no &lt;mask&gt;"));
    let ask = |query: &str| bench.ask(&Method::GET, &format!("/api/v1/runs/{run}/{query}"), "");
    assert_eq!(ask("fill-mask?text=%5BMASK%5D").json()["masks"][0]["guesses"].as_array().unwrap().len(), 5);
    let long = format!("fill-mask?text={}", "x".repeat(10_001));
    for (query, said) in [
        ("fill-mask", "there is no text"),
        ("fill-mask?text=x", "no <mask>"),
        ("fill-mask?text=x&k=0", "'k'"),
        ("predict?text=x", "pretrained"),
        (&long, "at most 10000 characters"),
    ] {
        let answer = ask(query);
        assert!(answer.status.as_u16() == 400 && answer.text().contains(said), "{}", answer.text());
    }
    assert_eq!(loaded.load(Ordering::Relaxed), 1);
    // Of more runs than are kept the one asked last goes on.
    for seed in 2..5 {
        let other = finished(&bench, seed, "w", &Lineage::default());
        bench.ask(&Method::GET, &format!("/api/v1/runs/{other}/fill-mask?text=%5BMASK%5D"), "");
        ask("fill-mask?text=%5BMASK%5D");
    }
    assert_eq!(loaded.load(Ordering::Relaxed), 4);
    let nobody = bench.again(&options());
    let run = nobody.store().run_ids().unwrap().remove(0);
    assert_eq!(nobody.ask(&Method::GET, &format!("/api/v1/runs/{run}/fill-mask?text=x"), "").status.as_u16(), 501);
    assert!(!view(&nobody, &format!("/runs/{run}")).contains("Ask the model"));
}

#[test]
fn files_are_looked_into_and_run_nothing() {
    let bench = Bench::new();
    let run = bench.run();
    let base = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    let long = "long ".repeat(20_000);
    for (name, content) in [
        ("sub/deep/page.html", &b"<script>alert(1)</script>"[..]),
        ("sub/a%20b.json", &b"{\"a\": 1}"[..]),
        ("plot.png", &b"\x89PNG\r\n\x1a\n"[..]),
        ("drawing.svg", &b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"[..]),
        ("fake.png", &b"<script>alert(1)</script>"[..]),
        ("long.txt", long.as_bytes()),
        ("data.bin", &b"\x00\xff"[..]),
    ] {
        assert_eq!(bench.ask(&Method::PUT, &format!("{base}/{name}"), content.to_vec()).status.as_u16(), 200, "{name}");
    }
    let page = view(&bench, &format!("/runs/{run}"));
    assert!(page.contains(&format!("href=\"/runs/{run}/artifacts/sub\"")), "{page}");
    let at = |path: &str| view(&bench, &format!("/runs/{run}/artifacts/{path}"));
    assert!(at("").contains("plot.png") && at("sub/").contains(&format!("/runs/{run}/artifacts/sub/a%20b.json")));
    let html = at("sub/deep/page.html");
    assert!(
        html.contains("&lt;script&gt;alert(1)") && html.contains(&format!("href=\"/runs/{run}/artifacts/sub/deep\"")),
        "{html}"
    );
    let cut = at("long.txt");
    assert!(cut.contains("first 64 KiB") && cut.len() < 80_000);
    assert!(at("data.bin").contains("Nothing to be shown"));
    let picture = |name: &str| bench.ask(&Method::GET, &format!("/runs/{run}/picture/{name}"), "");
    for (name, kind) in [("plot.png", "image/png"), ("drawing.svg", "image/svg+xml")] {
        assert!(at(name).contains(&format!("src=\"/runs/{run}/picture/{name}\"")));
        let headers = picture(name).headers;
        assert_eq!(
            (&headers["content-type"], &headers["x-content-type-options"]),
            (&kind.parse().unwrap(), &"nosniff".parse().unwrap())
        );
        assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    }
    for name in ["fake.png", "long.txt", "sub", "none.png", "..%2f..%2fmeta"] {
        assert!(picture(name).status.is_client_error(), "{name}");
    }
    for path in ["none", "sub/none", "..%2f..", "a%2f%2fb"] {
        let status = bench.ask(&Method::GET, &format!("/runs/{run}/artifacts/{path}"), "").status;
        assert!(status.is_client_error(), "{path}: {status}");
    }
}
