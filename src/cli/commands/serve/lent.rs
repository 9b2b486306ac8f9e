//! What the server is lent: trained models, asked as `ablate fill-mask` and `ablate predict` ask them, and how executions differ.

use serde_json::Value;

use crate::cli::commands::{diff, fill_mask, predict};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::report::difference::ProvenanceDifference;
use crate::runner::trained::{Trained, Which};
use crate::server::{Lent, Model, Unanswered};
use crate::store::StoredRun;

/// The surroundings of the command that serves.
#[derive(Debug)]
pub struct Surroundings(pub Context);

impl Lent for Surroundings {
    fn model(&self, run: &StoredRun) -> Result<Box<dyn Model>, Unanswered> {
        let trained = self.0.trained(run, Which::Last).map_err(unanswered)?;
        Ok(Box::new(Asked { run: run.clone(), trained }))
    }

    fn provenance_differences(&self, first: &StoredRun, second: &StoredRun) -> Vec<ProvenanceDifference> {
        diff::provenance(first, second)
    }
}

/// A model in memory, and the run that it is of.
struct Asked {
    run: StoredRun,
    trained: Trained,
}

impl Model for Asked {
    fn fill_mask(&self, text: &str, top: usize) -> Result<Value, Unanswered> {
        Context::check_pretrained(&self.run).map_err(unanswered)?;
        let filled = fill_mask::ask(&self.trained, text, top).map_err(unanswered)?;
        Ok(fill_mask::as_json(&self.run.id, &self.trained, text, &filled))
    }

    fn predict(&self, text: &str, pair: Option<&str>) -> Result<Value, Unanswered> {
        let stage = predict::task_of(&self.run).map_err(unanswered)?;
        if stage.pair_column.is_some() != pair.is_some() {
            let asks = if stage.pair_column.is_some() { "pairs: give two" } else { "single texts: give one" };
            return Err(Unanswered::Request(format!("run {} was trained on {asks}", self.run.id)));
        }
        let texts = [predict::example(1, text, pair)];
        let said = predict::ask(&self.trained, &texts);
        Ok(predict::as_json(&self.run.id, &self.trained, stage, &texts, &said))
    }
}

fn unanswered(error: CliError) -> Unanswered {
    match error {
        CliError::Request(text) => Unanswered::Request(text),
        CliError::Work(text) | CliError::Interrupted(text) => Unanswered::Work(text),
        CliError::Experiment(_) | CliError::Said => Unanswered::Work("the model cannot be asked".to_owned()),
    }
}
