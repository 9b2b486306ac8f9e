//! A field of CSV as every table of this program spells it: quoted by RFC 4180, and no text that a spreadsheet would run.

/// Text as a field. What begins as a formula does gets an apostrophe, which spreadsheets hide (OWASP, "CSV injection").
pub fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    let is_plain = !text.contains([',', '"', '\r', '\n']) && text.trim() == text;
    if is_plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// A number as a field: the shortest that reads back, `NaN`, `inf` and `-inf` as pandas, R and DuckDB read them.
pub fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (2.0, "2"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), expected);
            assert!(expected.parse::<f64>().unwrap().to_bits() == value.to_bits() || value.is_nan());
        }
    }

    #[test]
    fn fields_are_quoted_and_harmless() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a b", "a b"),
            (" a", "\" a\""),
            ("a,b", "\"a,b\""),
            ("say \"ja\"", "\"say \"\"ja\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+2", "'=1+2"),
            ("-1", "'-1"),
            ("@a,b", "\"'@a,b\""),
            ("\tx", "'\tx"),
            ("한글", "한글"),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
