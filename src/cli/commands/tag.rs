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
    /// Give them this tag, or several with commas between them; a run with any tag keeps all its checkpoints
    #[arg(long, value_name = "TAG", value_delimiter = ',', value_parser = tag_of)]
    pub add: Vec<String>,
    /// Take this tag from them, or several with commas between them
    #[arg(long, value_name = "TAG", required_unless_present = "add")]
    pub remove: Vec<String>,
}

/// Changes the tags of the runs that the query finds.
pub fn tag(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (_, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    let is_tag = |text: &String| rows.iter().any(|row| row.labels.tags.contains(text));
    let removed: Vec<&str> = arguments.remove.iter().flat_map(|text| tags_in(text, is_tag(text))).collect();
    let mut changed = 0;
    for row in &rows {
        let labels = store.run(&row.id)?.relabel(|labels| {
            labels.tags.extend(arguments.add.iter().cloned());
            labels.tags.retain(|tag| !removed.contains(&tag.as_str()));
        })?;
        changed += usize::from(labels.tags != row.labels.tags);
    }
    let text = format!("{changed} of {}", format::plural(rows.len(), "run"));
    context.printer.status(Style::Good, "Tagged", text);
    Ok(())
}

fn tag_of(text: &str) -> Result<String, String> {
    let text = text.trim();
    Labels::check_tag(text).map(|()| text.to_owned())
}

/// The tags that are to go: of those that programs wrote, one may have a comma in it.
fn tags_in(text: &str, is_one: bool) -> Vec<&str> {
    if is_one { vec![text] } else { text.split(',').map(str::trim).collect() }
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
