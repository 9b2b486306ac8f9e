//! The experiments that there are, as clients name them, and the runs of each.

use std::collections::BTreeSet;

use super::App;
use crate::server::fault::Fault;
use crate::server::wire::shown;
use crate::store::{ExperimentEntry, RunQuery, Trash};
use crate::types::RunId;

/// All experiments: those that somebody made, and those that runs name.
pub fn all(app: &App) -> Result<Vec<ExperimentEntry>, Fault> {
    let named = app.reader.ask(|index| index.experiments())?;
    let book = app.store().experiment_book()?;
    Ok(book.all(named.iter().map(String::as_str)))
}

/// The experiment of an id.
pub fn of_id(app: &App, id: &str) -> Result<ExperimentEntry, Fault> {
    let found = all(app)?.into_iter().find(|experiment| experiment.id == id);
    found.ok_or_else(|| Fault::missing(format!("no experiment has the id '{}'", shown(id))))
}

/// Which experiments or runs a view is of.
pub fn trash_of(view_type: &str) -> Result<Trash, Fault> {
    match view_type {
        "" | "ACTIVE_ONLY" | "1" => Ok(Trash::Without),
        "DELETED_ONLY" | "2" => Ok(Trash::Only),
        "ALL" | "3" => Ok(Trash::With),
        other => {
            Err(Fault::invalid(format!("'{}' is no view; they are ACTIVE_ONLY, DELETED_ONLY and ALL", shown(other))))
        }
    }
}

/// The runs of an experiment: those whose first experiment it is.
pub fn runs_of(app: &App, experiment: &ExperimentEntry, trash: Trash) -> Result<Vec<RunId>, Fault> {
    let names: BTreeSet<&str> = names_of(experiment).into_iter().collect();
    let asked: Vec<&str> = names.iter().copied().collect();
    let query = RunQuery::default().within_experiments(&asked).from_trash(trash);
    let rows = app.reader.ask(|index| index.query(&query))?;
    let is_its_own = |row: &crate::store::RunRow| names.contains(row.experiment().unwrap_or_default());
    Ok(rows.into_iter().filter(is_its_own).map(|row| row.id).collect())
}

/// The names by which the runs of an experiment are found; the empty one is that of runs without any.
pub fn names_of(experiment: &ExperimentEntry) -> Vec<&str> {
    let is_default = experiment.id == ExperimentEntry::DEFAULT_ID;
    experiment.names().chain(is_default.then_some("")).collect()
}
