//! The plan of a document: its cast, its things, and its beats in the order in which they are told.
//!
//! A script knows no language's grammar; [`super::compose`] puts it into words.

use super::topics::{TOPICS, Topic};
use super::world::{Person, World, pick, zipf};
use super::{Language, Sentiment};
use crate::trainer::rng::{Draws, Purpose, Stream};
use crate::types::Seed;

/// Documents have from 3 to 20 sentences.
const SHORTEST: u32 = 3;
const LONGEST: u32 = 20;

/// How many things a long document talks about.
const THINGS: usize = 4;

/// What a sentence does in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// The event begins, somewhere, some day.
    Opening,
    /// The first person comes in.
    Introduction,
    /// Where the first person comes from.
    Background,
    /// The second person comes in.
    Meeting,
    /// Someone does something with a thing.
    Action,
    /// What the thing is like.
    Quality,
    /// The two do something together.
    Exchange,
    /// What the crowd does.
    Reaction,
    /// What someone says.
    Quote,
    /// Time passes, someone goes elsewhere.
    Later,
    /// The event ends.
    Closing,
}

/// Something that people do things with.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub noun: &'static str,
    pub verbs: [&'static str; 2],
    pub is_plural: bool,
}

/// A sentence to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub beat: Beat,
    /// Which thing it is about.
    pub thing: usize,
    /// How far the document has come: 0 at the beginning, 1 in the middle, 2 near the end.
    pub phase: usize,
}

/// Everything that is fixed for a document.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub language: Language,
    pub topic: &'static Topic,
    pub sentiment: Sentiment,
    pub people: [Person; 2],
    pub place: String,
    pub other_place: String,
    pub event: &'static str,
    /// The name of the event, coined for this document.
    pub event_name: String,
    pub crowd: &'static str,
    pub things: [Thing; THINGS],
    pub month: u32,
    pub day: u32,
    pub last_day: u32,
    pub hour: u32,
    pub headcount: u32,
    pub is_polite: bool,
    pub steps: Vec<Step>,
    /// Draws for the choice of words.
    pub draws: Draws,
}

impl Script {
    /// The script of document `index`.
    pub(super) fn draw(seed: Seed, index: u64) -> Self {
        let mut draws = Stream::new(seed, Purpose::Demo, 0, index).draws();
        let d = &mut draws;
        let language = if d.below(10) < 6 { Language::Korean } else { Language::English };
        let topic = &TOPICS[d.below(TOPICS.len() as u32) as usize];
        let sentiment = if d.below(2) == 1 { Sentiment::Positive } else { Sentiment::Negative };
        let world = World { language };
        let people = draw_people(world, topic, d);
        let words = topic.words(language);
        let place = world.place(d);
        let other_place = another(&place, || world.place(d));
        let event_name = world.coined_name(d);
        let day = 1 + d.below(14);
        let steps = draw_steps(d);
        Self {
            language,
            topic,
            sentiment,
            people,
            place,
            other_place,
            event: pick(words.events, d),
            event_name,
            crowd: pick(words.crowds, d),
            things: draw_things(words.things, d),
            month: 1 + d.below(12),
            day,
            last_day: day + 1 + d.below(13),
            hour: 1 + d.below(11),
            headcount: 2 + d.below(98),
            is_polite: d.below(3) == 0,
            steps,
            draws,
        }
    }
}

/// Two people whose surnames tell them apart.
fn draw_people(world: World, topic: &Topic, draws: &mut Draws) -> [Person; 2] {
    let first = world.person(topic, draws);
    loop {
        let second = world.person(topic, draws);
        if second.surname != first.surname {
            return [first, second];
        }
    }
}

fn another(other: &str, mut draw: impl FnMut() -> String) -> String {
    loop {
        let drawn = draw();
        if drawn != other {
            return drawn;
        }
    }
}

fn draw_things(list: &'static str, draws: &mut Draws) -> [Thing; THINGS] {
    let entries: Vec<&'static str> = list.split_whitespace().collect();
    let mut order: Vec<usize> = Vec::new();
    while order.len() < THINGS {
        let chosen = zipf(draws, entries.len() as u32) as usize;
        if !order.contains(&chosen) {
            order.push(chosen);
        }
    }
    std::array::from_fn(|i| {
        let invariant = "invariant: a thing is noun:verb,verb";
        let (noun, verbs) = entries[order[i]].split_once(':').expect(invariant);
        let (first, second) = verbs.split_once(',').expect(invariant);
        let verbs = if draws.below(2) == 0 { [first, second] } else { [second, first] };
        Thing { noun, verbs, is_plural: draws.below(3) == 0 }
    })
}

/// An opening, an introduction, rounds about one thing after the other, a closing.
fn draw_steps(draws: &mut Draws) -> Vec<Step> {
    const ROUND: [(Beat, u32); 7] = [
        (Beat::Action, 90),
        (Beat::Quality, 60),
        (Beat::Exchange, 50),
        (Beat::Reaction, 45),
        (Beat::Action, 30),
        (Beat::Quote, 50),
        (Beat::Later, 35),
    ];
    let length = (SHORTEST + draws.below(LONGEST - SHORTEST + 1)) as usize;
    let mut beats = vec![(Beat::Opening, 0), (Beat::Introduction, 0)];
    if length > 5 {
        beats.push((Beat::Background, 0));
    }
    if length > 4 {
        beats.push((Beat::Meeting, 0));
    }
    let mut thing = 0;
    while beats.len() + 1 < length {
        for (beat, percent) in ROUND {
            let needs_second_person = matches!(beat, Beat::Exchange | Beat::Later) && length <= 4;
            if beats.len() + 1 < length && draws.below(100) < percent && !needs_second_person {
                beats.push((beat, thing % THINGS));
            }
        }
        thing += 1;
    }
    beats.push((Beat::Closing, 0));
    let count = beats.len();
    beats.into_iter().enumerate().map(|(i, (beat, thing))| Step { beat, thing, phase: 3 * i / count }).collect()
}
