//! Numbers of an experiment file: how they are read, the intervals that they must lie in, how they are shown.

use std::fmt;

use toml::de::DeValue;

/// An interval of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    min: f64,
    includes_min: bool,
    max: f64,
    includes_max: bool,
}

impl Bounds {
    /// More than `min`, less than `max`.
    pub const fn between(min: f64, max: f64) -> Self {
        Self { min, includes_min: false, max, includes_max: false }
    }

    /// More than `min`, at most `max`.
    pub const fn above(min: f64, max: f64) -> Self {
        Self { min, includes_min: false, max, includes_max: true }
    }

    /// At least `min`, at most `max`.
    pub const fn closed(min: f64, max: f64) -> Self {
        Self { min, includes_min: true, max, includes_max: true }
    }

    /// At least `min`, less than `max`.
    pub const fn below(min: f64, max: f64) -> Self {
        Self { min, includes_min: true, max, includes_max: false }
    }

    fn contains(&self, value: f64) -> bool {
        (value > self.min || self.includes_min && value == self.min)
            && (value < self.max || self.includes_max && value == self.max)
    }
}

impl Bounds {
    /// The interval as a JSON schema.
    pub fn schema(&self) -> serde_json::Value {
        let mut schema = serde_json::json!({ "type": "number" });
        let min = if self.includes_min { "minimum" } else { "exclusiveMinimum" };
        schema[min] = self.min.into();
        if self.max.is_finite() {
            let max = if self.includes_max { "maximum" } else { "exclusiveMaximum" };
            schema[max] = self.max.into();
        }
        schema
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.includes_min { "at least" } else { "more than" }, self.min)?;
        if self.max < f64::INFINITY {
            write!(f, " and {} {}", if self.includes_max { "at most" } else { "less than" }, self.max)?;
        }
        Ok(())
    }
}

/// A whole number, in any of TOML's spellings.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A finite number within `bounds`; a whole one counts.
pub(super) fn float(value: &DeValue<'_>, bounds: Bounds) -> Option<f64> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse().ok()?,
        _ => integer(value)? as f64,
    };
    // Adding 0 turns -0 into 0: the two are equal numbers, and must not become two specifications.
    (number.is_finite() && bounds.contains(number)).then_some(number + 0.0)
}

/// As in a table or a figure: small and large numbers in scientific notation.
pub(super) fn shown(value: f64) -> String {
    let is_plain = value == 0.0 || (1e-3..1e6).contains(&value.abs());
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_an_interval_count_as_declared() {
        for (bounds, zero, one) in [
            (Bounds::between(0.0, 1.0), false, false),
            (Bounds::closed(0.0, 1.0), true, true),
            (Bounds::below(0.0, 1.0), true, false),
        ] {
            assert_eq!((bounds.contains(0.0), bounds.contains(1.0)), (zero, one), "{bounds}");
            assert!(
                bounds.contains(0.5) && !bounds.contains(-0.1) && !bounds.contains(1.1) && !bounds.contains(f64::NAN)
            );
        }
    }
}
