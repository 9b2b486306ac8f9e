//! What a record says: the run, its settings, what was logged at a step, what the machine did, and how it ended.
//!
//! Field numbers are those of `wandb_internal.proto` in the package `wandb`, of its versions 0.13 to 0.31: older ones write a value
//! as JSON, newer ones may write it as what it is.

use std::borrow::Cow;

use serde_json::Value;

use crate::exchange::wire::{Field, Fields, Malformed, text, zigzag};

/// A record.
#[derive(Debug, PartialEq)]
pub enum Record<'a> {
    /// Nothing to keep.
    Nothing,
    Run(Box<Run<'a>>),
    Config(Changes<'a>),
    Summary(Changes<'a>),
    History(History<'a>),
    /// What the machine did: seconds since 1970, and what was measured.
    Stats(Option<f64>, Vec<Item<'a>>),
    /// The machine and the program.
    Environment(Vec<(&'static str, Value)>),
    /// The exit code.
    Exit(i32),
    /// What the program said.
    Output(&'a str),
    /// Something that has no place here, in words.
    Other(&'static str),
}

/// Who a run is.
#[derive(Debug, Default, PartialEq)]
pub struct Run<'a> {
    pub id: &'a str,
    pub entity: &'a str,
    pub project: &'a str,
    pub config: Changes<'a>,
    pub group: &'a str,
    pub job_type: &'a str,
    pub name: &'a str,
    pub notes: &'a str,
    pub tags: Vec<&'a str>,
    pub sweep: &'a str,
    pub host: &'a str,
    /// Seconds since 1970.
    pub started: Option<f64>,
    pub remote: &'a str,
    pub commit: &'a str,
}

/// Values that are set, and keys that are taken away.
#[derive(Debug, Default, PartialEq)]
pub struct Changes<'a> {
    pub updated: Vec<Item<'a>>,
    pub removed: Vec<Vec<&'a str>>,
    /// Values that are left out, as there is too much in one record.
    pub beyond: u64,
}

/// The most bytes of a value that is kept.
pub const LONGEST_KEPT: usize = 1 << 20;

/// The most bytes of values that are kept of a run's settings, and of its summary: read, they take a hundred times as much.
pub const MOST_KEPT: usize = 16 << 20;

/// What was logged at a step.
#[derive(Debug, Default, PartialEq)]
pub struct History<'a> {
    pub items: Vec<Item<'a>>,
    pub step: Option<i64>,
}

/// A value and the keys that lead to it.
#[derive(Debug, PartialEq)]
pub struct Item<'a> {
    pub keys: Vec<&'a str>,
    pub value: Said<'a>,
}

impl Item<'_> {
    /// The bytes of its keys and its value.
    pub fn size(&self) -> usize {
        let value = match &self.value {
            Said::Unread(text) => text.len(),
            Said::Text(text) => text.len(),
            _ => size_of::<f64>(),
        };
        self.keys.iter().map(|key| key.len()).sum::<usize>() + value
    }
}

/// A value.
#[derive(Debug, PartialEq)]
pub enum Said<'a> {
    Number(f64),
    Integer(i64),
    /// An integer that is not negative, and beyond an `i64`.
    Unsigned(u64),
    /// The digits of an integer that 64 bits do not hold.
    Large(Cow<'a, str>),
    Bool(bool),
    Text(Cow<'a, str>),
    /// Null, a list or an object.
    Json(Value),
    /// JSON that was not read yet: what is kept, and what is too long to be logged.
    Unread(&'a str),
    /// What is no JSON.
    Malformed,
}

/// What is done with a value in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is a point: the numbers in it are floats.
    Logged,
    /// It is kept as it stands: no number in it is rounded.
    Kept,
}

impl Said<'_> {
    /// The number that it is, and whether that is exact.
    pub fn number(&self) -> Option<(f64, bool)> {
        match self {
            Self::Number(number) => Some((*number, true)),
            Self::Integer(integer) => Some((*integer as f64, *integer as f64 as i128 == i128::from(*integer))),
            Self::Unsigned(integer) => Some((*integer as f64, *integer as f64 as u128 == u128::from(*integer))),
            Self::Large(digits) => digits.parse().ok().map(|number| (number, false)),
            _ => None,
        }
    }

    /// The value as JSON, which has no number for what is not finite; `None` for what is no JSON.
    pub fn json(self) -> Option<Value> {
        Some(match self {
            Self::Number(number) => crate::exchange::intake::setting(number),
            Self::Integer(integer) => Value::from(integer),
            Self::Unsigned(integer) => Value::from(integer),
            Self::Large(text) | Self::Text(text) => Value::String(text.into_owned()),
            Self::Bool(is_true) => Value::Bool(is_true),
            Self::Json(value) => value,
            Self::Unread(json) => return said(json, Reading::Kept).json(),
            Self::Malformed => return None,
        })
    }
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut record = Self::Nothing;
        for field in Fields::of(message) {
            let (number, Field::Bytes(inner)) = field? else { continue };
            record = match number {
                2 => Self::History(history(inner)?),
                3 => Self::Summary(changes(inner)?),
                4 | 13 => Self::Output(line(inner)?),
                5 => Self::Config(changes(inner)?),
                7 => stats(inner)?,
                8 => Self::Other("artifacts that were logged"),
                9 => Self::Other("links to TensorBoard's logs, which `import tensorboard` reads"),
                10 => Self::Other("alerts"),
                12 => Self::Other("definitions of metrics"),
                17 => Self::Run(Box::new(run(inner)?)),
                18 => Self::Exit(exit(inner)?),
                25 => Self::Other("artifacts that were used"),
                26 => Self::Environment(environment(inner)?),
                _ => record,
            };
        }
        Ok(record)
    }
}

fn run(message: &[u8]) -> Result<Run<'_>, Malformed> {
    let mut run = Run::default();
    for field in Fields::of(message) {
        let (number, Field::Bytes(inner)) = field? else { continue };
        match number {
            1 => run.id = text(inner)?,
            2 => run.entity = text(inner)?,
            3 => run.project = text(inner)?,
            4 => run.config = changes(inner)?,
            6 => run.group = text(inner)?,
            7 => run.job_type = text(inner)?,
            8 => run.name = text(inner)?,
            9 => run.notes = text(inner)?,
            10 => run.tags.push(text(inner)?),
            12 => run.sweep = text(inner)?,
            13 => run.host = text(inner)?,
            17 => run.started = Some(seconds(inner)?),
            21 => {
                for field in Fields::of(inner) {
                    match field? {
                        (1, Field::Bytes(remote)) => run.remote = text(remote)?,
                        (2, Field::Bytes(commit)) => run.commit = text(commit)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(run)
}

/// A `google.protobuf.Timestamp`, in seconds.
fn seconds(message: &[u8]) -> Result<f64, Malformed> {
    let (mut whole, mut nanos) = (0_i64, 0_i64);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Varint(its)) => whole = its as i64,
            (2, Field::Varint(its)) => nanos = its as i64,
            _ => {}
        }
    }
    Ok(whole as f64 + nanos as f64 / 1e9)
}

fn changes(message: &[u8]) -> Result<Changes<'_>, Malformed> {
    let (mut changes, mut bytes) = (Changes::default(), 0_usize);
    for field in Fields::of(message) {
        match field? {
            // A value that is too long alone is named where it is passed over, and takes nothing until then.
            (1, Field::Bytes(inner)) if inner.len() > LONGEST_KEPT => changes.updated.push(item(inner, Reading::Kept)?),
            (1 | 2, Field::Bytes(inner)) if bytes + inner.len() > MOST_KEPT => changes.beyond += 1,
            (1, Field::Bytes(inner)) => {
                bytes += inner.len();
                changes.updated.push(item(inner, Reading::Kept)?);
            }
            (2, Field::Bytes(inner)) => {
                bytes += inner.len();
                changes.removed.push(item(inner, Reading::Kept)?.keys);
            }
            _ => {}
        }
    }
    Ok(changes)
}

fn history(message: &[u8]) -> Result<History<'_>, Malformed> {
    let mut history = History::default();
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(inner)) => history.items.push(item(inner, Reading::Logged)?),
            (2, Field::Bytes(inner)) => {
                // A step of 0 is left out.
                history.step = Some(0);
                for field in Fields::of(inner) {
                    if let (1, Field::Varint(step)) = field? {
                        history.step = Some(step as i64);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(history)
}

fn item(message: &[u8], reading: Reading) -> Result<Item<'_>, Malformed> {
    let (mut key, mut keys, mut value, mut json) = ("", Vec::new(), Said::Json(Value::Null), None);
    for field in Fields::of(message) {
        match field? {
            (1, Field::Bytes(inner)) => key = text(inner)?,
            (2, Field::Bytes(inner)) => keys.push(text(inner)?),
            (3, Field::Varint(_)) => value = Said::Json(Value::Null),
            (4, Field::Varint(is_true)) => value = Said::Bool(is_true != 0),
            (5, Field::Varint(integer)) => value = Said::Integer(zigzag(integer)),
            (6, Field::Fixed64(bits)) => value = Said::Number(f64::from_bits(bits)),
            (7, Field::Bytes(inner)) => value = Said::Text(text(inner)?.into()),
            (8 | 16, Field::Bytes(inner)) => json = Some(text(inner)?),
            _ => {}
        }
    }
    if keys.is_empty() {
        keys.push(key);
    }
    value = match (json, reading) {
        (None, _) => value,
        (Some(json), Reading::Logged) if json.len() <= LONGEST_KEPT => said(json, reading),
        (Some(json), _) => Said::Unread(json),
    };
    Ok(Item { keys, value })
}

fn stats(message: &[u8]) -> Result<Record<'_>, Malformed> {
    let (mut at, mut items) = (None, Vec::new());
    for field in Fields::of(message) {
        match field? {
            (2, Field::Bytes(inner)) => at = Some(seconds(inner)?),
            (3, Field::Bytes(inner)) => items.push(item(inner, Reading::Logged)?),
            _ => {}
        }
    }
    Ok(Record::Stats(at, items))
}

fn exit(message: &[u8]) -> Result<i32, Malformed> {
    let mut code = 0;
    for field in Fields::of(message) {
        if let (1, Field::Varint(its)) = field? {
            code = its as i32;
        }
    }
    Ok(code)
}

fn line(message: &[u8]) -> Result<&str, Malformed> {
    let mut line = "";
    for field in Fields::of(message) {
        if let (3, Field::Bytes(inner)) = field? {
            line = text(inner)?;
        }
    }
    Ok(line)
}

fn environment(message: &[u8]) -> Result<Vec<(&'static str, Value)>, Malformed> {
    let (mut said, mut args) = (Vec::new(), Vec::new());
    for field in Fields::of(message) {
        match field? {
            (number, Field::Bytes(inner)) => {
                let name = match number {
                    1 => "os",
                    2 => "python",
                    4 => "docker",
                    5 => {
                        args.push(Value::from(text(inner)?));
                        continue;
                    }
                    6 => "program",
                    12 => "host",
                    13 => "user",
                    14 => "executable",
                    18 => "gpu",
                    25 => "cuda",
                    _ => continue,
                };
                said.push((name, Value::from(text(inner)?)));
            }
            (16, Field::Varint(count)) => said.push(("cpus", Value::from(count))),
            (19, Field::Varint(count)) => said.push(("gpus", Value::from(count))),
            _ => {}
        }
    }
    if !args.is_empty() {
        said.push(("args", Value::Array(args)));
    }
    Ok(said)
}

/// A value in JSON as W&B writes it: with NaN and infinities, in quotes or without.
pub fn said(json: &str, reading: Reading) -> Said<'_> {
    /// Shorter integers fit into 64 bits.
    const LARGE: usize = 19;

    let number = json.trim();
    if is_large(number) {
        return Said::Large(number.into());
    }
    let is_kept = reading == Reading::Kept;
    let has_large =
        || json.as_bytes().chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= LARGE);
    let as_it_is = if is_kept && has_large() { None } else { serde_json::from_str(json).ok() };
    let Some(value) = as_it_is.or_else(|| serde_json::from_str(&quoted(json, is_kept)).ok()) else {
        return Said::Malformed;
    };
    match value {
        Value::Bool(is_true) => Said::Bool(is_true),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => Said::Integer(integer),
            (_, Some(integer), _) => Said::Unsigned(integer),
            (_, _, Some(number)) => Said::Number(number),
            _ => Said::Malformed,
        },
        Value::String(text) => match text.as_str() {
            "NaN" => Said::Number(f64::NAN),
            "Infinity" => Said::Number(f64::INFINITY),
            "-Infinity" => Said::Number(f64::NEG_INFINITY),
            _ => Said::Text(text.into()),
        },
        other => Said::Json(other),
    }
}

/// Whether it is an integer that 64 bits do not hold.
fn is_large(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty()
        && !digits.starts_with('0')
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && number.parse::<i64>().is_err()
        && number.parse::<u64>().is_err()
}

/// How deep lists and objects lie in one another: 0 for a number or a text.
pub fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest, mut is_inside, mut is_escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'"' => is_inside = !is_inside,
            b'[' | b'{' if !is_inside => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !is_inside => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// JSON in which the words that are no JSON are in quotes, and, if asked for, integers that 64 bits do not hold.
fn quoted(json: &str, is_kept: bool) -> String {
    let (mut out, mut rest, mut is_inside) = (String::with_capacity(json.len() + 8), json, false);
    'next: while let Some(c) = rest.chars().next() {
        if !is_inside {
            for word in ["NaN", "-Infinity", "Infinity"] {
                if let Some(after) = rest.strip_prefix(word) {
                    out.extend(["\"", word, "\""]);
                    rest = after;
                    continue 'next;
                }
            }
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            if matches!(c, '0'..='9' | '-') && end > 0 {
                let quote = if is_kept && is_large(&rest[..end]) { "\"" } else { "" };
                out.extend([quote, &rest[..end], quote]);
                rest = &rest[end..];
                continue;
            }
        }
        let length = match c {
            '\\' if is_inside => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            c => c.len_utf8(),
        };
        is_inside ^= c == '"';
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::wire::testing::Message;

    #[test]
    fn values_are_what_they_say() {
        for (json, expected) in [
            ("0.1", Said::Number(0.1)),
            ("-0", Said::Number(-0.0)),
            ("5e-324", Said::Number(5e-324)),
            ("NaN", Said::Number(f64::NAN)),
            ("\"-Infinity\"", Said::Number(f64::NEG_INFINITY)),
            ("Infinity", Said::Number(f64::INFINITY)),
            ("1152921504606846977", Said::Integer(1_152_921_504_606_846_977)),
            ("-3", Said::Integer(-3)),
            ("18446744073709551615", Said::Unsigned(u64::MAX)),
            ("18446744073709551616", Said::Large("18446744073709551616".into())),
            ("1e400", Said::Malformed),
            ("true", Said::Bool(true)),
            ("\"text\"", Said::Text("text".into())),
            ("null", Said::Json(json!(null))),
            (
                r#"{"a": NaN, "b\"Infinity": [-Infinity, "x\\"]}"#,
                Said::Json(json!({ "a": "NaN", "b\"Infinity": ["-Infinity", "x\\"] })),
            ),
            ("nonsense", Said::Malformed),
            ("", Said::Malformed),
            ("\"\\", Said::Malformed),
        ] {
            let found = said(json, Reading::Logged);
            let same = match (&found, &expected) {
                (Said::Number(a), Said::Number(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                (a, b) => a == b,
            };
            assert!(same, "{json}: {found:?}, not {expected:?}");
        }
    }

    #[test]
    fn what_is_kept_is_not_rounded_and_its_nesting_is_known() {
        let kept = |json: &str| said(json, Reading::Kept).json();
        for (json, expected) in [
            ("1234567890123456789", json!(1_234_567_890_123_456_789_i64)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-123456789012345678901", json!("-123456789012345678901")),
            (
                r#"{"a": [18446744073709551616, 18446744073709551615, NaN], "12345678901234567890123": 0.12345678901234567890}"#,
                json!({ "a": ["18446744073709551616", u64::MAX, "NaN"], "12345678901234567890123": 0.123_456_789_012_345_68 }),
            ),
            ("[1e400]", json!(null)),
        ] {
            assert_eq!(kept(json).unwrap_or_default(), expected, "{json}");
        }
        assert_eq!((Said::Unread("{").json(), Said::Unread("1e400").json()), (None, None));
        for (json, expected) in [("1", 0), (r#""[\"[[""#, 0), (r#"{"a": [[]], "[": {}}"#, 3), ("]]]", 0)] {
            assert_eq!(nesting(json), expected, "{json}");
        }
    }

    #[test]
    fn both_spellings_of_a_value_are_read() {
        let step = Message::default().varint(1, 7);
        let items = [
            Message::default().bytes(1, "a").bytes(16, "0.5"),
            Message::default().bytes(2, "b").bytes(2, "c").double(6, -0.0),
            Message::default().bytes(1, "i").varint(5, 3),
            Message::default().bytes(1, "f").varint(4, 1),
            Message::default().bytes(1, "t").bytes(7, "NaN"),
            Message::default().bytes(1, "j").bytes(8, "[1]"),
            Message::default().bytes(1, "n").varint(3, 0),
        ];
        let history = items.iter().fold(Message::default(), |all, item| all.message(1, item)).message(2, &step);
        let record = Message::default().varint(1, 9).message(2, &history);
        let Ok(Record::History(found)) = Record::read(&record.0) else { panic!("it is a history") };
        assert_eq!(found.step, Some(7));
        let expected = [
            (vec!["a"], Said::Number(0.5)),
            (vec!["b", "c"], Said::Number(-0.0)),
            (vec!["i"], Said::Integer(-2)),
            (vec!["f"], Said::Bool(true)),
            (vec!["t"], Said::Text("NaN".into())),
            (vec!["j"], Said::Json(json!([1]))),
            (vec!["n"], Said::Json(json!(null))),
        ];
        for (item, (keys, value)) in found.items.iter().zip(expected) {
            assert_eq!((&item.keys, &item.value), (&keys, &value));
        }
    }
}
