//! Words to morphemes, by a dictionary: `학교에서` to `학교` and `에서`, before a tokenizer sees them.
//!
//! The analysis is lindera's (Viterbi over a MeCab dictionary, such as mecab-ko-dic) of each word between white space on its
//! own, not of the sentence: so a word is always cut alike, and a tokenizer stays a function of the word. It is a feature of the
//! package, `mecab`: a program without it refuses every dictionary, when the experiment is planned.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use self::analysis::Segmenter;
use crate::types::{ContentHash, ContentHasher};

/// What stands between the morphemes of a word: a sign that no text has. Whoever uses the `tokenizer.json` elsewhere
/// writes it between the morphemes.
pub const SEPARATOR: &str = "\u{241f}";

/// The name of the dictionary that a program may have within it.
pub const BUILT_IN: &str = "ko-dic";

/// The version of the analysis, as part of the identity of the built-in dictionary, which has no file to be hashed.
const BUILT_IN_VERSION: &str = "lindera 6.2 embedded ko-dic";

/// The file that every dictionary has.
const METADATA: &str = "metadata.json";

/// A dictionary that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    #[error(
        "`tokenizer.dictionary` is `{reference}`, and this program was built without the analysis of words into morphemes: \
         build it with `cargo build --release --features mecab`"
    )]
    NoAnalysis { reference: String },
    #[error(
        "`tokenizer.dictionary` is `{BUILT_IN}`, and this program was built without it: build it with `cargo build --release \
         --features {BUILT_IN}`, which downloads the dictionary, or with `--features mecab`, and name a folder that holds one"
    )]
    NotBuiltIn,
    #[error("`tokenizer.dictionary` {reference}: there is no such folder (looked at {looked})")]
    Missing { reference: String, looked: String },
    #[error("cannot read the dictionary {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: no dictionary in lindera's format: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
    #[error(
        "the dictionary {reference} is not what was planned with: its hash is {found}, and was {expected}; put it back"
    )]
    Changed { reference: String, expected: ContentHash, found: ContentHash },
}

/// Where a dictionary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dictionary {
    BuiltIn,
    Folder(PathBuf),
}

impl Dictionary {
    /// The dictionary of this name: the built-in one, or a folder that is looked up in each of `beside` in turn.
    ///
    /// # Errors
    /// When it is nowhere, or this program was built without what reads it.
    pub fn locate<'p>(reference: &str, beside: impl IntoIterator<Item = &'p Path>) -> Result<Self, DictionaryError> {
        if reference == BUILT_IN {
            let is_within = cfg!(feature = "ko-dic");
            return if is_within { Ok(Self::BuiltIn) } else { Err(DictionaryError::NotBuiltIn) };
        }
        if cfg!(not(feature = "mecab")) {
            return Err(DictionaryError::NoAnalysis { reference: reference.to_owned() });
        }
        let looked: Vec<PathBuf> = beside.into_iter().map(|folder| folder.join(reference)).collect();
        if let Some(found) = looked.iter().find(|path| path.is_dir()) {
            return Ok(Self::Folder(found.clone()));
        }
        let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
        Err(DictionaryError::Missing { reference: reference.to_owned(), looked: looked.join(", ") })
    }

    /// What names the dictionary whatever it is called: the hash of its files' names and bytes.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hash(&self) -> Result<ContentHash, DictionaryError> {
        let folder = match self {
            Self::BuiltIn => return Ok(ContentHash::of(BUILT_IN_VERSION.as_bytes())),
            Self::Folder(folder) => folder,
        };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DictionaryError::Read { path, source }
        };
        let entries: io::Result<Vec<PathBuf>> =
            fs::read_dir(folder).map_err(failed(folder))?.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut files = entries.map_err(failed(folder))?;
        files.retain(|path| path.is_file());
        files.sort();
        // Whatever else lies in a folder that is none is not read.
        if !folder.join(METADATA).is_file() {
            let reason = format!("it has no {METADATA}");
            return Err(DictionaryError::Unusable { path: folder.clone(), reason });
        }
        let mut hasher = ContentHasher::new();
        for path in &files {
            let bytes = fs::read(path).map_err(failed(path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            hasher.update(format!("{name} {} ", bytes.len()).as_bytes());
            hasher.update(&bytes);
        }
        Ok(hasher.finish())
    }

    /// Opens the dictionary.
    ///
    /// # Errors
    /// When it is none, or it has changed since it had the hash `expected`.
    pub fn open(&self, expected: ContentHash) -> Result<Morphemes, DictionaryError> {
        let found = self.hash()?;
        let (path, uri) = match self {
            Self::BuiltIn => (Path::new(BUILT_IN), format!("embedded://{BUILT_IN}")),
            Self::Folder(folder) => (folder.as_path(), folder.display().to_string()),
        };
        if found != expected {
            let reference = path.display().to_string();
            return Err(DictionaryError::Changed { reference, expected, found });
        }
        let segmenter =
            Segmenter::open(&uri).map_err(|reason| DictionaryError::Unusable { path: path.to_owned(), reason })?;
        Ok(Morphemes { segmenter, hash: found })
    }
}

/// An open dictionary. It may be used by many threads at once.
pub struct Morphemes {
    segmenter: Segmenter,
    hash: ContentHash,
}

impl Morphemes {
    /// The hash of its dictionary.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// A word with [`SEPARATOR`] between its morphemes. A word that cannot be analysed stays whole.
    pub fn cut<'w>(&self, word: &'w str) -> Cow<'w, str> {
        let mut cuts = self.segmenter.starts(word);
        cuts.retain(|&at| at > 0);
        if cuts.is_empty() {
            return Cow::Borrowed(word);
        }
        let ends = cuts.iter().copied().chain([word.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        Cow::Owned(starts.zip(ends).map(|(from, to)| &word[from..to]).collect::<Vec<_>>().join(SEPARATOR))
    }
}

#[cfg(feature = "mecab")]
mod analysis {
    use std::borrow::Cow;

    use lindera::dictionary::load_dictionary;
    use lindera::mode::Mode;

    pub struct Segmenter(lindera::segmenter::Segmenter);

    impl Segmenter {
        pub fn open(uri: &str) -> Result<Self, String> {
            let dictionary = load_dictionary(uri).map_err(|error| error.to_string())?;
            Ok(Self(lindera::segmenter::Segmenter::new(Mode::Normal, dictionary, None)))
        }

        /// Where each morpheme of a word begins, in bytes; nothing for a word that cannot be analysed.
        pub fn starts(&self, word: &str) -> Vec<usize> {
            let tokens = self.0.segment(Cow::Borrowed(word)).unwrap_or_default();
            tokens.iter().map(|token| token.byte_start).collect()
        }
    }
}

/// What stands in for the analysis in a program without it: nothing can be opened, so nothing is ever cut.
#[cfg(not(feature = "mecab"))]
mod analysis {
    pub enum Segmenter {}

    impl Segmenter {
        pub fn open(_: &str) -> Result<Self, String> {
            Err("this program was built without the feature `mecab`".to_owned())
        }

        pub fn starts(&self, _: &str) -> Vec<usize> {
            match *self {}
        }
    }
}

/// Dictionaries for tests of whatever is tokenized with one.
#[cfg(test)]
#[cfg(feature = "mecab")]
pub(super) mod testing {
    use lindera::dictionary::{DictionaryBuilder, Metadata};

    use super::*;

    /// A dictionary of these words, each as likely as the others and ten times as likely as an unknown one.
    pub fn dictionary_of(words: &[&str], folder: &Path) -> Dictionary {
        let (source, built) = (folder.join("source"), folder.join("built"));
        fs::create_dir_all(&source).unwrap();
        let lexicon: String = words.iter().map(|word| format!("{word},0,0,100,N\n")).collect();
        let characters = "DEFAULT 0 1 0\nSPACE 0 1 0\nHANGUL 0 0 2\n0x0020 SPACE\n0xAC00..0xD7A3 HANGUL\n";
        let unknown: String = ["DEFAULT", "SPACE", "HANGUL"].map(|kind| format!("{kind},0,0,1000,U\n")).concat();
        let files =
            [("words.csv", &*lexicon), ("char.def", characters), ("unk.def", &unknown), ("matrix.def", "1 1\n0 0 0\n")];
        for (name, text) in files {
            fs::write(source.join(name), text).unwrap();
        }
        let metadata = Metadata { flexible_csv: true, ..Metadata::default() };
        DictionaryBuilder::new(metadata).build_dictionary(&source, &built).unwrap();
        Dictionary::Folder(built)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "mecab")]
    use super::testing::dictionary_of;
    use super::*;

    #[test]
    #[cfg(feature = "mecab")]
    fn words_are_cut_where_the_dictionary_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let dictionary = dictionary_of(&["학교", "에서", "에", "나", "는"], folder.path());
        let morphemes = dictionary.open(dictionary.hash().unwrap()).unwrap();
        let shown = |word| morphemes.cut(word).replace(SEPARATOR, "/");
        assert_eq!(
            ["학교에서", "학교에", "나는", "학교", "학교!", "x", ""].map(shown),
            ["학교/에서", "학교/에", "나/는", "학교", "학교/!", "x", ""]
        );
        // Nothing is lost of a word that is in no dictionary.
        assert_eq!(shown("뷁학교쿿").replace('/', ""), "뷁학교쿿");
    }

    #[test]
    #[cfg(feature = "mecab")]
    fn a_dictionary_is_known_by_its_bytes() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let dictionary = dictionary_of(&["나", "는"], one.path());
        assert_eq!(dictionary.hash().unwrap(), dictionary_of(&["나", "는"], two.path()).hash().unwrap());
        let other = dictionary_of(&["나", "은"], two.path()).hash().unwrap();
        assert_ne!(dictionary.hash().unwrap(), other);
        assert!(matches!(dictionary.open(other), Err(DictionaryError::Changed { .. })));
        let empty = Dictionary::Folder(tempfile::tempdir().unwrap().path().to_owned());
        assert!(matches!(empty.hash(), Err(DictionaryError::Read { .. })));
        let other_files = Dictionary::Folder(one.path().join("source"));
        assert!(matches!(other_files.hash(), Err(DictionaryError::Unusable { .. })));
        fs::write(one.path().join("built/dict.trie"), "no trie").unwrap();
        assert!(dictionary.open(dictionary.hash().unwrap()).is_err());
    }

    #[test]
    fn what_is_nowhere_is_said_with_where_it_was_looked_for() {
        let said = |name| Dictionary::locate(name, [Path::new("a"), Path::new("b")]).unwrap_err().to_string();
        if cfg!(feature = "mecab") {
            insta::assert_snapshot!(said("mine"), @"`tokenizer.dictionary` mine: there is no such folder (looked at a/mine, b/mine)");
        } else {
            insta::assert_snapshot!(said("mine"), @"`tokenizer.dictionary` is `mine`, and this program was built without the analysis of words into morphemes: build it with `cargo build --release --features mecab`");
        }
        if cfg!(not(feature = "ko-dic")) {
            insta::assert_snapshot!(said("ko-dic"), @"`tokenizer.dictionary` is `ko-dic`, and this program was built without it: build it with `cargo build --release --features ko-dic`, which downloads the dictionary, or with `--features mecab`, and name a folder that holds one");
        }
    }
}
