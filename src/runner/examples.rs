//! Labelled examples by name: where the files of a task are, what the plan needs to know of them, and what a run makes of
//! them.

use std::path::PathBuf;

use super::data_sources::{DataSources, SearchPath};
use crate::plan::{self, ExamplesFacts, ExamplesRef, HeadKind, RunSpec, Start, TaskSpec};
use crate::store::{TaskFloor, write_atomic};
use crate::trainer::corpus::CorpusError;
use crate::trainer::fine_tuning::examples::{Encoder, Examples, hold_out};
use crate::trainer::fine_tuning::labelled::{Columns, TaskError, floors};
use crate::trainer::fine_tuning::tasks::{Definition, with_definition};
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
/// When a file is not there or is not of its task's format, or the test file has a label that the other has not.
pub fn look_up(examples: &ExamplesRef, search: &SearchPath) -> Result<ExamplesFacts, ExamplesError> {
    let columns = Columns {
        text: examples.text_column.clone(),
        pair: examples.pair_column.clone(),
        label: examples.label_column.clone(),
    };
    let data = File::read(&examples.data, search)?;
    let test = examples.test.as_ref().map(|name| File::read(name, search)).transpose()?;
    let labels = with_definition!(examples.task, D => labels::<D>(&data, test.as_ref(), &columns))?;
    Ok(ExamplesFacts { data_hash: data.hash, test_hash: test.map(|test| test.hash), labels })
}

/// The labels to learn from, which those of the test file are among.
fn labels<D: Definition>(data: &File, test: Option<&File>, columns: &Columns) -> Result<Vec<String>, TaskError> {
    let labels = D::labels(&data.path, &D::read(&data.path, &data.text, columns)?.0)?;
    if let Some(test) = test {
        D::check(&test.path, &D::read(&test.path, &test.text, columns)?.0, &labels)?;
    }
    Ok(labels)
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
    let judged = spec.train().eval_instances;
    let encoder = Encoder::new(spec, stage, tokenizer);
    let (mut examples, notices) = with_definition!(stage.task, D => encoded::<D>(stage, judged, &encoder, search))?;
    // A text of white space alone has no token to learn from.
    examples.train.examples.retain(|example| example.ids.len() > 2);
    Ok((examples, notices))
}

fn encoded<D: Definition>(
    stage: &TaskSpec,
    judged: usize,
    encoder: &Encoder,
    search: &SearchPath,
) -> Result<(Examples, Vec<String>), ExamplesError> {
    let data = Data::<D>::read(stage, judged, search)?;
    let side = |texts: &[D::Text]| encoder.side(texts, D::encode);
    Ok((Examples { train: side(&data.train), valid: side(&data.valid), test: side(&data.test) }, data.notices))
}

/// All labelled text of a stage.
struct Data<D: Definition> {
    train: Vec<D::Text>,
    valid: Vec<D::Text>,
    test: Vec<D::Text>,
    notices: Vec<String>,
}

impl<D: Definition> Data<D> {
    /// The floors of both sides that are judged.
    fn floors(&self, labels: &[String]) -> Vec<TaskFloor> {
        let of_side = |(side, held_out): (&str, &[D::Text])| {
            let floors = if held_out.is_empty() { Vec::new() } else { D::floors(&self.train, held_out, labels) };
            let named = |floor: floors::Floor| TaskFloor {
                metric: format!("{side}/{}", floor.metric),
                label: floor.label.to_owned(),
                value: floor.value,
                explanation: floor.explanation.to_owned(),
            };
            floors.into_iter().map(named).collect::<Vec<_>>()
        };
        [("valid", self.valid.as_slice()), ("test", &self.test)].into_iter().flat_map(of_side).collect()
    }

    /// All examples; of those held out, so many as an evaluation judges, spread over the file.
    fn read(stage: &TaskSpec, judged: usize, search: &SearchPath) -> Result<Self, ExamplesError> {
        let columns = Columns {
            text: stage.text_column.clone(),
            pair: stage.pair_column.clone(),
            label: stage.label_column.clone(),
        };
        let mut notices = Vec::new();
        let mut texts = |name: &str, hash: ContentHash| {
            let file = File::read(name, search)?.unchanged(hash)?;
            let (texts, left_out) = D::read(&file.path, &file.text, &columns)?;
            if left_out > 0 {
                notices.push(format!("{name}: {left_out} examples without text are left out"));
            }
            Ok::<_, ExamplesError>(texts)
        };
        let (train, valid) = hold_out(&texts(&stage.data, stage.data_hash)?, stage.valid_fraction, D::content);
        let test = match (&stage.test, stage.test_hash) {
            (Some(name), Some(hash)) => texts(name, hash)?,
            _ => Vec::new(),
        };
        Ok(Self { train, valid: spread(valid, judged), test, notices })
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
    let floors =
        with_definition!(stage.task, D => Data::<D>::read(stage, judged, &sources.search)?.floors(&stage.labels));
    // Whoever cannot write it computes it again.
    let _ = write_atomic(&path, |file| Ok(serde_json::to_writer(file, &floors)?));
    Ok(floors)
}

/// A file of examples.
struct File {
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
        Ok(Self { path: path.clone(), hash: ContentHash::of(&text), text })
    }

    fn unchanged(self, expected: ContentHash) -> Result<Self, ExamplesError> {
        match self.hash == expected {
            true => Ok(self),
            false => Err(ExamplesError::Changed { path: self.path, found: self.hash, expected }),
        }
    }
}
