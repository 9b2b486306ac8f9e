//! What people do with many runs: groups, columns, curves in rows, views under a name, files of a comparison, and the way back.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::pages::{EVIL, bench, say, view};
use super::{Bench, options};
use crate::report::drawing::{Drawing, draw};
use crate::report::page::Record;
use crate::report::{Wanted, comparison};
use crate::server::Options;
use crate::store::RunQuery;

/// The addresses of a view's links that begin so, as a browser follows them.
fn links(html: &str, beginning: &str) -> Vec<String> {
    let links = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
    links.filter(|link| link.starts_with(beginning)).collect()
}

#[test]
fn groups_have_the_means_of_their_runs_and_lead_to_them() {
    let (bench, runs) = bench();
    let html = view(&bench, "/?group=lr&columns=val%20loss,~train/loss,state");
    // The mean of 0.5386 and 0.5486; t(0.975, 1) is 12.706, and their standard deviation 0.00707.
    assert!(html.contains("0.544 \u{b1} 0.064") && html.contains("0.5386 to 0.5486"), "{html}");
    assert!(html.contains("4 runs in 2 groups") && html.contains("2 not finite"), "{html}");
    let rows = html.split("<tbody>").nth(1).unwrap();
    let found = links(rows, "?q=");
    assert_eq!(found.len(), 2, "{found:?}");
    for (link, its) in found.iter().zip([&runs[..2], &runs[2..]]) {
        let table = view(&bench, &format!("/{link}"));
        for run in &runs {
            assert_eq!(table.contains(&format!("/runs/{run}")), its.contains(run), "{link}");
        }
    }
    // A query holds for the groups too, whatever it says.
    let html = view(&bench, "/?group=lr,seed&q=lr%20%3D%200.1%20or%20seed%20%3D%203&sort=-val%20loss");
    assert!(html.contains("3 runs in 3 groups"));
    let found = links(html.split("<tbody>").nth(1).unwrap(), "?q=");
    assert!(view(&bench, &format!("/{}", found[0])).contains(&runs[3]), "the greatest is the first: {found:?}");
    // What is evil is text, and can be asked for.
    let html = view(&bench, "/?group=note,experiment");
    assert!(!html.contains("<script>alert") && html.contains("&lt;script&gt;"));
    let found = links(html.split("<tbody>").nth(1).unwrap(), "?q=");
    assert!(runs.iter().all(|run| view(&bench, &format!("/{}", found[0])).contains(run.as_str())), "{found:?}");
}

#[test]
fn what_cannot_be_a_group_is_said() {
    let (bench, _) = bench();
    for (group, why) in [("took", "is measured"), ("val%20loss", "is measured"), ("lrr", "did you mean `lr`?")] {
        let html = view(&bench, &format!("/?group={group}"));
        assert!(html.contains("role=\"alert\"") && html.contains(why), "{html}");
    }
    // Who looks is told by what runs can be grouped: not by what all have, nor by what each has for itself.
    let html = view(&bench, "/");
    assert!(links(&html, "?group=").iter().any(|link| link == "?group=lr"), "{html}");
    assert!(!links(&html, "?group=").iter().any(|link| link.contains("seed") || link.contains("note")));
}

#[test]
fn runs_without_a_setting_are_a_group_of_their_own() {
    let bench = Bench::new();
    let without = bench.run();
    let with = bench.run();
    bench.post("runs/log-parameter", &json!({ "run_id": with, "key": "odd name", "value": "a\"b" }));
    let html = view(&bench, "/?group=odd%20name");
    let found = links(html.split("<tbody>").nth(1).unwrap(), "?q=");
    assert_eq!(found.len(), 2, "{html}");
    for (link, (is, is_not)) in found.iter().zip([(&with, &without), (&without, &with)]) {
        let table = view(&bench, &format!("/{link}"));
        assert!(table.contains(is.as_str()) && !table.contains(is_not.as_str()), "{link}: {table}");
    }
}

#[test]
fn a_curve_is_a_column() {
    let (bench, runs) = bench();
    let html = view(&bench, "/?columns=~val%20loss,id");
    assert_eq!(html.matches("class=\"spark\"").count(), runs.len());
    assert!(html.contains("aria-label=\"val loss: 0.1100 to 0.5386, 4 points\""), "{html}");
    // What was drawn is drawn anew when its run says more.
    bench.post(
        "runs/log-metric",
        &json!({ "run_id": runs[0], "key": "val loss", "value": 7.0, "timestamp": 9, "step": 9 }),
    );
    assert!(view(&bench, "/?columns=~val%20loss").contains("to 7.0000, 5 points"));
    assert!(view(&bench, "/?columns=~nothing").contains("role=\"alert\""));
}

#[test]
fn views_are_saved_under_a_name() {
    let (bench, _) = bench();
    let ask = |change: &Value| bench.ask(&Method::POST, "/api/v1/views", change.to_string());
    let save = json!({ "name": EVIL, "address": "/?q=lr%20%3D%200.1&group=seed" });
    assert_eq!(ask(&save).status, StatusCode::OK);
    assert_eq!(ask(&json!({ "name": "b", "address": "/compare?q=state=finished" })).status, StatusCode::OK);
    let known = bench.ask(&Method::GET, "/api/v1/views", "").json();
    assert_eq!(known["views"][0]["name"], EVIL);
    let html = view(&bench, "/");
    assert!(html.contains("Saved views (2)") && !html.contains("<script>alert"), "{html}");
    assert!(links(&html, "/?q=lr").iter().any(|link| view(&bench, link).contains("Grouped by")));
    for bad in [
        json!({ "name": "x" }),
        json!({ "name": "x", "address": "https://elsewhere/?q" }),
        json!({ "name": "x", "address": "/?q", "remove": true }),
        json!({ "name": "", "address": "/?q" }),
        json!({ "name": "nobody", "remove": true }),
        json!({ "name": "x", "address": "/?q", "more": 1 }),
    ] {
        assert!(ask(&bad).status.is_client_error(), "{bad}");
    }
    assert_eq!(ask(&json!({ "name": EVIL, "remove": true })).status, StatusCode::OK);
    assert!(view(&bench, "/").contains("Saved views (1)"));
    // What nobody can read is told, and the runs are there all the same.
    std::fs::write(bench.store().root().join("views.json"), "{").unwrap();
    let html = view(&bench, "/");
    assert!(html.contains("views.json") && html.contains("<table class=\"runs\""), "{html}");
    assert!(ask(&save).status.is_server_error());
    std::fs::remove_file(bench.store().root().join("views.json")).unwrap();
    let bench = bench.again(&Options { is_read_only: true, root_path: "/lab".to_owned(), ..options() });
    assert_eq!(bench.ask(&Method::POST, "/lab/api/v1/views", save.to_string()).status, StatusCode::FORBIDDEN);
}

#[test]
fn every_change_can_be_taken_back() {
    let (bench, runs) = bench();
    let labels = || runs.iter().map(|run| bench.store().run(&run.parse().unwrap()).unwrap().labels().unwrap());
    say(&bench, &json!({ "runs": [runs[0]], "add": ["keep", "old"], "name": "mine" }));
    say(&bench, &json!({ "runs": [runs[1]], "trash": true }));
    let before: Vec<_> = labels().collect();
    for change in [
        json!({ "runs": runs, "add": ["keep", "new"] }),
        json!({ "runs": runs, "remove": ["old", "never"] }),
        json!({ "runs": runs, "note": "n" }),
        json!({ "runs": runs, "name": "" }),
        json!({ "runs": runs, "trash": false }),
        json!({ "runs": [runs[0], runs[1]], "trash": true }),
        json!({ "runs": runs, "add": ["a"], "remove": ["keep"], "name": "x", "note": "", "trash": false }),
    ] {
        let said = say(&bench, &change).json();
        let steps = said["undo"].as_array().unwrap();
        assert!(!steps.is_empty(), "{change}");
        for step in steps {
            assert_eq!(say(&bench, step).status, StatusCode::OK, "{step}");
        }
        let mut after: Vec<_> = labels().collect();
        // When it was put there is all that cannot come back.
        after.iter_mut().zip(&before).filter(|(_, before)| before.is_trashed()).for_each(|(after, before)| {
            assert!(after.is_trashed(), "{change}");
            after.trashed_at = before.trashed_at;
        });
        assert_eq!(after, before, "{change}");
    }
    assert_eq!(say(&bench, &json!({ "runs": runs, "remove": ["never"] })).json()["undo"], json!([]));
}

/// What is downloaded is what `ablate compare` writes.
#[test]
fn files_of_a_comparison_are_those_of_its_report() {
    let (bench, _) = bench();
    let html = view(&bench, "/compare?q=state=finished");
    let found = links(&html, "/compare/");
    let query = RunQuery::parse("state=finished", crate::clock::now()).unwrap();
    let asked = bench.app.reader.ask(|index| comparison::Asked::of(index, &query)).unwrap();
    let metric = "val loss".parse().unwrap();
    let found_runs = comparison::of_asked(&query, &metric, bench.store(), asked).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (wanted, record) = (Wanted::everything(), Record::default());
    let drawing = Drawing { folder: folder.path(), font: None, wanted: &wanted, record: &record };
    let mut parts = comparison::parts(found_runs.comparison);
    draw(&parts.remove(0).comparison, &drawing).unwrap();
    assert!(found.len() > 5 && found.iter().any(|link| link.contains("tables/cells.csv")), "{found:?}");
    // What the report as one file leaves out are links to the files beside it: below.
    for link in found.into_iter().filter(|link| !link.contains("report.html")) {
        let answer = bench.ask(&Method::GET, &link, "");
        let path = link.strip_prefix("/compare/").unwrap().split('?').next().unwrap();
        let path = path.strip_prefix("figures/").unwrap_or(path).replace("%20", " ");
        assert!(answer.status == StatusCode::OK && answer.headers["content-disposition"] == "attachment", "{link}");
        assert_eq!(answer.bytes, std::fs::read(folder.path().join(&path)).unwrap(), "{path}");
    }
    for wrong in ["figures/cells.svg", "figures/effects.gif", "figures/x", "tables/cells", "tables/x.csv"] {
        let answer = bench.ask(&Method::GET, &format!("/compare/{wrong}?q=state=finished"), "");
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    assert!(bench.ask(&Method::GET, "/compare/tables/cells.csv?q=lr%20%3E", "").status.is_client_error());
    // The report as one file asks no server for anything.
    let alone = bench.ask(&Method::GET, "/compare/report.html?q=state%20%3D%20finished", "");
    let html = alone.text();
    assert!(
        html.contains("<script>") && html.contains("<svg") && !html.contains("/assets/") && !html.contains("href=\"/")
    );
    assert_eq!(alone.headers["content-disposition"], "attachment");
}
