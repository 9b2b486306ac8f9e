//! `ablate gc`: frees the disk of what nothing asks for, and says how much by which rule.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::table::{Align, table};
use crate::clock;
use crate::report::format;
use crate::runner::upkeep::collect::{self, Found, Item, Options, Rule, TRASH_DAYS};

/// What `ablate gc` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// Remove runs that have been in the trash for so many days
    #[arg(long, value_name = "DAYS", default_value_t = TRASH_DAYS, value_parser = days)]
    pub trash_days: f64,
    /// Remove the cached tokenizers and token files as well; they are made anew when they are needed
    #[arg(long)]
    pub cache: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Removes what nothing asks for.
pub fn gc(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let options = Options { trash_secs: arguments.trash_days * 86_400.0, cache: arguments.cache };
    let Found { mut items, needed, unread } = collect::find(&store, options, clock::now())?;
    let mut failed = Vec::new();
    if !arguments.dry_run {
        // What could not be removed is not counted as freed.
        items.retain(|item| collect::remove(&store, item).map_err(|error| failed.push(error)).is_ok());
    }
    if let Some(run) = unread.first() {
        let text = format!(
            "the trash is not emptied: run {run} cannot be read, and may start from what is in it; `ablate fsck` says why"
        );
        context.printer.status(Style::Caution, "Note", text);
    }
    for (run, heirs) in &needed {
        let text = format!("run {run} stays in the trash: {} starts from it", heirs[0]);
        context.printer.status(Style::Caution, "Note", text);
    }
    failed.iter().for_each(|error| context.printer.status(Style::Bad, "Failed", error));
    let bytes = items.iter().map(|item| item.bytes).sum::<u64>();
    if arguments.json.wanted {
        let items = json!({ "format": "ablate-gc-1", "dry_run": arguments.dry_run, "bytes": bytes, "items": items });
        context.printer.json(&items);
    } else if items.is_empty() {
        context.printer.say("nothing to remove");
    } else {
        context.printer.data(by_rule(&items));
        let verb = if arguments.dry_run { "Would free" } else { "Freed" };
        context.printer.status(Style::Good, verb, format!("{}B", format::si(bytes as f64)));
    }
    if failed.is_empty() { Ok(()) } else { Err(CliError::Said) }
}

fn by_rule(items: &[Item]) -> String {
    let mut rules: BTreeMap<Rule, (usize, u64)> = BTreeMap::new();
    for item in items {
        let known = rules.entry(item.rule).or_default();
        *known = (known.0 + 1, known.1 + item.bytes);
    }
    let columns = [("rule", Align::Left), ("what", Align::Right), ("bytes", Align::Right)];
    let row = |(rule, (count, bytes)): (Rule, (usize, u64))| {
        let what = if rule == Rule::Trash { "run" } else { "file" };
        [rule.words().to_owned(), format::plural(count, what), format!("{}B", format::si(bytes as f64))]
    };
    table(&columns, rules.into_iter().map(row))
}

fn days(text: &str) -> Result<f64, String> {
    let is_count = |days: &f64| days.is_finite() && *days >= 0.0;
    text.parse().ok().filter(is_count).ok_or_else(|| "a number of days, such as 30 or 0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_says_how_much() {
        let item = |rule, bytes| Item { rule, path: "x".into(), bytes, run: None };
        let items = [item(Rule::Trash, 2_000_000), item(Rule::OldCheckpoint, 500), item(Rule::OldCheckpoint, 700)];
        insta::assert_snapshot!(by_rule(&items), @r"
        rule                                                                               what   bytes
        checkpoints of finished runs, but the last, the best, and those of tagged runs  2 files  1.20kB
        runs in the trash                                                                 1 run  2.00MB
        ");
        assert_eq!((days("0.5"), days("-1").is_err(), days("x").is_err()), (Ok(0.5), true, true));
    }
}
