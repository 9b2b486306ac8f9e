//! The sweep of an experiment: how far it is, who is at work, what failed and why; and the buttons that stop and resume it.

use maud::{Markup, html};

use super::{encoded, log, moment, problem, typed};
use crate::report::format;
use crate::report::sweep::{Failure, SweepStatus, Working};
use crate::server::App;
use crate::server::fault::Fault;
use crate::store::{RunState, StoreError};
use crate::types::{RunId, Timestamp};

/// Lines of the log of a run that is at work, and of one that failed.
const LINES_AT_WORK: usize = 3;
const LINES_OF_FAILURE: usize = 30;

/// Reasons of failures that are told, and runs of each.
const MOST_REASONS: usize = 8;
const MOST_ALIKE: usize = 50;

/// How far the newest sweep of an experiment is, if the store knows of one.
pub fn newest(app: &App, experiment: &str, now: Timestamp) -> Result<Option<SweepStatus>, Fault> {
    let sweeps = app.store().sweeps()?;
    // One that is at work goes before one that was started later; of those that are over, what resumed some of its runs tells of no more
    // than they do themselves.
    let its =
        sweeps.iter().filter(|sweep| sweep.is_of(experiment) && (sweep.is_alive || sweep.record.experiment.is_some()));
    let Some(newest) = its.max_by_key(|sweep| (sweep.is_alive, sweep.record.started_at)) else { return Ok(None) };
    app.reader.ask(|index| Ok::<_, StoreError>(Some(SweepStatus::of(newest, index, now)?)))
}

/// The sweep for people.
pub fn shown(app: &App, experiment: &str, sweep: &SweepStatus, now: Timestamp) -> Markup {
    let per_cent = (100.0 * sweep.done).floor();
    html! {
        section.sweep data-running[sweep.is_running] {
            h2 { @if sweep.experiment.is_some() { "Sweep " } @else { "Resumed runs " } (state(sweep)) }
            p {
                progress max="100" value=(per_cent) aria-label="done" {}
                " " (per_cent) " % of the work"
                @if let Some(secs) = sweep.remaining_secs { ", about " strong { (format::duration(secs)) } " left" }
            }
            p.quiet {
                @for (i, (state, count)) in sweep.counts.each().enumerate() { @if i > 0 { ", " } (count) " " (state) }
                "; begun " (moment(sweep.started_at, now)) " on " (typed(&sweep.host)) ", "
                (format::plural(sweep.slots, "run")) " at a time, " (format::plural(sweep.threads, "thread")) " each"
            }
            (workers(app, &sweep.working))
            (failures(app, &sweep.failed))
            (buttons(experiment, sweep))
        }
    }
}

fn state(sweep: &SweepStatus) -> Markup {
    let (class, word) = match (sweep.is_running, sweep.is_stopping) {
        (true, true) => ("running", "stopping"),
        (true, false) => ("running", "running"),
        (false, _) if sweep.is_unfinished() => ("lost", "not finished"),
        (false, _) => ("finished", "over"),
    };
    html! { span class={ "state " (class) } { (word) } }
}

fn workers(app: &App, working: &[Working]) -> Markup {
    let words: Vec<Option<String>> = working.iter().map(|run| said(app, &run.run, LINES_AT_WORK)).collect();
    let is_any_said = words.iter().any(Option::is_some);
    html! {
        @if !working.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Workers" {
                table {
                    thead { tr { th scope="col" { "at work" } th scope="col" { "cell" } th scope="col" { "steps" } th.number scope="col" { "train loss" } @if is_any_said { th scope="col" { "its last words" } } } }
                    tbody {
                        @for (run, words) in working.iter().zip(&words) {
                            tr {
                                td { (link(app, &run.run)) }
                                td { (typed(&run.label)) }
                                td {
                                    @if let Some(total) = run.total_steps {
                                        progress max=(total) value=(run.steps_done) aria-label={ "steps of " (run.run) } {} " "
                                    }
                                    (format::thousands(run.steps_done))
                                    @if let Some(total) = run.total_steps { " of " (format::thousands(total)) }
                                }
                                td.number { (format::metric(run.loss)) }
                                @if is_any_said { td.words { (words.as_deref().unwrap_or_default()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What failed, by its reason: the runs of one cell mostly fail alike.
fn failures(app: &App, failed: &[Failure]) -> Markup {
    let mut by_reason: Vec<(&str, Vec<&Failure>)> = Vec::new();
    for failure in failed {
        match by_reason.iter_mut().find(|(reason, _)| *reason == failure.reason) {
            Some((_, alike)) => alike.push(failure),
            None => by_reason.push((&failure.reason, vec![failure])),
        }
    }
    html! {
        @for (reason, alike) in by_reason.iter().take(MOST_REASONS) {
            div.failure {
                (problem(reason))
                details {
                    summary { (alike.len()) " failed so" }
                    ul {
                        @for failure in alike.iter().take(MOST_ALIKE) {
                            li { @if let Some(run) = &failure.run { (link(app, run)) " " } (typed(&failure.label)) }
                        }
                        @if alike.len() > MOST_ALIKE { li { (alike.len() - MOST_ALIKE) " more" } }
                    }
                    @if let Some(words) = alike[0].run.as_ref().and_then(|run| said(app, run, LINES_OF_FAILURE)) {
                        p { "The end of the first one\u{2019}s log" }
                        pre tabindex="0" { (words) }
                    }
                }
            }
        }
        @if by_reason.len() > MOST_REASONS { p { "and for " (by_reason.len() - MOST_REASONS) " more reasons" } }
    }
}

/// What the script shows where the server executes; the commands do the same.
fn buttons(experiment: &str, sweep: &SweepStatus) -> Markup {
    let button = |act: &str, words: &str| html! { button type="button" data-execute=(act) data-experiment=(experiment) { (words) } " " };
    html! {
        p.execute hidden {
            @if sweep.is_running && !sweep.is_stopping { (button("stop", "Stop the sweep")) }
            @if !sweep.is_running && sweep.is_unfinished() { (button("resume", "Resume the sweep")) }
            @if !sweep.is_running && !sweep.failed.is_empty() { (button("retry", "Retry what failed")) }
        }
        @if sweep.is_running {
            p.quiet { "To stop it: " code.copy { "ablate stop " (quoted(experiment)) } }
        } @else if sweep.is_unfinished() || !sweep.failed.is_empty() {
            @let retry = (!sweep.is_unfinished() && !sweep.command.iter().any(|word| word == "--retry")).then_some(" --retry");
            p.quiet { "To go on: " code.copy { "cd " (quoted(&sweep.folder)) " && " (sweep.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")) (retry.unwrap_or_default()) } }
        }
    }
}

/// The buttons that execute runs which were chosen, or the one that a page is about.
pub fn run_buttons(state: Option<RunState>) -> Markup {
    let is_one_of = |states: &[RunState]| state.is_none_or(|state| states.contains(&state));
    html! {
        span.execute hidden {
            @if is_one_of(&[RunState::Running]) { button type="button" data-execute="stop" { "Stop" } " " }
            @if is_one_of(&[RunState::Interrupted, RunState::Lost, RunState::Planned, RunState::Stopped]) {
                button type="button" data-execute="resume" { "Resume" } " "
            }
            @if is_one_of(&[RunState::Failed]) { button type="button" data-execute="retry" { "Retry" } }
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn link(app: &App, run: &RunId) -> Markup {
    html! { a.id href={ (app.root_path) "/runs/" (encoded(run.as_str())) } { (run) } }
}

fn said(app: &App, run: &RunId, lines: usize) -> Option<String> {
    log::end_of(&app.store().run(run).ok()?, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_word_as_it_is() {
        for (word, expected) in [
            ("run", "run"),
            ("model.preset=nano", "model.preset=nano"),
            ("한국", "한국"),
            ("", "''"),
            ("my file.toml", "'my file.toml'"),
            ("it's", "'it'\\''s'"),
            ("$(rm)", "'$(rm)'"),
            ("a;b", "'a;b'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
