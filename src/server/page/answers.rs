//! What an experiment's comparison says in its page, kept as long as its runs are what they were: of ten thousand runs it takes seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use maud::{Markup, html};

use super::compare::compared;
use super::encoded;
use crate::analysis::{Comparison, summarize};
use crate::report::answer::Answer;
use crate::report::page::sentences;
use crate::server::App;
use crate::server::fault::Fault;
use crate::store::RunQuery;
use crate::types::{ContentHash, MetricName, RunId};

/// Answers that are kept.
const MOST: usize = 16;

/// Answers, the one that was asked for last first.
#[derive(Default)]
pub struct Answers(Mutex<Vec<(ContentHash, Arc<Answered>)>>);

/// What a comparison says.
pub struct Answered {
    pub decides: Option<MetricName>,
    /// The settings in which runs differ that no plan says the axes of.
    pub axes: BTreeMap<RunId, BTreeMap<String, String>>,
    pub html: Markup,
}

impl Answers {
    /// What the comparison of the runs that `query` finds says by `metric`, or by the one that decides; `versions` are what those runs are
    /// like now.
    ///
    /// # Errors
    /// When many wait for comparisons.
    pub fn of(
        &self,
        app: &App,
        (query, text): (&RunQuery, &str),
        versions: ContentHash,
        metric: Option<&str>,
    ) -> Result<Arc<Answered>, Fault> {
        let what = ContentHash::of(format!("{text}\n{metric:?}\n{versions}").as_bytes());
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = known.iter().position(|(key, _)| *key == what) {
            let found = known.remove(at);
            known.insert(0, found.clone());
            return Ok(found.1);
        }
        drop(known);
        let _turn = app.comparisons.take()?;
        let answered = Arc::new(Answered::new(app, text, &compared(app, query, metric)));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(0, (what, answered.clone()));
        known.truncate(MOST);
        Ok(answered)
    }
}

impl Answered {
    fn new(app: &App, query: &str, compared: &Result<Comparison, String>) -> Self {
        let comparison = match compared {
            Ok(comparison) => comparison,
            Err(why) => {
                let html = html! { p.quiet { "No comparison: " (why) } };
                return Self { decides: None, axes: BTreeMap::new(), html };
            }
        };
        let answer = Answer::of(comparison, &summarize(comparison));
        let metric = comparison.metric.as_str();
        let report = format!("{}/compare?q={}&metric={}", app.root_path, encoded(query), encoded(metric));
        let html = html! {
            section.answer aria-label="Answer" {
                (sentences(&answer))
                p { a href=(report) { "Figures, tables and every effect" } }
            }
        };
        let axes = comparison.runs.iter().filter_map(|run| Some((run.id.clone()?, run.axes.iter().cloned().collect())));
        Self { decides: Some(comparison.metric.clone()), axes: axes.collect(), html }
    }
}
