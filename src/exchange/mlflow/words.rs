//! What MLflow's words mean here, said once for its protocol and for its stores: tags, states, and where a run says that it
//! came from there.

use serde_json::{Value, json};

use crate::store::{Labels, RunState};

/// The tag that is a run's name.
pub const NAME_TAG: &str = "mlflow.runName";
/// The tag that is a run's note.
pub const NOTE_TAG: &str = "mlflow.note.content";
/// The tag that names the run in which a nested one was started.
pub const PARENT_TAG: &str = "mlflow.parentRunId";

/// The key of the provenance that says that a run is given back as it came: texts are texts.
pub const PROTOCOL: &str = "client.protocol";
/// The key of the provenance that names the user.
pub const USER: &str = "client.user";
/// The key of the provenance that has the id under which MLflow knew an imported run.
pub const RUN_ID: &str = "mlflow.run_id";

/// What the provenance says of who logged a run.
pub fn client(protocol: &str, agent: &str, user: &str) -> Value {
    let mut client = json!({ "protocol": protocol, "agent": agent });
    if !user.is_empty() {
        client["user"] = Value::String(user.to_owned());
    }
    client
}

/// Every state that MLflow knows, and the number that its files have for it.
const STATES: [(i64, &str, RunState); 5] = [
    (1, "RUNNING", RunState::Running),
    (2, "SCHEDULED", RunState::Planned),
    (3, "FINISHED", RunState::Finished),
    (4, "FAILED", RunState::Failed),
    (5, "KILLED", RunState::Interrupted),
];

/// A state in MLflow's words. It has none for a run that was lost or stopped: somebody ended it.
pub fn status(state: RunState) -> &'static str {
    entry(state).1
}

/// A state as MLflow's files have it.
pub fn status_number(state: RunState) -> i64 {
    entry(state).0
}

fn entry(state: RunState) -> (i64, &'static str, RunState) {
    let known = match state {
        RunState::Lost | RunState::Stopped => RunState::Interrupted,
        state => state,
    };
    STATES.into_iter().find(|(_, _, its)| *its == known).expect("invariant: the table has every state but these two")
}

/// The state of one of MLflow's words.
pub fn state(status: &str) -> Option<RunState> {
    STATES.into_iter().find(|(_, word, _)| *word == status).map(|(_, _, state)| state)
}

/// The state of a number, or of a word, in one of MLflow's files.
pub fn state_in_file(status: &str) -> Option<RunState> {
    let by_number = STATES.into_iter().find(|(number, _, _)| status == number.to_string()).map(|(_, _, state)| state);
    by_number.or_else(|| state(status))
}

/// Gives a run a tag, in place of the one of the same key. Its name and its note have places of their own.
pub fn put(labels: &mut Labels, key: &str, value: &str) {
    match key {
        NAME_TAG => labels.name = Some(value.to_owned()),
        NOTE_TAG => labels.note = Some(value.to_owned()),
        _ => {
            labels.tags.retain(|known| !is_of(known, key));
            labels.tags.insert(format!("{key}={value}"));
        }
    }
}

/// Whether a tag is `key`, or `key=value`.
pub fn is_of(tag: &str, key: &str) -> bool {
    split(tag).0 == key
}

/// The tags of a run by keys and values: its name and its note, and those that people gave it.
pub fn tags(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    let named = [(NAME_TAG, &labels.name), (NOTE_TAG, &labels.note)];
    let named = named.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    named.chain(labels.tags.iter().map(|tag| split(tag)))
}

/// The key of a tag and its value; a word alone has none.
fn split(tag: &str) -> (&str, &str) {
    tag.split_once('=').unwrap_or((tag, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_takes_the_place_of_its_key_alone() {
        let mut labels = Labels::default();
        for (key, value) in [("a", "1"), ("ab", "2"), ("a", "x=y"), (NAME_TAG, "n"), (NOTE_TAG, "t")] {
            put(&mut labels, key, value);
        }
        assert_eq!(labels.tags.iter().map(String::as_str).collect::<Vec<_>>(), ["a=x=y", "ab=2"]);
        assert_eq!((labels.name.as_deref(), labels.note.as_deref()), (Some("n"), Some("t")));
        assert!(is_of("word", "word") && is_of("k=", "k") && !is_of("kk=1", "k"));
        let all: Vec<_> = tags(&labels).collect();
        assert_eq!(all, [(NAME_TAG, "n"), (NOTE_TAG, "t"), ("a", "x=y"), ("ab", "2")]);
    }

    #[test]
    fn every_state_has_a_word_and_most_come_back() {
        for of in RunState::ALL {
            let back = state(status(of)).unwrap();
            assert_eq!(state_in_file(&status_number(of).to_string()), Some(back));
            assert!(back == of || matches!(of, RunState::Lost | RunState::Stopped), "{of}");
        }
        assert_eq!((state_in_file("FINISHED"), state_in_file("6")), (Some(RunState::Finished), None));
    }
}
