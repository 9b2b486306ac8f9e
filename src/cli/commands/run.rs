//! `ablate run`: trains what is missing of an experiment, then draws the comparison.

use crate::cli::args;
use crate::cli::commands::compare::{Drawing, draw};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::progress::SweepProgress;
use crate::runner::execute::{Options, TaskOutcome, execute};
use crate::runner::launch::LocalProcesses;
use crate::runner::stop::Stop;
use crate::runner::sweep::{self, PreparedCorpus};

/// Executes the plan; fails when a run failed.
pub fn run(context: &Context, arguments: &args::Run) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let sources = context.sources_of(&loaded)?;
    let tasks = sweep::tasks(&loaded.experiment.name, &loaded.plan);
    sweep::prepare(&loaded.plan, &sources, &mut |corpus| say_prepared(context, corpus))?;
    let options = Options {
        retry: arguments.retry,
        sharing: !arguments.no_sharing,
        halving: if arguments.no_halving { None } else { sweep::halving(&loaded.plan, &tasks) },
        command: context.command.clone(),
    };
    let stop = Stop::on_signals();
    let mut progress = SweepProgress::new(&context.printer, &tasks, sweep::costs(&tasks));
    let (slots, threads) = (arguments.jobs.count(tasks.len()), arguments.threads.map(usize::from));
    let mut launcher = LocalProcesses::new(&sources, slots, threads);
    let outcomes = execute(&sources, &tasks, &options, &mut launcher, &stop, &mut |event| progress.watch(&event));
    progress.finish();
    let counts = Counts::of(&outcomes?);
    context.printer.status(counts.style(), "Done", counts.in_words());
    if counts.interrupted > 0 {
        let text = "interrupted; the same command goes on from the last checkpoints";
        return Err(CliError::work(text));
    }
    let drawing = Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), json: false };
    draw(context, &loaded, &sources.store, &drawing)?;
    if counts.failed > 0 { Err(CliError::Said) } else { Ok(()) }
}

fn say_prepared(context: &Context, corpus: &PreparedCorpus) {
    let PreparedCorpus { spec, train, valid, elapsed_secs } = corpus;
    context.printer.status(
        Style::Good,
        "Prepared",
        format!(
            "{}: {} train and {} valid documents, {} + {} tokens, vocabulary {} ({elapsed_secs:.1} s)",
            spec.data.corpus, train.documents, valid.documents, train.tokens, valid.tokens, spec.tokenizer.vocab_size,
        ),
    );
}

#[derive(Default)]
struct Counts {
    finished: usize,
    reused: usize,
    stopped: usize,
    failed: usize,
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
