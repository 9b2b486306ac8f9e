//! The corpus: documents of sentences, from files or from the built-in generator, to memory-mapped token files.
//!
//! Text is read as a stream, one document at a time, and every decision about a document (which side of the split it is
//! on, whether the tokenizer learns from it) depends on its content alone. What a run trains on is made by [`prepare`]:
//! a tokenizer and two token files, cached by the hashes of all that shaped them.

pub mod demo;
mod error;
mod locate;
mod measure;
mod prepare;
mod read;
mod sentences;
mod source;
mod split;
mod token_file;

pub use error::CorpusError;
pub use locate::locate;
pub use measure::{TextCounts, measure};
pub use prepare::{
    Notice, PrepareError, PreparedData, Request, SideStats, Stats, check_cached, check_tokenizer, prepare,
    prepare_with, tokenizer,
};
pub use read::{Document, Documents};
pub use sentences::split_sentences;
pub use source::{Corpus, Facts, Source, detect, facts};
pub use split::{Fingerprint, Split};
pub use token_file::{TokenDocuments, TokenFile, TokenFileError, Tokens, unigram_entropy};
