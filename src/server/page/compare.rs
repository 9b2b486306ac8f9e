//! The report of any runs, drawn when it is asked for: what `ablate compare QUERY` writes, with links to the runs.

use maud::html;

use super::{View, asset_address, html_reply, problem};
use crate::analysis::Comparison;
use crate::clock;
use crate::report::comparison::{self, Asked, Found};
use crate::report::drawing;
use crate::report::page::Record;
use crate::server::App;
use crate::server::fault::{Code, Fault};
use crate::server::http::{Reply, Request};
use crate::store::RunQuery;

/// The report brings its style with it; its script is one of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The report.
pub fn compare(app: &App, request: Request) -> Result<Reply, Fault> {
    let runs = request.asked_all("run");
    let query = match request.asked("q").map(str::trim).filter(|query| !query.is_empty()) {
        Some(query) => query.to_owned(),
        None => of_runs(&runs),
    };
    match read(&query).and_then(|query| compared(app, &query, request.asked("metric"))) {
        Err(text) => {
            let body = html! { h1 { "Nothing to compare" } (problem(&text)) p { a href={ (app.root_path) "/" } { "All runs" } } };
            Ok(View { title: "Compare", place: "Runs", body }.reply(app))
        }
        Ok(comparison) => {
            let runs_at = Some(format!("{}/runs", app.root_path));
            let mut record = Record { drawn_at: Some(clock::now()), runs_at, ..Record::default() };
            record.ask_runs(&comparison, app.store());
            let script = asset_address(app, "report.js");
            let home = format!("{}/", app.root_path);
            let html = drawing::served(&comparison, &record, &html! { script src=(script) defer {} }, &home);
            let html = html.map_err(|error| Fault::new(Code::InternalError, error.to_string()))?;
            Ok(html_reply(html, POLICY))
        }
    }
}

/// A query that finds these runs and no other.
fn of_runs(runs: &[String]) -> String {
    let plain = runs.iter().filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric()));
    plain.map(|id| format!("id = {id}")).collect::<Vec<_>>().join(" or ")
}

fn read(query: &str) -> Result<RunQuery, String> {
    if query.is_empty() {
        return Err("choose two runs or more".to_owned());
    }
    RunQuery::parse(query, clock::now()).map_err(|error| error.to_string())
}

/// The comparison of what a query finds, or why there is none.
pub fn compared(app: &App, query: &RunQuery, metric: Option<&str>) -> Result<Comparison, String> {
    let metric = metric.filter(|name| !name.is_empty());
    let asked = app.reader.ask(|index| {
        let facts = match metric {
            Some(_) => Vec::new(),
            None => {
                let rows = index.query(query)?;
                index.facts(rows)?
            }
        };
        Ok((Asked::of(index, query)?, facts))
    });
    let (asked, facts) = asked.map_err(|fault| fault.message)?;
    let metric = match metric {
        Some(name) => name.parse().map_err(|_| format!("`{name}` is no name of a metric"))?,
        None => comparison::deciding(&facts),
    };
    let Found { comparison, .. } =
        comparison::of_asked(query, &metric, app.store(), asked).map_err(|error| error.to_string())?;
    let mut parts = comparison::parts(comparison);
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => Ok(only.comparison),
        (last, _) => {
            let names = parts.into_iter().chain(last).map(|part| part.name).collect::<Vec<_>>().join("\n  ");
            Err(format!("these runs cannot be compared with each other, only within\n  {names}"))
        }
    }
}
