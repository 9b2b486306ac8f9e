//! Ranges: many values of an axis in a few words.
//!
//! - `{ from = 0.1, to = 0.5, step = 0.1 }`: every step from the one end to the other, both included
//! - `{ linspace = [0.1, 0.5], n = 5 }`: so many values at equal distances, the ends included
//! - `{ logspace = [1e-4, 1e-2], n = 5 }`: so many values at equal ratios, the ends included
//!
//! Steps and distances are exact decimals: the third value from 0.1 by 0.1 is 0.3. Where a value has no short decimal
//! (a third, a root) it is rounded to six significant digits; for keys of whole numbers a `logspace` rounds to whole
//! ones. A value is thus the same on every machine, and short enough to be typed.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::decimal::Decimal;
use super::value::Kind;
use crate::suggest;

/// The most values that a range may have.
const MAX_VALUES: usize = 100_000;

/// Significant digits of a value that has no short decimal.
pub(super) const SIGNIFICANT: usize = 6;

const WORDS: [&str; 6] = ["from", "to", "step", "linspace", "logspace", "n"];

/// What is wrong with a range, and where: at a value of it, or at all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: Option<Range<usize>>,
    pub message: String,
    pub help: String,
}

impl Fault {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), help: help.into() }
    }

    fn at(mut self, span: Range<usize>) -> Self {
        self.at = Some(span);
        self
    }
}

/// Whether a table is meant as a range.
pub(super) fn is_range(table: &DeTable<'_>) -> bool {
    table.iter().any(|(name, _)| WORDS.contains(&name.get_ref().as_ref()))
}

/// The values of a range, in its order.
pub(super) fn values(kind: Kind, table: &DeTable<'_>) -> Result<Vec<Decimal>, Fault> {
    if let Some((name, _)) = table.iter().find(|(name, _)| !WORDS.contains(&name.get_ref().as_ref())) {
        let help = match suggest::nearest(name.get_ref(), WORDS) {
            Some(word) => format!("did you mean `{word}`?"),
            None => {
                "a range is { from, to, step }, { linspace = [FROM, TO], n } or { logspace = [FROM, TO], n }".into()
            }
        };
        return Err(Fault::new(format!("unknown word `{}` in a range", name.get_ref()), help).at(name.span()));
    }
    let has = |words: &[&str]| table.len() == words.len() && words.iter().all(|word| table.contains_key(*word));
    if has(&["from", "to", "step"]) {
        steps(number(table, "from")?, number(table, "to")?, number(table, "step")?)
    } else if has(&["linspace", "n"]) {
        let (ends, n) = (ends(table, "linspace")?, count(table)?);
        let distance = ends.1.subtract(ends.0);
        let at = |i: usize| {
            let share = Decimal::from(i as i64).multiply(distance).divide(Decimal::from(n as i64 - 1));
            rounded(ends.0.add(share.unwrap_or(Decimal::ZERO)))
        };
        Ok((0..n).map(|i| if i + 1 == n { ends.1 } else { at(i) }).collect())
    } else if has(&["logspace", "n"]) {
        let (ends, n) = (ends(table, "logspace")?, count(table)?);
        if ends.0 <= Decimal::ZERO || ends.1 <= Decimal::ZERO {
            let fault = Fault::new("a `logspace` is between numbers above 0", "`linspace` may begin at 0");
            return Err(fault.at(table["logspace"].span()));
        }
        let at = |i: usize| log_between(ends, i as f64 / (n as f64 - 1.0), kind);
        Ok((0..n)
            .map(|i| {
                if i == 0 {
                    ends.0
                } else if i + 1 == n {
                    ends.1
                } else {
                    at(i)
                }
            })
            .collect())
    } else {
        let help = "write { from, to, step }, { linspace = [FROM, TO], n } or { logspace = [FROM, TO], n }";
        Err(Fault::new("this range is not whole", help))
    }
}

fn steps(from: Decimal, to: Decimal, step: Decimal) -> Result<Vec<Decimal>, Fault> {
    let distance = to.subtract(from);
    let Some(count) = distance.divide(step).filter(|count| *count >= Decimal::ZERO) else {
        return Err(Fault::new(
            format!("no step of {} leads from {} to {}", shown(step), shown(from), shown(to)),
            "`step` must go towards `to`",
        ));
    };
    let whole = count.floor();
    if whole.multiply(step) != distance {
        let before = from.add(whole.multiply(step));
        let help = format!("the steps nearest to it are {} and {}", shown(before), shown(before.add(step)));
        return Err(Fault::new(format!("steps of {} from {} miss {}", shown(step), shown(from), shown(to)), help));
    }
    let n = whole.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n < MAX_VALUES);
    let n = n.ok_or_else(|| Fault::new(format!("the range has more than {MAX_VALUES} values"), "take longer steps"))?;
    Ok((0..=n).map(|i| from.add(step.multiply(Decimal::from(i as i64)))).collect())
}

/// The number at `share` of the way between two ends above 0, on a logarithmic scale.
pub(super) fn log_between(ends: (Decimal, Decimal), share: f64, kind: Kind) -> Decimal {
    // libm's functions are computed in software, the same on every machine; rounding hides their last digits anyway.
    let (low, high) = (libm::log(ends.0.to_f64()), libm::log(ends.1.to_f64()));
    let value = Decimal::rounded(libm::exp(low + share * (high - low)), SIGNIFICANT).unwrap_or(ends.0);
    if matches!(kind, Kind::Integer { .. }) { value.round() } else { value }
}

/// To six significant digits, unless the number is that short.
pub(super) fn rounded(value: Decimal) -> Decimal {
    Decimal::rounded(value.to_f64(), SIGNIFICANT).unwrap_or(value)
}

fn shown(value: Decimal) -> f64 {
    value.to_f64()
}

/// A TOML number, exactly.
pub(super) fn decimal(value: &DeValue<'_>) -> Option<Decimal> {
    match value {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Decimal::from),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn number(table: &DeTable<'_>, word: &str) -> Result<Decimal, Fault> {
    let value = &table[word];
    decimal(value.get_ref()).ok_or_else(|| {
        Fault::new(format!("`{word}` must be a number"), "as in { from = 0.1, to = 0.5, step = 0.1 }").at(value.span())
    })
}

fn ends(table: &DeTable<'_>, word: &str) -> Result<(Decimal, Decimal), Fault> {
    let value: &Spanned<DeValue<'_>> = &table[word];
    let items = value.get_ref().as_array().filter(|items| items.len() == 2);
    let ends = items.and_then(|items| Some((decimal(items[0].get_ref())?, decimal(items[1].get_ref())?)));
    ends.filter(|ends| ends.0 != ends.1).ok_or_else(|| {
        let help = format!("as in {{ {word} = [1e-4, 1e-2], n = 5 }}");
        Fault::new(format!("`{word}` must be two different numbers"), help).at(value.span())
    })
}

fn count(table: &DeTable<'_>) -> Result<usize, Fault> {
    let value = &table["n"];
    let n = decimal(value.get_ref()).and_then(Decimal::as_integer).and_then(|n| usize::try_from(n).ok());
    n.filter(|n| (2..=MAX_VALUES).contains(n)).ok_or_else(|| {
        Fault::new(format!("`n` must be a whole number from 2 to {MAX_VALUES}"), "it counts both ends").at(value.span())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Bounds;

    fn range(text: &str, kind: Kind) -> String {
        let value = DeValue::parse(text).expect("TOML");
        let table = value.get_ref().as_table().expect("a table");
        match values(kind, table) {
            Ok(values) => values.iter().map(|value| value.to_f64().to_string()).collect::<Vec<_>>().join(" "),
            Err(fault) => format!("{} ({})", fault.message, fault.help),
        }
    }

    #[test]
    fn ranges_are_exact_decimals() {
        let float = Kind::Float(Bounds::closed(0.0, 1e9));
        let whole = Kind::Integer { min: 1, max: 1 << 20 };
        let shown = [
            range("{ from = 0.1, to = 0.5, step = 0.1 }", float),
            range("{ from = 3, to = 1, step = -0.5 }", float),
            range("{ from = 16, to = 64, step = 16 }", whole),
            range("{ linspace = [0, 1], n = 4 }", float),
            range("{ logspace = [1e-4, 1e-2], n = 5 }", float),
            range("{ logspace = [8, 100], n = 4 }", whole),
            range("{ from = 0.1, to = 0.4, step = 0.2 }", float),
            range("{ from = 0.1, to = 0.4, step = 0 }", float),
            range("{ from = 0.1, too = 0.4, step = 0.1 }", float),
            range("{ logspace = [0, 1], n = 3 }", float),
            range("{ logspace = [1, 2], n = 1 }", float),
            range("{ from = 1, to = 2 }", float),
            range("{ from = 0, to = 1, step = 1e-9 }", float),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r"
        0.1 0.2 0.3 0.4 0.5
        3 2.5 2 1.5 1
        16 32 48 64
        0 0.333333 0.666667 1
        0.0001 0.000316228 0.001 0.00316228 0.01
        8 19 43 100
        steps of 0.2 from 0.1 miss 0.4 (the steps nearest to it are 0.3 and 0.5)
        no step of 0 leads from 0.1 to 0.4 (`step` must go towards `to`)
        unknown word `too` in a range (did you mean `to`?)
        a `logspace` is between numbers above 0 (`linspace` may begin at 0)
        `n` must be a whole number from 2 to 100000 (it counts both ends)
        this range is not whole (write { from, to, step }, { linspace = [FROM, TO], n } or { logspace = [FROM, TO], n })
        the range has more than 100000 values (take longer steps)
        ");
    }
}
