//! `ablate fill-mask`: what a trained model expects behind each `[MASK]` of a text.

use serde_json::json;

use crate::cli::args::{Checkpoint, Json};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::clock;
use crate::report::find::find_run;
use crate::runner::trained::Trained;
use crate::trainer::pretraining::fill_mask::{Filled, Guess, fill_mask};
use crate::types::RunId;

/// What `ablate fill-mask` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The text, with [MASK] where the model is to guess
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Guesses for each mask
    #[arg(long, short = 'k', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    #[command(flatten)]
    pub checkpoint: Checkpoint,
    #[command(flatten)]
    pub json: Json,
}

/// Prints the most probable tokens for each mask.
pub fn fill_mask_of(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let run = find_run(&store, &arguments.run, clock::now())?;
    let trained = context.pretrained(&run, arguments.checkpoint.which())?;
    let top = usize::from(arguments.top);
    let filled = ask(&trained, &arguments.text, top)?;
    if arguments.json.wanted {
        context.printer.json(&as_json(&run.id, &trained, &arguments.text, &filled));
        return Ok(());
    }
    for mask in &filled.masks {
        let before: Vec<u32> = filled.ids[1..mask.position].to_vec();
        let after: Vec<u32> = filled.ids[mask.position + 1..filled.ids.len() - 1].to_vec();
        let columns = [("token", Align::Left), ("probability", Align::Right), ("text", Align::Left)];
        let rows = mask.guesses.iter().map(|guess| {
            let text = trained.tokenizer.decode(&[&before[..], &[guess.id], &after].concat());
            vec![guess.token.clone(), format!("{:.4}", guess.probability), text]
        });
        context.printer.data(table(&columns, rows));
    }
    Ok(())
}

/// What a model expects behind the masks of a text.
pub fn ask(trained: &Trained, text: &str, top: usize) -> Result<Filled, CliError> {
    fill_mask(&trained.spec, &trained.weights, &trained.tokenizer, text, top).map_err(CliError::request)
}

/// The answer for programs.
pub fn as_json(run: &RunId, trained: &Trained, text: &str, filled: &Filled) -> serde_json::Value {
    json!({
        "format": "ablate-fill-mask-1",
        "run": run,
        "step": trained.step,
        "text": text,
        "ids": filled.ids,
        "masks": masks(filled),
        "nsp_logits": filled.nsp_logits,
    })
}

fn masks(filled: &Filled) -> Vec<serde_json::Value> {
    let guess = |guess: &Guess| json!({ "id": guess.id, "token": guess.token, "probability": guess.probability, "logit": guess.logit });
    let mask = |mask: &crate::trainer::pretraining::fill_mask::Mask| json!({ "position": mask.position, "guesses": mask.guesses.iter().map(guess).collect::<Vec<_>>() });
    filled.masks.iter().map(mask).collect()
}
