//! Instances: sentences of the corpus cut and joined into the sequences that the model reads.
//!
//! An epoch's instances are a fixed list of spans of whole sentences; what is random in an instance (where a pair is cut,
//! which document a negative comes from) is a function of (seed, epoch, span). Nothing is stored but the spans, any
//! instance of any epoch is made in O(1), and a resumed run continues where it stopped.
//!
//! - A pair is `[CLS] A [SEP] B [SEP]` with segment ids 0 and 1, cut from a span of at least two sentences (Devlin et al.
//!   2019; google-research/bert `create_pretraining_data.py`). A negative's B is as long as the true B would be, from
//!   another document, so that length alone gives nothing away.
//! - Without pairs, full sentences are packed to length, or all text is laid end to end and cut to length ([`Packing`]):
//!   across documents with a `[SEP]` between, all in segment 0.

use std::ops::Range;

use crate::plan::{Nsp, Packing};
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::rng::{Draws, Purpose, Stream};
use crate::trainer::tokenizer::SpecialIds;
use crate::types::Seed;

/// One sequence, before masking.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Instance {
    pub tokens: Vec<u32>,
    /// 0 up to the first `[SEP]` of a pair, 1 after it.
    pub segments: Vec<u8>,
    /// Whether B follows A; `None` for a packed sequence.
    pub is_next: Option<bool>,
    /// The document that the B of a random negative comes from.
    pub negative_document: Option<u32>,
}

/// How spans become instances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceSpec {
    pub nsp: Nsp,
    /// Without pairs.
    pub packing: Packing,
    pub negative_prob: f64,
    /// Negatives come from the first so many documents only; absent: from all.
    pub negative_documents: Option<usize>,
    pub short_seq_prob: f64,
    /// Tokens a sequence, specials included.
    pub seq_len: usize,
    pub seed: Seed,
}

/// All instances of a corpus, by (epoch, index).
pub struct Instances<'a, D: ?Sized> {
    corpus: &'a D,
    specials: SpecialIds,
    spec: InstanceSpec,
    /// Sentences of each span, the document they begin in, and where in the first of them.
    spans: Vec<Span>,
    /// Documents too short for a pair, left out.
    skipped_documents: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    document: u32,
    start: u32,
    end: u32,
    /// Tokens of the first sentence that belong to the span before.
    skip: u32,
}

impl<'a, D: TokenDocuments + ?Sized> Instances<'a, D> {
    /// Cuts the corpus into spans; one pass over the sentence lengths.
    pub fn new(corpus: &'a D, specials: SpecialIds, spec: InstanceSpec) -> Self {
        let mut instances = Self { corpus, specials, spec, spans: Vec::new(), skipped_documents: 0 };
        match spec.nsp {
            Nsp::Off => match spec.packing {
                Packing::FullSentences => instances.pack(),
                Packing::Concatenated => instances.concatenate(),
            },
            Nsp::Random | Nsp::Swap => instances.cut_pairs(),
        }
        instances
    }

    /// Instances an epoch.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the corpus gives no instance at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Documents of the corpus.
    pub fn documents(&self) -> usize {
        self.corpus.documents()
    }

    /// Documents of a single sentence, which give no pair and are left out.
    pub fn skipped_documents(&self) -> usize {
        self.skipped_documents
    }

    /// Instance `index` (below [`len`](Self::len), in corpus order) of epoch `epoch`.
    pub fn instance(&self, epoch: u64, index: usize) -> Instance {
        let span = self.spans[index];
        match self.spec.nsp {
            Nsp::Off => self.packed(span),
            Nsp::Random | Nsp::Swap => self.pair(span, epoch, index),
        }
    }

    /// Spans for pairs: sentences of one document until the sequence is full, and at least two. What is left at a
    /// document's end makes a shorter pair; a single sentence left over joins the span before it.
    fn cut_pairs(&mut self) {
        let room = self.spec.seq_len - 3;
        for document in 0..self.corpus.documents() {
            let sentences = self.corpus.sentences(document);
            if sentences.len() < 2 {
                self.skipped_documents += 1;
                continue;
            }
            let first_span = self.spans.len();
            let (mut start, mut tokens) = (sentences.start, 0);
            for sentence in sentences.clone() {
                tokens += self.corpus.sentence_len(sentence);
                if tokens >= room && sentence > start {
                    self.push_span(document, start, sentence + 1);
                    (start, tokens) = (sentence + 1, 0);
                }
            }
            match sentences.end - start {
                0 => {}
                1 if self.spans.len() > first_span => {
                    self.spans.last_mut().expect("invariant: a span of this document exists").end += 1;
                }
                _ => self.push_span(document, start, sentences.end),
            }
        }
    }

    /// Spans for packed sequences: whole sentences until the next one would not fit.
    fn pack(&mut self) {
        let room = self.spec.seq_len - 2;
        let (mut start, mut start_document, mut tokens) = (0, 0, 0);
        for document in 0..self.corpus.documents() {
            let sentences = self.corpus.sentences(document);
            for sentence in sentences.clone() {
                let separator = usize::from(sentence == sentences.start && tokens > 0);
                let length = self.corpus.sentence_len(sentence);
                if tokens > 0 && tokens + separator + length > room {
                    self.push_span(start_document, start, sentence);
                    tokens = 0;
                }
                if tokens == 0 {
                    (start, start_document) = (sentence, document);
                    tokens = length;
                } else {
                    tokens += separator + length;
                }
            }
        }
        if tokens > 0 {
            let end = self.corpus.sentences(self.corpus.documents() - 1).end;
            self.push_span(start_document, start, end);
        }
    }

    /// Spans for all text end to end: each full, whatever sentence that cuts, but the last.
    fn concatenate(&mut self) {
        let room = self.spec.seq_len - 2;
        let (mut from, mut tokens) = ((0, 0, 0), 0);
        for document in 0..self.corpus.documents() {
            let sentences = self.corpus.sentences(document);
            for sentence in sentences.clone() {
                // The separator of a sequence that it fills is the one that ends every sequence.
                tokens += usize::from(sentence == sentences.start && tokens > 0);
                if tokens == room {
                    self.push_part(from, sentence);
                    tokens = 0;
                }
                let (length, mut read) = (self.corpus.sentence_len(sentence), 0);
                while read < length {
                    if tokens == 0 {
                        from = (document, sentence, read);
                    }
                    let fits = (room - tokens).min(length - read);
                    (tokens, read) = (tokens + fits, read + fits);
                    if tokens == room {
                        self.push_part(from, sentence + 1);
                        tokens = 0;
                    }
                }
            }
        }
        if tokens > 0 {
            self.push_part(from, self.corpus.sentences(self.corpus.documents() - 1).end);
        }
    }

    fn push_span(&mut self, document: usize, start: usize, end: usize) {
        self.push_part((document, start, 0), end);
    }

    /// A span from within a sentence: its document, itself, and its tokens that are left out.
    fn push_part(&mut self, (document, start, skip): (usize, usize, usize), end: usize) {
        let narrow = |n: usize| u32::try_from(n).expect("invariant: fewer than 2^32 sentences in a corpus");
        self.spans.push(Span {
            document: narrow(document),
            start: narrow(start),
            end: narrow(end),
            skip: narrow(skip),
        });
    }

    /// `[CLS] sentences [SEP] sentences of the next document ... [SEP]`; what does not fit is left out.
    fn packed(&self, span: Span) -> Instance {
        let mut tokens = vec![self.specials.cls];
        let mut document = span.document as usize;
        let mut document_end = self.corpus.sentences(document).end;
        for sentence in span.start as usize..span.end as usize {
            while sentence >= document_end {
                document += 1;
                document_end = self.corpus.sentences(document).end;
                if tokens.last() != Some(&self.specials.sep) {
                    tokens.push(self.specials.sep);
                }
            }
            self.corpus.read_sentence(sentence, &mut tokens);
            if sentence == span.start as usize {
                tokens.drain(1..1 + span.skip as usize);
            }
        }
        tokens.truncate(self.spec.seq_len - 1);
        tokens.push(self.specials.sep);
        Instance { segments: vec![0; tokens.len()], tokens, ..Instance::default() }
    }

    fn pair(&self, span: Span, epoch: u64, index: usize) -> Instance {
        let mut draws = Stream::new(self.spec.seed, Purpose::Pair, epoch, index as u64).draws();
        // Every draw is made whatever the settings, so that the same instance is cut alike in every cell of a sweep.
        let cut = span.start + 1 + draws.below(span.end - span.start - 1);
        let is_next = draws.unit() >= self.spec.negative_prob;
        let room = self.spec.seq_len - 3;
        let short = draws.unit() < self.spec.short_seq_prob;
        let short_room = 2 + draws.below(room as u32 - 1) as usize;
        let room = if short { short_room } else { room };

        let (mut a, mut b, mut source) = (Vec::new(), Vec::new(), None);
        (span.start..cut).for_each(|sentence| self.corpus.read_sentence(sentence as usize, &mut a));
        (cut..span.end).for_each(|sentence| self.corpus.read_sentence(sentence as usize, &mut b));
        match (is_next, self.spec.nsp) {
            (false, Nsp::Swap) => std::mem::swap(&mut a, &mut b),
            (false, _) => {
                let fills = a.len() + b.len() >= self.spec.seq_len - 3;
                let (document, sentences) =
                    self.another_documents_sentences(span.document as usize, b.len(), fills, &mut draws);
                (b, source) = (sentences, Some(document));
            }
            (true, _) => {}
        }
        truncate_pair(&mut a, &mut b, room, &mut draws);
        Instance { negative_document: source, ..self.join(&a, &b, is_next) }
    }

    /// Sentences of another document in place of a true B of `length` tokens.
    ///
    /// Nothing but the text should tell them apart. A pair that fills the sequence is cut inside a sentence anyway, so its
    /// negative is cut to the very length of the true B; a shorter pair ends with a sentence, so its negative is
    /// whole sentences too. A document's first sentence is not taken, because a true B never has one. Documents
    /// that hold too little are drawn again, as in BERT's script, up to ten times.
    fn another_documents_sentences(
        &self,
        this: usize,
        length: usize,
        fills: bool,
        draws: &mut Draws,
    ) -> (u32, Vec<u32>) {
        const TRIES: usize = 10;
        let documents = self.spec.negative_documents.unwrap_or(usize::MAX).min(self.corpus.documents());
        // Of the documents that may be drawn, this one is left out, unless it is the only one.
        let leaves_out = this < documents && documents > 1;
        let others = u32::try_from(documents - usize::from(leaves_out)).expect("invariant: fewer than 2^32 documents");
        let (mut document, mut tokens) = (0, Vec::new());
        for _ in 0..TRIES {
            let other = draws.below(others) as usize;
            document = if leaves_out && other >= this { other + 1 } else { other };
            let mut sentences = self.corpus.sentences(document);
            sentences.start += usize::from(sentences.len() > 1);
            let middle = sentences.start + draws.below(sentences.len().max(1) as u32) as usize;
            tokens = self.about(sentences, middle, length);
            if tokens.len() >= length {
                break;
            }
        }
        if fills {
            tokens.truncate(length);
        }
        (document as u32, tokens)
    }

    /// Whole sentences from `middle` on, and where the document ends too soon also those before it, until they hold
    /// `length` tokens.
    fn about(&self, sentences: Range<usize>, middle: usize, length: usize) -> Vec<u32> {
        let (mut start, mut end, mut total) = (middle, middle, 0);
        while total < length && end < sentences.end {
            total += self.corpus.sentence_len(end);
            end += 1;
        }
        while total < length && start > sentences.start {
            start -= 1;
            total += self.corpus.sentence_len(start);
        }
        let mut tokens = Vec::with_capacity(total);
        (start..end).for_each(|sentence| self.corpus.read_sentence(sentence, &mut tokens));
        tokens
    }

    fn join(&self, a: &[u32], b: &[u32], is_next: bool) -> Instance {
        let mut tokens = Vec::with_capacity(a.len() + b.len() + 3);
        tokens.push(self.specials.cls);
        tokens.extend_from_slice(a);
        tokens.push(self.specials.sep);
        let mut segments = vec![0; tokens.len()];
        tokens.extend_from_slice(b);
        tokens.push(self.specials.sep);
        segments.resize(tokens.len(), 1);
        Instance { tokens, segments, is_next: Some(is_next), negative_document: None }
    }
}

/// BERT's rule: while the pair is too long, the longer side loses a token, at its front or its back with equal odds.
fn truncate_pair(a: &mut Vec<u32>, b: &mut Vec<u32>, room: usize, draws: &mut Draws) {
    let (mut fronts, mut lengths) = ([0, 0], [a.len(), b.len()]);
    while lengths[0] + lengths[1] > room {
        let longer = usize::from(lengths[1] >= lengths[0]);
        lengths[longer] -= 1;
        fronts[longer] += (draws.bits() & 1) as usize;
    }
    for ((side, front), length) in [a, b].into_iter().zip(fronts).zip(lengths) {
        side.drain(..front);
        side.truncate(length);
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A corpus in memory: documents of sentences.
    pub struct Toy(pub Vec<Vec<Vec<u32>>>);

    impl Toy {
        /// `documents` documents of 1-12 sentences of 1-40 tokens, each token telling its document.
        pub fn random(documents: u32, seed: u64) -> Self {
            let mut draws = Stream::new(Seed(seed), Purpose::Shuffle, 99, 0).draws();
            let mut sentence = |document: u32| (0..1 + draws.below(40)).map(|_| 5 + document).collect();
            let sizes: Vec<u32> = (0..documents).map(|d| 1 + (d * 7 + seed as u32) % 12).collect();
            Self((0..documents).map(|d| (0..sizes[d as usize]).map(|_| sentence(d)).collect()).collect())
        }

        fn at(&self, sentence: usize) -> &Vec<u32> {
            self.0.iter().flatten().nth(sentence).expect("a sentence of the corpus")
        }
    }

    impl TokenDocuments for Toy {
        fn documents(&self) -> usize {
            self.0.len()
        }

        fn sentences(&self, document: usize) -> Range<usize> {
            let start = self.0[..document].iter().map(Vec::len).sum();
            start..start + self.0[document].len()
        }

        fn sentence_len(&self, sentence: usize) -> usize {
            self.at(sentence).len()
        }

        fn read_sentence(&self, sentence: usize, out: &mut Vec<u32>) {
            out.extend_from_slice(self.at(sentence));
        }
    }

    pub const SPECIALS: SpecialIds = SpecialIds { pad: 0, cls: 2, sep: 3, mask: 4, first_ordinary: 5 };

    fn spec(nsp: Nsp, seq_len: usize) -> InstanceSpec {
        InstanceSpec {
            nsp,
            packing: Packing::FullSentences,
            negative_prob: 0.5,
            negative_documents: None,
            short_seq_prob: 0.1,
            seq_len,
            seed: Seed(3),
        }
    }

    fn sides(instance: &Instance) -> (Vec<u32>, Vec<u32>) {
        let pick = |segment| {
            let tokens = instance.tokens.iter().zip(&instance.segments);
            tokens.filter(|&(&t, &s)| s == segment && t >= 5).map(|(&t, _)| t).collect()
        };
        (pick(0), pick(1))
    }

    #[test]
    fn pairs_have_berts_shape_and_negatives_come_another_documents_sentences() {
        let corpus = Toy::random(200, 1);
        let instances = Instances::new(&corpus, SPECIALS, spec(Nsp::Random, 64));
        let mut positives = 0;
        for epoch in 0..3 {
            for index in 0..instances.len() {
                let instance = instances.instance(epoch, index);
                assert!(instance.tokens.len() <= 64);
                assert_eq!(instance.tokens.len(), instance.segments.len());
                assert_eq!(instance.tokens[0], SPECIALS.cls);
                assert_eq!(instance.tokens.last(), Some(&SPECIALS.sep));
                assert_eq!(instance.tokens.iter().filter(|&&t| t < 5).count(), 3);
                let (a, b) = sides(&instance);
                assert!(!a.is_empty() && !b.is_empty());
                let same = a[0] == b[0];
                assert_eq!(instance.is_next, Some(same));
                positives += u32::from(same);
            }
        }
        let n = 3.0 * instances.len() as f64;
        assert!((f64::from(positives) - n / 2.0).abs() < 4.0 * (n / 4.0).sqrt(), "{positives} positives of {n}");
        assert_eq!(instances.skipped_documents(), corpus.0.iter().filter(|d| d.len() < 2).count());
    }

    /// Chuck2Win/BERT draws negatives from the first 33 documents.
    #[test]
    fn negatives_can_be_held_to_the_first_documents() {
        let corpus = Toy::random(200, 1);
        let sources = |negative_documents| {
            let spec = InstanceSpec { negative_documents, ..spec(Nsp::Random, 64) };
            let instances = Instances::new(&corpus, SPECIALS, spec);
            let source = |i| instances.instance(0, i).negative_document;
            (0..instances.len()).filter_map(source).collect::<BTreeSet<_>>()
        };
        assert!(sources(Some(33)).iter().all(|&document| document < 33));
        assert!(sources(Some(33)).len() > 20 && sources(None).len() > 60);
        assert_eq!(sources(Some(1)), BTreeSet::from([0]));
        assert_eq!(sources(Some(1000)), sources(None));
    }

    #[test]
    fn swapped_pairs_hold_the_same_text_in_the_other_order() {
        let corpus = Toy(vec![vec![vec![10; 5], vec![20; 5]], vec![vec![10; 4], vec![20; 4]]]);
        let instances = Instances::new(&corpus, SPECIALS, InstanceSpec { short_seq_prob: 0.0, ..spec(Nsp::Swap, 64) });
        for epoch in 0..50 {
            let instance = instances.instance(epoch, 0);
            let (a, b) = sides(&instance);
            let expected =
                if instance.is_next == Some(true) { (vec![10; 5], vec![20; 5]) } else { (vec![20; 5], vec![10; 5]) };
            assert_eq!((a, b), expected);
        }
    }

    /// Packing loses no token of a sentence that fits, keeps their order, and never splits one.
    #[test]
    fn packed_sequences_hold_the_corpus_once_in_order() {
        for seed in 0..20 {
            let corpus = Toy::random(40, seed);
            let instances = Instances::new(&corpus, SPECIALS, spec(Nsp::Off, 64));
            let mut packed = Vec::new();
            for index in 0..instances.len() {
                let instance = instances.instance(0, index);
                assert!(instance.tokens.len() <= 64 && instance.segments.iter().all(|&s| s == 0));
                assert!(instance.tokens.windows(2).all(|w| w != [SPECIALS.sep, SPECIALS.sep]));
                packed.extend(instance.tokens.into_iter().filter(|&t| t >= 5));
            }
            let whole: Vec<u32> = corpus.0.iter().flatten().flatten().copied().collect();
            assert_eq!(packed, whole);
        }
    }

    /// End to end nothing is lost, however short the sequences: every one is full, but the last and those whose place for one
    /// more token is that of a separator, and what is between two separators is a document.
    #[test]
    fn concatenated_sequences_hold_every_token_once_in_order() {
        for seed in 0..20 {
            let corpus = Toy::random(40, seed);
            let spec = InstanceSpec { packing: Packing::Concatenated, ..spec(Nsp::Off, 8 + 3 * seed as usize) };
            let instances = Instances::new(&corpus, SPECIALS, spec);
            let sequences: Vec<_> = (0..instances.len()).map(|index| instances.instance(0, index).tokens).collect();
            let whole: Vec<u32> = corpus.0.iter().flatten().flatten().copied().collect();
            let read: Vec<u32> = sequences.iter().flatten().copied().filter(|&t| t >= 5).collect();
            assert_eq!(read, whole);
            let ends = |tokens: &[u32]| tokens.first() == Some(&SPECIALS.cls) && tokens.last() == Some(&SPECIALS.sep);
            assert!(sequences.iter().all(|tokens| ends(tokens) && tokens.len() <= spec.seq_len));
            assert!(sequences.iter().flat_map(|tokens| tokens.windows(2)).all(|two| two != [SPECIALS.sep; 2]));
            // A token of the toy tells its document: it changes at separators and between sequences alone.
            let inner = sequences.iter().flat_map(|tokens| tokens[1..].windows(2));
            assert!(inner.into_iter().all(|two| two[0] == two[1] || two.contains(&SPECIALS.sep)));
            let short = |two: &[Vec<u32>]| {
                let filled_by_separator = two[0].len() + 1 == spec.seq_len && two[0][1..].first() != two[1].get(1);
                two[0].len() < spec.seq_len && !filled_by_separator
            };
            assert!(!sequences.windows(2).any(short), "seq_len {}", spec.seq_len);
        }
    }

    #[test]
    fn a_sentence_longer_than_the_sequence_is_cut() {
        let corpus = Toy(vec![vec![vec![7; 100]], vec![vec![8; 100], vec![9; 2]]]);
        let packed = Instances::new(&corpus, SPECIALS, spec(Nsp::Off, 16));
        assert!((0..packed.len()).all(|i| packed.instance(0, i).tokens.len() <= 16));
        let pairs = Instances::new(&corpus, SPECIALS, spec(Nsp::Random, 16));
        assert!((0..50).all(|epoch| pairs.instance(epoch, 0).tokens.len() <= 16));
    }
}
