//! Import: a model from elsewhere becomes a finished run of the store, which fine-tuning can start from.

use serde_json::json;
use std::path::Path;

use super::provenance::{Provenance, cores};
use super::trained::TOKENIZER;
use crate::clock;
use crate::plan::parameter_count;
use crate::store::{Event, Index, RunDir, RunQuery, RunState, Store, StoreError, write_atomic};
use crate::trainer::checkpoint::{Checkpoint, CheckpointDir, CheckpointError, Choice};
use crate::trainer::hugging_face::import::{ImportError, Imported, import};
use crate::trainer::model::parameters::digest;
use crate::trainer::optimizer::{NO_OPTIMIZER, Optimizer};
use crate::trainer::schedule::Plateau;
use crate::trainer::tokenizer::morphemes::SEPARATOR;
use crate::types::{Chain, RunId, Step};

/// Why a model did not become a run.
#[derive(Debug, thiserror::Error)]
pub enum ImportModelError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A model of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedRun {
    pub run: RunId,
    /// Whether the same folder had been imported before.
    pub is_known: bool,
    pub parameters: u64,
    pub warnings: Vec<String>,
}

/// Takes the model folder `folder` into `store`; one that is there already is not taken in twice.
///
/// # Errors
/// When the folder holds no BERT and no ModernBERT, or the store cannot be written.
pub fn import_model(store: &Store, folder: &Path, command: &[String]) -> Result<ImportedRun, ImportModelError> {
    let imported = import(folder)?;
    let (hash, parameters) = (imported.spec.hash(), parameter_count(&imported.spec).total());
    let warnings = warnings(&imported);
    let mut index = Index::open(store)?;
    index.catch_up()?;
    let rows = index.query(&RunQuery::of_spec(hash))?;
    if let Some(row) = rows.iter().find(|row| row.state == RunState::Finished) {
        return Ok(ImportedRun { run: row.id.clone(), is_known: true, parameters, warnings });
    }
    let provenance = Provenance::new(&imported.spec, cores(), command, folder.parent(), clock::now());
    let run = store.create_planned(&imported.spec, &provenance.to_json(), clock::now())?;
    write(&run, &imported, parameters, &warnings)?;
    index.refresh(run.id())?;
    Ok(ImportedRun { run: run.id().clone(), is_known: false, parameters, warnings })
}

fn warnings(imported: &Imported) -> Vec<String> {
    let mut warnings = Vec::new();
    if imported.missing_head {
        warnings.push("the folder has no head for masked tokens: `fill-mask` means nothing on this model".to_owned());
    }
    if imported.tokenizer.json().contains(SEPARATOR) {
        let text = "the tokenizer takes text that was cut into morphemes, with `\u{241f}` between them, and is given whole words here";
        warnings.push(text.to_owned());
    }
    if !imported.ignored.is_empty() {
        warnings.push(format!("tensors that are no part of a BERT here are left out: {}", imported.ignored.join(", ")));
    }
    warnings
}

/// Tokenizer, weights and log: the run is finished once the last event is there.
fn write(run: &RunDir, imported: &Imported, parameters: u64, warnings: &[String]) -> Result<(), ImportModelError> {
    let Imported { spec, weights, tokenizer, .. } = imported;
    let lease = run.acquire_lease()?;
    let mut log = run.open_log(&lease)?;
    log.append(&Event::State { state: RunState::Running, reason: None, at: clock::now() })?;
    write_atomic(&run.artifact_path(TOKENIZER), |file| file.write_all(tokenizer.json().as_bytes()))?;
    let chain = Chain::start(spec.hash()).hash();
    let checkpoint = Checkpoint {
        spec: spec.hash(),
        step: Step(0),
        chain,
        tokens: 0,
        best: f64::INFINITY,
        choice: Choice::default(),
        plateau: Plateau::default(),
        optimizer: Optimizer::new(&NO_OPTIMIZER, weights),
        parameters: weights.clone(),
    };
    CheckpointDir::new(run.checkpoints_path()).save(&checkpoint, 1)?;
    for text in warnings {
        log.append(&Event::Warning { text: text.clone() })?;
    }
    let facts = [
        ("tokenizer_hash", json!(tokenizer.hash())),
        ("parameters", json!(parameters)),
        ("final_chain", json!(chain)),
        ("final_weights", json!(digest(weights))),
    ];
    for (name, value) in facts {
        log.append(&Event::Fact { name: name.to_owned(), value })?;
    }
    log.append(&Event::State { state: RunState::Finished, reason: None, at: clock::now() })?;
    Ok(())
}
