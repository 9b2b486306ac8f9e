//! What an attacker has tried against servers of this kind, one test or more for each of 34 ways in. Where a way must be
//! closed for every route, the table of routes is gone through.

use std::os::unix::fs::symlink;

use hyper::Method;
use serde_json::json;

use super::{Answer, Bench, options};
use crate::server::guard::LARGEST_BODY;
use crate::server::route::{Access, Takes};
use crate::server::routes;
use crate::server::{Options, ServeError, serve};
use crate::store::Store;

/// A request to every route there is, and what the guard says.
fn every_route(bench: &Bench, headers: &[(&str, &str)]) -> Vec<(&'static crate::server::route::Route, Answer)> {
    let sent = |route: &'static crate::server::route::Route| {
        let path = route.pattern.replace("{path*}", "0/x/artifacts/y").replace(['{', '}'], "");
        (route, bench.send(&route.method, &path, headers, "{}"))
    };
    routes::all().map(sent).collect()
}

const HOST: (&str, &str) = ("host", "127.0.0.1:5000");
const JSON: (&str, &str) = ("content-type", "application/json");

/// 1 to 5, 16: other hosts, and hosts that look like this one, reach no route at all.
#[test]
fn only_this_servers_names_are_answered_to() {
    let bench = Bench::new();
    for host in [
        "evil.com",
        "evil.com:5000",
        "10.0.0.1.evil.com:5000",
        "127.0.0.1.evil.com:5000",
        "localhost:x@evil.com",
        "localhost:5000@evil.com",
        "evil.com#localhost:5000",
        "localhost.evil.com:5000",
        "localhost",      // 7: another port
        "localhost:5001", // 7
        "localhost.:5000",
        "192.168.0.1:5000",
        "[::2]:5000",
        "",
        ":5000",
        " ",
    ] {
        for (route, answer) in every_route(&bench, &[("host", host), JSON]) {
            assert_eq!(answer.fault(), (403, "PERMISSION_DENIED".into()), "{host}: {}", route.pattern);
        }
    }
    // 5: no host, and two.
    for headers in [&[JSON][..], &[HOST, HOST, JSON], &[HOST, ("host", "evil.com"), JSON]] {
        assert!(every_route(&bench, headers).iter().all(|(_, answer)| answer.status.as_u16() == 403), "{headers:?}");
    }
    let absolute = bench.send(&Method::GET, "http://evil.com/health", &[HOST], "");
    assert_eq!(absolute.status.as_u16(), 403);
    // 6: letters in either case are the same name.
    for host in ["localhost:5000", "LOCALHOST:5000", "127.0.0.1:5000", "[::1]:5000"] {
        assert_eq!(bench.send(&Method::GET, "/health", &[("host", host)], "").text(), "OK", "{host}");
    }
}

#[test]
fn further_names_are_those_that_were_allowed() {
    let hosts = ["tracker.example", "proxy.example:8080"].map(str::to_owned).to_vec();
    let bench = Bench::with(&Options { hosts, ..options() });
    let status = |host: &str| bench.send(&Method::GET, "/health", &[("host", host)], "").status.as_u16();
    for host in
        ["tracker.example", "tracker.example:443", "TRACKER.example:5000", "proxy.example:8080", "localhost:5000"]
    {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in ["proxy.example", "proxy.example:80", "a.tracker.example", "tracker.example.evil.com"] {
        assert_eq!(status(host), 403, "{host}");
    }
}

/// 8 to 11, 15, 16: what a browser sends for another page reaches no route.
#[test]
fn other_pages_are_not_answered() {
    let bench = Bench::new();
    for foreign in [
        ("origin", "http://evil.com"),
        ("origin", "null"),
        ("origin", "http://localhost:9999"),
        ("origin", "http://127.0.0.1:5000.evil.com"),
        ("origin", "http://localhost:5000"), // Asked for 127.0.0.1.
        ("origin", "file://"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "anything"),
    ] {
        for (route, answer) in every_route(&bench, &[HOST, JSON, foreign]) {
            assert_eq!(answer.status.as_u16(), 403, "{foreign:?}: {}", route.pattern);
            let grants = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control"));
            assert_eq!(grants.count(), 0);
        }
    }
    for own in [("origin", "http://127.0.0.1:5000"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none")] {
        assert_eq!(bench.send(&Method::GET, "/health", &[HOST, own], "").status.as_u16(), 200, "{own:?}");
    }
    let preflight = [HOST, ("access-control-request-method", "POST"), ("origin", "http://evil.com")];
    for route in routes::all() {
        let answer = bench.send(&Method::OPTIONS, route.pattern, &preflight[..2], "");
        assert!(answer.status.is_client_error(), "{}", route.pattern);
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
        assert_eq!(bench.send(&Method::OPTIONS, route.pattern, &preflight, "").status.as_u16(), 403);
    }
}

/// 12, 13: a form of another page can send these content types, and no route takes them.
#[test]
fn bodies_are_json_by_name() {
    let bench = Bench::new();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "<script>"] {
        let headers = [HOST, ("content-type", kind)];
        for headers in [&headers[..], &headers[..1]] {
            for (route, answer) in
                every_route(&bench, headers).into_iter().filter(|(route, _)| route.takes == Takes::Json)
            {
                assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{kind}: {}", route.pattern);
                assert!(!answer.text().contains("script"), "what was sent is not repeated");
            }
        }
    }
    let kind = ("content-type", "application/json; charset=utf-8");
    let answer = bench.send(&Method::POST, "/api/2.0/mlflow/runs/search", &[HOST, kind], "{}");
    assert_eq!(answer.status.as_u16(), 200);
}

/// 14: the store is what it was after every GET.
#[test]
fn asking_changes_nothing() {
    let bench = Bench::new();
    let run = bench.run();
    bench.post("runs/update", &json!({ "run_id": run, "status": "FINISHED" }));
    let log = bench.store().run(&run.parse().unwrap()).unwrap().events_path();
    let before = std::fs::read(&log).unwrap();
    for route in routes::all().filter(|route| route.method == Method::GET) {
        let path = route.pattern.replace("{path*}", &format!("0/{run}/artifacts/y")).replace("{id}", &run);
        let query = format!("?run_id={run}&experiment_id=0&key=a&value=1&status=FAILED&new_name=x&metric_key=m&path=x");
        if !path.contains("changes") {
            bench.ask(&Method::GET, &format!("{path}{query}"), "");
        }
    }
    assert_eq!(std::fs::read(&log).unwrap(), before);
    assert!(!bench.folder.path().join("runs").join(&run).join("labels.json").exists());
}

/// 16: a token is asked for by every route but the one that says that the server lives; so are addresses that are none.
#[test]
fn every_route_asks_for_the_token() {
    let bench = Bench::with(&Options { token: Some("s3cret:token".into()), ..options() });
    for headers in [
        &[HOST, JSON][..],
        &[HOST, JSON, ("authorization", "Bearer wrong")],
        &[HOST, JSON, ("authorization", "Bearer ")],
        &[HOST, JSON, ("authorization", "Basic YW5hOndyb25n")],
        &[HOST, JSON, ("authorization", "s3cret:token")],
    ] {
        for (route, answer) in every_route(&bench, headers) {
            let expected = if route.access == Access::Open { 200 } else { 401 };
            assert_eq!(answer.status.as_u16(), expected, "{}", route.pattern);
        }
        assert_eq!(bench.send(&Method::GET, "/none", headers, "").status.as_u16(), 401);
    }
    for right in ["Bearer s3cret:token", "bearer s3cret:token", "Basic YW5hOnMzY3JldDp0b2tlbg=="] {
        let headers = [HOST, JSON, ("authorization", right)];
        let answer = bench.send(&Method::POST, "/api/2.0/mlflow/runs/search", &headers, "{}");
        assert_eq!(answer.status.as_u16(), 200, "{right}");
    }
}

#[test]
fn beyond_this_machine_there_is_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let start = |address: &str, token: Option<&str>| {
        let options = Options { address: address.parse().unwrap(), token: token.map(str::to_owned), ..options() };
        serve(Store::open(folder.path().join("runs")).unwrap(), &options, |_| panic!("it listens"))
    };
    assert!(matches!(start("0.0.0.0:0", None), Err(ServeError::NoToken)));
    assert!(matches!(start("[::]:0", None), Err(ServeError::NoToken)));
    assert!(matches!(start("0.0.0.0:0", Some("short")), Err(ServeError::WeakToken)));
    assert!(matches!(start("127.0.0.1:0", Some("with space")), Err(ServeError::WeakToken)));
}

/// A server that only shows refuses every route that changes something, and answers the others.
#[test]
fn a_server_that_only_shows_changes_nothing() {
    let bench = Bench::with(&Options { is_read_only: true, ..options() });
    for (route, answer) in every_route(&bench, &[HOST, JSON]) {
        match route.access {
            Access::Write | Access::Execute => {
                assert_eq!(answer.fault(), (403, "PERMISSION_DENIED".into()), "{}", route.pattern)
            }
            _ => assert_ne!(answer.status.as_u16(), 403, "{}", route.pattern),
        }
    }
    assert_eq!(bench.store().run_ids().unwrap(), []);
}

/// 17 to 24, 28: no path leads out of a run's artifacts, however it is written, by no verb.
#[test]
fn no_path_leads_out() {
    let bench = Bench::new();
    let run = bench.run();
    let secret = bench.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let long = "x".repeat(300);
    let base = "/api/2.0/mlflow-artifacts/artifacts";
    for path in [
        "../../../secret",
        "..%2f..%2f..%2fsecret",
        "%2e%2e/%2e%2e/%2e%2e/secret",
        "%2E%2E%2F%2E%2E%2Fsecret",
        "%252e%252e/%252e%252e/secret",
        "..%5c..%5csecret",
        "a;/../../../../secret",
        "a%3b/../../../../secret",
        "%23/../../../../secret",
        "%3f/../../../../secret",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "C:%5cWindows",
        "C:/Windows",
        "%5c%5chost%5cshare",
        "a%00b",
        "a%0ab",
        "a%0d%0ax:%20y",
        "a%7f",
        "%ff",
        "%",
        "a//b",
        "./a",
        "",
        &long,
    ] {
        let address = format!("{base}/0/{run}/artifacts/{path}");
        for method in [Method::PUT, Method::GET, Method::DELETE] {
            let answer = bench.ask(&method, &address, "stolen");
            assert!(matches!(answer.status.as_u16(), 400 | 404), "{method} {path}: {}", answer.status);
            assert!(!answer.text().contains("secret\""), "{method} {path}");
        }
        if !path.is_empty() && path != long {
            for list in [
                format!("{base}?path=0/{run}/artifacts/{path}"),
                format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}"),
            ] {
                assert_eq!(bench.ask(&Method::GET, &list, "").status.as_u16(), 400, "{list}");
            }
            let fetched = bench.ask(&Method::GET, &format!("/get-artifact?run_id={run}&path={path}"), "");
            assert_eq!(fetched.status.as_u16(), 400, "{path}");
        }
    }
    for address in [
        "..",
        "../..",
        "0/../artifacts/x",
        &format!("0/{run}"),
        &format!("0/{run}/../artifacts/x"),
        &format!("0/{run}/checkpoints/x"),
    ] {
        let answer = bench.ask(&Method::GET, &format!("{base}?path={address}"), "");
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{address}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    let artifacts = bench.folder.path().join("runs").join(&run).join("artifacts");
    assert_eq!(std::fs::read_dir(artifacts).unwrap().count(), 0);
}

/// 25, 26: links are not followed, whoever put them there and when: the folder is walked by descriptors.
#[test]
fn links_lead_nowhere() {
    let bench = Bench::new();
    let run = bench.run();
    let artifacts = bench.folder.path().join("runs").join(&run).join("artifacts");
    symlink(bench.folder.path(), artifacts.join("out")).unwrap();
    symlink("/etc/passwd", artifacts.join("file")).unwrap();
    let base = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    for path in ["out/runs", "file", "out"] {
        assert_eq!(bench.ask(&Method::GET, &format!("{base}/{path}"), "").status.as_u16(), 404, "{path}");
    }
    assert_eq!(bench.ask(&Method::PUT, &format!("{base}/out/x"), "x").status.as_u16(), 400);
    assert!(!bench.folder.path().join("x").exists());
    let listed = bench.ask(&Method::GET, &format!("/api/2.0/mlflow/artifacts/list?run_id={run}"), "");
    assert_eq!(listed.json()["files"], json!([]));
}

/// 27: names that differ only in case or in how an accent is written are different files.
#[test]
fn names_are_not_folded() {
    let bench = Bench::new();
    let run = bench.run();
    let base = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    let names = ["a", "A", "%C3%A9", "e%CC%81"];
    for name in names {
        bench.ask(&Method::PUT, &format!("{base}/{name}"), name.to_owned());
    }
    for name in names {
        assert_eq!(bench.ask(&Method::GET, &format!("{base}/{name}"), "").text(), name);
    }
}

/// 29: clients do not choose where artifacts lie.
#[test]
fn clients_choose_no_place() {
    let bench = Bench::new();
    for place in
        ["file:///etc", "/etc", "mlflow-artifacts:/../../etc/", "http:///#/../../etc", "s3://b", "mlflow-artifacts:/1"]
    {
        let answer = bench.call("experiments/create", &json!({ "name": "x", "artifact_location": place }));
        assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{place}");
    }
    bench.post("experiments/create", &json!({ "name": "x", "artifact_location": "" }));
}

/// 30, 31: what was uploaded or said is data to whoever opens it.
#[test]
fn nothing_that_was_sent_is_run() {
    let bench = Bench::new();
    let run = bench.run();
    let base = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts");
    for name in ["page.html", "image.svg", "script.js"] {
        bench.ask(&Method::PUT, &format!("{base}/{name}"), "<script>alert(1)</script>");
        for address in [format!("{base}/{name}"), format!("/get-artifact?run_id={run}&path={name}")] {
            let headers = bench.ask(&Method::GET, &address, "").headers;
            assert_eq!(headers["content-type"], "application/octet-stream");
            assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert!(headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
        }
    }
    for (route, answer) in every_route(&bench, &[HOST, JSON]) {
        for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
            assert_eq!(answer.headers[name], value, "{}", route.pattern);
        }
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(kind != "application/json" || answer.headers["cache-control"] == "no-store", "{}", route.pattern);
        assert!(!kind.contains("html") || route.access == Access::Page, "{}: {kind}", route.pattern);
    }
    let unknown = bench.ask(&Method::GET, "/api/2.0/mlflow/runs/get?run_id=%3Cscript%3E", "");
    assert_eq!(unknown.headers["content-type"], "application/json");
}

/// 32, 33: what is too long, too deep or too much is refused before it costs anything.
#[test]
fn too_much_is_refused() {
    let bench = Bench::new();
    let run = bench.run();
    let large = vec![b' '; usize::try_from(LARGEST_BODY).unwrap() + 1];
    let search = "/api/2.0/mlflow/runs/search";
    assert_eq!(bench.ask(&Method::POST, search, large).status.as_u16(), 413);
    let length = (LARGEST_BODY + 1).to_string();
    let told = bench.send(&Method::POST, search, &[HOST, JSON, ("content-length", &length)], "{}");
    assert_eq!(told.status.as_u16(), 413);
    let address = format!("/api/2.0/mlflow/runs/get?run_id={}", "x".repeat(40_000));
    assert_eq!(bench.ask(&Method::GET, &address, "").status.as_u16(), 413);
    let clause = "metrics.a = 1 and ".repeat(100_000) + "metrics.a = 1";
    for filter in
        [clause, "a".repeat(1 << 20), format!("params.a LIKE '{}'", "%a".repeat(100_000)), "(".repeat(100_000)]
    {
        for endpoint in ["runs/search", "experiments/search"] {
            let answer = bench.call(endpoint, &json!({ "experiment_ids": ["0"], "filter": filter }));
            assert_eq!(answer.fault(), (400, "INVALID_PARAMETER_VALUE".into()), "{endpoint}");
        }
    }
    let keys: Vec<String> = (0..10_000).map(|n| format!("metrics.m{n}")).collect();
    let many = bench.call("runs/search", &json!({ "experiment_ids": ["0"], "order_by": keys }));
    assert!(many.status.is_client_error(), "{}", many.status);
    let packed = [HOST, JSON, ("content-encoding", "gzip")];
    let answer = bench.send(&Method::POST, search, &packed, vec![0x1f, 0x8b, 8, 0]);
    assert_eq!(answer.status.as_u16(), 400, "nothing is unpacked");
    bench.post("runs/log-metric", &json!({ "run_id": run, "key": "m", "value": 1, "timestamp": 1 }));
}
