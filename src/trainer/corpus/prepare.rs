//! From a corpus to what a run trains on: a tokenizer and two token files, made once and shared by all runs.
//!
//! Everything is cached under names that hash all that shaped it, so a run whose corpus is gone can still be reproduced from
//! the cache, and a changed corpus is never mistaken for the old one. Files appear by rename; when two processes prepare the
//! same data at once, both build it and the later rename changes nothing. A damaged file is built anew, with a notice.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::token_file::TokenFileWriter;
use super::{Corpus, CorpusError, Document, Fingerprint, Source, Split, TokenFile, TokenFileError, facts};
use crate::durable;
use crate::plan::{CorpusFormat, DataSpec, TokenizerSpec};
use crate::trainer::tokenizer::morphemes::Morphemes;
use crate::trainer::tokenizer::{TRAINER_VERSION, Tokenizer, TokenizerError, WordCounts};
use crate::types::ContentHash;

/// The version of everything that turns text and a tokenizer into token files, the split and the reading included.
const TOKENS_VERSION: u32 = 1;

/// What to prepare.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub data: &'a DataSpec,
    pub tokenizer: &'a TokenizerSpec,
    /// The files that [`super::locate`] found; none for the built-in corpus. They are read only when the cache lacks something.
    pub files: &'a [PathBuf],
    /// The dictionary that cuts words into morphemes, where the tokenizer has one.
    pub morphemes: Option<&'a Arc<Morphemes>>,
}

/// What a run trains on.
pub struct PreparedData {
    pub tokenizer: Tokenizer,
    pub tokenizer_hash: ContentHash,
    pub train: TokenFile,
    pub valid: TokenFile,
    pub stats: Stats,
    /// What a person should know about how the data came to be here.
    pub notices: Vec<Notice>,
}

/// How much there is on each side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    pub train: SideStats,
    pub valid: SideStats,
}

/// How much there is on one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SideStats {
    pub documents: u64,
    pub sentences: u64,
    pub tokens: u64,
    /// The share of tokens that are unknown words, in [0, 1].
    pub unknown_share: f64,
}

impl SideStats {
    fn of(file: &TokenFile) -> Self {
        Self {
            documents: file.documents() as u64,
            sentences: file.total_sentences() as u64,
            tokens: file.total_tokens(),
            unknown_share: file.unknown_tokens() as f64 / file.total_tokens().max(1) as f64,
        }
    }
}

/// Something out of the ordinary that was put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A file of the cache could not be used and was built anew.
    Rebuilt { path: PathBuf, reason: String },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rebuilt { path, reason } => write!(f, "{} was built anew: {reason}", path.display()),
        }
    }
}

/// Data that cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    TokenFile(#[from] TokenFileError),
    #[error(
        "the {side} side of the corpus holds no tokens; change `data.valid_fraction` ({valid_fraction}) or add text"
    )]
    NoTokens { side: &'static str, valid_fraction: f64 },
    #[error("cannot write the cache file {}: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },
}

/// Prepares the data of a run, from the cache folder as far as it is there.
///
/// The tokenizer learns from documents of the training side only; of a corpus over 16 MiB, from a share of them that is fixed
/// by content, about 16 MiB of text, so that memory stays flat.
///
/// # Errors
/// When the corpus is not the one that was planned on, cannot be read or split, when its text does not fit the vocabulary,
/// or when the cache cannot be written.
pub fn prepare(request: &Request<'_>, cache: &Path) -> Result<PreparedData, PrepareError> {
    let mut notices = Vec::new();
    let mut work = Preparation { request, surveyed: None };
    let tokenizer = work.tokenizer(cache, &mut notices)?;
    tokenized(work, tokenizer, cache, notices)
}

/// Prepares the data of a run whose tokenizer was learnt elsewhere.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(tokenizer: Tokenizer, request: &Request<'_>, cache: &Path) -> Result<PreparedData, PrepareError> {
    tokenized(Preparation { request, surveyed: None }, tokenizer, cache, Vec::new())
}

fn tokenized(
    mut work: Preparation<'_>,
    tokenizer: Tokenizer,
    cache: &Path,
    mut notices: Vec<Notice>,
) -> Result<PreparedData, PrepareError> {
    let request = work.request;
    let tokenizer_hash = tokenizer.hash();
    let key = tokens_key(request, tokenizer_hash);
    let path = |side: &str| cache.join("tokens").join(format!("{key}.{side}.tok"));
    let paths = [path("train"), path("valid")];
    let [train, valid] = paths.each_ref().map(|path| read_cached(path, TokenFile::open, &mut notices));
    let (train, valid) = match (train, valid) {
        (Some(train), Some(valid)) => (train, valid),
        _ => work.build_token_files(&tokenizer, &paths)?,
    };
    for (side, file) in [("train", &train), ("valid", &valid)] {
        if file.total_tokens() == 0 {
            return Err(PrepareError::NoTokens { side, valid_fraction: request.data.valid_fraction });
        }
    }
    let stats = Stats { train: SideStats::of(&train), valid: SideStats::of(&valid) };
    Ok(PreparedData { tokenizer, tokenizer_hash, train, valid, stats, notices })
}

/// The tokenizer of a run alone, from the cache folder if it is there.
///
/// # Errors
/// As [`prepare`].
pub fn tokenizer(request: &Request<'_>, cache: &Path) -> Result<Tokenizer, PrepareError> {
    Preparation { request, surveyed: None }.tokenizer(cache, &mut Vec::new())
}

/// Whether a tokenizer can be learnt as it is asked for: from the cache folder where it is there, else by learning it. Writes
/// nothing.
///
/// # Errors
/// As [`prepare`].
pub fn check_tokenizer(request: &Request<'_>, cache: &Path) -> Result<(), PrepareError> {
    let mut work = Preparation { request, surveyed: None };
    match work.cached_tokenizer(cache, &mut Vec::new()) {
        Some(_) => Ok(()),
        None => work.learn_tokenizer().map(drop),
    }
}

/// Names the tokenizer of a request by all that shapes it.
fn tokenizer_key(request: &Request<'_>) -> ContentHash {
    let tokenizer = request.tokenizer;
    let separator = tokenizer.separator.as_ref().map(|text| format!(" {text:?}")).unwrap_or_default();
    let morphemes = tokenizer.dictionary_hash.map(|hash| format!(" morphemes {hash}")).unwrap_or_default();
    ContentHash::of(
        format!(
            "tokenizer {TRAINER_VERSION} {} {:?} {} {} {} {}{separator}{morphemes}",
            split_name(request.data),
            tokenizer.kind,
            tokenizer.vocab_size,
            tokenizer.min_frequency,
            tokenizer.limit_alphabet,
            tokenizer.lowercase
        )
        .as_bytes(),
    )
}

fn tokens_key(request: &Request<'_>, tokenizer_hash: ContentHash) -> ContentHash {
    ContentHash::of(format!("tokens {} {tokenizer_hash}", split_name(request.data)).as_bytes())
}

/// Names the documents and their sides.
fn split_name(data: &DataSpec) -> String {
    let field = if data.format == CorpusFormat::Jsonl { data.text_field.as_str() } else { "" };
    let valid_fraction = data.valid_fraction.to_bits();
    format!("split {TOKENS_VERSION} {} {:?} {field:?} {valid_fraction:x}", data.corpus_hash, data.format)
}

/// Opens a file of the cache; one that is there but cannot be used is reported and treated as absent.
fn read_cached<T, E: fmt::Display>(
    path: &Path,
    open: impl FnOnce(&Path) -> Result<T, E>,
    notices: &mut Vec<Notice>,
) -> Option<T> {
    if !path.exists() {
        return None;
    }
    open(path).map_err(|e| notices.push(Notice::Rebuilt { path: path.to_owned(), reason: e.to_string() })).ok()
}

/// The building of what the cache lacks; the corpus is checked and surveyed once.
struct Preparation<'a> {
    request: &'a Request<'a>,
    surveyed: Option<(Corpus, Split)>,
}

impl Preparation<'_> {
    fn survey(&mut self) -> Result<&(Corpus, Split), PrepareError> {
        let surveyed = match self.surveyed.take() {
            Some(surveyed) => surveyed,
            None => check_and_survey(self.request)?,
        };
        Ok(self.surveyed.insert(surveyed))
    }

    fn tokenizer(&mut self, cache: &Path, notices: &mut Vec<Notice>) -> Result<Tokenizer, PrepareError> {
        match self.cached_tokenizer(cache, notices) {
            Some(tokenizer) => Ok(tokenizer),
            None => self.build_tokenizer(&self.tokenizer_path(cache)),
        }
    }

    fn tokenizer_path(&self, cache: &Path) -> PathBuf {
        cache.join("tokenizers").join(format!("{}.json", tokenizer_key(self.request)))
    }

    fn cached_tokenizer(&self, cache: &Path, notices: &mut Vec<Notice>) -> Option<Tokenizer> {
        let load = |path: &Path| {
            check_sum(path)?;
            Tokenizer::load(path, self.request.morphemes.cloned()).map_err(|error| error.to_string())
        };
        read_cached(&self.tokenizer_path(cache), load, notices)
    }

    fn build_tokenizer(&mut self, path: &Path) -> Result<Tokenizer, PrepareError> {
        let tokenizer = self.learn_tokenizer()?;
        write_cached(path, tokenizer.json()).map_err(|source| PrepareError::Cache { path: path.to_owned(), source })?;
        Ok(tokenizer)
    }

    fn learn_tokenizer(&mut self) -> Result<Tokenizer, PrepareError> {
        let spec = self.request.tokenizer;
        let mut words = WordCounts::new(spec, self.request.morphemes.cloned());
        let (corpus, split) = self.survey()?;
        corpus.for_each_batch::<PrepareError>(|batch| {
            let is_learnt_from = |document: &&Document| split.is_learnt_from(Fingerprint::of(document));
            let learnt: Vec<_> = batch.par_iter().filter(is_learnt_from).flat_map_iter(|d| &d.sentences).collect();
            words.add(&learnt);
            Ok(())
        })?;
        Ok(Tokenizer::train(words, spec)?)
    }

    fn build_token_files(
        &mut self,
        tokenizer: &Tokenizer,
        paths: &[PathBuf; 2],
    ) -> Result<(TokenFile, TokenFile), PrepareError> {
        let (corpus, split) = self.survey()?;
        for path in paths {
            create_folder_of(path).map_err(|source| PrepareError::Cache { path: path.clone(), source })?;
        }
        let [mut train, mut valid] = [
            TokenFileWriter::create(&paths[0], tokenizer.vocab_size())?,
            TokenFileWriter::create(&paths[1], tokenizer.vocab_size())?,
        ];
        corpus.for_each_batch::<PrepareError>(|batch| {
            let encode = |document: &Document| -> (bool, Vec<Vec<u32>>) {
                let sentences = document.sentences.iter().map(|sentence| tokenizer.encode(sentence)).collect();
                (split.is_valid(Fingerprint::of(document)), sentences)
            };
            for (is_valid, sentences) in batch.par_iter().map(encode).collect::<Vec<_>>() {
                let side = if is_valid { &mut valid } else { &mut train };
                side.push(&sentences, tokenizer.unknown_id())?;
            }
            Ok(())
        })?;
        Ok((train.finish()?, valid.finish()?))
    }
}

/// The corpus, if it is the one that was planned on, and its split.
pub(super) fn check_and_survey(request: &Request<'_>) -> Result<(Corpus, Split), CorpusError> {
    let data = request.data;
    let source = match data.demo {
        Some(demo) if data.format == CorpusFormat::Demo => Source::Demo(demo),
        _ => Source::Files(request.files.to_vec()),
    };
    let found = facts(&source, Some(data.format))?.hash;
    if found != data.corpus_hash {
        return Err(CorpusError::Changed { expected: data.corpus_hash, found });
    }
    let corpus = Corpus::new(source, data.format, &data.text_field);
    let split = Split::survey(&corpus, data.format, data.valid_fraction)?;
    Ok((corpus, split))
}

fn write_cached(path: &Path, text: &str) -> io::Result<()> {
    create_folder_of(path)?;
    // The sum first: a file without its sum is one of an older program, and is taken as it is.
    let sum = ContentHash::of(text.as_bytes()).to_string();
    durable::write(&sum_of(path), |file| writeln!(file, "{sum}"))?;
    durable::write(path, |file| file.write_all(text.as_bytes()))
}

/// Where the hash of a cached file's content stands.
fn sum_of(path: &Path) -> PathBuf {
    path.with_extension("sum")
}

/// Holds a cached file against the hash that was written before it.
fn check_sum(path: &Path) -> Result<(), String> {
    let expected = match fs::read_to_string(sum_of(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let bytes = durable::read(path).map_err(|error| error.to_string())?;
    let is_right = expected.trim_end() == ContentHash::of(&bytes).to_string();
    if is_right { Ok(()) } else { Err("its content does not match its checksum".to_owned()) }
}

/// Whether a file of the cache is what was written.
///
/// # Errors
/// What is wrong with it.
pub fn check_cached(path: &Path) -> Result<(), String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("tok") => TokenFile::open(path).map(drop).map_err(|error| error.to_string()),
        Some("sum") | None => Ok(()),
        Some(_) => check_sum(path),
    }
}

fn create_folder_of(path: &Path) -> io::Result<&Path> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::super::demo;
    use super::*;
    use crate::plan::{DemoSpec, TokenizerKind};

    fn data(corpus_hash: ContentHash, format: CorpusFormat, demo: Option<DemoSpec>) -> DataSpec {
        let text_field = "text".to_owned();
        DataSpec { corpus: "c".to_owned(), corpus_hash, format, text_field, valid_fraction: 0.1, demo }
    }

    fn demo_data(documents: u64) -> DataSpec {
        let spec = DemoSpec { documents, seed: 1 };
        data(demo::content_hash(spec), CorpusFormat::Demo, Some(spec))
    }

    fn tokenizer(vocab_size: usize) -> TokenizerSpec {
        TokenizerSpec {
            kind: TokenizerKind::Wordpiece,
            vocab_size,
            min_frequency: 2,
            limit_alphabet: 6_000,
            lowercase: false,
            separator: None,
            dictionary: None,
            dictionary_hash: None,
        }
    }

    fn files_under(cache: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let folders = ["tokenizers", "tokens"].map(|name| fs::read_dir(cache.join(name)).unwrap());
        let mut files: Vec<_> = folders.into_iter().flatten().map(|e| e.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.strip_prefix(cache).unwrap().to_owned(), fs::read(path).unwrap())).collect()
    }

    /// Any byte of a cached tokenizer that is not what it was is noticed, and the tokenizer learnt anew.
    #[test]
    fn a_changed_tokenizer_of_the_cache_is_learnt_anew() {
        let cache = tempfile::tempdir().unwrap();
        let (data, spec) = (demo_data(100), tokenizer(1_000));
        let request = Request { data: &data, tokenizer: &spec, files: &[], morphemes: None };
        let fresh = prepare(&request, cache.path()).unwrap();
        let file = cache.path().join("tokenizers").join(format!("{}.json", tokenizer_key(&request)));
        let whole = fs::read_to_string(&file).unwrap();
        // Another vocabulary of the same size, which a reader cannot tell from the right one.
        let changed = whole.replacen("\"##", "\"#x", 1);
        assert_ne!(changed, whole);
        fs::write(&file, changed).unwrap();
        assert!(check_cached(&file).unwrap_err().contains("checksum"));
        let again = prepare(&request, cache.path()).unwrap();
        assert_eq!((again.tokenizer_hash, again.notices.len()), (fresh.tokenizer_hash, 1));
        assert_eq!((fs::read_to_string(&file).unwrap(), check_cached(&file)), (whole, Ok(())));
    }

    #[test]
    fn both_sides_hold_all_the_text_and_the_cache_gives_it_again() {
        let (cache, data, spec) = (tempfile::tempdir().unwrap(), demo_data(300), tokenizer(1_500));
        let request = Request { data: &data, tokenizer: &spec, files: &[], morphemes: None };
        let fresh = prepare(&request, cache.path()).unwrap();
        assert_eq!(fresh.tokenizer.vocab_size(), 1_500);
        assert_eq!(fresh.stats.train.documents + fresh.stats.valid.documents, 300);
        assert!(fresh.stats.valid.unknown_share < 0.02, "{:?}", fresh.stats);
        let files = files_under(cache.path());
        assert_eq!(files.len(), 4, "a tokenizer with its checksum, and two token files");
        let again = prepare(&request, cache.path()).unwrap();
        assert_eq!((again.stats, again.tokenizer_hash), (fresh.stats, fresh.tokenizer_hash));
        assert_eq!(files_under(cache.path()), files);
        assert!(again.notices.is_empty());
    }

    #[test]
    fn threads_caches_and_simultaneous_work_agree_on_every_byte() {
        let (data, spec) = (demo_data(200), tokenizer(1_200));
        let request = Request { data: &data, tokenizer: &spec, files: &[], morphemes: None };
        let alone = tempfile::tempdir().unwrap();
        prepare(&request, alone.path()).unwrap();
        let shared = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let (request, cache) = (&request, shared.path());
            for threads in 1..4 {
                scope.spawn(move || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| prepare(request, cache).unwrap());
                });
            }
        });
        assert_eq!(files_under(shared.path()), files_under(alone.path()));
    }

    #[test]
    fn damaged_files_are_built_anew_with_a_notice() {
        let (cache, data, spec) = (tempfile::tempdir().unwrap(), demo_data(100), tokenizer(1_000));
        let request = Request { data: &data, tokenizer: &spec, files: &[], morphemes: None };
        prepare(&request, cache.path()).unwrap();
        let files = files_under(cache.path());
        for (name, bytes) in &files {
            fs::write(cache.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
            let notices = prepare(&request, cache.path()).unwrap().notices;
            let is_sum = name.extension().is_some_and(|extension| extension == "sum");
            let name = if is_sum { name.with_extension("json") } else { name.clone() };
            assert!(matches!(&notices[..], [Notice::Rebuilt { path, .. }] if path.ends_with(&name)), "{notices:?}");
            assert_eq!(files_under(cache.path()), files);
        }
    }

    #[test]
    fn a_corpus_that_is_gone_or_changed_is_noticed_only_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.txt");
        let text: String = (0..60).map(|i| format!("하나 둘 {i} 셋.\n넷 다섯.\n\n")).collect();
        fs::write(&file, &text).unwrap();
        let files = [file.clone()];
        let facts = facts(&Source::Files(files.to_vec()), None).unwrap();
        let (data, spec) = (data(facts.hash, facts.format, None), tokenizer(36));
        let request = Request { data: &data, tokenizer: &spec, files: &files, morphemes: None };
        prepare(&request, &folder.path().join("cache")).unwrap();
        fs::write(&file, text.replace("넷", "넋")).unwrap();
        prepare(&request, &folder.path().join("cache")).unwrap();
        let error = prepare(&request, &folder.path().join("other")).err().unwrap();
        assert!(matches!(error, PrepareError::Corpus(CorpusError::Changed { .. })), "{error}");
        fs::remove_file(&file).unwrap();
        let error = prepare(&request, &folder.path().join("other")).err().unwrap();
        assert!(matches!(error, PrepareError::Corpus(CorpusError::Read { .. })), "{error}");
    }

    #[test]
    fn a_cache_that_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizers"), "a file where a folder should be").unwrap();
        let (data, spec) = (demo_data(50), tokenizer(900));
        let request = Request { data: &data, tokenizer: &spec, files: &[], morphemes: None };
        let error = prepare(&request, folder.path()).err().unwrap();
        assert!(error.to_string().starts_with("cannot write the cache file"), "{error}");
    }
}
