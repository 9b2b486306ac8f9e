//! Labelled examples by name: where the files of a task are, what the plan needs to know of them, and what a run makes of
//! them.

use std::path::PathBuf;

use super::data_sources::{DataSources, SearchPath};
use crate::plan::{self, ExamplesFacts, ExamplesRef, HeadKind, Pooling, Recipe, RunSpec, Start, TaskSpec};
use crate::store::{TaskFloor, write_atomic};
use crate::trainer::corpus::CorpusError;
use crate::trainer::fine_tuning::examples::{Encoder, Examples, hold_out, subset};
use crate::trainer::fine_tuning::labelled::{Columns, TaskError, floors};
use crate::trainer::fine_tuning::tasks::{Definition, with_definition};
use crate::trainer::tokenizer::{MergeDropout, Tokenizer};
use crate::types::{ContentHash, Seed};

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
    #[error(
        "`finetune.bpe_dropout` is {0}, and the tokenizer that the run starts with has no merges to drop: it must be bpe"
    )]
    NoMerges(f64),
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
pub fn prepare<'a>(
    spec: &'a RunSpec,
    stage: &'a TaskSpec,
    tokenizer: &'a Tokenizer,
    search: &SearchPath,
) -> Result<(Examples<'a>, Vec<String>), ExamplesError> {
    let encoder = Encoder::new(spec, stage, tokenizer);
    with_definition!(stage.task, D => encoded::<D>(stage, Asked::of(spec), encoder, search))
}

fn encoded<'a, D: Definition>(
    stage: &TaskSpec,
    asked: Asked,
    encoder: Encoder<'a>,
    search: &SearchPath,
) -> Result<(Examples<'a>, Vec<String>), ExamplesError> {
    let data = Data::<D>::read(stage, asked, search)?;
    let side = |texts: &[D::Text]| encoder.side(texts, D::encode);
    let (mut train, valid, test) = (side(&data.train), side(&data.valid), side(&data.test));
    // A text of white space alone has no token to learn from.
    let of_texts = train.examples.into_iter().zip(data.train).filter(|(example, _)| example.ids.len() > 2);
    let (examples, texts): (Vec<_>, Vec<_>) = of_texts.unzip();
    train.examples = examples;
    let anew = match stage.recipe.bpe_dropout {
        0.0 => None,
        p => {
            let dropout = MergeDropout::new(encoder.tokenizer, p).ok_or(ExamplesError::NoMerges(p))?;
            Some(encoder.dropping(dropout, asked.seed, texts, D::encode))
        }
    };
    Ok((Examples { train, anew, valid, test }, data.notices))
}

/// What of a run beside its stage decides about its examples.
#[derive(Clone, Copy)]
struct Asked {
    /// Held-out examples that an evaluation judges, at most.
    judged: usize,
    /// What draws the examples to learn from, where not all are.
    seed: Seed,
}

impl Asked {
    fn of(spec: &RunSpec) -> Self {
        Self { judged: spec.train().eval_instances, seed: spec.seed() }
    }
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

    /// All examples; of those to learn from, so many as the stage takes, and of those held out, so many as an evaluation judges,
    /// spread over the file.
    fn read(stage: &TaskSpec, asked: Asked, search: &SearchPath) -> Result<Self, ExamplesError> {
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
        let all = texts(&stage.data, stage.data_hash)?;
        let (train, valid) = hold_out(&all, stage.fold, stage.valid_fraction, D::content);
        let test = match (&stage.test, stage.test_hash) {
            (Some(name), Some(hash)) => texts(name, hash)?,
            _ => Vec::new(),
        };
        let train = subset(train, stage.limit, asked.seed);
        Ok(Self { train, valid: spread(valid, asked.judged), test, notices })
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

/// The floors of a run's valid and test examples, from the cache if they are there: the data are the same for all runs of a
/// sweep that learn from all of them, and naive Bayes reads as many.
///
/// # Errors
/// When a file is not there, is not the one that was planned with, or cannot be read.
pub fn floors(spec: &RunSpec, stage: &TaskSpec, sources: &DataSources) -> Result<Vec<TaskFloor>, ExamplesError> {
    floors_of(stage, Asked::of(spec), sources)
}

fn floors_of(stage: &TaskSpec, asked: Asked, sources: &DataSources) -> Result<Vec<TaskFloor>, ExamplesError> {
    let of_data = TaskSpec {
        start: Start::Random,
        encoder: plan::Encoder::Trained,
        head: HeadKind::Linear,
        lstm_hidden_size: 0,
        pooling: Pooling::Cls,
        recipe: Recipe::default(),
        data: String::new(),
        test: None,
        ..stage.clone()
    };
    let seed = stage.limit.map(|_| format!("{} ", asked.seed.0)).unwrap_or_default();
    let of_data = serde_json::to_string(&of_data).unwrap_or_default();
    let name = format!("{FLOORS_VERSION} {} {seed}{of_data}", asked.judged);
    let path = sources.cache().join(format!("floors-{}.json", ContentHash::of(name.as_bytes())));
    let known = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(floors) = known {
        return Ok(floors);
    }
    let floors =
        with_definition!(stage.task, D => Data::<D>::read(stage, asked, &sources.search)?.floors(&stage.labels));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::Task;
    use crate::runner::testing;
    use crate::trainer::fine_tuning::tasks::classify::Classify;
    use crate::trainer::fine_tuning::tasks::ner::Ner;

    fn reference(task: Task, data: &str, test: Option<&str>) -> ExamplesRef {
        ExamplesRef {
            task,
            data: data.to_owned(),
            test: test.map(str::to_owned),
            text_column: "text".to_owned(),
            pair_column: None,
            label_column: "label".to_owned(),
        }
    }

    /// The stage that a plan makes of these examples.
    fn stage(examples: &ExamplesRef, facts: ExamplesFacts) -> TaskSpec {
        TaskSpec {
            task: examples.task,
            data: examples.data.clone(),
            data_hash: facts.data_hash,
            test: examples.test.clone(),
            test_hash: facts.test_hash,
            text_column: examples.text_column.clone(),
            pair_column: examples.pair_column.clone(),
            label_column: examples.label_column.clone(),
            labels: facts.labels,
            valid_fraction: 0.25,
            fold: None,
            limit: None,
            start: Start::Random,
            encoder: plan::Encoder::Trained,
            head: HeadKind::Linear,
            lstm_hidden_size: 5,
            pooling: Pooling::Cls,
            recipe: Recipe::default(),
        }
    }

    fn write(folder: &Path, name: &str, rows: impl Iterator<Item = (String, &'static str)>) {
        let rows: String = rows.map(|(text, label)| format!("{text}\t{label}\n")).collect();
        fs::write(folder.join(name), format!("text\tlabel\n{rows}")).unwrap();
    }

    fn label(i: usize) -> &'static str {
        ["2", "10"][i % 2]
    }

    /// What the plan is told of a file is what the run reads: the labels in order of their numbers, every text on one side, the
    /// empty ones named; and a file that changed since is refused.
    #[test]
    fn the_run_reads_the_file_that_was_planned_with() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        fs::create_dir(&sources.search.data_root).unwrap();
        let data_root = sources.search.data_root.as_path();
        write(data_root, "a.tsv", (0..40).map(|i| (if i == 7 { " ".to_owned() } else { format!("t{i}") }, label(i))));
        write(data_root, "b.tsv", (0..5).map(|i| (format!("u{i}"), "10")));
        let examples = reference(Task::Classify, "a.tsv", Some("b.tsv"));
        let facts = look_up(&examples, &sources.search).unwrap();
        assert_eq!(facts.labels, ["2", "10"]);
        let stage = stage(&examples, facts);
        let asked = |judged| Asked { judged, seed: Seed(1) };
        let read = |judged| Data::<Classify>::read(&stage, asked(judged), &sources.search);
        let data = read(1000).unwrap();
        let texts = |side: &[<Classify as Definition>::Text]| {
            side.iter().map(|example| example.text.clone()).collect::<BTreeSet<_>>()
        };
        let (train, valid) = (texts(&data.train), texts(&data.valid));
        assert!(train.is_disjoint(&valid) && train.len() + valid.len() == 39 && !valid.is_empty());
        assert_eq!(
            (data.test.len(), data.notices),
            (5, vec!["a.tsv: 1 examples without text are left out".to_owned()])
        );
        assert_eq!(read(2).unwrap().valid.len(), 2);
        let few = TaskSpec { limit: Some(7), fold: Some("1/2".parse().unwrap()), ..stage.clone() };
        let few = Data::<Classify>::read(&few, asked(1000), &sources.search).unwrap();
        let (learnt, held_out) = (texts(&few.train), texts(&few.valid));
        assert!(learnt.len() == 7 && learnt.is_disjoint(&held_out) && held_out.len() > 10, "{}", held_out.len());
        // A test file has no label that cannot be learnt.
        write(data_root, "c.tsv", [("x".to_owned(), "3")].into_iter());
        let error = look_up(&reference(Task::Classify, "a.tsv", Some("c.tsv")), &sources.search).unwrap_err();
        assert!(error.to_string().contains("`3` is not among those to learn from (2, 10)"), "{error}");

        fs::create_dir_all(sources.cache()).unwrap();
        let known = floors_of(&stage, asked(1000), &sources).unwrap();
        let metrics: Vec<&str> = known.iter().map(|floor| floor.metric.as_str()).collect();
        let of_side =
            |side: &str| ["accuracy", "macro_f1", "accuracy", "macro_f1"].map(|leaf| format!("{side}/{leaf}"));
        assert_eq!(metrics, [of_side("valid"), of_side("test")].concat());
        write(data_root, "a.tsv", [("y".to_owned(), "2")].into_iter());
        assert!(matches!(read(1000), Err(ExamplesError::Changed { path, .. }) if path.ends_with("a.tsv")));
        assert_eq!(floors_of(&stage, asked(1000), &sources).unwrap(), known, "the cache has them");
        assert!(
            matches!(floors_of(&stage, asked(3), &sources), Err(ExamplesError::Changed { .. })),
            "of others it has not"
        );
    }

    /// Tagged text has O first, and no floors but that of finding nothing.
    #[test]
    fn tagged_text_is_read_by_its_own_task() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        fs::create_dir(&sources.search.data_root).unwrap();
        let one = |i: usize| format!("{}\tB-PS\n.\tO\n\n", char::from(b'a' + i as u8));
        fs::write(sources.search.data_root.join("n.tsv"), (0..20).map(one).collect::<String>()).unwrap();
        let examples = reference(Task::Ner, "n.tsv", None);
        let facts = look_up(&examples, &sources.search).unwrap();
        assert_eq!(
            (facts.labels.as_slice(), facts.test_hash),
            (["O", "B-PS", "I-PS"].map(str::to_owned).as_slice(), None)
        );
        let stage = stage(&examples, facts);
        let asked = Asked { judged: 1000, seed: Seed(1) };
        let data = Data::<Ner>::read(&stage, asked, &sources.search).unwrap();
        assert_eq!((data.train.len() + data.valid.len(), data.test.len()), (20, 0));
        let floors = floors_of(&stage, asked, &sources).unwrap();
        assert!(floors.iter().all(|floor| floor.label == "all O" && floor.metric.starts_with("valid/")));
        assert_eq!(floors.iter().map(|floor| floor.value).collect::<Vec<_>>(), [0.5, (2.0 / 3.0) / 2.0, 0.0]);
    }

    proptest! {
        /// As many as asked for, in their order, and no gap between two is wider than another by more than one.
        #[test]
        fn examples_are_spread_evenly(all in 1usize..200, n in 1usize..50) {
            let chosen = spread((0..all).collect(), n);
            prop_assert_eq!(chosen.len(), n.min(all));
            let gaps: Vec<usize> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, most) = (gaps.iter().min().copied().unwrap_or(1), gaps.iter().max().copied().unwrap_or(1));
            prop_assert!(least >= 1 && most - least <= 1, "{:?}", gaps);
        }
    }
}
