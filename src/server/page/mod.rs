//! The page: what people look at, as HTML that the server makes.
//!
//! Everything that is text or a table is there without a script, and every view is an address, so that a link is a view. The script
//! draws curves, keeps a view up with the runs, and sends what people say about them ([`labels`]). Style, script and the one
//! vendored library are inside of the program; nothing is asked of anybody else, and the policy in the answer's head sees to it.

mod answers;
mod cells;
mod compare;
mod experiments;
mod labels;
mod log;
mod run;
mod runs;
mod sweep;
mod views;

use std::sync::LazyLock;

pub use answers::Answers;

use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Method, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use runs::Sparks;

use super::App;
use super::fault::Fault;
use super::http::{Reply, Request};
use super::route::{Access, Handler, Route, Takes, Waiting};
use crate::report::format;
use crate::store::{Cell, RunState};
use crate::types::{ContentHasher, Timestamp};

/// What people open.
pub const ROUTES: &[Route] = &[
    page("/", runs::runs, "the runs that a query finds"),
    page("/runs/{id}", run::run, "everything about a run"),
    page("/runs/{id}/", run::run, "the same, as reports link to it"),
    page("/runs/{id}/diff", run::difference::with, "what differs between a run and the one that is named"),
    page("/runs/{id}/diff/{other}", run::difference::of_two, "what differs between two runs"),
    // A model works for its answer: not for a page from elsewhere that leads here.
    Route::get("/runs/{id}/ask", run::ask::answer, "what the model of a run answers"),
    page("/runs/{id}/artifacts/{path*}", run::files::page, "a folder of artifacts, or a look at one"),
    Route::get("/runs/{id}/picture/{path*}", run::files::picture, "a picture among the artifacts"),
    page("/experiments", experiments::list, "all experiments"),
    page("/experiments/{name}", experiments::one, "the cells of a sweep, and its answer"),
    page("/compare", compare::compare, "the report of any runs"),
    Route::get("/compare/report.html", compare::report, "that report as one file"),
    Route::get("/compare/figures/{file}", compare::figure, "a figure of that report, as SVG, PNG or PDF"),
    Route::get("/compare/tables/{file}", compare::table, "a table of that report, as CSV"),
    page("/assets/{version}/{file}", asset, "style, script and chart library"),
    page("/favicon.ico", icon, "a mark for the browser's tab"),
    Route::post("/api/v1/labels", labels::change, "changes what people say about runs"),
    Route::get("/api/v1/views", views::list, "the views that people saved under a name"),
    Route::post("/api/v1/views", views::change, "saves a view under a name, or removes it"),
];

const fn page(pattern: &'static str, handler: Waiting, about: &'static str) -> Route {
    let handler = Handler::Waits(handler);
    Route { method: Method::GET, pattern, access: Access::Page, takes: Takes::Nothing, handler, about, asks: &[] }
}

/// Files of the page, their content types.
const ASSETS: &[(&str, &str, &[u8])] = &[
    ("page.css", CSS, include_bytes!("page.css")),
    ("report.js", JAVASCRIPT, crate::report::page::SCRIPT.as_bytes()),
    ("uPlot.js", JAVASCRIPT, include_bytes!("vendor/uPlot.iife.min.js")),
    ("uPlot.css", CSS, include_bytes!("vendor/uPlot.min.css")),
    ("page.js", JAVASCRIPT, include_bytes!("script/page.js")),
    ("compare.css", CSS, include_bytes!("compare.css")),
    ("brush.js", JAVASCRIPT, include_bytes!("script/brush.js")),
    ("choice.js", JAVASCRIPT, include_bytes!("script/choice.js")),
    ("columns.js", JAVASCRIPT, include_bytes!("script/columns.js")),
    ("curves.js", JAVASCRIPT, include_bytes!("script/curves.js")),
    ("execution.js", JAVASCRIPT, include_bytes!("script/execution.js")),
    ("document.js", JAVASCRIPT, include_bytes!("script/document.js")),
    ("labels.js", JAVASCRIPT, include_bytes!("script/labels.js")),
    ("live.js", JAVASCRIPT, include_bytes!("script/live.js")),
    ("series.js", JAVASCRIPT, include_bytes!("script/series.js")),
    ("theme.js", JAVASCRIPT, include_bytes!("script/theme.js")),
    ("views.js", JAVASCRIPT, include_bytes!("script/views.js")),
    ("view.js", JAVASCRIPT, include_bytes!("script/view.js")),
    ("words.js", JAVASCRIPT, include_bytes!("script/words.js")),
];

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Whether a file is a part of the script that others of it import.
fn is_imported(name: &str) -> bool {
    name.ends_with(".js") && !["page.js", "report.js", "uPlot.js"].contains(&name)
}

/// What the addresses of [`ASSETS`] begin with: another program's files are other addresses, whatever its version is called, and
/// those that a script imports from beside itself with it.
static OF_THIS_PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = ContentHasher::new();
    for (_, _, bytes) in ASSETS {
        hasher.update(bytes);
    }
    hasher.finish().short()
});

/// The address of a file of the page.
fn asset_address(app: &App, name: &str) -> String {
    format!("{}/assets/{}/{name}", app.root_path, *OF_THIS_PROGRAM)
}

fn asset(_: &App, request: Request) -> Result<Reply, Fault> {
    let [version, wanted] = &request.names[..] else { return Err(Fault::missing("there is no such file")) };
    let found = ASSETS.iter().find(|(name, ..)| name == wanted).filter(|_| *version == *OF_THIS_PROGRAM);
    let (_, content_type, bytes) = found.ok_or_else(|| Fault::missing("there is no such file"))?;
    let reply = Reply::new(StatusCode::OK, content_type, *bytes);
    // The address names the content, so that a new program is never dressed in an old style.
    Ok(reply.with(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")))
}

fn icon(_: &App, _: Request) -> Result<Reply, Fault> {
    Ok(Reply::new(StatusCode::OK, "image/svg+xml", ICON))
}

/// Three bars, of which one was taken away.
const ICON: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\"><path fill=\"#00619a\" d=\"M1 4h3v11H1zM11 1h4v14h-4z\"/>\
                    <path fill=\"none\" stroke=\"#a83f00\" stroke-dasharray=\"2\" d=\"M6.5 7.5h3v7h-3z\"/></svg>";

/// What a view is made of.
struct View<'a> {
    title: &'a str,
    /// The entry of the navigation that it belongs to.
    place: &'a str,
    body: Markup,
}

impl View<'_> {
    /// The whole page.
    fn reply(self, app: &App) -> Reply {
        let root = &app.root_path;
        let asset = |name: &str| asset_address(app, name);
        let entry = |path: &str, name: &str| {
            let is_here = name == self.place;
            html! { a href={ (root) (path) } aria-current=[is_here.then_some("page")] { (name) } }
        };
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " \u{2013} ablate" }
                    link rel="stylesheet" href=(asset("uPlot.css"));
                    link rel="stylesheet" href=(asset("page.css"));
                    script src=(asset("uPlot.js")) defer {}
                    script type="module" src=(asset("page.js")) {}
                    // What it imports is fetched with it, and not one after another when it was read.
                    @for (name, ..) in ASSETS.iter().filter(|(name, ..)| is_imported(name)) {
                        link rel="modulepreload" href=(asset(name));
                    }
                }
                body data-root=(root) data-read-only[app.guard.is_read_only] data-executes[app.guard.executes] {
                    a.skip href="#main" { "Skip to the content" }
                    header.bar {
                        a.brand href={ (root) "/" } { "ablate" }
                        nav aria-label="Views" { (entry("/", "Runs")) (entry("/experiments", "Experiments")) }
                        span.live hidden { "live" }
                        button.theme type="button" hidden { "Dark" }
                    }
                    main id="main" { (self.body) }
                }
            }
        };
        html_reply(page.into_string(), POLICY)
    }
}

/// Nothing from elsewhere, no script but ours, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn html_reply(page: String, policy: &'static str) -> Reply {
    let reply = Reply::new(StatusCode::OK, "text/html; charset=utf-8", page.into_bytes());
    reply.with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy))
}

/// What a key is called in a column's head: its last word, or the one before `kind`.
fn short(key: &str) -> &str {
    let key = key.strip_suffix(".kind").unwrap_or(key);
    key.rsplit('.').next().unwrap_or(key)
}

/// A part of an address.
fn encoded(text: &str) -> String {
    crate::report::page::encoded(text)
}

/// A name or a value of a query, in quotes that are not within it; absent where it has all kinds of them.
fn quoted(text: &str) -> Option<String> {
    let quote = ['"', '\'', '`'].into_iter().find(|quote| !text.contains(*quote))?;
    Some(format!("{quote}{text}{quote}"))
}

/// A name as a query writes it.
fn named(name: &str) -> Option<String> {
    const WORDS: [&str; 9] = ["and", "or", "not", "in", "like", "ilike", "is", "exists", "descends"];
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if is_plain && !WORDS.contains(&name.to_ascii_lowercase().as_str()) { Some(name.to_owned()) } else { quoted(name) }
}

/// The condition that what `name` says in a query has this text for its value. Where it cannot be quoted, any letter stands for a quote.
fn equal(name: &str, text: &str) -> String {
    match quoted(text) {
        Some(text) => format!("{name} = {text}"),
        None => format!("{name} like \"{}\"", text.replace('"', "_")),
    }
}

/// The address of an experiment. A browser takes `.` and `..` for folders: these are shown as the runs that they have.
fn experiment(app: &App, name: &str) -> String {
    match name {
        "." | ".." => format!("{}/?q={}", app.root_path, encoded(&format!("experiment = \"{name}\""))),
        _ => format!("{}/experiments/{}", app.root_path, encoded(name)),
    }
}

/// What is wrong, for who opened a page.
pub fn fault(app: &App, fault: &Fault) -> Reply {
    let body = html! {
        h1 { (fault.code.status().canonical_reason().unwrap_or("Not possible")) }
        (problem(&fault.message))
        p { a href={ (app.root_path) "/" } { "All runs" } }
    };
    Reply { status: fault.code.status(), ..View { title: "Not possible", place: "", body }.reply(app) }
}

/// A run's state, as a word in a colour and a shape of its own.
fn state(state: RunState) -> Markup {
    html! { span class={ "state " (state.name()) } { (state.name()) } }
}

/// Text that somebody typed, in the direction that it has.
fn typed(text: &str) -> Markup {
    html! { bdi { (text) } }
}

fn moment(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at) title=(at) { (format::ago(now.secs_since(at))) } }
}

/// A value of a table for a person.
fn cell(cell: Option<&Cell>, now: Timestamp) -> Markup {
    match cell {
        None => html! { span.none { "\u{2013}" } },
        Some(Cell::Moment(at)) => moment(*at, now),
        Some(cell @ Cell::Text(_)) => typed(&format::cell(cell, now)),
        Some(cell) => html! { (format::cell(cell, now)) },
    }
}

/// Data for the script: nothing in it is markup.
fn data(id: &str, value: &serde_json::Value) -> Markup {
    let text = value.to_string().replace('<', "\\u003c").replace('&', "\\u0026").replace('\'', "\\u0027");
    html! { script type="application/json" id=(id) { (PreEscaped(text)) } }
}

/// A box that says what is wrong, in place of what was asked for.
fn problem(text: &str) -> Markup {
    html! { pre.problem role="alert" { (text) } }
}
