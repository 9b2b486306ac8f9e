//! What a plan asks of the outside: corpora, dictionaries, labelled examples and stored runs by their names. Each is asked for
//! once, however many cells name it, and what is wrong with one is said once, at the place that names it.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::resolve::{self, CorpusFacts, CorpusRef, ExamplesFacts, ExamplesRef};
use super::run_spec::RunSpec;
use crate::experiment::{Diagnostic, Settings};
use crate::types::ContentHash;

/// What a plan asks of the outside.
pub trait LookUp {
    /// What there is under a corpus's name.
    ///
    /// # Errors
    /// When there is no such corpus, or it cannot be read.
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String>;

    /// The hash of the dictionary of this name.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String>;

    /// The specification, of the newest schema, of a stored run that training is to start from.
    ///
    /// # Errors
    /// When there is no such run, it is not finished, or it has no encoder to start from.
    fn run(&mut self, name: &str) -> Result<RunSpec, String>;

    /// What labelled examples there are.
    ///
    /// # Errors
    /// When a file cannot be found or read, or is none of its task's format.
    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String>;
}

/// Knows corpora alone.
pub(super) struct CorporaOnly<F>(pub(super) F);

impl<E: fmt::Display, F: FnMut(&CorpusRef) -> Result<CorpusFacts, E>> LookUp for CorporaOnly<F> {
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
        (self.0)(corpus).map_err(|error| error.to_string())
    }

    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String> {
        Err(format!("nobody knows the dictionary {name}"))
    }

    fn run(&mut self, name: &str) -> Result<RunSpec, String> {
        Err(format!("nobody knows the run {name}"))
    }

    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
        Err(format!("nobody knows the examples {}", examples.data))
    }
}

/// Something is not there, and that has been said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said;

/// What has been looked up, and what was wrong with it.
pub(super) struct LookedUp<'l> {
    outside: &'l mut dyn LookUp,
    corpora: BTreeMap<CorpusRef, Result<CorpusFacts, Said>>,
    dictionaries: BTreeMap<String, Result<ContentHash, Said>>,
    runs: BTreeMap<String, Result<Rc<RunSpec>, Said>>,
    examples: BTreeMap<ExamplesRef, Result<Rc<ExamplesFacts>, Said>>,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'l> LookedUp<'l> {
    pub(super) fn new(outside: &'l mut dyn LookUp) -> Self {
        Self {
            outside,
            corpora: BTreeMap::new(),
            dictionaries: BTreeMap::new(),
            runs: BTreeMap::new(),
            examples: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Notes a problem of a cell, unless another cell had the same.
    pub(super) fn say(&mut self, problem: Option<Diagnostic>) {
        self.problems.extend(problem.filter(|problem| !self.problems.contains(problem)));
    }

    /// The corpus of a cell.
    pub(super) fn corpus(&mut self, settings: &Settings<'_>) -> Result<CorpusFacts, Said> {
        *self.corpora.entry(CorpusRef::of(settings)).or_insert_with_key(|corpus| {
            let facts = self.outside.corpus(corpus).and_then(CorpusFacts::check);
            said(&mut self.problems, facts, |message| resolve::blame_corpus(settings, message))
        })
    }

    /// The dictionary of a cell's tokenizer, where it has one.
    pub(super) fn dictionary(&mut self, settings: &Settings<'_>) -> Option<Result<ContentHash, Said>> {
        let name = settings.text("tokenizer.dictionary")?;
        Some(*self.dictionaries.entry(name.to_owned()).or_insert_with_key(|name| {
            let hash = self.outside.dictionary(name);
            said(&mut self.problems, hash, |message| resolve::blame_dictionary(settings, message))
        }))
    }

    /// The stored run that a cell names under `key` to start from, where it does.
    pub(super) fn run(&mut self, settings: &Settings<'_>, key: &'static str) -> Option<Result<Rc<RunSpec>, Said>> {
        let name = settings.text(key)?;
        let run = self.runs.entry(name.to_owned()).or_insert_with_key(|name| {
            let spec = self.outside.run(name).map(Rc::new);
            said(&mut self.problems, spec, |message| resolve::blame_run(settings, key, message))
        });
        Some(run.clone())
    }

    /// The labelled examples of a cell, where it has a task.
    pub(super) fn examples(&mut self, settings: &Settings<'_>) -> Option<Result<Rc<ExamplesFacts>, Said>> {
        let examples = self.examples.entry(ExamplesRef::of(settings)?).or_insert_with_key(|examples| {
            let facts = self.outside.examples(examples).map(Rc::new);
            said(&mut self.problems, facts, |message| resolve::blame_examples(settings, message))
        });
        Some(examples.clone())
    }
}

/// What was found, or a problem more.
fn said<T>(
    problems: &mut Vec<Diagnostic>,
    found: Result<T, String>,
    blame: impl FnOnce(String) -> Diagnostic,
) -> Result<T, Said> {
    found.map_err(|message| {
        problems.push(blame(message));
        Said
    })
}
