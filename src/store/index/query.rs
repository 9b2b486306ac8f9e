//! What can be asked of the index, and how a person types it.

use std::str::FromStr;

use crate::store::{RunState, StoreError};
use crate::suggest;
use crate::types::SpecHash;

/// Which runs are wanted. Every part that is given must hold; the default wants all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// One of these states; empty: any.
    pub states: Vec<RunState>,
    pub experiment: Option<String>,
    pub spec_hash: Option<SpecHash>,
    pub tag: Option<String>,
    /// Words of which one is the experiment's name or the beginning of the run's id; empty: any.
    pub words: Vec<String>,
    /// Settings of the specification or of the sweep.
    pub terms: Vec<Term>,
    /// The newest so many; `None`: all.
    pub limit: Option<usize>,
    pub trash: Trash,
}

/// Whether runs in the trash are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trash {
    /// They are in no answer.
    #[default]
    Without,
    /// They are the answer.
    Only,
}

/// `key=value` or `key=value,value`: a setting that must have one of some values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// A key of the specification or the end of one: `mask_ratio` means `objective.mask_ratio`.
    pub key: String,
    /// The values, as typed.
    pub values: Vec<String>,
}

impl Term {
    /// Whether the term speaks of the setting with this full key.
    pub(super) fn names(&self, full_key: &str) -> bool {
        full_key.strip_suffix(self.key.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// Every spelling under which a wanted value may be stored: as typed, and as a float in canonical form.
    pub(super) fn spellings(&self) -> Vec<String> {
        let canonical = |value: &String| Some(format!("{:e}", value.parse::<f64>().ok()?));
        self.values.iter().flat_map(|value| std::iter::once(value.clone()).chain(canonical(value))).collect()
    }
}

impl FromStr for RunQuery {
    type Err = StoreError;

    /// Reads a line such as `quickstart state=finished,failed mask_ratio=0.3 limit=20`.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let mut query = Self::default();
        for term in text.split_whitespace() {
            match term.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() => query.add(term, key, value)?,
                Some(_) => return Err(bad(term, "a term is written key=value, without spaces")),
                None => query.words.push(term.to_owned()),
            }
        }
        Ok(query)
    }
}

impl RunQuery {
    fn add(&mut self, term: &str, key: &str, value: &str) -> Result<(), StoreError> {
        match key {
            "state" => {
                for name in value.split(',') {
                    let state = RunState::from_name(name).ok_or_else(|| {
                        let names = RunState::ALL.map(RunState::name).join(", ");
                        bad(term, &format!("`{name}` is not a state; states are {names}"))
                    })?;
                    self.states.push(state);
                }
            }
            "experiment" => self.experiment = Some(value.to_owned()),
            "trash" => {
                self.trash = match value {
                    "yes" => Trash::Only,
                    "no" => Trash::Without,
                    _ => return Err(bad(term, "what is in the trash is asked for by trash=yes")),
                }
            }
            "tag" => self.tag = Some(value.to_owned()),
            "spec_hash" => self.spec_hash = Some(value.parse().map_err(|error| bad(term, &format!("{error}")))?),
            "limit" => {
                let limit = value.parse().map_err(|_| bad(term, "a limit is a count of runs, such as limit=20"))?;
                self.limit = Some(limit);
            }
            _ => {
                let values = value.split(',').map(str::to_owned).collect();
                self.terms.push(Term { key: key.to_owned(), values });
            }
        }
        Ok(())
    }
}

/// An unknown key, with the nearest of the known ones.
pub(super) fn unknown_key(term: &Term, known: &[String]) -> StoreError {
    let known = known.iter().map(String::as_str);
    let by_whole_and_end = known.flat_map(|key| [(key, key), (key.rsplit('.').next().unwrap_or(key), key)]);
    let nearest = suggest::nearest_named(&term.key, by_whole_and_end);
    let help = nearest.map_or(String::new(), |key| format!("; did you mean `{key}`?"));
    bad(&format!("{}={}", term.key, term.values.join(",")), &format!("no run has a setting `{}`{help}", term.key))
}

fn bad(term: &str, problem: &str) -> StoreError {
    StoreError::BadQuery { term: term.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_from_a_line() {
        let query: RunQuery = "quickstart state=finished,lost  mask_ratio=0.15,0.3 tag=paper limit=5".parse().unwrap();
        let expected = RunQuery {
            states: vec![RunState::Finished, RunState::Lost],
            tag: Some("paper".to_owned()),
            words: vec!["quickstart".to_owned()],
            terms: vec![Term { key: "mask_ratio".to_owned(), values: vec!["0.15".to_owned(), "0.3".to_owned()] }],
            limit: Some(5),
            ..RunQuery::default()
        };
        assert_eq!(query, expected);
        assert_eq!("".parse::<RunQuery>().unwrap(), RunQuery::default());
    }

    #[test]
    fn a_term_names_a_key_by_its_end_and_a_float_by_its_value() {
        let term = Term { key: "mask_ratio".to_owned(), values: vec!["0.30".to_owned()] };
        assert!(term.names("objective.mask_ratio") && term.names("mask_ratio"));
        assert!(!term.names("objective.unmask_ratio") && !term.names("mask_ratio.x"));
        assert_eq!(term.spellings(), ["0.30", "3e-1"]);
    }

    fn check_error(line: &str, expected: &str) {
        assert_eq!(line.parse::<RunQuery>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn mistakes_are_explained() {
        check_error(
            "state=done",
            "cannot read `state=done` in the query: `done` is not a state; states are planned, running, finished, failed, \
             interrupted, stopped, lost",
        );
        check_error(
            "mask_ratio=",
            "cannot read `mask_ratio=` in the query: a term is written key=value, without spaces",
        );
        check_error("limit=all", "cannot read `limit=all` in the query: a limit is a count of runs, such as limit=20");
        let known = ["objective.mask_ratio", "model.hidden_size"].map(str::to_owned);
        let term = Term { key: "mask_ration".to_owned(), values: vec!["0.3".to_owned()] };
        assert_eq!(
            unknown_key(&term, &known).to_string(),
            "cannot read `mask_ration=0.3` in the query: no run has a setting `mask_ration`; did you mean `objective.mask_ratio`?"
        );
    }
}
