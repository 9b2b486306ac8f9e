//! Every problem that has a name has an example that is true: what is wrong has it, what is right has none.

use std::collections::BTreeSet;

use super::{Everything, alone, facts, spec};
use crate::experiment::problem::{self, Problem};
use crate::experiment::{Diagnostic, Source};
use crate::plan::{CorpusFacts, CorpusRef, ExamplesFacts, ExamplesRef, LookUp, RunSpec, plan_with, read};
use crate::types::ContentHash;

/// Knows everything but what is called gone.
struct AllButGone;

fn there<T>(name: &str, found: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    if name.contains("gone") { Err(format!("{name} is gone")) } else { found() }
}

impl LookUp for AllButGone {
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
        there(&corpus.name, || facts(corpus))
    }

    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String> {
        there(name, || Everything.dictionary(name))
    }

    fn run(&mut self, name: &str) -> Result<RunSpec, String> {
        there(name, || Ok(spec("")))
    }

    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
        there(&examples.data, || Everything.examples(examples))
    }
}

/// The problems of an example.
fn found(example: &str) -> Vec<Diagnostic> {
    let (sets, lines): (Vec<&str>, Vec<&str>) = example.lines().partition(|line| line.starts_with("--set "));
    let sets: Vec<String> = sets.into_iter().map(|set| set["--set ".len()..].to_owned()).collect();
    // A stored run has a corpus of its own.
    let names_corpus = example.contains("data.corpus =") || example.contains("finetune.run =");
    let corpus = if names_corpus { "" } else { "data.corpus = \"demo\"\n" };
    let text = format!("experiment.name = \"x\"\n{corpus}{}\n", lines.join("\n"));
    let mut load = |path: &str, by: &str| match path {
        "x.toml" => Ok(Source { name: "x.toml".to_owned(), text: text.clone() }),
        _ => alone(path, by),
    };
    match read(&text, "x.toml", &sets, &mut load) {
        Err(problems) => problems.list,
        Ok(experiment) => match plan_with(&experiment, &mut AllButGone) {
            Err(problems) => problems.list,
            Ok(_) => experiment.warnings,
        },
    }
}

#[test]
fn every_example_is_true() {
    let mut complaints = Vec::new();
    for problem in problem::all() {
        let lines = |list: &[Diagnostic]| {
            list.iter().map(|found| format!("{}: {}", found.problem.name(), found.message)).collect::<Vec<_>>()
        };
        let (wrong, right) = (found(problem.wrong), found(problem.right));
        if !wrong.iter().any(|found| found.problem == problem) {
            complaints.push(format!("{}: the wrong example has {:?}", problem.name(), lines(&wrong)));
        }
        if !right.is_empty() {
            complaints.push(format!("{}: the right example has {:?}", problem.name(), lines(&right)));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The tokenizer that counts is that of the run which training starts from, whatever the file would have.
#[test]
fn a_stored_run_has_merges_or_none() {
    let task = "finetune.task = \"classify\"\nfinetune.data = \"nsmc.tsv\"\n";
    for run in ["finetune.run", "train.run"] {
        let names = |dropout: f64| {
            let found = found(&format!("{task}{run} = \"k3f0\"\nfinetune.bpe_dropout = {dropout:?}"));
            found.iter().map(|found| found.problem.name()).collect::<Vec<_>>()
        };
        assert_eq!((names(0.1), names(0.0)), (vec!["no-merges"], vec![]), "{run}");
    }
}

#[test]
fn names_are_told_apart_and_explained() {
    let names: BTreeSet<&str> = problem::all().map(Problem::name).collect();
    assert_eq!(names.len(), problem::all().count());
    for problem in problem::all() {
        assert!(problem.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", problem.name());
        assert!(problem.what.ends_with('.') && problem.why.ends_with('.'), "{}", problem.name());
        assert_eq!(problem::find(problem.name()), Some(problem));
    }
}
