//! The report of any runs, drawn when it is asked for: what `ablate compare QUERY` writes, with links to the runs.

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use maud::{Markup, PreEscaped, html};

use super::{View, asset_address, encoded, html_reply, problem, views};
use crate::analysis::Comparison;
use crate::clock;
use crate::report::ReportError;
use crate::report::comparison::{self, Asked, Found};
use crate::report::drawing::{Album, Format};
use crate::report::page::{Record, SCRIPT, Served};
use crate::report::tables::{csv, tables};
use crate::server::App;
use crate::server::fault::{Code, Fault};
use crate::server::http::{Reply, Request};
use crate::server::turns::check_cells;
use crate::store::RunQuery;

/// The report brings its style with it; its script is one of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What is asked of the comparison.
struct Question {
    query: String,
    metric: Option<String>,
}

impl Question {
    fn of(request: &Request) -> Self {
        let given = |key: &str| request.asked(key).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let query = given("q").unwrap_or_else(|| of_runs(&request.asked_all("run")));
        Self { query, metric: given("metric") }
    }

    fn comparison(&self, app: &App) -> Result<Comparison, String> {
        read(&self.query).and_then(|query| compared(app, &query, self.metric.as_deref()))
    }

    /// The address that asks the same at another path.
    fn address(&self, app: &App, path: &str) -> String {
        let metric = self.metric.as_ref().map(|metric| format!("&metric={}", encoded(metric))).unwrap_or_default();
        format!("{}/compare/{path}?q={}{metric}", app.root_path, encoded(&self.query))
    }
}

/// The report.
pub fn compare(app: &App, request: Request) -> Result<Reply, Fault> {
    let question = Question::of(&request);
    let _turn = app.comparisons.take()?;
    match question.comparison(app) {
        Err(text) => {
            let body = html! { h1 { "Nothing to compare" } (problem(&text)) p { a href={ (app.root_path) "/" } { "All runs" } } };
            Ok(View { title: "Compare", place: "Runs", body }.reply(app))
        }
        Ok(comparison) => {
            let runs_at = Some(format!("{}/runs", app.root_path));
            let mut record = Record { drawn_at: Some(clock::now()), runs_at, ..Record::default() };
            record.ask_runs(&comparison, app.store());
            let album = Album::of(&comparison);
            let asset = |name: &str| asset_address(app, name);
            let script = html! {
                script src=(asset("report.js")) defer {}
                script type="module" src=(asset("brush.js")) {}
                script type="module" src=(asset("views.js")) {}
            };
            let top = html! {
                link rel="stylesheet" href=(asset("compare.css"));
                (downloads(app, &question, &comparison, &album))
            };
            let home = format!("{}/", app.root_path);
            let html = album.page(&record, &Served { script: &script, home: &home, top: &top }).map_err(failed)?;
            Ok(html_reply(html, POLICY))
        }
    }
}

/// Everything that `ablate compare` writes beside its page, and the button that saves the view.
fn downloads(app: &App, question: &Question, comparison: &Comparison, album: &Album<'_>) -> Markup {
    html! {
        div.exports data-root=(app.root_path) data-read-only[app.guard.is_read_only] {
            (views::save())
            details {
                summary { "Download" }
                ul {
                    li { "the report: " a href=(question.address(app, "report.html")) { "HTML" } }
                    @for table in tables(comparison) {
                        li { (table.name) ": " a href=(question.address(app, &format!("tables/{}.csv", table.name))) { "CSV" } }
                    }
                    @for name in album.names() {
                        li {
                            (name) ":"
                            @for (_, end) in Format::ALL {
                                " " a href=(question.address(app, &format!("figures/{}.{end}", encoded(name)))) { (end.to_uppercase()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The report as one file, which needs no server.
pub fn report(app: &App, request: Request) -> Result<Reply, Fault> {
    let _turn = app.comparisons.take()?;
    let comparison = Question::of(&request).comparison(app).map_err(Fault::invalid)?;
    let mut record = Record { drawn_at: Some(clock::now()), ..Record::default() };
    record.ask_runs(&comparison, app.store());
    let script = html! { script { (PreEscaped(SCRIPT)) } };
    let alone = Served { script: &script, home: "#", top: &html! {} };
    let html = Album::of(&comparison).page(&record, &alone).map_err(failed)?;
    Ok(file("text/html; charset=utf-8", html.into_bytes()))
}

/// A figure of the report: `NAME.svg`, `.png` or `.pdf`.
pub fn figure(app: &App, request: Request) -> Result<Reply, Fault> {
    let (name, end) = request.names[0].rsplit_once('.').unwrap_or_default();
    let (format, kind) = match Format::ALL.into_iter().find(|(_, known)| *known == end) {
        Some((Format::Svg, _)) => (Format::Svg, "image/svg+xml"),
        Some((Format::Png, _)) => (Format::Png, "image/png"),
        Some((Format::Pdf, _)) => (Format::Pdf, "application/pdf"),
        None => return Err(Fault::missing("a figure is drawn as .svg, .png or .pdf")),
    };
    let _turn = app.comparisons.take()?;
    let comparison = Question::of(&request).comparison(app).map_err(Fault::invalid)?;
    let bytes = Album::of(&comparison).figure(name, format).map_err(failed)?;
    Ok(file(kind, bytes.ok_or_else(|| Fault::missing("the report has no such figure"))?))
}

/// A table of the report: `NAME.csv`.
pub fn table(app: &App, request: Request) -> Result<Reply, Fault> {
    let missing = || Fault::missing("the report has no such table");
    let name = request.names[0].strip_suffix(".csv").ok_or_else(missing)?;
    let _turn = app.comparisons.take()?;
    let comparison = Question::of(&request).comparison(app).map_err(Fault::invalid)?;
    let tables = tables(&comparison);
    let table = tables.iter().find(|table| table.name == name).ok_or_else(missing)?;
    Ok(file("text/csv; charset=utf-8", csv(table).into_bytes()))
}

/// A file that is kept and not opened.
fn file(kind: &'static str, bytes: Vec<u8>) -> Reply {
    Reply::new(StatusCode::OK, kind, bytes).with(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"))
}

fn failed(error: ReportError) -> Fault {
    Fault::new(Code::InternalError, error.to_string())
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
    check_cells(&comparison)?;
    let mut parts = comparison::parts(comparison);
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => Ok(only.comparison),
        (last, _) => {
            let names = parts.into_iter().chain(last).map(|part| part.name).collect::<Vec<_>>().join("\n  ");
            Err(format!("these runs cannot be compared with each other, only within\n  {names}"))
        }
    }
}
