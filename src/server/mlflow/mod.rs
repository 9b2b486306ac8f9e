//! MLflow's REST protocol, for its own clients of every version: the lines that they call, under the address where they
//! look for them.
//!
//! What a client calls a run is a run of the store, whoever made it; only guests' runs can be logged to.

mod artifacts;
mod batch;
mod experiments;
mod history;
mod known;
mod run_json;
pub mod runs;
mod search;

use super::http::{Reply, Request};
use super::route::{Access, Handler, Route, Takes};
use super::{App, fault};
use fault::{Code, Fault};
use hyper::Method;

/// What clients call.
pub const ROUTES: &[Route] = &[
    Route::post("/api/2.0/mlflow/experiments/create", experiments::create, "make an experiment"),
    Route::get("/api/2.0/mlflow/experiments/get", experiments::get, "an experiment by its id"),
    Route::get("/api/2.0/mlflow/experiments/get-by-name", experiments::get_by_name, "an experiment by its name"),
    Route::search("/api/2.0/mlflow/experiments/search", experiments::search, "the experiments that a filter finds"),
    Route::get("/api/2.0/mlflow/experiments/search", experiments::search_asked, "the experiments that a filter finds"),
    Route::get("/api/2.0/mlflow/experiments/list", experiments::list, "all experiments, for clients of version 1"),
    Route::post("/api/2.0/mlflow/experiments/update", experiments::rename, "rename an experiment"),
    Route::post("/api/2.0/mlflow/experiments/delete", experiments::delete, "put an experiment into the trash"),
    Route::post("/api/2.0/mlflow/experiments/restore", experiments::restore, "take an experiment out of the trash"),
    Route::post("/api/2.0/mlflow/experiments/set-experiment-tag", experiments::set_tag, "tag an experiment"),
    Route::post("/api/2.0/mlflow/experiments/delete-experiment-tag", experiments::delete_tag, "take a tag away"),
    Route::post("/api/2.0/mlflow/runs/create", runs::create, "begin a run"),
    Route::get("/api/2.0/mlflow/runs/get", runs::get, "a run"),
    Route::post("/api/2.0/mlflow/runs/update", runs::update, "change the state or the name of a run"),
    Route::post("/api/2.0/mlflow/runs/delete", runs::delete, "put a run into the trash"),
    Route::post("/api/2.0/mlflow/runs/restore", runs::restore, "take a run out of the trash"),
    Route::post("/api/2.0/mlflow/runs/set-tag", runs::set_tag, "tag a run"),
    Route::post("/api/2.0/mlflow/runs/delete-tag", runs::delete_tag, "take a tag away from a run"),
    Route::search("/api/2.0/mlflow/runs/search", search::search, "the runs that a filter finds"),
    Route::log("/api/2.0/mlflow/runs/log-metric", batch::log_metric, "log a point of a metric"),
    Route::log("/api/2.0/mlflow/runs/log-parameter", batch::log_parameter, "log a parameter"),
    Route::post("/api/2.0/mlflow/runs/log-batch", batch::log_batch, "log metrics, parameters and tags"),
    Route::post("/api/2.0/mlflow/runs/log-inputs", batch::log_inputs, "log data sets"),
    Route::post("/api/2.0/mlflow/runs/outputs", not_kept, "log models (not kept)"),
    Route::get("/api/2.0/mlflow/metrics/get-history", history::get, "every point of a metric"),
    Route::get("/api/2.0/mlflow/artifacts/list", artifacts::list_of_run, "the artifacts of a run"),
    Route::search("/api/2.0/mlflow/logged-models/search", no_models, "logged models, of which there are none"),
    Route::post("/api/2.0/mlflow/logged-models", not_kept, "log a model (not kept)"),
    Route::get("/api/2.0/mlflow-artifacts/artifacts", artifacts::list, "a folder of artifacts"),
    Route::get("/api/2.0/mlflow-artifacts/artifacts/{path*}", artifacts::download, "an artifact"),
    Route {
        method: Method::PUT,
        pattern: "/api/2.0/mlflow-artifacts/artifacts/{path*}",
        access: Access::Write,
        takes: Takes::Pieces,
        handler: Handler::Waits(artifacts::upload),
        about: "put an artifact in its place",
        asks: &[],
    },
    Route {
        method: Method::DELETE,
        pattern: "/api/2.0/mlflow-artifacts/artifacts/{path*}",
        access: Access::Write,
        takes: Takes::Nothing,
        handler: Handler::Waits(artifacts::delete),
        about: "remove an artifact",
        asks: &[],
    },
    Route::get("/get-artifact", artifacts::get_artifact, "an artifact, where MLflow's page looks for it"),
];

/// Clients of version 3 ask this before they list a folder.
fn no_models(_: &App, _: Request) -> Result<Reply, Fault> {
    Ok(Reply::empty())
}

fn not_kept(_: &App, _: Request) -> Result<Reply, Fault> {
    let text = "this server keeps no models; log their files as artifacts (mlflow.log_artifacts)";
    Err(Fault::new(Code::NotImplemented, text))
}
