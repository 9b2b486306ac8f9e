//! Sentence patterns of English documents.
//!
//! A slot in braces is a letter (see [`super::compose`]), with an ending after a dot: `{V.ed}` past tense, `{O.was}` agrees with
//! the thing, `{O.it}` stands for it, `{A.he}` for the person. `{o}` is a thing that is mentioned for the first time.

use super::script::Beat;

/// The patterns of a beat.
pub(super) fn patterns(beat: Beat) -> &'static [&'static str] {
    match beat {
        Beat::Opening => &[
            "On {D}, the {S} {E} opened in {L}.",
            "The {S} {E} began in {L} on {D} at {T}.",
            "{G} held the {S} {E} in {L} on {D}.",
            "{N} {C} came to {L} for the {S} {E}.",
            "The {C} of {L} welcomed the {S} {E} on {D}.",
        ],
        Beat::Introduction => &[
            "The {E} was led by {A} of {G}.",
            "{A}, who works for {G}, prepared the {E}.",
            "{G} invited {A} to the {S} {E}.",
            "The star of the {E} was {A} from {G}.",
        ],
        Beat::Background => &[
            "{A} was born in {H} and worked as {R} for {G}.",
            "As a child in {H}, {A} loved {O.every}.",
            "{A} had left {H} and moved to {L} years before.",
            "In {H}, the neighbours still remember {A} and {A.his} {O.bare}.",
        ],
        Beat::Meeting => &[
            "In {L}, {A} met {B} for the first time.",
            "{B} also took part in the {S} {E}.",
            "{B}, who comes from {I}, helped {A}.",
            "Beside {A} stood {B} from {I}.",
        ],
        Beat::Action => &[
            "{Z}, {A} {X} {V.ed} {o}.",
            "{Z}, {B} {W.ed} {O} in {L}.",
            "{A} {V.ed} {O}, and then {A.he} {W.ed} {O.it} again.",
            "While {B} looked after {P}, {A} {V.ed} {O}.",
            "{Z}, {A} {V.ed} {O} in front of the {C}.",
            "{G} showed everyone {O} that {A} had {X} {V.en}.",
        ],
        Beat::Quality => &[
            "{O} that {A} {V.ed} in {L} {O.was} {J}.",
            "{O} {O.was} {J} and {K}.",
            "{O} for which the {C} had waited {O.was} {J}.",
            "{O} that {B} {W.ed} seemed just as {J} as {P}.",
            "To the {C} in {L}, {O} {O.was} {K} above all.",
        ],
        Beat::Exchange => &[
            "{A} gave {B} {O}, and {B.he} {W.ed} {O.it}.",
            "{B} {W.ed} {O} together with {A}.",
            "{A} and {B} {V.ed} {O} until {T}.",
            "{A} {X} {V.ed} {O} that {B} had brought.",
            "The two of them talked about {O}, which {O.was} {J}.",
        ],
        Beat::Reaction => &[
            "When the {C} saw {O}, they {F}.",
            "{N} {C} turned to {A} and {F}.",
            "After {A} had {V.en} {O}, the {C} {F}.",
            "The {C} said that {O} {O.was} {J}.",
        ],
        Beat::Quote => &[
            "\"{O} {O.is} {J},\" said {A}.",
            "\"{O} of {A} {O.is} truly {J},\" said {B}.",
            "{G} announced that the {S} {E} had been {J}.",
            "{B} told {A} that {O.they} {O.was} {J}.",
        ],
        Beat::Later => &[
            "The next day, {A} left for {M} together with {B}.",
            "At {T}, the two of them met again in {M} and {V.ed} {O}.",
            "A few days later, {B} went back to {I}.",
            "{Z}, {A} stopped in {M}, where {A.he} {W.ed} {O}.",
        ],
        Beat::Closing => &[
            "The {S} {E} ended on {U}.",
            "On {U}, {G} promised to hold the {E} in {L} again.",
            "On {U}, {A} returned to {H}.",
            "When the {E} was over, the {C} {F}.",
            "The {J} {E} came to its end on {U}.",
        ],
    }
}

/// Words for the order of events, by how far the document has come.
pub(super) const ORDER: [&[&str]; 3] =
    [&["First", "At first", "To begin with"], &["Then", "After that", "Next"], &["Finally", "In the end", "At last"]];

/// Adverbs, frequent ones first.
pub(super) const ADVERBS: &str = "carefully slowly quickly quietly proudly skilfully patiently suddenly eagerly nervously cheerfully secretly \
    stubbornly gracefully";

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
