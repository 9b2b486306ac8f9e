//! Trained models: the weights of a run's checkpoint and the tokenizer that they belong to.

use std::path::PathBuf;

use super::corpora;
use super::data_sources::DataSources;
use crate::plan::{RunSpec, TokenizerKind, parameters};
use crate::store::{RunDir, RunState, StoreError, StoredRun};
use crate::trainer::checkpoint::{self, CheckpointDir, CheckpointError};
use crate::trainer::corpus::{PrepareError, PreparedData};
use crate::trainer::model::parameters::Parameter;
use crate::trainer::tokenizer::{Tokenizer, TokenizerError};
use crate::types::{RunId, Step};

/// Which of a run's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// What the run was for: the newest, or the best where the run chose it at its end.
    Last,
    /// The one of the best evaluation: with the lowest valid loss, or the best score where a run chooses by that.
    Best,
}

/// A model as a run left it.
pub struct Trained {
    pub spec: RunSpec,
    /// The step that the weights are of.
    pub step: Step,
    pub weights: Vec<Parameter>,
    pub tokenizer: Tokenizer,
}

/// Why there is no model to use.
#[derive(Debug, thiserror::Error)]
pub enum TrainedError {
    #[error("run {run} has no checkpoint yet; it has made {steps} steps")]
    NoCheckpoint { run: RunId, steps: Step },
    #[error(
        "the last checkpoint of run {run}, of step {last}, is not there any more; the newest that is left is of step {left}. \
         `ablate reproduce {run}` trains it again, --best takes the best"
    )]
    LastGone { run: RunId, last: Step, left: Step },
    #[error("the checkpoints of run {run} are not there any more; `ablate reproduce {run}` trains it again")]
    CheckpointsGone { run: RunId },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Import(#[from] TokenizerError),
    #[error("the text of run {run} cannot be had: {source}")]
    Data { run: RunId, source: PrepareError },
    #[error("the tokenizer of run {run} cannot be had: {source}")]
    Tokenizer { run: RunId, source: PrepareError },
    #[error(
        "run {run} was trained with the tokenizer {trained}, and its data now give {found}: the ids would not mean the \
         same; put the corpus back that it was trained on"
    )]
    OtherTokenizer { run: RunId, trained: String, found: String },
}

/// Weights and tokenizer of `run`.
///
/// # Errors
/// When there is no whole checkpoint, or not the tokenizer that the run was trained with.
pub fn load(run: &StoredRun, which: Which, sources: &DataSources) -> Result<Trained, TrainedError> {
    let (step, mut weights) = weights(run, which)?;
    // An imported model may have more than this program's model of it: a pooler without the head behind it.
    let spec = run.planned()?;
    let own = parameters(spec);
    weights.retain(|weight| own.iter().any(|(name, _)| *name == weight.name));
    let tokenizer = tokenizer(run, sources)?;
    Ok(Trained { spec: spec.clone(), step, weights, tokenizer })
}

/// The weights of `run`, and the step that they are of.
///
/// # Errors
/// When there is no whole checkpoint.
pub fn weights(run: &StoredRun, which: Which) -> Result<(Step, Vec<Parameter>), TrainedError> {
    let folder = CheckpointDir::new(run.dir.checkpoints_path());
    let newest = folder.steps().last().copied();
    let last = newest.map(|step| folder.path(step));
    let chose_best = run.planned()?.task().is_some_and(|task| task.recipe.load_best_model_at_end);
    let best = Some(folder.best_path()).filter(|path| path.exists());
    let path = match which {
        // The last weights are no stand-in: they are not what was judged.
        Which::Last if chose_best && run.state == RunState::Finished => best,
        Which::Last => last,
        Which::Best => best.or(last),
    };
    // An older one is no stand-in either.
    let made = run.history.last_step();
    if let Some(left) = newest.filter(|step| *step < made && run.state == RunState::Finished)
        && which == Which::Last
        && !chose_best
    {
        return Err(TrainedError::LastGone { run: run.id.clone(), last: made, left });
    }
    let path = path.ok_or_else(|| match (run.state, run.id.clone()) {
        (RunState::Finished, run) => TrainedError::CheckpointsGone { run },
        (_, id) => TrainedError::NoCheckpoint { run: id, steps: run.history.last_step() },
    })?;
    Ok(checkpoint::read_weights(&path, run.planned()?.hash())?)
}

/// The tokenizer that `run` was trained with.
///
/// # Errors
/// When neither cache nor corpus give it.
pub fn tokenizer(run: &StoredRun, sources: &DataSources) -> Result<Tokenizer, TrainedError> {
    let spec = run.planned()?;
    if spec.tokenizer.kind == TokenizerKind::Imported {
        return imported_tokenizer(&run.dir.beside(run.lineage.uses_tokenizer_of.as_ref().unwrap_or(&run.id)));
    }
    let own = run.dir.artifact_path(TOKENIZER);
    if own.is_file()
        && let Ok(tokenizer) = corpora::tokenizer_at(spec, &own, &sources.of_run(run).search)
        && check_tokenizer(run, &tokenizer).is_ok()
    {
        return Ok(tokenizer);
    }
    // Runs of older programs have none: the cache or the corpus gives it.
    // The data of the run that this one starts from lie beside that one's file.
    if let Some(first) = run.lineage.starts_from.as_ref().and_then(|first| sources.store.load(first).ok()) {
        return tokenizer(&first, sources);
    }
    let tokenizer = corpora::tokenizer(spec, &sources.of_run(run))
        .map_err(|source| TrainedError::Tokenizer { run: run.id.clone(), source })?;
    check_tokenizer(run, &tokenizer)?;
    Ok(tokenizer)
}

/// The token files that `run` was pretrained on, with its tokenizer.
///
/// # Errors
/// When neither cache nor corpus give them.
pub fn data(run: &StoredRun, sources: &DataSources) -> Result<PreparedData, TrainedError> {
    let (spec, sources) = (run.planned()?, sources.of_run(run));
    let prepared = match run.lineage.starts_from {
        Some(_) => corpora::prepare_with(tokenizer(run, &sources)?, spec, &sources),
        None => corpora::prepare(spec, &sources),
    };
    prepared.map_err(|source| TrainedError::Data { run: run.id.clone(), source })
}

/// The name of the artifact that holds the tokenizer of a run.
pub const TOKENIZER: &str = "tokenizer.json";

/// The tokenizer that `run` imported.
///
/// # Errors
/// When it is not there, or is none.
pub fn imported_tokenizer(run: &RunDir) -> Result<Tokenizer, TrainedError> {
    let path = run.artifact_path(TOKENIZER);
    let json = std::fs::read(&path).map_err(|source| TrainedError::Read { path: path.clone(), source })?;
    Ok(Tokenizer::import(&path, &json)?)
}

/// Whether `run` was trained with this tokenizer.
///
/// # Errors
/// When it was trained with another.
pub fn check_tokenizer(run: &StoredRun, tokenizer: &Tokenizer) -> Result<(), TrainedError> {
    let (trained, found) = (run.history.facts.get("tokenizer_hash"), tokenizer.hash().to_string());
    match trained.and_then(|hash| hash.as_str()) {
        Some(trained) if trained != found => {
            Err(TrainedError::OtherTokenizer { run: run.id.clone(), trained: trained.to_owned(), found })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::store::{ChainDigest, Event, Metrics};
    use crate::types::Timestamp;

    /// A run that is not over may still get its first checkpoint; a finished one without has lost them.
    #[test]
    fn a_missing_checkpoint_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let dir = testing::new_run(&store, 1);
        let said = || match weights(&store.load(dir.id()).unwrap(), Which::Last) {
            Ok(_) => panic!("there is no checkpoint"),
            Err(error) => error.to_string().replace(dir.id().as_str(), "ID"),
        };
        assert_eq!(said(), "run ID has no checkpoint yet; it has made 0 steps");
        let mut log = dir.open_log(&dir.acquire_lease().unwrap()).unwrap();
        log.append(&Event::Step { step: Step(1), chain: ChainDigest(1), metrics: Metrics(Vec::new()) }).unwrap();
        let at = Timestamp::from_unix_millis(2_000);
        log.append(&Event::State { state: RunState::Finished, reason: None, at }).unwrap();
        assert_eq!(said(), "the checkpoints of run ID are not there any more; `ablate reproduce ID` trains it again");
        // An older checkpoint does not stand in for the last one.
        std::fs::create_dir_all(dir.checkpoints_path()).unwrap();
        std::fs::write(CheckpointDir::new(dir.checkpoints_path()).path(Step(0)), "").unwrap();
        insta::assert_snapshot!(said(), @"the last checkpoint of run ID, of step 1, is not there any more; the newest that is left is of step 0. `ablate reproduce ID` trains it again, --best takes the best");
    }
}
