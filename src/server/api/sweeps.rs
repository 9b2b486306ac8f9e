//! Sweeps: how far they are.

use serde_json::json;

use super::super::App;
use super::super::fault::Fault;
use super::super::http::{Reply, Request};
use crate::clock;
use crate::report::json::value;
use crate::report::sweep::SweepStatus;
use crate::store::StoreError;

/// The sweeps that the store knows of.
pub fn list(app: &App, _: Request) -> Result<Reply, Fault> {
    let (sweeps, now) = (app.store().sweeps()?, clock::now());
    let statuses = app.reader.ask(|index| {
        sweeps.iter().map(|sweep| SweepStatus::of(sweep, index, now)).collect::<Result<Vec<_>, StoreError>>()
    })?;
    Ok(Reply::json(&json!({ "format": "ablate-sweeps-1", "sweeps": value(&statuses) })))
}
