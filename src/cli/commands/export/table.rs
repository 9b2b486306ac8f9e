//! `ablate export --format csv`, `jsonl` and `parquet`: runs, or what they measured, as a table for other programs.

use std::io;

use serde_json::json;

use super::{Arguments, Rows};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::durable;
use crate::exchange::table::{self, Shape, Spelling, TableError};
use crate::report::format;
use crate::store::Trash;

/// Writes the table of the runs that the query finds: a file is there whole or not at all.
pub(super) fn export(context: &Context, arguments: &Arguments, spelling: Spelling) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (index, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    let runs = index.facts(rows)?;
    let shape = match arguments.shape {
        None | Some(Rows::Runs) => Shape::Runs,
        Some(Rows::Long) => Shape::Long,
        Some(Rows::Wide) => Shape::Wide,
    };
    let Some(path) = &arguments.out else {
        if spelling == Spelling::Parquet {
            return Err(CliError::request("a Parquet file is not printed; name it with --out FILE"));
        }
        if arguments.json.wanted {
            return Err(CliError::request("the table itself is printed; with --json name a file for it by --out FILE"));
        }
        let out = io::BufWriter::new(io::stdout().lock());
        return match table::write(&store, &runs, shape, spelling, out) {
            // Whoever reads had enough.
            Err(TableError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map(drop).map_err(CliError::work),
        };
    };
    if std::fs::symlink_metadata(path).is_ok() {
        let shown = path.display();
        return Err(CliError::request(format!("`{shown}` is there already; name another file with --out FILE")));
    }
    let mut written = None;
    let put = |file: &mut dyn io::Write| {
        let rows = table::write(&store, &runs, shape, spelling, file).map_err(io::Error::other)?;
        written = Some(rows);
        Ok(())
    };
    let failed = |error| CliError::work(format!("cannot write `{}`: {error}", path.display()));
    durable::write(path, put).map_err(failed)?;
    let count = written.unwrap_or_default();
    if arguments.json.wanted {
        let document = json!({ "format": "ablate-export-table-1", "file": path, "rows": count, "runs": runs.len() });
        context.printer.json(&document);
    } else {
        let text = format!("{} of {}", format::plural(count, "row"), format::plural(runs.len(), "run"));
        context.printer.status(Style::Good, "Wrote", text);
        context.printer.data(path.display());
    }
    Ok(())
}
