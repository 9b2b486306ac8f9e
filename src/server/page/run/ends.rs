//! Whether a run came out as another did: by the digest chain over all steps and the final weights, which both recorded.

use maud::{Markup, html};
use serde_json::Value;

use crate::store::{RunState, StoredRun};

/// What both say of their ends.
const ENDS: [&str; 2] = ["final_chain", "final_weights"];

/// What is to be said of `again`, which executed `run` again; nothing where one of the two records no ends.
pub fn outcome(run: &StoredRun, again: &StoredRun) -> Option<Markup> {
    if again.state != RunState::Finished {
        return Some(html! { (again.state.name()) });
    }
    let end = |run: &StoredRun, what: &str| run.history.facts.get(what).and_then(Value::as_str).map(str::to_owned);
    let pairs: Option<Vec<(&str, String, String)>> =
        ENDS.iter().map(|what| Some((*what, end(run, what)?, end(again, what)?))).collect();
    let different: Vec<&str> = pairs?.into_iter().filter(|(_, a, b)| a != b).map(|(what, ..)| what).collect();
    let device = run.planned().ok().and_then(|spec| spec.training()).map(|training| training.train.device);
    Some(match &different[..] {
        [] => html! { span.same { "identical" } ", the digest chain and the final weights" },
        _ if device.is_some_and(|device| !device.is_bitwise()) => html! {
            "other bits, as this device may give; " code { "ablate reproduce" } " holds the losses against each other"
        },
        all => {
            let words = all
                .join(" and ")
                .replace("final_chain", "the digest chain")
                .replace("final_weights", "the final weights");
            html! { span.differs { "different" } " in " (words) }
        }
    })
}
