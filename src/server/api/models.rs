//! Trained models that answer: what stands behind a mask, and what a text is.

use super::super::App;
use super::super::fault::Fault;
use super::super::http::{Reply, Request};
use super::super::lent::Question;
use super::super::wire;
use crate::store::Overview;

/// Guesses for a mask where nobody says, and at most.
pub const USUAL: usize = 5;
const MOST: usize = 100;

/// What a pretrained model expects behind each `[MASK]`.
pub fn fill_mask(app: &App, request: Request) -> Result<Reply, Fault> {
    let question = Question::FillMask { text: request.asked("text").unwrap_or_default(), top: top(&request)? };
    answer(app, &request, question)
}

/// What a fine-tuned model says about a text.
pub fn predict(app: &App, request: Request) -> Result<Reply, Fault> {
    let question = Question::Predict { text: request.asked("text").unwrap_or_default(), pair: pair(&request) };
    answer(app, &request, question)
}

fn answer(app: &App, request: &Request, question: Question<'_>) -> Result<Reply, Fault> {
    let Overview { run, .. } = app.store().overview(&app.run_id(&request.names[0])?)?;
    Ok(Reply::json(&app.models.ask(&run, question)?))
}

/// How many guesses are asked for.
pub fn top(request: &Request) -> Result<usize, Fault> {
    match wire::count("k", request.asked("k"))?.map(usize::try_from) {
        None => Ok(USUAL),
        Some(Ok(top)) if (1..=MOST).contains(&top) => Ok(top),
        Some(_) => Err(Fault::invalid(format!("'k' is a number from 1 to {MOST}"))),
    }
}

/// The second text, where one is given.
pub fn pair(request: &Request) -> Option<&str> {
    request.asked("pair").filter(|pair| !pair.is_empty())
}
