//! `ablate run`: trains what is missing of an experiment, then draws the comparison.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::args;
use crate::cli::commands::compare::{Drawing, draw};
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::progress::SweepProgress;
use crate::plan::{Cell, Measured, PlannedRun, StageSpec, TokenizerKind, estimate};
use crate::runner::clock::Stopwatch;
use crate::runner::corpora;
use crate::runner::execute::{Fate, Options, Task, execute};
use crate::runner::provenance::ExperimentOrigin;
use crate::runner::queue::Halving;
use crate::runner::stop::Stop;
use crate::store::Store;
use crate::trainer::corpus::PrepareError;
use crate::trainer::device;
use crate::trainer::pretraining::check_documents;
use crate::types::SpecHash;

/// Executes the plan; fails when a run failed.
pub fn run(context: &Context, arguments: &args::Run) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let store = context.store()?;
    let tasks = tasks(&loaded);
    prepare(context, &loaded, &store)?;
    let options = Options {
        jobs: arguments.jobs.count(tasks.len()),
        threads: arguments.threads.map(usize::from),
        retry: arguments.retry,
        sharing: !arguments.no_sharing,
        halving: if arguments.no_halving { None } else { halving(&loaded, &tasks) },
        data_root: context.data_root.clone(),
        beside: loaded.beside.clone(),
        command: context.command.clone(),
    };
    let work = work(&tasks);
    let stop = Stop::on_signals();
    let mut progress = SweepProgress::new(&context.printer, &tasks, work);
    let fates = execute(&store, &tasks, &options, &stop, &mut |happening| progress.watch(&happening));
    progress.finish();
    let counts = Counts::of(&fates?);
    context.printer.status(counts.style(), "Done", counts.in_words());
    if counts.interrupted > 0 {
        let text = "interrupted; the same command goes on from the last checkpoints";
        return Err(CliError::work(text));
    }
    let drawing = Drawing { out: arguments.out.as_deref(), font: arguments.font.as_deref(), json: false };
    draw(context, &loaded, &store, &drawing)?;
    if counts.failed > 0 { Err(CliError::Said) } else { Ok(()) }
}

/// What each task costs, as far as it is known before it begins: one whose steps are not is taken for a mean one.
fn work(tasks: &[Task]) -> Vec<f64> {
    let flops: Vec<Option<f64>> = tasks.iter().map(|task| estimate(&task.spec, Measured::default()).flops).collect();
    let known: Vec<f64> = flops.iter().copied().flatten().collect();
    let mean = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    flops.into_iter().map(|flops| flops.unwrap_or(mean)).collect()
}

/// Early stopping as the plan has it: the tasks of each cell.
fn halving(loaded: &Loaded, tasks: &[Task]) -> Option<Halving> {
    let spec = loaded.plan.halving.clone()?;
    let index: BTreeMap<SpecHash, usize> = tasks.iter().enumerate().map(|(i, task)| (task.hash, i)).collect();
    let mut free: BTreeSet<usize> = (0..tasks.len()).collect();
    // A specification that two cells have is executed for the first of them.
    let mut tasks_of = |cell: &Cell| cell.runs.iter().map(|run| index[&run.hash]).filter(|i| free.remove(i)).collect();
    let cells = loaded.plan.cells.iter().map(&mut tasks_of).collect();
    let steps = tasks.iter().map(|task| estimate(&task.spec, Measured::default()).steps.unwrap_or(u64::MAX)).collect();
    Some(Halving { spec, cells, steps })
}

/// A task for each specification of the plan, named by its cell and seed.
fn tasks(loaded: &Loaded) -> Vec<Task> {
    let mut seen = BTreeSet::new();
    let many_seeds = loaded.experiment.seeds.len() > 1;
    let mut tasks = Vec::new();
    for cell in &loaded.plan.cells {
        for run in cell.runs.iter().flat_map(PlannedRun::with_inputs).filter(|run| seen.insert(run.hash)) {
            let is_before = cell.runs.iter().all(|last| last.hash != run.hash);
            let of_stage = |key: &&'static str| !is_before || !key.starts_with("finetune.");
            let axes = cell.axes.iter().filter(|(key, _)| of_stage(key));
            let axes = axes.map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap_or_default())).collect();
            let stage = if is_before { "pretraining " } else { "" };
            let seed = if many_seeds || cell.label.is_empty() { format!(" seed={}", run.seed) } else { String::new() };
            tasks.push(Task {
                spec: run.spec.clone(),
                hash: run.hash,
                label: format!("{stage}{}{seed}", cell.label).trim().to_owned(),
                experiment: Some(ExperimentOrigin { name: loaded.experiment.name.clone(), axes }),
                reproduces: None,
            });
        }
    }
    tasks
}

/// Tokenizes each corpus of the plan before the first run, so that what is wrong with one shows at once.
fn prepare(context: &Context, loaded: &Loaded, store: &Store) -> Result<(), CliError> {
    let cache = store.root().join("cache");
    let mut seen = BTreeSet::new();
    for run in loaded.plan.runs() {
        device::check(&run.spec).map_err(CliError::request)?;
        // What goes on from another run has its tokenizer from there.
        if !run.spec.inputs.is_empty() || run.spec.tokenizer.kind == TokenizerKind::Imported {
            continue;
        }
        let Some(corpus) = run.spec.data() else { continue };
        let nsp = run.spec.pretraining().map(|stage| stage.objective.nsp);
        let what = format!("{corpus:?} {:?} {nsp:?}", run.spec.tokenizer);
        if !seen.insert(what) {
            continue;
        }
        let stopwatch = Stopwatch::start();
        let data = corpora::prepare(&run.spec, loaded.beside.as_deref(), &context.data_root, &cache);
        let stats = data.map_err(|error| match error {
            PrepareError::Cache { .. } => CliError::work(error),
            _ => CliError::request(error),
        })?;
        let stats = stats.stats;
        let (train, valid) = (stats.train, stats.valid);
        if matches!(run.spec.stage, StageSpec::Pretrain(_)) {
            check_documents(&run.spec, train.documents as usize, valid.documents as usize)
                .map_err(CliError::request)?;
        }
        context.printer.status(
            Style::Good,
            "Prepared",
            format!(
                "{}: {} train and {} valid documents, {} + {} tokens, vocabulary {} ({:.1} s)",
                corpus.corpus,
                train.documents,
                valid.documents,
                train.tokens,
                valid.tokens,
                run.spec.tokenizer.vocab_size,
                stopwatch.elapsed_secs(),
            ),
        );
    }
    Ok(())
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
    fn of(fates: &[Fate]) -> Self {
        let mut counts = Self::default();
        for fate in fates {
            match fate {
                Fate::Finished(_) => counts.finished += 1,
                Fate::Reused(_) => counts.reused += 1,
                Fate::Stopped { .. } => counts.stopped += 1,
                Fate::Failed { .. } | Fate::FailedBefore { .. } | Fate::Broken { .. } => counts.failed += 1,
                Fate::Interrupted(_) | Fate::NotStarted => counts.interrupted += 1,
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
