//! The last words of `run` and `compare`: the answer in a sentence, one small table, and what to do next.

use crate::analysis::{Comparison, Effect, RunState, Summary};
use crate::cli::columns::visible_width;
use crate::cli::context::Context;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::report::answer::Answer;

/// Rows of the table.
const ROWS: usize = 8;
/// Columns that a line has that is said without being asked for.
const COLUMNS: usize = 80;
/// Columns before what `status` says.
const INDENT: usize = 13;

/// Prints what a reader has to know first, the answer, and the largest effects.
pub(super) fn print(context: &Context, comparison: &Comparison, answer: &Answer) {
    let printer = &context.printer;
    for caution in &answer.cautions {
        printer.prose(&format!("! {caution}"));
    }
    printer.prose(&printer.paint(Stream::Out, Style::Strong, &answer.headline));
    if comparison.runs.iter().any(|run| run.state != RunState::Finished) {
        printer.prose(&answer.how_sure);
    }
    let known = answer.effects.iter().filter(|effect| effect.difference.is_some()).collect::<Vec<_>>();
    let row = |effect: &&Effect| vec![effect.name(), effect.size().unwrap_or_else(|| "-".into()), effect.word()];
    let rows = known.iter().take(ROWS).map(row);
    if !known.is_empty() {
        let columns = [("effect on ", Align::Left), ("difference", Align::Right), ("", Align::Left)];
        let more = known.len().saturating_sub(ROWS);
        let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
        printer.data(format!("\n{}{more}", table(&columns, rows)));
    }
}

/// A word as a shell takes it for one.
fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,+%@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Says three commands that lead on.
pub(super) fn say_next(context: &Context, comparison: &Comparison, summary: &Summary, words: &[String]) {
    let store = if context.command.iter().any(|word| word.starts_with("--runs")) {
        format!(" --runs {}", context.runs.display())
    } else {
        String::new()
    };
    let best = summary.best().and_then(|cell| cell.outcomes.iter().find_map(|outcome| outcome.id.as_ref()));
    let quoted = words.iter().map(|word| for_shell(word)).collect::<Vec<_>>().join(" ");
    let mut commands = vec![(format!("ablate compare {quoted} --tables{store}"), "every table")];
    if !comparison.experiment.contains(' ') {
        commands.push((format!("ablate list {}{store}", comparison.experiment), "its runs"));
    }
    if let Some(best) = best {
        commands.push((format!("ablate show {best}{store}"), "a run of the best cell"));
        let is_planned = comparison.runs.iter().any(|run| run.id.as_ref() == Some(best) && run.spec.is_some());
        if is_planned {
            commands.push((format!("ablate reproduce {best}{store}"), "the same again, bit for bit"));
        }
    }
    commands.truncate(3);
    let room = COLUMNS - INDENT;
    let widest = |commands: &[(String, &str)]| commands.iter().map(|(command, _)| visible_width(command)).max();
    let column = widest(&commands).unwrap_or(0).min(room / 2);
    for (i, (command, what)) in commands.into_iter().enumerate() {
        let padding = " ".repeat(column.saturating_sub(visible_width(&command)) + 2);
        let line = format!("{command}{padding}{what}");
        let line = if visible_width(&line) <= room { line } else { command };
        context.printer.status(Style::Hint, if i == 0 { "Next" } else { "" }, line);
    }
}
