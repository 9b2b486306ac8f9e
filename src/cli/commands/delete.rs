//! `ablate delete`: puts runs into the trash, from where `restore` brings them back.

use std::collections::BTreeSet;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::report::format;
use crate::runner::upkeep::collect::TRASH_DAYS;
use crate::store::{Dependent, Role, RunQuery, RunState, Trash};
use crate::types::RunId;

/// What `ablate delete` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// Also those that other runs start from
    #[arg(long)]
    pub anyway: bool,
}

/// Puts the runs that the query finds into the trash: they are in no answer any more, and their files stay for now.
pub fn delete(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if RunQuery::parse(&arguments.query.join(" "), clock::now())?.is_of_all() {
        let text = "that means every run of the store; say which ones, as in `ablate delete 'state = failed'`, or all of them by \
                    `id like \"%\"`";
        return Err(CliError::request(text));
    }
    let store = context.existing_store()?;
    let (index, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    if let Some(row) = rows.iter().find(|row| row.state == RunState::Running) {
        return Err(CliError::request(format!("run {} is running; stop it first", row.id)));
    }
    let going: BTreeSet<&RunId> = rows.iter().map(|row| &row.id).collect();
    for row in &rows {
        let staying = index.heirs(&row.id)?.into_iter().filter(|heir| !going.contains(&heir.run)).collect::<Vec<_>>();
        let Some(Dependent { role, run: heir }) = staying.first() else { continue };
        let others = if staying.len() > 1 { format!(" and {} more", staying.len() - 1) } else { String::new() };
        let text = format!("run {heir}{others} {} run {}", words(*role), row.id);
        if !arguments.anyway {
            let text = format!("{text}; delete those as well, or this one with --anyway");
            return Err(CliError::request(text));
        }
        context.printer.status(Style::Caution, "Warning", text);
    }
    let (now, bytes) = (clock::now(), rows.iter().map(|row| row.disk_bytes).sum::<u64>());
    for row in &rows {
        store.run(&row.id)?.relabel(|labels| labels.trashed_at = Some(now))?;
    }
    let (runs, size) = (format::plural(rows.len(), "run"), format::si(bytes as f64));
    let text = format!(
        "{runs} ({size}B) to the trash; `ablate restore` brings runs back, `ablate gc` frees the disk after {TRASH_DAYS} days, \
         `ablate gc --trash-days 0` at once"
    );
    context.printer.status(Style::Good, "Moved", text);
    Ok(())
}

fn words(role: Role) -> &'static str {
    match role {
        Role::UsesTokenizerOf => "has its tokenizer from",
        _ => "starts from",
    }
}
