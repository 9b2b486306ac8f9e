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
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(axis_value).collect::<Vec<_>>().join(", "))
        }
        // What a specification leaves out.
        serde_json::Value::Null => Value::Off.to_string(),
        other => other.to_string(),
    }
}

/// A moment to the minute, `2026-01-31 09:30 UTC`.
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// A p-value: three decimals, or that it is smaller. One just below 0.05 is not rounded up to it.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p if (0.0495..0.05).contains(&p) => format!("{:.4}", (p * 1e4).floor() / 1e4),
        p => format!("{p:.3}"),
    }
}

/// `-1,234.50` with a true minus sign.
pub fn decimal(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let groups = whole.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect::<Vec<_>>();
    let sign = if value < 0.0 && digits.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "\u{2212}" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", groups.join(","))
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
    fn numbers_are_grouped_and_rounded() {
        let spelled = [decimal(-1_234.5, 2), decimal(999.6, 0), decimal(1e6, 0), decimal(-0.001, 2), p_value(0.000_2)];
        assert_eq!(spelled, ["\u{2212}1,234.50", "1,000", "1,000,000", "0.00", "< 0.001"]);
        assert_eq!([0.049_96, 0.049_4, 0.05, 1.0].map(p_value), ["0.0499", "0.049", "0.050", "1.000"]);
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
            ("[[16, 0.4], [32, 0.2]]", json!([[16, 0.4], [32, 0.2]]), "[[16, 0.4], [32, 0.2]]"),
        ] {
            assert_eq!((setting(canonical), axis_value(&stored)), (spelled.to_owned(), spelled.to_owned()));
        }
        assert_eq!(axis_value(&json!(null)), "off", "a specification leaves out what is off");
        assert_eq!(setting("one"), "one", "a word with an e is no number");
    }
}
