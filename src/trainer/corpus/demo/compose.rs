//! A script to sentences: patterns are chosen, their slots filled and inflected, and the names in them noted.
//!
//! The letters of slots: A and B people, G the employer of A, H and I their homes, L and M places, D and U the first and last
//! day, T a time, N a number of people, E the event, S its name, C the crowd, R the role of A, O and P things, V and W the
//! verbs of O, J and K adjectives, F what a crowd does, X an adverb, Z a word of order. `=` spells a word out.

use super::english::{self, article};
use super::korean::{self, Register};
use super::script::{Script, Step, Thing};
use super::topics::{capitalized, reactions};
use super::world::{Person, pick, pick_zipf};
use super::{Document, Entity, EntityKind, Language, Sentence, Sentiment, english_text, korean_text};
use crate::trainer::rng::Draws;

/// The document of a script.
pub(super) fn compose(script: &Script) -> Document {
    let mut composer = Composer {
        script,
        draws: script.draws.clone(),
        met: [false; 2],
        seen: [false; 4],
        step: script.steps[0],
        adjective: String::new(),
        is_contrary: false,
        sentence: Sentence::default(),
        length: 0,
    };
    let sentences = script.steps.iter().map(|&step| composer.sentence(step)).collect();
    Document { language: script.language, topic: script.topic.name, sentences, sentiment: script.sentiment }
}

struct Composer<'a> {
    script: &'a Script,
    draws: Draws,
    /// Which people the reader knows by name.
    met: [bool; 2],
    /// Which things the reader knows.
    seen: [bool; 4],
    step: Step,
    /// The last adjective, which the next one must not repeat.
    adjective: String,
    /// Whether this sentence judges against the document's sentiment.
    is_contrary: bool,
    sentence: Sentence,
    /// Characters in the sentence so far.
    length: usize,
}

impl Composer<'_> {
    fn sentence(&mut self, step: Step) -> Sentence {
        self.step = step;
        self.length = 0;
        self.is_contrary = self.draws.below(8) == 0;
        let patterns = match self.script.language {
            Language::Korean => korean_text::patterns(step.beat),
            Language::English => english_text::patterns(step.beat),
        };
        let mut rest = patterns[self.draws.below(patterns.len() as u32) as usize];
        while let Some((literal, after)) = rest.split_once('{') {
            let (slot, after) = after.split_once('}').expect("invariant: every slot is closed");
            self.push(literal);
            match self.script.language {
                Language::Korean => self.korean_slot(slot),
                Language::English => self.english_slot(slot),
            }
            rest = after;
        }
        self.push(rest);
        let mut sentence = std::mem::take(&mut self.sentence);
        sentence.text = capitalized(&sentence.text);
        sentence
    }

    fn push(&mut self, text: &str) {
        self.length += text.chars().count();
        self.sentence.text.push_str(text);
    }

    fn push_name(&mut self, name: &str, kind: EntityKind) {
        let start = self.length;
        self.push(name);
        self.sentence.entities.push(Entity { start, end: self.length, kind });
    }

    /// A slot is a letter, then a particle or a dot with an ending.
    fn korean_slot(&mut self, slot: &str) {
        let (word, form) = slot.split_at(1);
        if word == "=" {
            let (stem, ending) = form.split_once('.').expect("invariant: a stem that is spelt out has an ending");
            let inflected = self.korean_verb(stem, ending);
            return self.push(&inflected);
        }
        let text = match (word, form.strip_prefix('.')) {
            ("V" | "W", Some(ending)) => {
                let verb = self.verb(word);
                self.korean_verb(verb, ending)
            }
            ("F", Some(ending)) => {
                let phrase = self.reaction();
                self.korean_verb(phrase, ending)
            }
            ("J" | "K", Some(ending)) => {
                let adjective = self.draw_adjective();
                self.korean_adjective(&adjective, ending)
            }
            (letter, ending) => {
                let last_word = self.korean_noun(letter);
                match ending {
                    Some(_) => korean::copula(&last_word, self.register())[last_word.len()..].to_owned(),
                    None => korean::particle(&last_word, form).to_owned(),
                }
            }
        };
        self.push(&text);
    }

    /// Writes the noun of a slot, and returns what the particle follows.
    fn korean_noun(&mut self, letter: &str) -> String {
        let script = self.script;
        let text = match letter {
            "A" => return self.korean_person(0),
            "B" => return self.korean_person(1),
            "D" => format!("{}월 {}일", script.month, script.day),
            "U" => format!("{}월 {}일", script.month, script.last_day),
            "T" => format!("오후 {}시", script.hour),
            "N" => format!("{}명", script.headcount),
            "O" => self.thing().noun.to_owned(),
            "P" => self.other_thing().noun.to_owned(),
            "X" => pick_zipf(korean_text::ADVERBS, &mut self.draws).to_owned(),
            "Z" => self.order_word(&korean_text::ORDER).to_owned(),
            other => self.common_noun(other),
        };
        self.push_noun(letter, &text);
        text
    }

    fn korean_person(&mut self, which: usize) -> String {
        let Person { surname, given, role, .. } = &self.script.people[which];
        let is_first = !std::mem::replace(&mut self.met[which], true);
        let chance = self.draws.below(5);
        let pronoun = if self.script.people[which].is_female { "그녀" } else { "그" };
        match chance {
            0 if !is_first && which == 0 => self.push(pronoun),
            1 | 2 if !is_first => {
                self.push_name(surname, EntityKind::Person);
                self.push(&format!(" {role}"));
            }
            _ => {
                self.push_name(&format!("{surname}{given}"), EntityKind::Person);
                self.push(&format!(" {role}"));
            }
        }
        if chance == 0 && !is_first && which == 0 { pronoun.to_owned() } else { (*role).to_owned() }
    }

    fn korean_verb(&self, stem: &str, ending: &str) -> String {
        match ending {
            "고" => format!("{stem}고"),
            "ㄴ" => korean::adnominal(stem),
            _ => korean::past(stem, self.register()),
        }
    }

    fn korean_adjective(&self, stem: &str, ending: &str) -> String {
        match ending {
            "고" => format!("{stem}고"),
            "ㄴ" => korean::adnominal(stem),
            "다고" => format!("{stem}다고"),
            _ => korean::present(stem, self.register()),
        }
    }

    fn register(&self) -> Register {
        if self.script.is_polite { Register::Polite } else { Register::Plain }
    }

    /// A slot is a letter, then maybe a dot with a form.
    fn english_slot(&mut self, slot: &str) {
        let (letter, form) = slot.split_once('.').unwrap_or((slot, ""));
        let script = self.script;
        let text = match letter {
            "A" | "B" => return self.english_person(usize::from(letter == "B"), form),
            "V" | "W" if form == "en" => english::participle(self.verb(letter)),
            "V" | "W" => english::past(self.verb(letter)),
            "J" | "K" => self.draw_adjective(),
            "F" => self.reaction().to_owned(),
            "O" | "o" => self.english_thing(letter, form),
            "P" => format!("the {}", numbered(self.other_thing())),
            "D" => format!("{} {}", english_text::MONTHS[script.month as usize - 1], script.day),
            "U" => format!("{} {}", english_text::MONTHS[script.month as usize - 1], script.last_day),
            "T" => format!("{} o'clock", script.hour),
            "N" => script.headcount.to_string(),
            "R" => format!("{} {}", article(script.people[0].role), script.people[0].role),
            "X" => pick_zipf(english_text::ADVERBS, &mut self.draws).to_owned(),
            "Z" => self.order_word(&english_text::ORDER).to_owned(),
            other => self.common_noun(other),
        };
        self.push_noun(letter, &text);
    }

    fn english_person(&mut self, which: usize, form: &str) {
        let Person { surname, given, role, is_female, .. } = &self.script.people[which];
        match form {
            "he" => return self.push(if *is_female { "she" } else { "he" }),
            "his" => return self.push(if *is_female { "her" } else { "his" }),
            _ => {}
        }
        let is_first = !std::mem::replace(&mut self.met[which], true);
        let full = format!("{given} {surname}");
        match self.draws.below(5) {
            _ if is_first => {
                self.push(&format!("{role} "));
                self.push_name(&full, EntityKind::Person);
            }
            0 => self.push(&format!("the {role}")),
            1 => self.push_name(&full, EntityKind::Person),
            _ => self.push_name(surname, EntityKind::Person),
        }
    }

    fn english_thing(&mut self, letter: &str, form: &str) -> String {
        let is_first = !std::mem::replace(&mut self.seen[self.step.thing], true);
        let thing = self.thing();
        let by_number = |one: &str, many: &str| if thing.is_plural { many } else { one }.to_owned();
        match form {
            "was" => by_number("was", "were"),
            "is" => by_number("is", "are"),
            "it" => by_number("it", "them"),
            "they" => by_number("it", "they"),
            "every" => format!("every {}", thing.noun),
            "bare" => numbered(thing),
            _ if letter == "o" && is_first => by_number("a new ", "new ") + &numbered(thing),
            _ => format!("the {}", numbered(thing)),
        }
    }

    /// What stands in both languages as it is.
    fn common_noun(&self, letter: &str) -> String {
        let script = self.script;
        let [first, second] = &script.people;
        match letter {
            "G" => first.employer.clone(),
            "H" => first.home.clone(),
            "I" => second.home.clone(),
            "L" => script.place.clone(),
            "M" => script.other_place.clone(),
            "E" => script.event.to_owned(),
            "S" => script.event_name.clone(),
            "C" => script.crowd.to_owned(),
            "R" => first.role.to_owned(),
            other => unreachable!("a pattern has the slot {other}, which nothing fills"),
        }
    }

    fn push_noun(&mut self, letter: &str, text: &str) {
        let kind = match letter {
            "G" => EntityKind::Organization,
            "H" | "I" | "L" | "M" => EntityKind::Location,
            "D" | "U" => EntityKind::Date,
            "T" => EntityKind::Time,
            "N" => EntityKind::Quantity,
            _ => return self.push(text),
        };
        self.push_name(text, kind);
    }

    fn thing(&self) -> &Thing {
        &self.script.things[self.step.thing]
    }

    fn other_thing(&self) -> &Thing {
        &self.script.things[(self.step.thing + 1) % self.script.things.len()]
    }

    fn verb(&self, letter: &str) -> &'static str {
        self.thing().verbs[usize::from(letter == "W")]
    }

    fn reaction(&mut self) -> &'static str {
        let phrases = reactions(self.script.language, self.script.sentiment);
        phrases[self.draws.below(phrases.len() as u32) as usize]
    }

    /// An adjective of the document's sentiment; one sentence in eight says the opposite.
    fn draw_adjective(&mut self) -> String {
        let sentiment = match (self.script.sentiment, self.is_contrary) {
            (Sentiment::Positive, true) => Sentiment::Negative,
            (Sentiment::Negative, true) => Sentiment::Positive,
            (sentiment, _) => sentiment,
        };
        let adjectives = self.script.topic.adjectives(self.script.language, sentiment);
        loop {
            let drawn = pick(&adjectives, &mut self.draws);
            if drawn != self.adjective {
                self.adjective = drawn.to_owned();
                return drawn.to_owned();
            }
        }
    }

    fn order_word(&mut self, words: &[&[&'static str]; 3]) -> &'static str {
        let words = words[self.step.phase];
        words[self.draws.below(words.len() as u32) as usize]
    }
}

/// The noun of a thing in its number.
fn numbered(thing: &Thing) -> String {
    if thing.is_plural { english::plural(thing.noun) } else { thing.noun.to_owned() }
}
