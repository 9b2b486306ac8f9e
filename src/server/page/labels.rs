//! What people say about runs, from the page: names, notes, tags, and what is in the trash.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::mlflow;
use crate::server::wire;
use crate::store::Labels;

/// Runs that one request may speak of.
const MOST_RUNS: usize = 10_000;
/// Characters of a name and a note at most.
const LONGEST_NAME: usize = 200;
const LONGEST_NOTE: usize = 20_000;

/// What is to be changed; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Change {
    runs: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    add: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    remove: BTreeSet<String>,
    /// An empty one takes the name away; so for the note.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trash: Option<bool>,
}

impl Change {
    /// Holds everything to what can be shown and kept.
    fn check(&self) -> Result<(), Fault> {
        if self.runs.is_empty() || self.runs.len() > MOST_RUNS {
            return Err(Fault::invalid(format!("'runs' are 1 to {MOST_RUNS} ids")));
        }
        self.add.iter().try_for_each(|tag| Labels::check_tag(tag)).map_err(Fault::invalid)?;
        if self.name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME || name.contains(char::is_control))
        {
            return Err(Fault::invalid(format!("a name is one line of at most {LONGEST_NAME} characters")));
        }
        if self.note.as_ref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            return Err(Fault::invalid(format!("a note has at most {LONGEST_NOTE} characters")));
        }
        Ok(())
    }

    /// Changes the labels of a run. What would take it back is the answer, of no runs yet; nothing where all was so before.
    fn make(&self, labels: &mut Labels) -> Self {
        let before = labels.clone();
        labels.tags.extend(self.add.iter().cloned());
        labels.tags.retain(|tag| !self.remove.contains(tag));
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        if let Some(name) = &self.name {
            labels.name = given(name);
        }
        if let Some(note) = &self.note {
            labels.note = given(note);
        }
        if self.trash == Some(false) {
            labels.trashed_at = None;
        }
        let was = |was: &Option<String>, now: &Option<String>| (was != now).then(|| was.clone().unwrap_or_default());
        Self {
            runs: Vec::new(),
            add: before.tags.difference(&labels.tags).cloned().collect(),
            remove: labels.tags.difference(&before.tags).cloned().collect(),
            name: was(&before.name, &labels.name),
            note: was(&before.note, &labels.note),
            trash: (before.is_trashed() != labels.is_trashed()).then_some(before.is_trashed()),
        }
    }
}

/// Changes the labels of runs, of all or, where one may not be changed, of those before it. The answer says what undoes it.
pub fn change(app: &App, request: Request) -> Result<Reply, Fault> {
    let change: Change = wire::read(&request)?;
    change.check()?;
    let runs = change.runs.iter().map(|id| app.run_id(id)).collect::<Result<Vec<_>, _>>()?;
    let now = clock::now();
    let mut undone = BTreeMap::<Change, Vec<String>>::new();
    for run in &runs {
        let dir = app.store().run(run)?;
        let is_put_away = change.trash == Some(true) && !dir.labels()?.is_trashed();
        if is_put_away {
            mlflow::runs::trash(app, run, now)?;
        }
        let mut back = Change::default();
        dir.relabel(|labels| back = change.make(labels))?;
        if is_put_away {
            back.trash = Some(false);
        }
        if back != Change::default() {
            undone.entry(back).or_default().push(run.to_string());
        }
        app.changed(run);
    }
    let undone: Vec<Change> = undone.into_iter().map(|(back, runs)| Change { runs, ..back }).collect();
    Ok(Reply::json(&json!({ "changed": runs.len(), "undo": undone })))
}
