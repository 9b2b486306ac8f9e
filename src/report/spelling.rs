//! One way to print a setting, wherever it comes from: `0.0003` is `3e-4` in a table, a figure and an answer alike; and one for
//! a moment on a page.

use crate::experiment::Value;
use crate::types::Timestamp;

/// A setting of a specification, whose floats are in canonical form (`1.5e-1`), as a person would write it.
pub fn setting(canonical: &str) -> String {
    match canonical.parse::<f64>() {
        Ok(number) if canonical.contains('e') => Value::Float(number).to_string(),
        _ => canonical.to_owned(),
    }
}

/// A value of an axis, as the store keeps it.
pub fn axis_value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |number| Value::Float(number).to_string())
        }
        other => other.to_string(),
    }
}

/// A moment to the minute, `2026-01-31 09:30 UTC`.
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_is_told_to_the_minute() {
        let at: Timestamp = "2026-01-31T09:30:59.250Z".parse().unwrap();
        assert_eq!(minute(at), "2026-01-31 09:30 UTC");
    }

    #[test]
    fn a_number_is_spelled_alike_everywhere() {
        for (canonical, stored, spelled) in [
            ("1.5e-1", json!(0.15), "0.15"),
            ("1e-4", json!(0.0001), "1e-4"),
            ("1e-3", json!(1e-3), "0.001"),
            ("5e0", json!(5.0), "5"),
            ("64", json!(64), "64"),
            ("cosine", json!("cosine"), "cosine"),
            ("true", json!(true), "true"),
        ] {
            assert_eq!((setting(canonical), axis_value(&stored)), (spelled.to_owned(), spelled.to_owned()));
        }
        assert_eq!(setting("one"), "one", "a word with an e is no number");
    }
}
