//! `ablate group`: counts runs to a further experiment, or no longer.

use serde_json::Map;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::store::{Group, Trash};

/// What `ablate group` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// Count them to this experiment, beside the one that they were made for
    #[arg(long, value_name = "EXPERIMENT", required_unless_present = "leave")]
    pub join: Option<String>,
    /// Count them to this experiment no longer
    #[arg(long, value_name = "EXPERIMENT")]
    pub leave: Option<String>,
}

/// Changes the experiments of the runs that the query finds; the one that a run was made for stays.
pub fn group(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (_, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    for row in &rows {
        let made_for = row.experiments.first().filter(|_| row.was_made_for_one);
        if let (Some(made_for), Some(leave)) = (made_for, &arguments.leave)
            && made_for.name == *leave
        {
            let text = format!("run {} was made for `{leave}`, which is written in its provenance", row.id);
            return Err(CliError::request(text));
        }
    }
    for row in &rows {
        let axes = row.experiments.first().map_or_else(Map::new, |group| group.axes.clone());
        store.run(&row.id)?.relabel(|labels| {
            labels.groups.retain(|group| Some(&group.name) != arguments.leave.as_ref());
            if let Some(name) = arguments.join.as_ref().filter(|name| row.group(name).is_none()) {
                labels.join(Group { name: name.clone(), axes });
            }
        })?;
    }
    context.printer.status(Style::Good, "Grouped", format::plural(rows.len(), "run"));
    Ok(())
}
