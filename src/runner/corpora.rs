//! Corpora by name: where the files of a specification's corpus are, and what the plan needs to know of them.

use std::path::Path;
use std::sync::Arc;

use super::data_sources::{DataSources, SearchPath};
use crate::plan::{CorpusFacts, CorpusFormat, CorpusRef, RunSpec};
use crate::trainer::corpus::{self, CorpusError, PrepareError, PreparedData, Request, Source, TextCounts, facts};
use crate::trainer::tokenizer::morphemes::{Dictionary, DictionaryError, Morphemes};
use crate::trainer::tokenizer::{Tokenizer, TokenizerError};
use crate::types::ContentHash;

/// Roughly.
const BYTES_A_DEMO_DOCUMENT: u64 = 1 << 10;

/// What there is under a corpus's name: its hash, format and size.
pub fn look_up(corpus: &CorpusRef, search: &SearchPath) -> Result<CorpusFacts, CorpusError> {
    let source = match corpus.demo {
        Some(demo) => Source::Demo(demo),
        None => Source::Files(search.locate(&corpus.name)?),
    };
    let facts = facts(&source, corpus.format)?;
    Ok(CorpusFacts { hash: facts.hash, format: facts.format, bytes: facts.bytes, documents: None })
}

/// The hash of the dictionary of this name, which is looked up as a corpus is.
pub fn dictionary(name: &str, search: &SearchPath) -> Result<ContentHash, DictionaryError> {
    Dictionary::locate(name, search.folders())?.hash()
}

/// Tokenizer and token files of a run, from the cache as far as they are there.
pub fn prepare(spec: &RunSpec, sources: &DataSources) -> Result<PreparedData, PrepareError> {
    let morphemes = morphemes(spec, &sources.search).map_err(TokenizerError::from)?;
    with_files(spec, &sources.search, |request| {
        corpus::prepare(&Request { morphemes: morphemes.as_ref(), ..*request }, &sources.cache())
    })
}

/// Token files of a run whose tokenizer was learnt elsewhere, from the cache as far as they are there.
pub fn prepare_with(tokenizer: Tokenizer, spec: &RunSpec, sources: &DataSources) -> Result<PreparedData, PrepareError> {
    with_files(spec, &sources.search, |request| corpus::prepare_with(tokenizer, request, &sources.cache()))
}

/// The tokenizer of a run, from the cache if it is there.
pub fn tokenizer(spec: &RunSpec, sources: &DataSources) -> Result<Tokenizer, PrepareError> {
    let morphemes = morphemes(spec, &sources.search).map_err(TokenizerError::from)?;
    with_files(spec, &sources.search, |request| {
        corpus::tokenizer(&Request { morphemes: morphemes.as_ref(), ..*request }, &sources.cache())
    })
}

/// The tokenizer that was learnt for a run and lies at `path`.
pub fn tokenizer_at(spec: &RunSpec, path: &Path, search: &SearchPath) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::load(path, morphemes(spec, search)?)
}

/// Whether the tokenizer of a run can be learnt as it is asked for, without writing anything. A corpus of more than
/// `most_bytes` is not looked into.
pub fn check_tokenizer(spec: &RunSpec, search: &SearchPath, cache: &Path, most_bytes: u64) -> Result<(), PrepareError> {
    let morphemes = morphemes(spec, search).map_err(TokenizerError::from)?;
    with_files(spec, search, |request| {
        let of_files = request.files.iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>();
        let of_demo = request.data.demo.map_or(0, |demo| demo.documents * BYTES_A_DEMO_DOCUMENT);
        if of_files + of_demo > most_bytes {
            return Ok(());
        }
        corpus::check_tokenizer(&Request { morphemes: morphemes.as_ref(), ..*request }, cache)
    })
}

/// How well a tokenizer fits the held-out text of a run.
pub fn measure(spec: &RunSpec, tokenizer: &Tokenizer, search: &SearchPath) -> Result<TextCounts, CorpusError> {
    with_files(spec, search, |request| corpus::measure(request, tokenizer))
}

/// The open dictionary of a run's tokenizer, where it has one.
fn morphemes(spec: &RunSpec, search: &SearchPath) -> Result<Option<Arc<Morphemes>>, DictionaryError> {
    let (Some(name), Some(expected)) = (&spec.tokenizer.dictionary, spec.tokenizer.dictionary_hash) else {
        return Ok(None);
    };
    let dictionary = Dictionary::locate(name, search.folders())?;
    Ok(Some(Arc::new(dictionary.open(expected)?)))
}

/// Does something with the files of a run's corpus, as far as they are there.
fn with_files<T, E: From<CorpusError>>(
    spec: &RunSpec,
    search: &SearchPath,
    work: impl FnOnce(&Request<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let data = spec.data().expect("invariant: a run whose tokenizer is trained has a corpus");
    let located = match data.format {
        CorpusFormat::Demo => Ok(Vec::new()),
        _ => search.locate(&data.corpus),
    };
    let files = located.as_deref().unwrap_or_default();
    let done = work(&Request { data, tokenizer: &spec.tokenizer, files, morphemes: None });
    match located {
        // The cache may hold all that is needed of a corpus that is gone; if not, that it is gone is what is wrong.
        Err(missing) if done.is_err() => Err(missing.into()),
        _ => done,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::runner::testing;

    fn corpus(name: &str) -> CorpusRef {
        CorpusRef { name: name.to_owned(), demo: None, format: None, text_field: "text".to_owned() }
    }

    #[test]
    fn a_corpus_is_what_its_bytes_are_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        let search = testing::sources(folder.path()).search;
        let text = "하나 둘\n셋 넷\n\n다섯 여섯\n";
        for place in ["data", "elsewhere"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join("docs.txt"), text).unwrap();
        }
        let under_the_root = look_up(&corpus("docs.txt"), &search).unwrap();
        let beside = SearchPath { experiment_dir: Some(folder.path().join("elsewhere")), ..search.clone() };
        let beside = look_up(&corpus("docs.txt"), &beside).unwrap();
        assert_eq!((under_the_root.hash, under_the_root.bytes), (beside.hash, text.len() as u64));
        fs::write(folder.path().join("data/docs.txt"), format!("{text}\n일곱\n")).unwrap();
        assert_ne!(look_up(&corpus("docs.txt"), &search).unwrap().hash, beside.hash);
        let missing = look_up(&corpus("none.txt"), &search).unwrap_err().to_string();
        assert!(missing.contains("none.txt"), "{missing}");
    }

    /// What was prepared once needs its files no more; what was not is told by the name of the file.
    #[test]
    fn a_corpus_that_is_gone_is_in_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        let mut spec = testing::tasks("[tokenizer]\nvocab_size = 100\nmin_frequency = 1\n").remove(0).spec;
        let path = folder.path().join("data/docs.txt");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let document = |i: usize| format!("the dog {i} sleeps\nthe cat {i} runs\n\n");
        fs::write(&path, (0..60).map(document).collect::<String>()).unwrap();
        let facts = look_up(&corpus("docs.txt"), &sources.search).unwrap();
        let crate::plan::StageSpec::Pretrain(stage) = &mut spec.stage else { panic!("it is pretrained") };
        (stage.data.corpus, stage.data.corpus_hash) = ("docs.txt".to_owned(), facts.hash);
        (stage.data.format, stage.data.demo) = (facts.format, None);

        let first = prepare(&spec, &sources).unwrap().tokenizer.hash();
        fs::remove_file(&path).unwrap();
        assert_eq!(prepare(&spec, &sources).unwrap().tokenizer.hash(), first);
        spec.tokenizer.vocab_size = 90;
        let error = prepare(&spec, &sources).err().expect("nobody has learnt this one").to_string();
        assert!(error.contains("docs.txt"), "{error}");
    }
}
