//! Numbers and times as people read them.

use super::spelling;
use crate::store::Cell;
use crate::types::Timestamp;

/// `1,052,256`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `1,200 runs`.
pub fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {what}{s}", thousands(count as u64))
}

/// Three digits and a decimal prefix: `16.4M`, `950`, `2.10T`.
pub fn si(value: f64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut scaled = value;
    let mut prefix = 0;
    while scaled.abs() >= 999.5 && prefix + 1 < PREFIXES.len() {
        scaled /= 1e3;
        prefix += 1;
    }
    let decimals = if prefix == 0 && scaled.fract() == 0.0 { 0 } else { 2 - scaled.abs().max(1.0).log10() as usize };
    format!("{scaled:.decimals$}{}", PREFIXES[prefix])
}

/// `42 s`, `3 min 10 s`, `5 h 02 min`, `3 d 4 h`.
pub fn duration(secs: f64) -> String {
    let whole = secs.round().max(0.0) as u64;
    match whole {
        _ if secs < 9.95 => format!("{:.1} s", secs.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `2026-01-31 09:30 (2 h ago)`, in UTC.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (day, time) = (&text[..10], &text[11..16]);
    format!("{day} {time} ({})", ago(now.secs_since(at)))
}

/// `just now`, `5 min ago`, `2 h ago`.
pub fn ago(secs: f64) -> String {
    let whole = secs.max(0.0) as u64;
    match whole {
        0..60 => "just now".into(),
        60..3600 => format!("{} min ago", whole / 60),
        3600..86_400 => format!("{} h ago", whole / 3600),
        _ => format!("{} d ago", whole / 86_400),
    }
}

/// Four decimals, none where a count is as large as that they would say nothing, or `-` where there is no number.
pub fn metric(value: Option<f64>) -> String {
    match value {
        Some(value) if value.is_finite() && value != 0.0 && !(1e-3..1e6).contains(&value.abs()) && !is_count(value) => {
            format!("{value:.3e}")
        }
        Some(0.0) => "0".into(),
        Some(value) if is_count(value) => format!("{value:.0}"),
        Some(value) => format!("{value:.4}"),
        None => "-".into(),
    }
}

/// A value of a table of runs.
pub fn cell(cell: &Cell, now: Timestamp) -> String {
    match cell {
        Cell::Text(text) => spelling::setting(text),
        Cell::Number(number) => metric(Some(*number)),
        Cell::Count(count) => thousands(*count),
        Cell::Moment(at) => moment(*at, now),
        Cell::Seconds(secs) => duration(*secs),
        Cell::Bytes(bytes) => format!("{}B", si(*bytes as f64)),
    }
}

/// Whether a value is a whole number that is exact as such.
fn is_count(value: f64) -> bool {
    value.fract() == 0.0 && (1e3..1e15).contains(&value.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(thousands(0), "0");
        check(thousands(999), "999");
        check(thousands(1_052_256), "1,052,256");
        check(si(950.0), "950");
        check(si(16_384_000.0), "16.4M");
        check(si(999_600.0), "1.00M");
        check(si(2.1e12), "2.10T");
        check(duration(0.25), "0.2 s");
        check(duration(59.0), "59 s");
        check(duration(190.0), "3 min 10 s");
        check(duration(18_120.0), "5 h 02 min");
        check(duration(273_600.0), "3 d 4 h");
        check(metric(Some(4.81234)), "4.8123");
        check(metric(Some(2.5e-5)), "2.500e-5");
        check(metric(Some(0.0)), "0");
        check(metric(Some(561_167.0)), "561167");
        check(metric(Some(1e20)), "1.000e20");
        check(metric(None), "-");
    }
}
