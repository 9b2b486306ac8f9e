//! What clients send, read strictly: nothing is cut, wrapped or guessed, and every mistake says which field it is in.
//!
//! The rules are those of the protocol's JSON: 64-bit integers are numbers, or strings where a client's language has none;
//! numbers that are not finite are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`; fields that are not known are
//! passed over.

use serde::de::{DeserializeOwned, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::fault::{Code, Fault};
use super::http::Request;
use crate::types::{MetricName, RunId, Timestamp};

/// Characters of a key at most, as every client has it.
pub const LONGEST_KEY: usize = 250;
/// Bytes of the value of a parameter or a tag at most.
pub const LONGEST_VALUE: usize = 100_000;
/// Characters of the name of an experiment or a run at most.
pub const LONGEST_NAME: usize = 500;

/// A key and its value, as tags and parameters are sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct KeyValue {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// A point of a metric, as it is sent.
#[derive(Clone, Debug, Deserialize)]
pub struct SentMetric {
    pub key: String,
    pub value: Number,
    #[serde(default)]
    pub timestamp: Option<Int>,
    #[serde(default)]
    pub step: Option<Int>,
}

/// A 64-bit integer: a JSON number without a fraction, or a string of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int(pub i64);

/// A floating-point number, finite or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

/// Reads the JSON object of a request.
///
/// # Errors
/// When the body is no JSON, no object, or a field is not what it must be.
pub fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Fault> {
    let bytes = request.bytes();
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return Err(Fault::new(Code::BadRequest, "the body of the request is not a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Fault::invalid(format!("invalid value: {error}")),
        _ => Fault::new(Code::BadRequest, format!("the body of the request is not JSON: {error}")),
    })
}

/// The id of a run, whether there is such a run or not.
pub fn run_id(id: &str) -> Result<RunId, Fault> {
    id.parse().map_err(|_| Fault::missing(format!("no run is called '{}'", shown(id))))
}

/// A field that must be there and say something.
pub fn required<'v>(name: &str, value: Option<&'v str>) -> Result<&'v str, Fault> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| Fault::invalid(format!("missing value for required parameter '{name}'")))
}

/// Holds a key to the rule that every client knows: letters, digits, `_ - . / :` and spaces, and no way out of a folder.
pub fn check_key(what: &str, key: &str) -> Result<(), Fault> {
    let wrong = |rule: &str| Err(Fault::invalid(format!("invalid {what} key '{}': {rule}", shown(key))));
    if key.is_empty() {
        return wrong("a key has a letter at least");
    }
    if key.chars().count() > LONGEST_KEY {
        return wrong(&format!("a key has at most {LONGEST_KEY} characters"));
    }
    if !key.chars().all(|c| c.is_alphanumeric() || "_-./: ".contains(c)) {
        return wrong("a key has letters, digits, underscores, dashes, periods, colons, spaces and slashes");
    }
    if key.starts_with('/') || key.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("the parts between slashes are names");
    }
    Ok(())
}

/// The key of a metric.
pub fn metric_name(key: &str) -> Result<MetricName, Fault> {
    check_key("metric", key)?;
    key.parse().map_err(|_| Fault::invalid(format!("invalid metric key '{}'", shown(key))))
}

/// Holds a value to its length: what is too long is refused, never cut.
pub fn check_value(what: &str, key: &str, value: &str) -> Result<(), Fault> {
    match value.len() {
        length if length > LONGEST_VALUE => {
            let text = format!("the value of {what} '{}' has {length} bytes: {LONGEST_VALUE} are taken", shown(key));
            Err(Fault::invalid(text))
        }
        _ => Ok(()),
    }
}

/// Holds a name to what can be shown on one line.
pub fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    if name.trim().is_empty() || name.contains(char::is_control) || name.chars().count() > LONGEST_NAME {
        let text =
            format!("invalid {what} name '{}': it is one line of at most {LONGEST_NAME} characters", shown(name));
        return Err(Fault::invalid(text));
    }
    Ok(())
}

/// A moment in milliseconds since 1970.
pub fn moment(what: &str, millis: i64) -> Result<Timestamp, Fault> {
    let at = Timestamp::from_unix_millis(millis);
    match at.unix_millis() == millis {
        true => Ok(at),
        false => Err(Fault::invalid(format!("{what} {millis} is no time in milliseconds since 1970"))),
    }
}

/// A count in a query string.
pub fn count(name: &str, text: Option<&str>) -> Result<Option<i64>, Fault> {
    let parsed = text.filter(|text| !text.is_empty()).map(str::parse).transpose();
    parsed.map_err(|_| Fault::invalid(format!("'{name}' is a whole number, not '{}'", shown(text.unwrap_or_default()))))
}

/// How many results are wanted: at least one, at most `most`.
pub fn max_results(wanted: Option<i64>, usual: usize, most: usize) -> Result<usize, Fault> {
    match wanted.map(usize::try_from) {
        None => Ok(usual),
        Some(Ok(count)) if (1..=most).contains(&count) => Ok(count),
        _ => Err(Fault::invalid(format!("'max_results' is a number from 1 to {most}"))),
    }
}

/// The beginning of a text that somebody sent, for a message.
pub fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if start.len() < text.len() { format!("{start}...") } else { start }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = i64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a 64-bit integer")
            }

            fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
                Ok(value)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i64, E> {
                i64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i64, E> {
                // What a float holds exactly is meant.
                let is_exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
                if is_exact { Ok(value as i64) } else { Err(E::invalid_value(Unexpected::Float(value), &self)) }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Whole).map(Self)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Real;

        impl Visitor<'_> for Real {
            type Value = f64;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(r#"a number, "NaN", "Infinity" or "-Infinity""#)
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
                match text {
                    "NaN" => Ok(f64::NAN),
                    "Infinity" => Ok(f64::INFINITY),
                    "-Infinity" => Ok(f64::NEG_INFINITY),
                    _ => {
                        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                        number.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }
            }
        }

        deserializer.deserialize_any(Real).map(Self)
    }
}

/// Text in which `+` is a space, where it says so, and `%41` a byte; decoded once.
///
/// # Errors
/// When a percent sign is followed by no two digits, or the bytes are not UTF-8.
pub fn decoded(text: &str, plus_is_space: bool) -> Result<String, Fault> {
    let bad = || Fault::new(Code::BadRequest, "the address is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' if plus_is_space => bytes.push(b' '),
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()).ok_or_else(bad)?, digit(rest.next()).ok_or_else(bad)?);
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// The keys and values of a query string.
///
/// # Errors
/// When one is not percent-encoded UTF-8.
pub fn query(text: &str) -> Result<Vec<(String, String)>, Fault> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key, true)?, decoded(value, true)?))
        })
        .collect()
}

/// So that `#[serde(deserialize_with)]` is not needed for what may be `null`.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_whole_or_refused() {
        let read = |text: &str| serde_json::from_str::<Int>(text).map(|Int(value)| value).ok();
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        assert_eq!(read("\"-9223372036854775808\""), Some(i64::MIN));
        assert_eq!(read("3.0"), Some(3));
        for wrong in ["9223372036854775808", "1e19", "3.5", "\"x\"", "true", "[]", "\"\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_themselves_or_refused() {
        let read = |text: &str| serde_json::from_str::<Number>(text).map(|Number(value)| value).ok();
        assert!(read("\"NaN\"").is_some_and(f64::is_nan));
        assert_eq!(read("\"-Infinity\""), Some(f64::NEG_INFINITY));
        assert_eq!(read("1.7976931348623157e308"), Some(f64::MAX));
        for wrong in ["NaN", "Infinity", "1e400", "\"1e400\"", "\"nan\"", "null", "\"\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keys_are_those_that_every_client_takes() {
        for good in ["loss", "val/loss", "a b:c.d-e_f", "손실", "é", &"k".repeat(250)] {
            assert_eq!(check_key("metric", good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a//b", "a/../b", ".", "..", "a/", "a\nb", "a#b", "a?b", "a%b", "🙂", &"k".repeat(251)]
        {
            assert!(check_key("metric", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_decoded_once() {
        assert_eq!(decoded("a%2Fb%252e+c", false).unwrap(), "a/b%2e+c");
        assert_eq!(decoded("a+b%ED%95%9C", true).unwrap(), "a b한");
        for bad in ["%", "%1", "%zz", "%ff", "%+1"] {
            assert!(decoded(bad, false).is_err(), "{bad}");
        }
        assert_eq!(query("a=1&b&a=2&&c==").unwrap().len(), 4);
    }

    proptest! {
        #[test]
        fn every_finite_number_is_read_as_it_is(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = serde_json::to_string(&value).unwrap();
            let Number(found) = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(found.to_bits(), value.to_bits());
        }

        #[test]
        fn decoding_undoes_encoding(text: String) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decoded(&encoded, false).unwrap(), text);
        }
    }
}
