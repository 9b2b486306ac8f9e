//! The built-in corpus: Korean and English documents from a grammar of our own, as many as are asked for.
//!
//! A document reports on one event of one topic. It keeps its people, places, organisation and things from the first sentence
//! to the last, tells its steps in order, and inflects: Korean particles follow the final consonant, endings follow the stem
//! and the document's register, English verbs and pronouns agree over a distance. So there is something to learn at every
//! depth: word pieces from words, verbs from their objects, adjectives from the document's sentiment, rare names only by
//! looking back, the facts of a person (home, employer, role) only by remembering the person. Documents are drawn
//! independently, so a sentence alone says nothing about which one comes before it.
//!
//! Document `i` is a pure function of (seed, i), in integer arithmetic: the same bytes on every machine.

mod compose;
mod english;
mod english_text;
mod korean;
mod korean_text;
mod script;
mod topics;
mod world;

use crate::plan::DemoSpec;
use crate::types::{ContentHash, Seed};

/// The version of the generator's text: a change of any document is a new one.
const GENERATOR_VERSION: u32 = 1;

/// A generated document, with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub language: Language,
    /// The name of what it is about, in English.
    pub topic: &'static str,
    pub sentences: Vec<Sentence>,
    pub sentiment: Sentiment,
}

impl Document {
    /// The text alone.
    pub fn plain(&self) -> super::Document {
        super::Document { sentences: self.sentences.iter().map(|sentence| sentence.text.clone()).collect() }
    }
}

/// A sentence and the names in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sentence {
    pub text: String,
    /// In order, without overlap.
    pub entities: Vec<Entity>,
}

impl Sentence {
    /// One tag a character: `B-PS` where a person's name begins, `I-PS` within it, `O` outside of all names.
    pub fn bio_tags(&self) -> Vec<String> {
        let mut tags = vec!["O".to_owned(); self.text.chars().count()];
        for entity in &self.entities {
            for (i, tag) in tags[entity.start..entity.end].iter_mut().enumerate() {
                *tag = format!("{}-{}", if i == 0 { "B" } else { "I" }, entity.kind.tag());
            }
        }
        tags
    }
}

/// A name in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The first character, counted in characters.
    pub start: usize,
    /// The character after the last one.
    pub end: usize,
    pub kind: EntityKind,
}

/// The kinds of names, those of KLUE-NER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityKind {
    Person,
    Location,
    Organization,
    Date,
    Time,
    Quantity,
}

impl EntityKind {
    /// KLUE's two letters.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Person => "PS",
            Self::Location => "LC",
            Self::Organization => "OG",
            Self::Date => "DT",
            Self::Time => "TI",
            Self::Quantity => "QT",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Korean,
    English,
}

/// How a document judges what it reports on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sentiment {
    Negative,
    Positive,
}

/// All documents of a corpus, in order.
pub fn documents(spec: DemoSpec) -> impl Iterator<Item = Document> + Send {
    (0..spec.documents).map(move |index| document(Seed(spec.seed), index))
}

/// Document `index` of the corpus with this seed. Six in ten are Korean.
pub fn document(seed: Seed, index: u64) -> Document {
    compose::compose(&script::Script::draw(seed, index))
}

/// The hash that names the corpus: of the settings, not of the text.
pub fn content_hash(spec: DemoSpec) -> ContentHash {
    ContentHash::of(format!("demo {GENERATOR_VERSION} {} {}", spec.documents, spec.seed).as_bytes())
}

/// Bytes of text, extrapolated from the first 1,000 documents.
pub fn text_bytes(spec: DemoSpec) -> u64 {
    let looked_at = spec.documents.min(1_000);
    let bytes: usize = documents(DemoSpec { documents: looked_at, ..spec }).map(|d| d.plain().bytes()).sum();
    bytes as u64 * spec.documents / looked_at.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sample() -> Vec<Document> {
        documents(DemoSpec { documents: 2_000, seed: 7 }).collect()
    }

    fn first_of(language: Language) -> String {
        let documents = (0..).map(|index| document(Seed(1), index));
        let document = documents.into_iter().find(|d| d.language == language && d.sentences.len() == 9).unwrap();
        document.plain().sentences.join("\n")
    }

    #[test]
    fn documents_read_like_this() {
        insta::assert_snapshot!(first_of(Language::Korean), @"
        7월 5일 오후 8시에 바람나루에서 길다빛 경진대회가 시작됐습니다.
        중앙전자는 강도아 디자이너를 길다빛 경진대회에 초대했습니다.
        감내읍의 이웃들은 아직도 디자이너 강도아 디자이너를 기억했습니다.
        그녀의 곁에는 부산 출신 김다연 분석가가 있었습니다.
        김 분석가가 코드를 살피는 동안 그녀는 앱을 만들었습니다.
        고객들은 앱을 보고 박수를 보냈습니다.
        마침내 김다연 분석가는 바람나루에서 코드를 작성했습니다.
        김다연 분석가가 작성한 코드는 설명서보다 훨씬 놀랍습니다.
        경진대회가 끝나자 고객들은 크게 기뻐했습니다.
        ");
        insta::assert_snapshot!(first_of(Language::English), @"
        Royal Orchestra held the Penoinzu audition in Toronto on January 2.
        Pianist Ruth Marworth, who works for Royal Orchestra, prepared the audition.
        Marworth had left London and moved to Toronto years before.
        In Toronto, Marworth met pianist Arthur Langby for the first time.
        Then, Ruth Marworth composed the symphony in front of the players.
        The symphony for which the players had waited was monotonous.
        Marworth composed the symphony, and then she conducted it again.
        While Arthur Langby looked after the chorus, Marworth recorded the album.
        The brilliant audition came to its end on January 8.
        ");
    }

    #[test]
    fn the_text_of_a_version_never_changes() {
        let text: String = (0..200).map(|i| document(Seed(3), i).plain().sentences.join("\n") + "\n\n").collect();
        insta::assert_snapshot!(ContentHash::of(text.as_bytes()), @"cd053a38d666de4ba000c0684c29317acc2ef9e38d18e7d45488d8209c00b752");
    }

    #[test]
    fn documents_keep_their_shape() {
        let documents = sample();
        let mut lengths = BTreeMap::new();
        for document in &documents {
            *lengths.entry(document.sentences.len()).or_insert(0) += 1;
            for sentence in &document.sentences {
                let text = &sentence.text;
                assert!(!text.contains(['{', '}', '=']) && !text.contains("  ") && text.trim() == text, "{text}");
                assert!(text.ends_with('.'), "{text}");
                assert!(!text.starts_with(char::is_lowercase), "{text}");
                assert!(sentence.entities.windows(2).all(|pair| pair[0].end <= pair[1].start));
                assert!(sentence.entities.iter().all(|e| e.start < e.end && e.end <= text.chars().count()));
            }
        }
        assert_eq!(lengths.keys().copied().collect::<Vec<_>>(), (3..=20).collect::<Vec<_>>());
        let korean = documents.iter().filter(|d| d.language == Language::Korean).count();
        let positive = documents.iter().filter(|d| d.sentiment == Sentiment::Positive).count();
        assert!((1_100..1_300).contains(&korean) && (900..1_100).contains(&positive), "{korean} {positive}");
        let topics: BTreeMap<_, _> = documents.iter().map(|d| (d.topic, ())).collect();
        assert_eq!(topics.len(), 10);
    }

    #[test]
    fn tags_cover_the_names() {
        let sentence = Sentence {
            text: "김민수 감독은 서울에".to_owned(),
            entities: vec![
                Entity { start: 0, end: 3, kind: EntityKind::Person },
                Entity { start: 8, end: 10, kind: EntityKind::Location },
            ],
        };
        assert_eq!(sentence.bio_tags().join(" "), "B-PS I-PS I-PS O O O O O B-LC I-LC O");
    }

    #[test]
    fn words_follow_zipf_and_are_many() {
        let mut counts = BTreeMap::new();
        for document in sample() {
            for sentence in &document.plain().sentences {
                sentence.split(' ').for_each(|word| *counts.entry(word.to_owned()).or_insert(0) += 1);
            }
        }
        let once = counts.values().filter(|&&n| n == 1).count();
        assert!(counts.len() > 8_000 && once * 8 > counts.len(), "{} words, {once} once", counts.len());
    }

    /// The adjectives of a document tell its sentiment, so that there is something to classify.
    #[test]
    fn sentiment_shows_in_the_words() {
        let (mut right, mut wrong) = (0, 0);
        for document in sample() {
            let text = document.plain().sentences.join(" ");
            let votes = topics::polarity_of(&text, document.language);
            if votes != 0 {
                *if (votes > 0) == (document.sentiment == Sentiment::Positive) { &mut right } else { &mut wrong } += 1;
            }
        }
        assert!(right > 5 * wrong && right + wrong > 1_450, "{right} right, {wrong} wrong");
    }
}
