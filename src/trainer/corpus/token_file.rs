//! Token files: a corpus side as token ids, memory-mapped, with the bounds of its sentences and documents.
//!
//! ```text
//! header, 64 bytes: magic, version, bytes per token, counts, checksum of the rest, checksum of the header
//! tokens            u16 or u32 each, padded to a multiple of 8 bytes
//! sentence bounds   u64 token offsets, one more than sentences
//! document bounds   u64 sentence offsets, one more than documents
//! ```
//!
//! Numbers are in the machine's own byte order: the files are a cache, and one of another order reads as another version.
//! A file is written as a stream, checked whole when it is opened, and becomes visible by rename once it is on disk.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use tempfile::NamedTempFile;

use crate::durable;

/// A tokenized corpus: documents of sentences of token ids.
pub trait TokenDocuments: Sync {
    /// Documents in the corpus.
    fn documents(&self) -> usize;
    /// The sentences of `document`, numbered through the whole corpus.
    fn sentences(&self, document: usize) -> Range<usize>;
    /// Tokens in sentence `sentence`.
    fn sentence_len(&self, sentence: usize) -> usize;
    /// Appends the tokens of sentence `sentence` to `out`.
    fn read_sentence(&self, sentence: usize, out: &mut Vec<u32>);
}

impl TokenDocuments for TokenFile {
    fn documents(&self) -> usize {
        self.documents()
    }

    fn sentences(&self, document: usize) -> Range<usize> {
        self.sentences(document)
    }

    fn sentence_len(&self, sentence: usize) -> usize {
        self.sentence_bounds(sentence).len()
    }

    fn read_sentence(&self, sentence: usize, out: &mut Vec<u32>) {
        self.sentence(sentence).append_to(out);
    }
}

const MAGIC: [u8; 8] = *b"ABLATTOK";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = size_of::<Header>();

/// A token file that cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    #[error("cannot use the token file {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the token file {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: &'static str },
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    version: u32,
    token_bytes: u32,
    tokens: u64,
    sentences: u64,
    documents: u64,
    /// How many of the tokens are unknown words.
    unknown: u64,
    _reserved: u64,
    body_checksum: u32,
    /// Of the header's bytes before this one.
    checksum: u32,
}

impl Header {
    fn own_checksum(&self) -> u32 {
        crc32fast::hash(&bytemuck::bytes_of(self)[..HEADER_BYTES - 4])
    }

    fn padded_token_bytes(&self) -> u64 {
        (self.tokens * u64::from(self.token_bytes)).next_multiple_of(8)
    }

    fn body_bytes(&self) -> u64 {
        self.padded_token_bytes() + 8 * (self.sentences + 1) + 8 * (self.documents + 1)
    }
}

/// One side of a corpus as token ids.
pub struct TokenFile {
    map: Mmap,
    header: Header,
}

impl TokenFile {
    /// Opens a token file and checks all of it.
    ///
    /// # Errors
    /// When it is not there, or not exactly what was written: then it is to be built anew.
    pub fn open(path: &Path) -> Result<Self, TokenFileError> {
        let io = |source| TokenFileError::Io { path: path.to_owned(), source };
        let damaged = |reason| TokenFileError::Damaged { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(io)?;
        let mut header = Header::zeroed();
        if file.metadata().map_err(io)?.len() < HEADER_BYTES as u64 {
            return Err(damaged("it ends within its header"));
        }
        file.read_exact(bytemuck::bytes_of_mut(&mut header)).map_err(io)?;
        check_header(&header, file.metadata().map_err(io)?.len()).map_err(damaged)?;
        if checksum_of(&mut file).map_err(io)? != header.body_checksum {
            return Err(damaged("its content does not match its checksum"));
        }
        // SAFETY: the file is never written again once it has its name, only replaced by rename, which leaves this map alone.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        Ok(Self { map, header })
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.header.documents as usize
    }

    /// The sentences of a document.
    pub fn sentences(&self, document: usize) -> Range<usize> {
        let bounds = self.bounds(self.header.padded_token_bytes() + 8 * (self.header.sentences + 1));
        bounds[document] as usize..bounds[document + 1] as usize
    }

    /// How many sentences there are in all documents.
    pub fn total_sentences(&self) -> usize {
        self.header.sentences as usize
    }

    /// The tokens of a sentence, at least one.
    pub fn sentence(&self, sentence: usize) -> Tokens<'_> {
        self.tokens().slice(self.sentence_bounds(sentence))
    }

    /// Where the tokens of a sentence lie among all [`tokens`](Self::tokens).
    pub fn sentence_bounds(&self, sentence: usize) -> Range<usize> {
        let bounds = self.bounds(self.header.padded_token_bytes());
        bounds[sentence] as usize..bounds[sentence + 1] as usize
    }

    /// All tokens, sentence after sentence.
    pub fn tokens(&self) -> Tokens<'_> {
        let bytes = &self.map[HEADER_BYTES..][..(self.header.tokens * u64::from(self.header.token_bytes)) as usize];
        match self.header.token_bytes {
            2 => Tokens::U16(bytemuck::cast_slice(bytes)),
            _ => Tokens::U32(bytemuck::cast_slice(bytes)),
        }
    }

    /// How many tokens there are.
    pub fn total_tokens(&self) -> u64 {
        self.header.tokens
    }

    /// How many of the tokens are unknown words.
    pub fn unknown_tokens(&self) -> u64 {
        self.header.unknown
    }

    /// The bounds that begin at `offset` of the body and run to some place after the last one that is asked for.
    fn bounds(&self, offset: u64) -> &[u64] {
        bytemuck::cast_slice(&self.map[HEADER_BYTES + offset as usize..])
    }
}

fn check_header(header: &Header, file_bytes: u64) -> Result<(), &'static str> {
    if header.magic != MAGIC {
        return Err("it does not begin like a token file");
    }
    if header.version != VERSION {
        return Err("it is of another version");
    }
    if header.own_checksum() != header.checksum || ![2, 4].contains(&header.token_bytes) {
        return Err("its header does not match its checksum");
    }
    if file_bytes != HEADER_BYTES as u64 + header.body_bytes() {
        return Err("its length is not what its header says");
    }
    Ok(())
}

/// The checksum of the rest of a file, read through a buffer: pages of a map would count as resident memory.
fn checksum_of(file: &mut File) -> io::Result<u32> {
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Some token ids, in as few bytes as the vocabulary allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens<'a> {
    U16(&'a [u16]),
    U32(&'a [u32]),
}

impl<'a> Tokens<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        match self {
            Self::U16(ids) => ids.len(),
            Self::U32(ids) => ids.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The id at `index`.
    pub fn get(self, index: usize) -> u32 {
        match self {
            Self::U16(ids) => u32::from(ids[index]),
            Self::U32(ids) => ids[index],
        }
    }

    /// The ids in `range`.
    pub fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::U16(ids) => Self::U16(&ids[range]),
            Self::U32(ids) => Self::U32(&ids[range]),
        }
    }

    /// The ids in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + 'a {
        (0..self.len()).map(move |index| self.get(index))
    }

    /// Appends the ids to `target`.
    pub fn append_to(self, target: &mut Vec<u32>) {
        match self {
            Self::U16(ids) => target.extend(ids.iter().map(|&id| u32::from(id))),
            Self::U32(ids) => target.extend_from_slice(ids),
        }
    }
}

/// The unigram floor in nats: the entropy of held-out tokens under their own frequencies, `-sum p(v) ln p(v)` with
/// `p(v)` the share of token `v` among all tokens of `valid`.
///
/// No predictor that ignores context can have a lower loss on these tokens, not even one that knew their frequencies.
/// Beside it stands the standard deviation of `-ln p(v)` over the tokens: a mean over n of them is off by some `sd / sqrt(n)`.
pub fn unigram_entropy(valid: &TokenFile) -> (f64, f64) {
    let mut counts = Vec::new();
    for id in valid.tokens().iter() {
        let id = id as usize;
        if id >= counts.len() {
            counts.resize(id + 1, 0u64);
        }
        counts[id] += 1;
    }
    let total = valid.total_tokens() as f64;
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
    let entropy = -shares.clone().map(|p| p * p.ln()).sum::<f64>();
    let variance = shares.map(|p| p * (p.ln() + entropy).powi(2)).sum::<f64>();
    (entropy, variance.sqrt())
}

/// Writes a token file as a stream: memory does not grow with it.
pub(super) struct TokenFileWriter {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    checksum: crc32fast::Hasher,
    sentence_bounds: BufWriter<File>,
    document_bounds: BufWriter<File>,
    header: Header,
}

impl TokenFileWriter {
    /// Starts the file that will be at `path`, for ids below `vocab_size`.
    pub(super) fn create(path: &Path, vocab_size: usize) -> Result<Self, TokenFileError> {
        let io = |source| TokenFileError::Io { path: path.to_owned(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        let temporary = || tempfile::tempfile_in(folder).map(BufWriter::new);
        let token_bytes = if vocab_size <= 1 << 16 { 2 } else { 4 };
        let header = Header { magic: MAGIC, version: VERSION, token_bytes, ..Header::zeroed() };
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(1 << 18, durable::new_file(folder).map_err(io)?),
            checksum: crc32fast::Hasher::new(),
            sentence_bounds: temporary().map_err(io)?,
            document_bounds: temporary().map_err(io)?,
            header,
        };
        writer.start().map_err(io)?;
        Ok(writer)
    }

    fn start(&mut self) -> io::Result<()> {
        self.file.write_all(&[0; HEADER_BYTES])?;
        self.sentence_bounds.write_all(&0u64.to_ne_bytes())?;
        self.document_bounds.write_all(&0u64.to_ne_bytes())
    }

    /// Adds a document of encoded sentences. Sentences without tokens, and documents without sentences, are left out.
    pub(super) fn push(&mut self, sentences: &[Vec<u32>], unknown_id: u32) -> Result<(), TokenFileError> {
        let path = self.path.clone();
        self.try_push(sentences, unknown_id).map_err(|source| TokenFileError::Io { path, source })
    }

    fn try_push(&mut self, sentences: &[Vec<u32>], unknown_id: u32) -> io::Result<()> {
        let before = self.header.sentences;
        for sentence in sentences.iter().filter(|sentence| !sentence.is_empty()) {
            match self.header.token_bytes {
                2 => {
                    let narrow: Vec<u16> = sentence.iter().map(|&id| id as u16).collect();
                    self.write_body(bytemuck::cast_slice(&narrow))?;
                }
                _ => self.write_body(bytemuck::cast_slice(sentence))?,
            }
            self.header.tokens += sentence.len() as u64;
            self.header.sentences += 1;
            self.header.unknown += sentence.iter().filter(|&&id| id == unknown_id).count() as u64;
            self.sentence_bounds.write_all(&self.header.tokens.to_ne_bytes())?;
        }
        if self.header.sentences > before {
            self.header.documents += 1;
            self.document_bounds.write_all(&self.header.sentences.to_ne_bytes())?;
        }
        Ok(())
    }

    fn write_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum.update(bytes);
        self.file.write_all(bytes)
    }

    /// Completes the file, makes it visible at its path and opens it.
    pub(super) fn finish(mut self) -> Result<TokenFile, TokenFileError> {
        let path = self.path.clone();
        let io = |source| TokenFileError::Io { path: path.clone(), source };
        self.complete().map_err(io)?;
        let file = self.file.into_inner().map_err(|e| io(e.into_error()))?;
        durable::publish(file, &path).map_err(io)?;
        TokenFile::open(&path)
    }

    fn complete(&mut self) -> io::Result<()> {
        let written = self.header.tokens * u64::from(self.header.token_bytes);
        let padding = self.header.padded_token_bytes() - written;
        self.write_body(&[0; 8][..padding as usize])?;
        for bounds in [&mut self.sentence_bounds, &mut self.document_bounds] {
            bounds.flush()?;
            let source = bounds.get_mut();
            source.rewind()?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let read = source.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                self.checksum.update(&buffer[..read]);
                self.file.write_all(&buffer[..read])?;
            }
        }
        self.header.body_checksum = self.checksum.clone().finalize();
        self.header.checksum = self.header.own_checksum();
        self.file.rewind()?;
        self.file.write_all(bytemuck::bytes_of(&self.header))?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::fs;

    use super::*;

    const UNKNOWN: u32 = 1;

    fn write(path: &Path, vocab_size: usize, documents: &[Vec<Vec<u32>>]) -> TokenFile {
        let mut writer = TokenFileWriter::create(path, vocab_size).unwrap();
        documents.iter().for_each(|document| writer.push(document, UNKNOWN).unwrap());
        writer.finish().unwrap()
    }

    fn read(file: &TokenFile) -> Vec<Vec<Vec<u32>>> {
        let sentence = |i| file.sentence(i).iter().collect();
        (0..file.documents()).map(|d| file.sentences(d).map(sentence).collect()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn what_is_written_is_read(
            mut documents in prop::collection::vec(prop::collection::vec(prop::collection::vec(0u32..70_000, 0..5), 0..4), 0..6),
            is_wide in any::<bool>(),
        ) {
            let vocab_size = if is_wide { 70_000 } else { 65_536 };
            documents.iter_mut().flatten().flatten().for_each(|id| *id %= vocab_size as u32);
            let folder = tempfile::tempdir().unwrap();
            let file = write(&folder.path().join("t.tok"), vocab_size, &documents);
            documents.iter_mut().for_each(|document| document.retain(|sentence| !sentence.is_empty()));
            documents.retain(|document| !document.is_empty());
            prop_assert_eq!(read(&file), documents.clone());
            let all: Vec<u32> = documents.concat().concat();
            prop_assert_eq!(file.total_tokens(), all.len() as u64);
            prop_assert_eq!(file.unknown_tokens(), all.iter().filter(|&&id| id == UNKNOWN).count() as u64);
            let mut appended = Vec::new();
            file.tokens().append_to(&mut appended);
            prop_assert_eq!(appended, all);
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.tok");
        write(&path, 100, &[vec![vec![5, 6, 7], vec![8]], vec![vec![1, 9]]]);
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(TokenFile::open(&path), Err(TokenFileError::Damaged { .. })), "cut to {length}");
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            assert!(TokenFile::open(&path).is_err(), "bit {bit} flipped");
        }
    }

    #[test]
    fn the_bytes_of_a_file_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.tok");
        write(&path, 100, &[vec![vec![5, 6], vec![1]]]);
        let words: Vec<_> = fs::read(&path)
            .unwrap()
            .chunks(8)
            .map(|w| w.iter().map(|b| format!("{b:02x}")).collect::<String>())
            .collect();
        insta::assert_snapshot!(words.join("\n"), @"
        41424c4154544f4b
        0100000002000000
        0300000000000000
        0200000000000000
        0100000000000000
        0100000000000000
        0000000000000000
        3028eceae065eda6
        0500060001000000
        0000000000000000
        0200000000000000
        0300000000000000
        0000000000000000
        0200000000000000
        ");
    }

    #[test]
    fn the_unigram_entropy_is_that_of_the_formula() {
        let folder = tempfile::tempdir().unwrap();
        let entropy =
            |sentence: Vec<u32>| unigram_entropy(&write(&folder.path().join("t.tok"), 100, &[vec![sentence]]));
        let check = |sentence: Vec<u32>, mean: f64| {
            let surprise = |id: &u32| {
                let share = sentence.iter().filter(|other| *other == id).count() as f64 / sentence.len() as f64;
                (share.ln() + mean).powi(2)
            };
            let spread = (sentence.iter().map(surprise).sum::<f64>() / sentence.len() as f64).sqrt();
            let found = entropy(sentence.clone());
            assert!((found.0 - mean).abs() < 1e-12 && (found.1 - spread).abs() < 1e-7, "{found:?}");
        };
        check((0..64).collect(), 64f64.ln());
        check(vec![7, 7, 7, 9], 0.75 * (4f64 / 3.0).ln() + 0.25 * 4f64.ln());
        check(vec![7, 7], 0.0);
    }
}
