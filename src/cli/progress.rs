//! Progress of a sweep: a bar for each worker and one for all on a terminal, plain lines in a pipe.

use std::collections::{BTreeMap, BTreeSet};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printer::{Printer, Stream, Style};
use crate::clock::Stopwatch;
use crate::report::format;
use crate::report::sweep::remaining_secs;
use crate::runner::execute::{SweepEvent, Task, TaskOutcome};
use crate::runner::progress::Progress;

/// Between two plain lines about one run, in seconds.
const LINE_EVERY_SECS: f64 = 15.0;

/// Watches a sweep and tells a person about it.
pub struct SweepProgress<'a> {
    printer: &'a Printer,
    tasks: &'a [Task],
    stopwatch: Stopwatch,
    bars: Option<Bars>,
    /// What is known of the tasks at work.
    working: BTreeMap<usize, Working>,
    ended: usize,
    /// Warnings that were told.
    warned: BTreeSet<String>,
    /// Work done by runs that really ran: steps weighted by cost, and how much all of them have.
    done_work: f64,
    all_work: f64,
    work: Vec<f64>,
    /// Of each task the part that was done here, up to the rung at which it rests.
    credited: Vec<f64>,
}

struct Bars {
    all: MultiProgress,
    sweep: ProgressBar,
}

struct Working {
    bar: Option<ProgressBar>,
    /// The part of its steps that is done, and that which was before.
    share: f64,
    share_before: f64,
    step_before: u64,
    told_at: f64,
    valid: Option<f64>,
}

impl<'a> SweepProgress<'a> {
    /// A watcher of `tasks`; `work` says how much each costs, in any unit.
    pub fn new(printer: &'a Printer, tasks: &'a [Task], work: Vec<f64>) -> Self {
        let bars = printer.draws_progress().then(|| {
            let all = MultiProgress::new();
            let sweep = all.add(ProgressBar::new(tasks.len() as u64));
            sweep.set_style(style("{prefix:>12.cyan.bold} [{bar:28}] {pos}/{len} runs  {msg}"));
            sweep.set_prefix("Sweep");
            Bars { all, sweep }
        });
        let (all_work, credited) = (work.iter().sum(), vec![0.0; work.len()]);
        let (stopwatch, working) = (Stopwatch::start(), BTreeMap::new());
        Self {
            printer,
            tasks,
            stopwatch,
            bars,
            working,
            ended: 0,
            warned: BTreeSet::new(),
            done_work: 0.0,
            all_work,
            work,
            credited,
        }
    }

    /// Takes in what happened.
    pub fn watch(&mut self, event: &SweepEvent) {
        match event {
            SweepEvent::Started { task, run, from } => {
                let label = &self.tasks[*task].label;
                match from {
                    None => self.line(Style::Good, "Training", &format!("{run}  {label}")),
                    Some(own) if own.run == **run => self.line(Style::Good, "Resuming", &format!("{run}  {label}")),
                    Some(other) => {
                        let text = format!("{run}  {label}: from step {} of {}", other.step, other.run);
                        self.line(Style::Good, "Continuing", &text);
                    }
                }
                let bar = self.bars.as_ref().map(|bars| {
                    let bar = bars.all.insert_before(&bars.sweep, ProgressBar::new(1));
                    bar.set_style(style("{prefix:>12} [{bar:28}] {pos}/{len} steps  {msg}"));
                    bar.set_prefix(run.to_string());
                    bar
                });
                let step_before = from.map_or(0, |origin| origin.step.0);
                let told_at = self.stopwatch.elapsed_secs();
                let working = Working { bar, share: 0.0, share_before: 0.0, step_before, told_at, valid: None };
                self.working.insert(*task, working);
            }
            SweepEvent::Progress { task, progress } => self.progress(*task, progress),
            SweepEvent::Waiting { task } => {
                self.line(
                    Style::Caution,
                    "Waiting",
                    &format!("{}: another process executes it", self.tasks[*task].label),
                );
            }
            SweepEvent::AtRung { task, run, step, value } => {
                let part = self.rest(*task);
                self.credited[*task] += part;
                self.done_work += self.work[*task] * part;
                let text = format!("{run}  {} at step {step}: {value:.4}", self.tasks[*task].label);
                self.line(Style::Good, "Rung", &text);
            }
            SweepEvent::Ended { task, outcome } => self.ended(*task, outcome),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Some(bars) = &self.bars {
            let _ = bars.all.clear();
        }
    }

    fn progress(&mut self, task: usize, progress: &Progress) {
        let now = self.stopwatch.elapsed_secs();
        let label = &self.tasks[task].label;
        let Some(working) = self.working.get_mut(&task) else { return };
        match progress {
            Progress::Phase(what) => {
                if let Some(bar) = &working.bar {
                    bar.set_message(*what);
                }
            }
            Progress::Step { step, steps, loss, tokens_per_s } => {
                let share = |step: u64| step as f64 / (*steps).max(1) as f64;
                working.share = share(*step);
                // What was done before this sweep is none of its work.
                let before = share(working.step_before);
                if std::mem::replace(&mut working.share_before, before) != before {
                    self.all_work -= self.work[task] * (before - self.credited[task]).max(0.0);
                }
                let valid = working.valid.map(|valid| format!("  valid {valid:.3}")).unwrap_or_default();
                let loss = loss.map_or_else(|| "nan".into(), |loss| format!("{loss:.3}"));
                let message = format!("loss {loss}{valid}  {} tok/s  {label}", format::si(*tokens_per_s));
                if let Some(bar) = &working.bar {
                    bar.set_length(*steps);
                    bar.set_position(*step);
                    bar.set_message(message);
                } else if now - working.told_at > LINE_EVERY_SECS {
                    working.told_at = now;
                    let eta = self.eta();
                    self.line(Style::Faint, "Step", &format!("{step}/{steps}  {message}  {eta}"));
                }
            }
            Progress::Evaluation { value, .. } => working.valid = Some(*value),
            // What every run of a sweep has to say about its corpus is said once.
            Progress::Warning(text) => {
                if self.warned.insert(text.clone()) {
                    self.line(Style::Caution, "Warning", &format!("{label}: {text}"));
                }
            }
        }
        self.refresh();
    }

    fn ended(&mut self, task: usize, outcome: &TaskOutcome) {
        let before = self.working.get(&task).map_or(self.credited[task], |working| working.share_before);
        self.rest(task);
        let label = &self.tasks[task].label;
        match outcome {
            // What was finished before is counted at the end, not told one by one.
            TaskOutcome::Reused(_) | TaskOutcome::NotStarted => {}
            TaskOutcome::Stopped { run, reason } => {
                self.line(Style::Hint, "Stopped", &format!("{run}  {label}: {reason}"))
            }
            TaskOutcome::Finished(run) => self.line(Style::Good, "Finished", &format!("{run}  {label}")),
            TaskOutcome::Interrupted(run) => self.line(Style::Caution, "Interrupted", &format!("{run}  {label}")),
            TaskOutcome::Failed { run, reason } => {
                self.line(Style::Bad, "Failed", &format!("{run}  {label}: {reason}"))
            }
            TaskOutcome::Broken { reason } => self.line(Style::Bad, "Failed", &format!("{label}: {reason}")),
            TaskOutcome::FailedBefore { run, reason } => {
                self.line(
                    Style::Bad,
                    "Failed",
                    &format!("{run}  {label} (before; --retry executes it again): {reason}"),
                );
            }
        }
        self.ended += 1;
        match outcome {
            TaskOutcome::Reused(_)
            | TaskOutcome::FailedBefore { .. }
            | TaskOutcome::NotStarted
            | TaskOutcome::Broken { .. }
            | TaskOutcome::Stopped { .. } => self.all_work -= self.work[task] * (1.0 - self.credited[task]),
            TaskOutcome::Finished(_) | TaskOutcome::Interrupted(_) | TaskOutcome::Failed { .. } => {
                self.done_work += self.work[task] * (1.0 - before)
            }
        }
        self.refresh();
    }

    /// Nobody works on a task now; the part of it that was done since somebody began to.
    fn rest(&mut self, task: usize) -> f64 {
        let Some(working) = self.working.remove(&task) else { return 0.0 };
        working.bar.iter().for_each(ProgressBar::finish_and_clear);
        working.part()
    }

    fn refresh(&self) {
        if let Some(bars) = &self.bars {
            bars.sweep.set_position(self.ended as u64);
            bars.sweep.set_message(self.eta());
        }
    }

    /// The work of the runs that ended, and of the others as far as they are.
    fn work_done(&self) -> f64 {
        let under_way: f64 = self.working.iter().map(|(&task, working)| self.work[task] * working.part()).sum();
        self.done_work + under_way
    }

    /// Time left at the speed so far, counted in work, not in runs.
    fn eta(&self) -> String {
        let left = remaining_secs(self.stopwatch.elapsed_secs(), self.work_done(), self.all_work);
        left.map(|left| format!("ETA {}", format::duration(left))).unwrap_or_default()
    }

    fn line(&self, style: Style, verb: &str, text: &str) {
        let line = format!("{} {text}", self.printer.paint(Stream::Err, style, &format!("{verb:>12}")));
        match &self.bars {
            Some(bars) => drop(bars.all.println(line)),
            // What failed is said even to those who want to hear nothing.
            None if style == Style::Bad => self.printer.complain(line),
            None => self.printer.say(line),
        }
    }
}

impl Working {
    /// The part that was done since it began.
    fn part(&self) -> f64 {
        (self.share - self.share_before).max(0.0)
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("invariant: the templates above are valid");
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::printer::Printer;
    use crate::runner::testing;
    use crate::store::Origin;

    /// The share of the work that is done, and what is left of it, after events about three tasks that cost 1, 2 and 4.
    fn check(events: &[SweepEvent], done: f64, all: f64) {
        let tasks = testing::tasks("[sweep.replicates]\nseeds = 3\n");
        let printer = Printer::silent();
        let mut progress = SweepProgress::new(&printer, &tasks, vec![1.0, 2.0, 4.0]);
        events.iter().for_each(|event| progress.watch(event));
        assert_eq!((progress.work_done(), progress.all_work), (done, all), "{events:?}");
    }

    #[test]
    fn work_is_counted_as_it_is_done_and_what_costs_nothing_is_not_work() {
        let run = "abcdefgh".parse().unwrap();
        let started = SweepEvent::Started { task: 1, run: &run, from: None };
        let half = Progress::Step { step: 20, steps: 40, loss: Some(1.0), tokens_per_s: 1.0 };
        let half = SweepEvent::Progress { task: 1, progress: &half };
        let outcomes = [TaskOutcome::Reused(run.clone()), TaskOutcome::Finished(run.clone())];
        let [reused, finished] = outcomes.each_ref();
        check(&[], 0.0, 7.0);
        check(&[SweepEvent::Ended { task: 2, outcome: reused }], 0.0, 3.0);
        check(std::slice::from_ref(&started), 0.0, 7.0);
        check(&[started.clone(), half.clone()], 1.0, 7.0);
        check(&[started.clone(), half.clone(), SweepEvent::Ended { task: 1, outcome: finished }], 2.0, 7.0);
        // Of a run that is resumed at a quarter, a quarter is neither done here nor to be done.
        let origin = Origin { run: run.clone(), step: crate::types::Step(10) };
        let resumed = SweepEvent::Started { task: 1, run: &run, from: Some(&origin) };
        check(&[resumed.clone(), half.clone()], 0.5, 6.5);
        check(&[resumed.clone(), half.clone(), SweepEvent::Ended { task: 1, outcome: finished }], 1.5, 6.5);
        // What a run did up to its rung stays done.
        let rung = SweepEvent::AtRung { task: 1, run: &run, step: 20, value: 1.0 };
        let more = Progress::Step { step: 30, steps: 40, loss: Some(1.0), tokens_per_s: 1.0 };
        let more = SweepEvent::Progress { task: 1, progress: &more };
        let origin = Origin { run: run.clone(), step: crate::types::Step(20) };
        let again = SweepEvent::Started { task: 1, run: &run, from: Some(&origin) };
        let ended = SweepEvent::Ended { task: 1, outcome: finished };
        check(&[started.clone(), half.clone(), rung.clone()], 1.0, 7.0);
        check(&[started.clone(), half.clone(), rung.clone(), again.clone(), more.clone()], 1.5, 7.0);
        check(&[started, half, rung, again, more, ended], 2.0, 7.0);
    }
}
