//! Our own interface, under `/api/v1`: small, stable, and described by itself in `openapi.json`. It gives what the commands
//! print with `--json`, and the series of a run at any zoom, and tells what changes.

mod changes;
pub mod models;
mod openapi;
mod runs;
mod series;
mod sweeps;

pub use changes::Changes;
pub use openapi::description;

use super::fault::Fault;
use super::http::{Reply, Request};
use super::route::{Access, Handler, Route, Takes};
use super::{App, execution};
use hyper::Method;

/// What programs call.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        pattern: "/health",
        access: Access::Open,
        takes: Takes::Nothing,
        handler: Handler::Waits(health),
        about: "whether the server answers",
        asks: &[],
    },
    Route::asked(
        "/api/v1/runs",
        runs::list,
        "the runs that a query finds, as `ablate list --json` has them, a page at a time",
        &[
            ("query", "as `ablate list` takes it; all runs where it is missing"),
            ("sort", "a key, the smallest first; with `-` before it the largest"),
            ("limit", "runs of a page, 1 to 10000; 100 where it is missing"),
            ("after", "`next` of the page before"),
        ],
    ),
    Route::get("/api/v1/runs/{id}", runs::one, "everything about a run but its series, as `ablate show --json` has it"),
    Route::asked(
        "/api/v1/runs/{id}/series",
        series::series,
        "series of a run: exact where they are short, else in buckets with their exact extrema",
        &[
            ("metric", "a metric, as often as several are wanted; all where it is missing"),
            ("from", "the first step of the range"),
            ("to", "the last step of the range"),
            ("points", "points or buckets at most, 1 to 100000; 1000 where it is missing"),
            (
                "x",
                "what they are laid over beside steps: a metric, as in `train/tokens`, or `time`, the points' own in milliseconds since 1970",
            ),
        ],
    ),
    Route::get(
        "/api/v1/sweeps",
        sweeps::list,
        "the sweeps that are running and the last ones, as `ablate status --json` has them",
    ),
    Route {
        method: Method::POST,
        pattern: "/api/v1/execution",
        access: Access::Execute,
        takes: Takes::Json,
        handler: Handler::Waits(execution::execute),
        about: "stops, resumes or retries the sweep of an experiment, or runs",
        asks: &[],
    },
    Route::asked(
        "/api/v1/runs/{id}/series.csv",
        series::csv,
        "every point of a metric as CSV: step, value, and the time where the client said one",
        &[("metric", "the metric")],
    ),
    Route::asked(
        "/api/v1/runs/{id}/fill-mask",
        models::fill_mask,
        "what a pretrained model expects behind each mask, as `ablate fill-mask --json` has it",
        &[
            ("text", "a text with [MASK] where the model is to guess"),
            ("k", "guesses for each mask, 1 to 100; 5 where it is missing"),
        ],
    ),
    Route::asked(
        "/api/v1/runs/{id}/predict",
        models::predict,
        "what a fine-tuned model says about a text, as `ablate predict --json` has it",
        &[("text", "the text"), ("pair", "the second text, where the run was trained on pairs")],
    ),
    Route::asked(
        "/api/v1/compare",
        runs::compare,
        "the comparison of the runs that a query finds, as `ablate compare --json` has it",
        &[("query", "which runs"), ("metric", "the metric that decides")],
    ),
    Route::asked(
        "/api/v1/changes",
        changes::stream,
        "a stream of server-sent events: each run that changed, as the list has it",
        &[("since", "the id of an event, to go on after it, where the header Last-Event-ID cannot be sent")],
    ),
];

fn health(_: &App, _: Request) -> Result<Reply, Fault> {
    Ok(Reply::new(hyper::StatusCode::OK, "text/plain; charset=utf-8", "OK"))
}
