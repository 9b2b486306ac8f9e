//! `ablate tag`: words by which runs are found again.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::store::{Labels, Trash};

/// What `ablate tag` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// Give them this tag; a run with any tag keeps all its checkpoints
    #[arg(long, value_name = "TAG", value_parser = tag_of)]
    pub add: Vec<String>,
    /// Take this tag from them
    #[arg(long, value_name = "TAG", required_unless_present = "add")]
    pub remove: Vec<String>,
}

/// Changes the tags of the runs that the query finds.
pub fn tag(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (_, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    let mut changed = 0;
    for row in &rows {
        let labels = store.run(&row.id)?.relabel(|labels| {
            labels.tags.extend(arguments.add.iter().cloned());
            labels.tags.retain(|tag| !arguments.remove.contains(tag));
        })?;
        changed += usize::from(labels.tags != row.labels.tags);
    }
    let text = format!("{changed} of {}", format::plural(rows.len(), "run"));
    context.printer.status(Style::Good, "Tagged", text);
    Ok(())
}

fn tag_of(text: &str) -> Result<String, String> {
    Labels::check_tag(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_short_line() {
        assert_eq!(tag_of("seed=3"), Ok("seed=3".to_owned()));
        assert!(["", "a\nb", "\u{1b}[1m", &"x".repeat(201)].into_iter().all(|text| tag_of(text).is_err()));
    }
}
