//! Corpora by name: where the files of a specification's corpus are, and what the plan needs to know of them.

use std::path::Path;

use crate::plan::{CorpusFacts, CorpusFormat, CorpusRef, RunSpec};
use crate::trainer::corpus::{CorpusError, PrepareError, PreparedData, Request, Source, facts, locate};

/// What there is under a corpus's name: its hash, format and size. Files are looked up beside the experiment file
/// (`beside`) and then under the data root.
pub fn look_up(corpus: &CorpusRef, beside: Option<&Path>, data_root: &Path) -> Result<CorpusFacts, CorpusError> {
    let source = match corpus.demo {
        Some(demo) => Source::Demo(demo),
        None => Source::Files(locate(&corpus.name, beside, data_root)?),
    };
    let facts = facts(&source, corpus.format)?;
    Ok(CorpusFacts { hash: facts.hash, format: facts.format, bytes: facts.bytes, documents: facts.documents })
}

/// Tokenizer and token files of a run, from the cache as far as they are there.
pub fn prepare(
    spec: &RunSpec,
    beside: Option<&Path>,
    data_root: &Path,
    cache: &Path,
) -> Result<PreparedData, PrepareError> {
    let files = match spec.data.format {
        CorpusFormat::Demo => Vec::new(),
        // The cache may hold all that is needed of a corpus that is gone; whether it does, preparing will say.
        _ => locate(&spec.data.corpus, beside, data_root).unwrap_or_default(),
    };
    crate::trainer::corpus::prepare(&Request { data: &spec.data, tokenizer: &spec.tokenizer, files: &files }, cache)
}
