//! Values of queries: numbers with their decimal letters, moments, times that things took, sizes, and texts with wildcards.

use crate::types::Timestamp;

/// The number that a stored text stands for: a setting, or a leaf of the provenance.
pub fn number_of(text: &str) -> Option<f64> {
    // `inf` and `nan` are words here; no setting has such a value.
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Numbers between two, each of which may belong to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub has_low: bool,
    pub high: f64,
    pub has_high: bool,
}

impl Interval {
    /// From `low` to `high`, both included.
    pub fn closed(low: f64, high: f64) -> Self {
        Self { low, has_low: true, high, has_high: true }
    }

    /// Whether a number is between them. What is not a number is in none. The definition, which SQL is held against.
    #[cfg(test)]
    pub fn contains(self, value: f64) -> bool {
        let is_after = if self.has_low { value >= self.low } else { value > self.low };
        let is_before = if self.has_high { value <= self.high } else { value < self.high };
        is_after && is_before
    }

    /// What is less than all of it.
    pub fn below(self) -> Self {
        Self { low: f64::NEG_INFINITY, has_low: true, high: self.low, has_high: !self.has_low }
    }

    /// What is greater than all of it.
    pub fn above(self) -> Self {
        Self { low: self.high, has_low: !self.has_high, high: f64::INFINITY, has_high: true }
    }

    /// It and what is less.
    pub fn up_to(self) -> Self {
        Self { low: f64::NEG_INFINITY, has_low: true, ..self }
    }

    /// It and what is greater.
    pub fn from(self) -> Self {
        Self { high: f64::INFINITY, has_high: true, ..self }
    }
}

/// A number, with a letter for thousands if there is one: `1.05M`.
pub fn number(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().trim_start_matches(['+', '-']) {
        "inf" | "infinity" => return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }),
        "nan" => return None,
        _ => {}
    }
    let scale = |letter| match letter {
        'k' => Some(1e3),
        'M' => Some(1e6),
        'G' => Some(1e9),
        'T' => Some(1e12),
        _ => None,
    };
    match text.chars().last().and_then(scale) {
        Some(scale) => number_of(text[..text.len() - 1].trim_end()).map(|number| number * scale),
        None => number_of(text),
    }
}

/// Bytes: `500 MB`, `2GiB`, `1e6`.
pub fn bytes(text: &str) -> Option<f64> {
    let units =
        [("kib", 10), ("mib", 20), ("gib", 30), ("tib", 40)].map(|(unit, power)| (unit, (1_u64 << power) as f64));
    let decimal = [("kb", 1e3), ("mb", 1e6), ("gb", 1e9), ("tb", 1e12), ("b", 1.0)];
    let text = text.trim().to_ascii_lowercase();
    for (unit, scale) in units.into_iter().chain(decimal) {
        if let Some(count) = text.strip_suffix(unit) {
            return number_of(count.trim_end()).map(|count| count * scale);
        }
    }
    number(&text)
}

/// Seconds: `90`, `1.5 h`, `1 h 30 min`.
pub fn seconds(text: &str) -> Option<f64> {
    if let Some(seconds) = number_of(text.trim()) {
        return Some(seconds);
    }
    let mut rest = text.trim();
    let mut total = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let count = number_of(&rest[..digits])?;
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        total = Some(total.unwrap_or(0.0) + count * seconds_of(&after[..letters])?);
        rest = after[letters..].trim_start();
    }
    total
}

fn seconds_of(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_lowercase();
    let unit = if unit.len() > 3 { unit.trim_end_matches('s') } else { &unit };
    Some(match unit {
        "ms" => 1e-3,
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3_600.0,
        "d" | "day" => 86_400.0,
        "w" | "week" => 604_800.0,
        _ => return None,
    })
}

/// The milliseconds that a moment stands for, in UTC: a day, a minute, an instant; `2 days ago`, `today`, `yesterday`.
pub fn moment(text: &str, now: Timestamp) -> Option<Interval> {
    const DAY_MILLIS: i64 = 86_400_000;

    let lower = text.trim().to_ascii_lowercase();
    let during = |start: i64, millis: i64| Interval {
        has_high: false,
        ..Interval::closed(start as f64, (start + millis) as f64)
    };
    let midnight = now.unix_millis().div_euclid(DAY_MILLIS) * DAY_MILLIS;
    match lower.as_str() {
        "today" => return Some(during(midnight, DAY_MILLIS)),
        "yesterday" => return Some(during(midnight - DAY_MILLIS, DAY_MILLIS)),
        "now" => return Some(during(now.unix_millis(), 1)),
        _ => {}
    }
    if let Some(ago) = lower.strip_suffix("ago") {
        let at = now.unix_millis() - (seconds(ago)? * 1e3).min(1e15) as i64;
        return Some(during(at, 1));
    }
    // What tracking clients send: milliseconds since 1970.
    if lower.len() >= 11 && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return lower.parse().ok().map(|millis: i64| during(millis.min(1 << 52), 1));
    }
    let written = text.trim().trim_end_matches(" UTC");
    let (day, time) = match written.split_once([' ', 'T', 't']) {
        Some((day, time)) => (day, Some(time.trim_end_matches(['Z', 'z']))),
        None => (written, None),
    };
    let (time, millis) = match time {
        None => ("00:00:00".to_owned(), DAY_MILLIS),
        Some(time) if time.len() == 5 => (format!("{time}:00"), 60_000),
        Some(time) if time.contains('.') => (time.to_owned(), 1),
        Some(time) => (time.to_owned(), 1_000),
    };
    // A month is the shortest that is understood alone: days of other lengths would be guessed at.
    let start: Timestamp = format!("{day}T{time}Z").parse().ok()?;
    Some(during(start.unix_millis(), millis))
}

/// A text with wildcards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Wild>,
    ignore_case: bool,
}

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wild {
    Any,
    One,
    Letter(char),
}

impl Pattern {
    /// `%` is any text, `_` one character; `ignore_case` is about the letters of ASCII.
    pub fn new(text: &str, ignore_case: bool) -> Self {
        Self::of(text.chars().map(|c| (c, false)), ignore_case)
    }

    /// [`new`](Self::new) where `\%`, `\_` and `\\` are the characters themselves.
    pub fn with_escapes(text: &str, ignore_case: bool) -> Self {
        let mut rest = text.chars().peekable();
        let next = move || {
            let c = rest.next()?;
            let is_escape = c == '\\' && matches!(rest.peek(), Some('%' | '_' | '\\'));
            Some((if is_escape { rest.next()? } else { c }, is_escape))
        };
        Self::of(std::iter::from_fn(next), ignore_case)
    }

    /// Of characters, and whether each is meant as it is.
    fn of(characters: impl Iterator<Item = (char, bool)>, ignore_case: bool) -> Self {
        let part = |(c, is_plain): (char, bool)| match c {
            '%' if !is_plain => Wild::Any,
            '_' if !is_plain => Wild::One,
            c if ignore_case => Wild::Letter(c.to_ascii_lowercase()),
            c => Wild::Letter(c),
        };
        let mut parts: Vec<Wild> = characters.map(part).collect();
        parts.dedup_by(|a, b| *a == Wild::Any && *b == Wild::Any);
        Self { parts, ignore_case }
    }

    /// The pattern behind a text that is meant as it is.
    #[must_use]
    pub fn after(mut self, text: &str) -> Self {
        let plain = text.chars().map(|c| Wild::Letter(if self.ignore_case { c.to_ascii_lowercase() } else { c }));
        self.parts.splice(0..0, plain);
        self
    }

    /// Whether a text is like it: the definition, which SQL is held against.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = match self.ignore_case {
            true => text.chars().map(|c| c.to_ascii_lowercase()).collect(),
            false => text.chars().collect(),
        };
        let (mut t, mut p) = (0, 0);
        // Where to try again: the last `%`, and how far it reached.
        let mut again: Option<(usize, usize)> = None;
        while t < text.len() {
            match self.parts.get(p) {
                Some(Wild::Any) => {
                    again = Some((p, t));
                    p += 1;
                }
                Some(Wild::One) => (t, p) = (t + 1, p + 1),
                Some(Wild::Letter(c)) if *c == text[t] => (t, p) = (t + 1, p + 1),
                _ => match again {
                    Some((any, reached)) => {
                        again = Some((any, reached + 1));
                        (t, p) = (reached + 1, any + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts[p..].iter().all(|part| *part == Wild::Any)
    }

    /// As SQLite's GLOB has it, and whether it is about a text in lower case.
    pub fn glob(&self) -> (String, bool) {
        let mut glob = String::new();
        for part in &self.parts {
            match part {
                Wild::Any => glob.push('*'),
                Wild::One => glob.push('?'),
                Wild::Letter(c @ ('*' | '?' | '[')) => glob.extend(['[', *c, ']']),
                Wild::Letter(c) => glob.push(*c),
            }
        }
        (glob, self.ignore_case)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_sizes_and_times_are_read() {
        assert_eq!(
            [number("1.5M"), number("1e-4"), number("-3"), number("x"), number("nan")],
            [Some(1.5e6), Some(1e-4), Some(-3.0), None, None]
        );
        assert_eq!([number("-inf"), number("Infinity")], [Some(f64::NEG_INFINITY), Some(f64::INFINITY)]);
        assert_eq!(
            [bytes("500 MB"), bytes("2GiB"), bytes("17"), bytes("3 apples")],
            [Some(5e8), Some(2147483648.0), Some(17.0), None]
        );
        assert_eq!(
            [seconds("90"), seconds("1 h 30 min"), seconds("1.5h"), seconds("2 days"), seconds("2 moons"), seconds("")],
            [Some(90.0), Some(5400.0), Some(5400.0), Some(172_800.0), None, None]
        );
    }

    #[test]
    fn moments_are_as_long_as_they_are_written() {
        let now: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().unix_millis() as f64;
        let check = |text: &str, start: &str, millis: f64| {
            let interval = moment(text, now).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((interval.low, interval.high - interval.low), (at(start), millis), "{text}");
            assert!(interval.contains(interval.low) && !interval.contains(interval.high));
        };
        check("2026-01-30", "2026-01-30T00:00:00Z", 86_400_000.0);
        check("2026-01-30 08:15", "2026-01-30T08:15:00Z", 60_000.0);
        check("2026-01-30T08:15:30Z", "2026-01-30T08:15:30Z", 1_000.0);
        check("2026-01-30T08:15:30.250Z", "2026-01-30T08:15:30.250Z", 1.0);
        check("2 days ago", "2026-01-29T09:30:00Z", 1.0);
        check("Yesterday", "2026-01-30T00:00:00Z", 86_400_000.0);
        check("1769851800000", "2026-01-31T09:30:00Z", 1.0);
        for wrong in ["soon", "2026", "2026-13-01", "2 moons ago", "ago", "2026-01-30 8"] {
            assert_eq!(moment(wrong, now), None, "{wrong}");
        }
    }

    /// The definition: try every way.
    fn is_like(parts: &[Wild], text: &[char]) -> bool {
        match parts {
            [] => text.is_empty(),
            [Wild::Any, rest @ ..] => (0..=text.len()).any(|skipped| is_like(rest, &text[skipped..])),
            [Wild::One, rest @ ..] => !text.is_empty() && is_like(rest, &text[1..]),
            [Wild::Letter(c), rest @ ..] => text.first() == Some(c) && is_like(rest, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn wildcards_match_as_they_are_defined(pattern in "[ab%_*?\\[]{0,7}", text in "[ab*?\\[\\]]{0,8}") {
            let pattern = Pattern::new(&pattern, false);
            let letters: Vec<char> = text.chars().collect();
            prop_assert_eq!(pattern.matches(&text), is_like(&pattern.parts, &letters));
        }

        /// Whatever a text is, it can be asked for as it is.
        #[test]
        fn an_escaped_text_is_like_itself_alone(text in "[ab%_\\\\]{0,7}", other in "[ab%_\\\\]{0,7}") {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            prop_assert_eq!(Pattern::with_escapes(&escaped, false).matches(&other), text == other);
            prop_assert!(Pattern::with_escapes(&escaped, false).matches(&text));
        }

        #[test]
        fn nothing_makes_the_readers_panic(text in prop_oneof![any::<String>(), "[-0-9:. TZa-z가]{0,16}"]) {
            let now = Timestamp::from_unix_millis(0);
            let _ = (moment(&text, now), seconds(&text), bytes(&text), number(&text));
        }

        /// Of a number, exactly one holds: below, within, above.
        #[test]
        fn an_interval_cuts_the_numbers_in_three(a in -3i8..3, b in -3i8..3, ends: (bool, bool), x in -4i8..4) {
            let (low, high) = (f64::from(a.min(b)), f64::from(a.max(b)));
            prop_assume!(low < high || ends == (true, true));
            let interval = Interval { low, has_low: ends.0, high, has_high: ends.1 };
            let x = f64::from(x);
            let places = [interval.below(), interval, interval.above()].map(|part| usize::from(part.contains(x)));
            prop_assert_eq!(places.iter().sum::<usize>(), 1);
            prop_assert_eq!(interval.up_to().contains(x), !interval.above().contains(x));
            prop_assert_eq!(interval.from().contains(x), !interval.below().contains(x));
        }
    }
}
