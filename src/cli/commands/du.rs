//! `ablate du`: what the store takes on the disk.

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::report::format;
use crate::runner::upkeep::usage::{Share, usage};
use crate::store::{RunQuery, Trash};

/// What `ablate du` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub json: Json,
}

/// Prints what the store takes, by kind and by experiment.
pub fn du(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let rows = {
        // An index that is open has files of its own.
        let mut index = context.index(&store)?;
        context.say_unreadable(&index);
        index.query(&RunQuery::default().from_trash(Trash::With))?
    };
    let usage = usage(&store, &rows);
    if arguments.json.wanted {
        context.printer.json(&usage);
        return Ok(());
    }
    let size = |bytes: u64| format!("{}B", format::si(bytes as f64));
    let row = |share: &Share| [share.what.clone(), format::thousands(share.count), size(share.bytes)];
    let total = Share { what: "all".to_owned(), bytes: usage.bytes, count: usage.kinds.iter().map(|s| s.count).sum() };
    let columns = |what, count| [(what, Align::Left), (count, Align::Right), ("bytes", Align::Right)];
    context.printer.data(table(&columns("what", "files"), usage.kinds.iter().chain([&total]).map(row)));
    if !usage.experiments.is_empty() {
        context.printer.data(format!("\n{}", table(&columns("experiment", "runs"), usage.experiments.iter().map(row))));
    }
    Ok(())
}
