//! Which documents are held out: a pure function of each document's text.
//!
//! A document's fingerprint is a uniform number; documents below the asked fraction are held out. So the split survives
//! reordering, renaming and added documents, and two copies of a text are never on both sides.

use rayon::prelude::*;

use super::{Corpus, CorpusError, Document};
use crate::plan::CorpusFormat;
use crate::types::ContentHasher;

/// Bytes of text that a tokenizer learns from, at most (about): what keeps its memory flat however large the corpus.
const LEARNT_BYTES: u64 = 16 << 20;

/// Two independent uniform numbers that name a document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Decides the side of the split.
    pub side: u64,
    /// Decides whether a tokenizer learns from it, where the corpus is larger than it can learn from.
    pub sample: u64,
}

impl Fingerprint {
    /// From the hash of the sentences, each ended by a newline.
    pub fn of(document: &Document) -> Self {
        let mut hasher = ContentHasher::new();
        for sentence in &document.sentences {
            hasher.update(sentence.as_bytes()).update(b"\n");
        }
        let hash = hasher.finish();
        let word = |from: usize| {
            hash.as_bytes()[from..from + 8].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        Self { side: word(0), sample: word(8) }
    }
}

/// The cut between the sides, once the whole corpus has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Fingerprints below are held out.
    cut: u64,
    /// Fingerprints up to this are learnt from.
    learn_up_to: u64,
}

impl Split {
    /// Reads the corpus once and places the cut.
    ///
    /// When chance leaves a side of a small corpus empty, the text nearest to the cut moves over: the smallest
    /// fingerprint is then held out alone, or the largest trained on alone.
    ///
    /// # Errors
    /// When the corpus is empty, or holds one text only.
    pub fn survey(corpus: &Corpus, format: CorpusFormat, valid_fraction: f64) -> Result<Self, CorpusError> {
        let (mut documents, mut bytes, mut smallest, mut largest) = (0, 0, u64::MAX, 0);
        corpus.for_each_batch::<CorpusError>(|batch| {
            let fingerprints: Vec<_> = batch.par_iter().map(Fingerprint::of).collect();
            for (document, fingerprint) in batch.iter().zip(fingerprints) {
                documents += 1;
                bytes += document.bytes() as u64;
                smallest = smallest.min(fingerprint.side);
                largest = largest.max(fingerprint.side);
            }
            Ok(())
        })?;
        if documents == 0 {
            return Err(CorpusError::Empty);
        }
        if smallest == largest {
            return Err(CorpusError::OneDocument { documents, format_hint: separator(format) });
        }
        // `as` saturates, so a fraction near 1 stays in range.
        let cut = ((valid_fraction * 2f64.powi(64)) as u64).clamp(smallest + 1, largest);
        let learn_up_to = (LEARNT_BYTES as f64 / bytes as f64 * 2f64.powi(64)) as u64;
        Ok(Self { cut, learn_up_to })
    }

    /// Whether the document is held out.
    pub fn is_valid(&self, fingerprint: Fingerprint) -> bool {
        fingerprint.side < self.cut
    }

    /// Whether a tokenizer learns from the document: one of the training side, and of a large corpus a uniform share.
    pub fn is_learnt_from(&self, fingerprint: Fingerprint) -> bool {
        !self.is_valid(fingerprint) && fingerprint.sample <= self.learn_up_to
    }
}

/// What a person can do about a corpus that was read as one document.
fn separator(format: CorpusFormat) -> &'static str {
    match format {
        CorpusFormat::Sentences => "put a blank line between documents",
        CorpusFormat::Eod => "put a line [EOD] after each document",
        CorpusFormat::Jsonl => "add lines: each is a document",
        CorpusFormat::Prose => "put a blank line or a `= heading =` between documents",
        CorpusFormat::Demo => "raise `data.documents`",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    fn corpus(text: &str) -> (tempfile::TempDir, Corpus) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.txt");
        std::fs::write(&path, text).unwrap();
        (folder, Corpus::new(Source::Files(vec![path]), CorpusFormat::Sentences, "text"))
    }

    fn sides(text: &str, valid_fraction: f64) -> Vec<(String, bool)> {
        let (_folder, corpus) = corpus(text);
        let split = Split::survey(&corpus, CorpusFormat::Sentences, valid_fraction).unwrap();
        let side = |d: Document| (d.sentences.join(" "), split.is_valid(Fingerprint::of(&d)));
        corpus.documents().map(|d| side(d.unwrap())).collect()
    }

    #[test]
    fn sides_follow_the_text_alone_and_the_asked_share() {
        let texts: Vec<_> = (0..4_000).map(|i| format!("document {i}\nends here")).collect();
        let forward = sides(&texts.join("\n\n"), 0.1);
        let mut backward = sides(&texts.iter().rev().cloned().collect::<Vec<_>>().join("\n\n"), 0.1);
        backward.reverse();
        assert_eq!(forward, backward);
        let held_out = forward.iter().filter(|(_, valid)| *valid).count() as f64;
        assert!((held_out - 400.0).abs() < 4.0 * (4_000.0 * 0.1 * 0.9f64).sqrt(), "held out {held_out} of 4,000");
    }

    #[test]
    fn no_side_of_a_small_corpus_is_empty_and_copies_never_straddle() {
        for documents in 2..40 {
            let text: Vec<_> = (0..documents).map(|i| format!("document {}", i / 2 * 2)).collect();
            let text = format!("{}\n\nanother", text.join("\n\n"));
            for fraction in [0.001, 0.05, 0.5, 0.999] {
                let mut sides = sides(&text, fraction);
                assert!(sides.iter().any(|s| s.1) && sides.iter().any(|s| !s.1), "{documents} at {fraction}");
                sides.sort();
                assert!(sides.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1));
            }
        }
    }

    #[test]
    fn one_text_cannot_be_split() {
        let error = |text: &str| Split::survey(&corpus(text).1, CorpusFormat::Sentences, 0.1).unwrap_err().to_string();
        let one = "the corpus holds 1 document(s) of one and the same text, and one must be held out: put a blank line \
                   between documents";
        let (_folder, corpus) = corpus("one\ntwo\n");
        assert_eq!(Split::survey(&corpus, CorpusFormat::Sentences, 0.1).unwrap_err().to_string(), one);
        assert!(error("").contains("cannot read") || error("").contains("no text"));
    }
}
