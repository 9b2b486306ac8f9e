//! What separates cells, and what a cell says: a number, a step, a time, a setting.

use serde_json::Value;

use crate::exchange::findings::shown;
use crate::exchange::intake::moment;
use crate::types::Timestamp;

/// What separates fields, by the first line: a comma, or else a semicolon or a tabulator.
///
/// # Errors
/// When it is no UTF-8 at all.
pub fn delimiter(beginning: &[u8]) -> Result<char, String> {
    if beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff") {
        return Err("is UTF-16; tables are read in UTF-8".to_owned());
    }
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut is_inside = false;
    let outside: Vec<u8> = line
        .iter()
        .copied()
        .filter(|byte| {
            is_inside ^= *byte == b'"';
            !is_inside
        })
        .collect();
    let first = [b',', b';', b'\t'].into_iter().find(|separator| outside.contains(separator));
    Ok(char::from(first.unwrap_or(b',')))
}

/// A number; `None` for an empty cell. Where fields are separated by `;`, a comma is the point, as spreadsheets write it.
///
/// # Errors
/// That it is none.
pub fn number(cell: &str, has_commas: bool) -> Result<Option<f64>, String> {
    let text = cell.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let with_point;
    let text = if has_commas && !text.contains('.') && text.matches(',').count() == 1 {
        with_point = text.replace(',', ".");
        &with_point
    } else {
        text
    };
    text.parse().map(Some).map_err(|_| format!("`{}` is no number", shown(cell)))
}

/// A step: a whole number, which pandas may have written as a float.
///
/// # Errors
/// That it is none.
pub fn step(cell: &str, has_commas: bool) -> Result<i64, String> {
    let text = cell.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let point = |c: char| c == '.' || (has_commas && c == ',');
    let (whole, fraction) = text.split_once(point).unwrap_or((text, "0"));
    let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    whole.parse().ok().filter(|_| is_whole).ok_or_else(|| format!("`{}` is no whole number", shown(cell)))
}

/// Seconds from 1970 to the year 10000.
const LAST_SECS: f64 = 253_402_300_800.0;

/// A time: text, or a number of a unit in seconds; `None` for an empty cell.
///
/// # Errors
/// That it is none.
pub fn time(cell: &str, unit: Option<f64>, has_commas: bool) -> Result<Option<Timestamp>, String> {
    let text = cell.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match unit {
        None => text.parse().map(Some).map_err(|_| {
            format!(
                "`{}` is no time as 2026-01-31T09:30:00.250Z; seconds since 1970 are read in a column `wall_time`, milliseconds in \
                 `time_ms`",
                shown(cell)
            )
        }),
        Some(unit) => {
            let Some(number) = number(cell, has_commas)? else { return Ok(None) };
            let secs = number * unit;
            // Of seconds, the year 9999 is the last; a number of milliseconds is far beyond.
            match moment(secs).filter(|_| secs.abs() < LAST_SECS) {
                Some(at) => Ok(Some(at)),
                None => Err(format!(
                    "`{}` is no number of seconds since 1970 before the year 10000; milliseconds are read in a column `time_ms`",
                    shown(cell)
                )),
            }
        }
    }
}

/// A setting: a number where it is spelled as one and means nothing else (`0012` is a text), and a text otherwise.
pub fn setting(cell: &str, has_commas: bool) -> Value {
    let with_point;
    let cell = match has_commas && cell.matches(',').count() == 1 && number(cell, true).is_ok() {
        true => {
            with_point = cell.replace(',', ".");
            &with_point
        }
        false => cell,
    };
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let is_spelled = digits.starts_with(|c: char| c.is_ascii_digit())
        && !(digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit());
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    match (cell.parse::<i64>(), cell.parse::<f64>()) {
        (Ok(integer), _) if is_spelled && integer.to_string() == cell => Value::from(integer),
        // An integer that is too long to be kept is a text.
        (Err(_), Ok(number)) if is_spelled && !is_integer && number.is_finite() && cell.len() < 30 => {
            Value::from(number)
        }
        _ => Value::from(cell),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_what_they_say_or_nothing() {
        for (cell, expected) in [
            ("0.1", Some(0.1)),
            (" 5e-324 ", Some(5e-324)),
            ("-0", Some(-0.0)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("", None),
        ] {
            assert_eq!(number(cell, false).unwrap().map(f64::to_bits), expected.map(f64::to_bits), "{cell}");
        }
        assert!(number("NaN", false).unwrap().is_some_and(f64::is_nan));
        assert_eq!(number("0,5", true).unwrap(), Some(0.5));
        let millis = |cell| time(cell, Some(1.0), false).map(|at| at.map(Timestamp::unix_millis));
        assert_eq!((millis("1.5"), millis("")), (Ok(Some(1500)), Ok(None)));
        assert!(millis("1700000000000").is_err() && millis("NaN").is_err(), "seconds are asked for");
        for (cell, has_commas) in
            [("0,5", false), ("1,000,5", true), ("1.000,5", true), ("1 000", false), ("1_0", false), ("NA", false)]
        {
            assert!(number(cell, has_commas).is_err(), "{cell}");
        }
        assert_eq!((step("-3", false), step("10.0", false)), (Ok(-3), Ok(10)));
        assert_eq!(step("9223372036854775807", false), Ok(i64::MAX));
        assert!(["", "1.5", "NaN", "1e300"].iter().all(|cell| step(cell, false).is_err()));
        let at = |millis| Some(Timestamp::from_unix_millis(millis));
        assert_eq!(time("1970-01-01T00:00:00.007Z", None, false).unwrap(), at(7));
        assert_eq!(time("1.5", Some(1.0), false).unwrap(), at(1500));
        assert!(time("1700000000", None, false).unwrap_err().contains("in a column `wall_time`"));
        for (cell, expected) in [
            ("1", json!(1)),
            ("-0", json!("-0")),
            ("0.25", json!(0.25)),
            ("1e-7", json!(1e-7)),
            ("0012", json!("0012")),
            ("+1", json!("+1")),
            ("NaN", json!("NaN")),
            ("adam", json!("adam")),
            ("123456789012345678901234567890", json!("123456789012345678901234567890")),
        ] {
            assert_eq!(setting(cell, false), expected, "{cell}");
            assert_eq!(setting("0,5", true), json!(0.5));
            assert_eq!(setting("0,5", false), json!("0,5"));
        }
    }
}
