//! Labelled examples by name: where the files of a task are, what the plan needs to know of them, and what a run makes of
//! them.

use std::path::PathBuf;

use super::data_sources::{DataSources, SearchPath};
use crate::plan::{self, ExamplesFacts, ExamplesRef, HeadKind, RunSpec, Start, Task, TaskSpec};
use crate::store::{TaskFloor, write_atomic};
use crate::trainer::corpus::CorpusError;
use crate::trainer::fine_tuning::examples::{Encoder, Examples, hold_out};
use crate::trainer::fine_tuning::task::tagged::{check_tagged, labels_of_tagged};
use crate::trainer::fine_tuning::task::texts::{check_texts, labels_of_texts};
use crate::trainer::fine_tuning::task::{self, Columns, TaggedText, TaskError, TextExample, floors};
use crate::trainer::tokenizer::Tokenizer;
use crate::types::ContentHash;

/// Why examples cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ExamplesError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{reference} names {count} files, and examples are one file")]
    Several { reference: String, count: usize },
    #[error("{path} is not what the run was planned with: its hash is {found}, and was {expected}; put the file back")]
    Changed { path: PathBuf, found: ContentHash, expected: ContentHash },
}

/// What there is under the names of examples: hashes and labels.
///
/// # Errors
/// When a file is not there or is none of its task's format, or the test file has a label that the other has not.
pub fn look_up(examples: &ExamplesRef, search: &SearchPath) -> Result<ExamplesFacts, ExamplesError> {
    let columns = Columns {
        text: examples.text_column.clone(),
        pair: examples.pair_column.clone(),
        label: examples.label_column.clone(),
    };
    let data = File::read(&examples.data, search)?;
    let test = examples.test.as_ref().map(|name| File::read(name, search)).transpose()?;
    let labels = match examples.task {
        Task::Classify => {
            let labels = labels_of_texts(&data.path, &task::read_texts(&data.path, &data.text, &columns)?.examples)?;
            if let Some(test) = &test {
                let texts = task::read_texts(&test.path, &test.text, &columns)?.examples;
                check_texts(&test.path, &texts, &labels)?;
            }
            labels
        }
        Task::Ner => {
            let labels = labels_of_tagged(&data.path, &task::read_tagged(&data.path, &data.text)?)?;
            if let Some(test) = &test {
                check_tagged(&test.path, &task::read_tagged(&test.path, &test.text)?, &labels)?;
            }
            labels
        }
    };
    Ok(ExamplesFacts { data_hash: data.hash, test_hash: test.map(|test| test.hash), labels })
}

/// The examples of a run, in the tokenizer's tokens, and what a person should know about them.
///
/// # Errors
/// When a file is not there, is not the one that was planned with, or cannot be read.
pub fn prepare(
    spec: &RunSpec,
    stage: &TaskSpec,
    tokenizer: &Tokenizer,
    search: &SearchPath,
) -> Result<(Examples, Vec<String>), ExamplesError> {
    let data = Data::read(stage, spec.train().eval_instances, search)?;
    let encoder = Encoder::new(spec, stage, tokenizer);
    let side = |labelled: &Labelled| match labelled {
        Labelled::Texts(texts) => encoder.texts(texts),
        Labelled::Tagged(texts) => encoder.tagged(texts),
    };
    let mut examples = Examples { train: side(&data.train), valid: side(&data.valid), test: side(&data.test) };
    // A text of white space alone has no token to learn from.
    examples.train.examples.retain(|example| example.ids.len() > 2);
    Ok((examples, data.notices))
}

/// Labelled text as it was read.
enum Labelled {
    Texts(Vec<TextExample>),
    Tagged(Vec<TaggedText>),
}

/// All labelled text of a stage.
struct Data {
    train: Labelled,
    valid: Labelled,
    test: Labelled,
    notices: Vec<String>,
}

impl Data {
    /// The floors of both sides that are judged.
    fn floors(&self, labels: &[String]) -> Vec<TaskFloor> {
        let of_side = |(side, held_out): (&str, &Labelled)| {
            let floors = match (&self.train, held_out) {
                (Labelled::Texts(train), Labelled::Texts(texts)) if !texts.is_empty() => {
                    floors::of_texts(train, texts, labels)
                }
                (Labelled::Tagged(_), Labelled::Tagged(texts)) if !texts.is_empty() => floors::of_tagged(texts, labels),
                // A side without examples, or of another kind than the train side: there is nothing to guess.
                (Labelled::Texts(_) | Labelled::Tagged(_), Labelled::Texts(_) | Labelled::Tagged(_)) => Vec::new(),
            };
            let named = |floor: floors::Floor| TaskFloor {
                metric: format!("{side}/{}", floor.metric),
                label: floor.label.to_owned(),
                value: floor.value,
                explanation: floor.explanation.to_owned(),
            };
            floors.into_iter().map(named).collect::<Vec<_>>()
        };
        [("valid", &self.valid), ("test", &self.test)].into_iter().flat_map(of_side).collect()
    }

    /// All examples; of those held out, so many as an evaluation judges, spread over the file.
    fn read(stage: &TaskSpec, judged: usize, search: &SearchPath) -> Result<Self, ExamplesError> {
        let columns = Columns {
            text: stage.text_column.clone(),
            pair: stage.pair_column.clone(),
            label: stage.label_column.clone(),
        };
        let mut notices = Vec::new();
        let data = File::read(&stage.data, search)?.unchanged(stage.data_hash)?;
        let (train, valid) = match data.labelled(stage.task, &columns, &mut notices)? {
            Labelled::Texts(texts) => {
                let (train, valid) = hold_out(&texts, stage.valid_fraction, |example| example.text.clone());
                (Labelled::Texts(train), Labelled::Texts(spread(valid, judged)))
            }
            Labelled::Tagged(texts) => {
                let text = |example: &TaggedText| example.characters.iter().collect();
                let (train, valid) = hold_out(&texts, stage.valid_fraction, text);
                (Labelled::Tagged(train), Labelled::Tagged(spread(valid, judged)))
            }
        };
        let test = match (&stage.test, stage.test_hash) {
            (Some(name), Some(hash)) => {
                File::read(name, search)?.unchanged(hash)?.labelled(stage.task, &columns, &mut notices)?
            }
            _ => Labelled::Texts(Vec::new()),
        };
        Ok(Self { train, valid, test, notices })
    }
}

/// At most `n` of all, at even distances in their order.
fn spread<T: Clone>(all: Vec<T>, n: usize) -> Vec<T> {
    if all.len() <= n {
        return all;
    }
    (0..n).map(|i| all[i * all.len() / n].clone()).collect()
}

/// The version of how floors are computed: part of the name of the cached ones.
const FLOORS_VERSION: u32 = 1;

/// The floors of a run's valid and test examples, `judged` of the valid ones, from the cache if they are there: the data are the same for all runs of a
/// sweep, and naive Bayes reads all of them.
///
/// # Errors
/// When a file is not there, is not the one that was planned with, or cannot be read.
pub fn floors(stage: &TaskSpec, judged: usize, sources: &DataSources) -> Result<Vec<TaskFloor>, ExamplesError> {
    let of_data = TaskSpec {
        start: Start::Random,
        encoder: plan::Encoder::Trained,
        head: HeadKind::Linear,
        lstm_hidden_size: 0,
        data: String::new(),
        test: None,
        ..stage.clone()
    };
    let name = format!("{FLOORS_VERSION} {judged} {}", serde_json::to_string(&of_data).unwrap_or_default());
    let path = sources.cache().join(format!("floors-{}.json", ContentHash::of(name.as_bytes())));
    let known = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(floors) = known {
        return Ok(floors);
    }
    let data = Data::read(stage, judged, &sources.search)?;
    let floors: Vec<TaskFloor> = data.floors(&stage.labels);
    // Whoever cannot write it computes it again.
    let _ = write_atomic(&path, |file| Ok(serde_json::to_writer(file, &floors)?));
    Ok(floors)
}

/// A file of examples.
struct File {
    /// As the experiment file names it.
    name: String,
    path: PathBuf,
    text: Vec<u8>,
    hash: ContentHash,
}

impl File {
    fn read(name: &str, search: &SearchPath) -> Result<Self, ExamplesError> {
        let files = search.locate(name)?;
        let [path] = files.as_slice() else {
            return Err(ExamplesError::Several { reference: name.to_owned(), count: files.len() });
        };
        let text = std::fs::read(path).map_err(|source| ExamplesError::Read { path: path.clone(), source })?;
        Ok(Self { name: name.to_owned(), path: path.clone(), hash: ContentHash::of(&text), text })
    }

    fn labelled(&self, task: Task, columns: &Columns, notices: &mut Vec<String>) -> Result<Labelled, ExamplesError> {
        match task {
            Task::Classify => {
                let texts = task::read_texts(&self.path, &self.text, columns)?;
                if texts.skipped_empty > 0 {
                    notices.push(format!("{}: {} examples without text are left out", self.name, texts.skipped_empty));
                }
                Ok(Labelled::Texts(texts.examples))
            }
            Task::Ner => Ok(Labelled::Tagged(task::read_tagged(&self.path, &self.text)?)),
        }
    }

    fn unchanged(self, expected: ContentHash) -> Result<Self, ExamplesError> {
        match self.hash == expected {
            true => Ok(self),
            false => Err(ExamplesError::Changed { path: self.path, found: self.hash, expected }),
        }
    }
}
