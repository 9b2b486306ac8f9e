//! Values of keys, and the kinds that say which values a key takes.
//!
//! A [`Kind`] turns TOML into a [`Value`] or says what would be right. Spelling is normalised on the way (`1` becomes
//! `1.0` where a number with a fraction is meant), so that equal settings are equal values and hash the same.

use std::fmt;

use toml::de::DeValue;

use super::budget::Budget;
use super::decimal::Decimal;
use super::number::{self, Bounds, float, integer};
use crate::suggest;

/// The largest seed: whole numbers up to here are exact in every reader of JSON.
pub const MAX_SEED: i64 = 1 << 53;

/// The value of a setting, normalised by its [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// `{ copies = n }`, for `objective.masking`.
    Copies(u32),
    /// What a run may cost, for `train.budget`.
    Budget(Budget),
    /// Switched off: absent from the run's specification.
    Off,
}

impl Value {
    /// The value as JSON, as the run's specification reads it; nothing for [`Value::Off`].
    pub fn to_json(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::List(items) => items.iter().filter_map(Self::to_json).collect(),
            Self::Copies(copies) => serde_json::json!({ "copies": copies }),
            Self::Budget(budget) => budget.to_json(),
            Self::Off => return None,
        })
    }
}

/// As in a table or a figure: no quotes, small and large numbers in scientific notation.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&number::shown(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Copies(copies) => write!(f, "{copies} copies"),
            Self::Budget(budget) => write!(f, "{budget}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// The values that a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    /// Any text but the empty one.
    Text,
    /// A whole number within both ends.
    Integer {
        min: i64,
        max: i64,
    },
    Float(Bounds),
    /// A number, or `"off"`.
    FloatOrOff(Bounds),
    /// One of `choices`; `planned` are known by name but not supported yet.
    Choice {
        choices: &'static [&'static str],
        planned: &'static [&'static str],
    },
    /// AdamW's two decay rates.
    Betas,
    /// `"dynamic"`, `"static"` or `{ copies = n }`.
    Masking,
    /// Lengths of sequences, each with its share of the steps, or `"off"`.
    Lengths,
    /// `{ tokens = N }`, `{ flops = N }` or `{ seconds = N, flops_per_second = N }`.
    Budget,
    /// How many seeds, or which.
    Seeds,
    /// A list of some of these words.
    Words(&'static [&'static str]),
}

/// What would be right, as the end of a sentence that begins "must be".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Text => f.write_str("a text"),
            Self::Integer { min, max: i64::MAX } => write!(f, "a whole number, at least {min}"),
            Self::Integer { min, max } => write!(f, "a whole number, at least {min} and at most {max}"),
            Self::Float(bounds) => write!(f, "a number {bounds}"),
            Self::FloatOrOff(bounds) => write!(f, "a number {bounds}, or \"off\""),
            Self::Choice { choices, .. } => f.write_str(&alternatives(choices)),
            Self::Betas => f.write_str("two numbers, each at least 0 and less than 1, like [0.9, 0.999]"),
            Self::Masking => f.write_str("\"dynamic\", \"static\" or { copies = N }"),
            Self::Lengths => f.write_str(
                "a list of lengths, at least 8, each with its share of the steps, between 0 and 1, like [[16, 0.4], [32, 0.2]], \
                 or \"off\"",
            ),
            Self::Budget => f.write_str(
                "{ tokens = N }, { flops = N }, or { seconds = N, flops_per_second = N } with the speed to count with",
            ),
            Self::Seeds => f.write_str("how many seeds, at least 1, or a list of distinct whole numbers"),
            Self::Words(words) => write!(f, "a list of {}", alternatives(words)),
        }
    }
}

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is known by name, and of the future.
    NotSupportedYet(String),
    /// It is a list with this item twice.
    Twice(String),
    /// It is none of the kind's values; perhaps the nearest right one.
    Wrong { found: String, nearest: Option<String> },
}

impl Kind {
    /// Reads `value` as this kind.
    pub fn read(&self, value: &DeValue<'_>) -> Result<Value, Rejection> {
        let wrong = || Rejection::Wrong { found: describe(value), nearest: None };
        match self {
            Self::Bool => value.as_bool().map(Value::Bool).ok_or_else(wrong),
            Self::Text => match value.as_str() {
                Some(text) if !text.trim().is_empty() => Ok(Value::Text(text.to_owned())),
                _ => Err(wrong()),
            },
            Self::Integer { min, max } => match integer(value) {
                Some(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                _ => Err(wrong()),
            },
            Self::Float(bounds) => float(value, *bounds).map(Value::Float).ok_or_else(wrong),
            Self::FloatOrOff(_) | Self::Lengths if value.as_str() == Some("off") => Ok(Value::Off),
            Self::FloatOrOff(bounds) => float(value, *bounds).map(Value::Float).ok_or_else(wrong),
            Self::Choice { choices, planned } => choice(value, choices, planned),
            Self::Betas => betas(value).ok_or_else(wrong),
            Self::Masking => match copies(value) {
                Some(copies) => Ok(Value::Copies(copies)),
                None => choice(value, &["dynamic", "static"], &[]),
            },
            Self::Lengths => lengths(value).ok_or_else(wrong),
            Self::Budget => Budget::read(value).map(Value::Budget).ok_or_else(wrong),
            Self::Seeds => seeds(value),
            Self::Words(words) => {
                let items = value.as_array().ok_or_else(wrong)?;
                items.iter().map(|item| choice(item.get_ref(), words, &[])).collect::<Result<_, _>>().map(Value::List)
            }
        }
    }

    /// The value that a number is for this kind.
    pub(super) fn number(&self, number: Decimal) -> Result<Value, Rejection> {
        let text = number.to_string();
        let written = DeValue::parse(&text).expect("invariant: a decimal is written as TOML");
        self.read(written.get_ref())
    }

    /// Reads an argument of the command line: TOML where it is TOML of this kind, a bare word or path otherwise.
    pub fn read_argument(&self, value: &DeValue<'_>, raw: &str) -> Result<Value, Rejection> {
        self.read(value).or_else(|rejection| self.read(&DeValue::String(raw.into())).map_err(|_| rejection))
    }
}

fn choice(value: &DeValue<'_>, choices: &[&str], planned: &[&str]) -> Result<Value, Rejection> {
    let Some(word) = value.as_str() else {
        return Err(Rejection::Wrong { found: describe(value), nearest: None });
    };
    if choices.contains(&word) {
        Ok(Value::Text(word.to_owned()))
    } else if planned.contains(&word) {
        Err(Rejection::NotSupportedYet(word.to_owned()))
    } else {
        let nearest = suggest::nearest(word, choices.iter().copied()).map(str::to_owned);
        Err(Rejection::Wrong { found: describe(value), nearest })
    }
}

fn betas(value: &DeValue<'_>) -> Option<Value> {
    let items = value.as_array()?;
    let numbers: Option<Vec<Value>> =
        items.iter().map(|item| float(item.get_ref(), Bounds::below(0.0, 1.0)).map(Value::Float)).collect();
    numbers.filter(|numbers| numbers.len() == 2).map(Value::List)
}

/// Pairs of a length and a share; whether they make a warmup together is a law of the cell.
fn lengths(value: &DeValue<'_>) -> Option<Value> {
    let stage = |item: &DeValue<'_>| match item.as_array()?.iter().collect::<Vec<_>>()[..] {
        [length, share] => {
            let length = integer(length.get_ref()).filter(|length| (8..=1 << 20).contains(length))?;
            let share = float(share.get_ref(), Bounds::between(0.0, 1.0))?;
            Some(Value::List(vec![Value::Integer(length), Value::Float(share)]))
        }
        _ => None,
    };
    let stages: Option<Vec<Value>> = value.as_array()?.iter().map(|item| stage(item.get_ref())).collect();
    stages.filter(|stages| !stages.is_empty()).map(Value::List)
}

fn copies(value: &DeValue<'_>) -> Option<u32> {
    let table = value.as_table().filter(|table| table.len() == 1)?;
    let copies = integer(table.get("copies")?.get_ref())?;
    u32::try_from(copies).ok().filter(|&copies| copies > 0)
}

fn seeds(value: &DeValue<'_>) -> Result<Value, Rejection> {
    let wrong = || Rejection::Wrong { found: describe(value), nearest: None };
    let Some(items) = value.as_array() else {
        let count = integer(value).filter(|count| (1..=10_000).contains(count));
        return count.map(Value::Integer).ok_or_else(wrong);
    };
    let seeds: Option<Vec<i64>> =
        items.iter().map(|item| integer(item.get_ref()).filter(|seed| (0..=MAX_SEED).contains(seed))).collect();
    let seeds = seeds.filter(|seeds| !seeds.is_empty()).ok_or_else(wrong)?;
    match seeds.iter().enumerate().find(|(i, seed)| seeds[..*i].contains(seed)) {
        Some((_, seed)) => Err(Rejection::Twice(format!("the seed {seed}"))),
        None => Ok(Value::List(seeds.into_iter().map(Value::Integer).collect())),
    }
}

fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A TOML value in the words of a message.
pub fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => format!("the date {value}"),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => format!("the list {}", bracketed(value)),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A list as it is written, the lists in it too.
fn bracketed(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| bracketed(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        other => describe(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, text: &str) -> Result<Value, Rejection> {
        kind.read(DeValue::parse(text).expect("TOML").get_ref())
    }

    #[test]
    fn numbers_are_normalised() {
        let kind = Kind::Float(Bounds::closed(0.0, 1.0));
        for (a, b) in [("0.10", "0.1"), ("1", "1.0"), ("1e-1", "0.1"), ("-0.0", "0"), ("+1_0e-2", "0.1")] {
            assert_eq!(read(kind, a), read(kind, b));
            let bits = |text| match read(kind, text) {
                Ok(Value::Float(value)) => value.to_bits(),
                other => panic!("{text}: {other:?}"),
            };
            assert_eq!(bits(a), bits(b));
        }
        for bad in ["1.1", "-0.1", "nan", "inf", "\"0.5\"", "true", "[0.5]"] {
            assert!(read(kind, bad).is_err(), "{bad} was taken");
        }
        assert_eq!(read(Kind::Integer { min: 1, max: 1_000_000 }, "0x1_00"), Ok(Value::Integer(256)));
        assert!(read(Kind::Integer { min: 1, max: 10 }, "5.0").is_err());
    }

    #[test]
    fn masking_betas_and_seeds_have_their_own_shapes() {
        assert_eq!(read(Kind::Masking, "{ copies = 10 }"), Ok(Value::Copies(10)));
        assert_eq!(read(Kind::Masking, "'static'"), Ok(Value::Text("static".into())));
        for bad in ["{ copies = 0 }", "{ copies = 1, x = 2 }", "{}", "10", "'dynamik'"] {
            assert!(read(Kind::Masking, bad).is_err(), "{bad} was taken");
        }
        assert_eq!(read(Kind::Betas, "[0.9, 0]"), Ok(Value::List(vec![Value::Float(0.9), Value::Float(0.0)])));
        let stage = |length, share| Value::List(vec![Value::Integer(length), Value::Float(share)]);
        assert_eq!(
            read(Kind::Lengths, "[[16, 0.40], [32, 2e-1]]"),
            Ok(Value::List(vec![stage(16, 0.4), stage(32, 0.2)]))
        );
        assert_eq!(read(Kind::Lengths, "'off'"), Ok(Value::Off));
        for bad in
            ["[]", "[16, 0.4]", "[[16]]", "[[7, 0.4]]", "[[16, 1]]", "[[16, 0.4, 1]]", "[[16.0, 0.4]]", "'on'", "0.4"]
        {
            assert!(read(Kind::Lengths, bad).is_err(), "{bad} was taken");
        }
        assert!(read(Kind::Betas, "[0.9]").is_err() && read(Kind::Betas, "[0.9, 1.0]").is_err());
        assert_eq!(read(Kind::Seeds, "3"), Ok(Value::Integer(3)));
        for bad in ["0", "[]", "[1, 2, 1]", "[-1]", "'3'"] {
            assert!(read(Kind::Seeds, bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn words_of_the_future_are_known_by_name() {
        let kind = Kind::Choice { choices: &["adamw"], planned: &["adam"] };
        assert_eq!(read(kind, "'adam'"), Err(Rejection::NotSupportedYet("adam".into())));
        let Err(Rejection::Wrong { nearest, .. }) = read(kind, "'adamW'") else { panic!("adamW was taken") };
        assert_eq!(nearest.as_deref(), Some("adamw"));
    }

    #[test]
    fn values_read_well_in_a_table() {
        let shown = [Value::Float(5e-4), Value::Float(0.15), Value::Float(1.0), Value::Copies(10), Value::Off];
        assert_eq!(shown.map(|value| value.to_string()), ["5e-4", "0.15", "1", "10 copies", "off"]);
        let lengths = read(Kind::Lengths, "[[16, 0.40], [32, 2e-1]]").map(|value| value.to_string());
        assert_eq!(lengths.as_deref(), Ok("[[16, 0.4], [32, 0.2]]"));
        let nested = DeValue::parse("[[16, 'a'], []]").expect("TOML");
        assert_eq!(describe(nested.get_ref()), "the list [[16, the text \"a\"], []]");
    }
}
