//! `ablate run`: trains what is missing of an experiment, then draws the comparison.

use std::path::PathBuf;

use crate::cli::args::{ExperimentFile, Jobs, Workers};
use crate::cli::commands::compare::{Drawing, Print, draw};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::progress::SweepProgress;
use crate::experiment::Experiment;
use crate::report::comparison::forewarning;
use crate::runner::announcement::{Announced, announce, conclude};
use crate::runner::data_sources::DataSources;
use crate::runner::execute::{Options, Task, TaskOutcome, execute};
use crate::runner::launch::{Launcher, LocalProcesses};
use crate::runner::stop::Stop;
use crate::runner::sweep::{self, PreparedCorpus};
use crate::runner::worker::NO_ROOM;
use crate::store::Index;

/// What `ablate run` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    #[command(flatten)]
    pub workers: Workers,
    /// Execute runs again that failed
    #[arg(long)]
    pub retry: bool,
    /// Train every run from its first step, also where a shorter run has done the beginning
    #[arg(long)]
    pub no_sharing: bool,
    /// Train every run to its end, whatever [sweep.halving] says
    #[arg(long)]
    pub no_halving: bool,
    /// Where the comparison is written [default: a folder of its own in reports/NAME of the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print every table at the end, not the answer alone
    #[arg(long)]
    pub tables: bool,
    /// A TrueType or OpenType font for PNG and PDF files: for Hangul in place of the built-in one, and for what that lacks
    #[arg(long, value_name = "FILE", env = "ABLATE_FONT")]
    pub font: Option<PathBuf>,
}

impl Arguments {
    /// So many runs of a file at a time, and nothing else out of the ordinary.
    pub fn of(experiment: ExperimentFile, jobs: Jobs) -> Self {
        let (workers, out, font) = (Workers { jobs, threads: None }, None, None);
        Self { experiment, workers, retry: false, no_sharing: false, no_halving: false, out, tables: false, font }
    }
}

impl Arguments {
    /// The arguments that execute the same again, in the form that a record of a sweep has.
    fn again(&self, context: &Context) -> Vec<String> {
        let mut words = vec!["run".to_owned()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.experiment.sets.iter().for_each(|set| option("--set", set.clone()));
        option("--jobs", self.workers.jobs.to_string());
        if let Some(threads) = self.workers.threads {
            option("--threads", threads.to_string());
        }
        option("--data", context.data_root.display().to_string());
        let flags = [("--no-sharing", self.no_sharing), ("--no-halving", self.no_halving)];
        words.extend(flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name.to_owned()));
        words.extend(["--".to_owned(), self.experiment.file.display().to_string()]);
        words
    }
}

/// Executes the plan; fails when a run failed.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let sources = context.sources_of(&loaded)?;
    if let Some(text) = forewarning(&loaded.plan, &loaded.experiment.metric) {
        context.printer.status(Style::Caution, "Note", text);
    }
    let Experiment { name, metric, report, .. } = &loaded.experiment;
    let tasks = sweep::tasks(name, metric, report.negligible, &loaded.plan);
    sweep::prepare(&loaded.plan, &sources, &mut |corpus| say_prepared(context, corpus))?;
    let options = Options {
        retry: arguments.retry,
        sharing: !arguments.no_sharing,
        halving: if arguments.no_halving { None } else { sweep::halving(&loaded.plan, &tasks) },
        command: context.command.clone(),
        sweep: None,
    };
    // What is damaged of the sweep is trained again: that is said before, not after.
    context.say_unreadable(&Index::open(&sources.store)?);
    let stop = Stop::on_signals();
    let (announced, again) = (Announced::Experiment(name), arguments.again(context));
    let how = How { announced, again, workers: arguments.workers };
    let counts = sweep_through(context, &sources, &tasks, options, &how, &stop)?;
    // Drawing has no step to stop at: from here on the first signal ends the program.
    stop.request();
    let print = Print::asked(arguments.tables, false);
    let drawing = Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), print };
    draw(context, (&loaded, &arguments.experiment), &sources.store, &drawing)?;
    if counts.failed > 0 { Err(CliError::Said) } else { Ok(()) }
}

/// How tasks are executed, and as what.
#[derive(Debug)]
pub struct How<'a> {
    pub announced: Announced<'a>,
    /// The arguments that execute them again, where there is a file.
    pub again: Vec<String>,
    pub workers: Workers,
}

/// Executes tasks of an experiment, or of runs that were named one by one, and tells a person and the store how that goes.
///
/// # Errors
/// When not all came to an end.
pub fn sweep_through(
    context: &Context,
    sources: &DataSources,
    tasks: &[Task],
    options: Options,
    how: &How<'_>,
    stop: &Stop,
) -> Result<Counts, CliError> {
    let How { announced, again, workers } = how;
    let costs = sweep::costs(tasks);
    let mut progress = SweepProgress::new(&context.printer, tasks, costs.clone());
    let mut launcher = LocalProcesses::new(sources, workers.jobs.count(tasks.len()), workers.threads.map(usize::from));
    let workers = (launcher.slots(), launcher.threads());
    let sweep = announce(&sources.store, *announced, tasks, &costs, (&context.command, again), workers)?;
    let options = Options { sweep: Some(sweep.clone()), ..options };
    let outcomes = execute(sources, tasks, &options, &mut launcher, stop, &mut |event| progress.watch(&event));
    progress.finish();
    let outcomes = outcomes?;
    conclude(&sweep, tasks, &outcomes)?;
    let counts = Counts::of(&outcomes);
    context.printer.status(counts.style(), "Done", counts.in_words());
    if counts.interrupted == 0 {
        return Ok(counts);
    }
    let reason = |outcome: &TaskOutcome| match outcome {
        TaskOutcome::Interrupted(run) => sources.store.load(run).ok()?.history.reason().map(str::to_owned),
        _ => None,
    };
    let reasons = outcomes.iter().filter_map(reason).collect::<Vec<_>>();
    if let Some(reason) = reasons.iter().find(|reason| reason.ends_with(NO_ROOM)) {
        return Err(CliError::work(reason));
    }
    let text = "interrupted; the same command resumes from the last checkpoints";
    if stop.is_requested() {
        return Err(CliError::Interrupted(text.to_owned()));
    }
    Err(CliError::work(match reasons.first() {
        Some(reason) => format!("{reason}: {text}"),
        None => text.to_owned(),
    }))
}

fn say_prepared(context: &Context, corpus: &PreparedCorpus) {
    let PreparedCorpus { data, spec, train, valid, notices, elapsed_secs } = corpus;
    notices.iter().for_each(|notice| context.printer.status(Style::Caution, "Warning", notice));
    context.printer.status(
        Style::Good,
        "Prepared",
        format!(
            "{}: {} train and {} valid documents, {} + {} tokens, vocabulary {} ({elapsed_secs:.1} s)",
            data.corpus, train.documents, valid.documents, train.tokens, valid.tokens, spec.tokenizer.vocab_size,
        ),
    );
}

/// What became of tasks, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    finished: usize,
    reused: usize,
    stopped: usize,
    pub failed: usize,
    interrupted: usize,
}

impl Counts {
    fn of(outcomes: &[TaskOutcome]) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                TaskOutcome::Finished(_) => counts.finished += 1,
                TaskOutcome::Reused(_) => counts.reused += 1,
                TaskOutcome::Stopped { .. } => counts.stopped += 1,
                TaskOutcome::Failed { .. } | TaskOutcome::FailedBefore { .. } | TaskOutcome::Broken { .. } => {
                    counts.failed += 1
                }
                TaskOutcome::Interrupted(_) | TaskOutcome::NotStarted => counts.interrupted += 1,
            }
        }
        counts
    }

    fn style(&self) -> Style {
        if self.failed > 0 {
            Style::Bad
        } else if self.interrupted > 0 {
            Style::Caution
        } else {
            Style::Good
        }
    }

    fn in_words(&self) -> String {
        let mut text = format!("{} trained, {} reused", self.finished, self.reused);
        if self.stopped > 0 {
            text.push_str(&format!(", {} stopped early (`--no-halving` trains them on)", self.stopped));
        }
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if self.interrupted > 0 {
            text.push_str(&format!(", {} not finished", self.interrupted));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RunId;

    fn run() -> RunId {
        "abcdefgh".parse().unwrap()
    }

    #[test]
    fn every_outcome_is_counted_once() {
        let reason = || "why".to_owned();
        let outcomes = [
            TaskOutcome::Finished(run()),
            TaskOutcome::Finished(run()),
            TaskOutcome::Reused(run()),
            TaskOutcome::Stopped { run: run(), reason: reason() },
            TaskOutcome::Failed { run: run(), reason: reason() },
            TaskOutcome::FailedBefore { run: run(), reason: reason() },
            TaskOutcome::Broken { reason: reason() },
            TaskOutcome::Interrupted(run()),
            TaskOutcome::NotStarted,
        ];
        let counts = Counts::of(&outcomes);
        assert_eq!(
            counts.in_words(),
            "2 trained, 1 reused, 1 stopped early (`--no-halving` trains them on), 3 failed, 2 not finished"
        );
        assert_eq!((counts.style(), Counts::of(&outcomes[..3]).style()), (Style::Bad, Style::Good));
        assert_eq!(Counts::of(&outcomes[7..]).style(), Style::Caution);
        assert_eq!(Counts::of(&outcomes[..3]).in_words(), "2 trained, 1 reused");
    }
}
