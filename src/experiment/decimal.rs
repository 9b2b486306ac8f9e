//! Exact decimal arithmetic: 0.1 + 0.2 is 0.3, in a range, in a derived key, and so in the hash of a run.
//!
//! A number is `digits x 10^exponent` with at most 18 significant digits, more than a double holds. Sums and products
//! are exact up to there and rounded beyond, quotients and roots are rounded; no step is done in binary fractions.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Significant digits: twice as many fit an `i128`, so that a product is exact before it is rounded.
const DIGITS: u32 = 18;

/// A decimal number; equal numbers are equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    pub const ZERO: Self = Self { digits: 0, exponent: 0 };

    /// Rounds to 18 significant digits, half away from zero, and drops the zeros at the end.
    fn new(mut digits: i128, mut exponent: i32) -> Self {
        let limit = 10i128.pow(DIGITS);
        while digits.abs() >= limit {
            let rest = digits % 10;
            digits /= 10;
            exponent += 1;
            if digits.abs() < limit && rest.abs() >= 5 {
                digits += rest.signum();
            }
        }
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        if digits == 0 { Self::ZERO } else { Self { digits, exponent } }
    }

    /// The decimal that a double is written as; nothing for one that is no number.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| format!("{value:e}").parse().ok()).flatten()
    }

    /// A double rounded to so many significant digits.
    pub fn rounded(value: f64, significant: usize) -> Option<Self> {
        value.is_finite().then(|| format!("{value:.*e}", significant.saturating_sub(1)).parse().ok()).flatten()
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// The number with the exponent of `self` brought down to `exponent`, where that is not too far.
    fn digits_at(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok().filter(|shift| *shift < 20)?;
        Some(self.digits * 10i128.pow(shift))
    }

    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    pub fn add(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return if self.is_zero() { other } else { self };
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.digits_at(exponent), other.digits_at(exponent)) {
            (Some(a), Some(b)) => Self::new(a + b, exponent),
            // More than 18 digits apart: the small one is lost in the rounding.
            _ => {
                if self.exponent > other.exponent {
                    self
                } else {
                    other
                }
            }
        }
    }

    pub fn negate(self) -> Self {
        Self { digits: -self.digits, ..self }
    }

    pub fn subtract(self, other: Self) -> Self {
        self.add(other.negate())
    }

    pub fn multiply(self, other: Self) -> Self {
        Self::new(self.digits * other.digits, self.exponent.saturating_add(other.exponent))
    }

    /// The quotient to 18 digits; nothing where `other` is 0.
    pub fn divide(self, other: Self) -> Option<Self> {
        // Widened to full length first, so that the quotient has 19 digits or more before it is rounded.
        let mut digits = self.digits;
        let mut exponent = self.exponent;
        while digits != 0 && digits.abs() < 10i128.pow(37) {
            digits *= 10;
            exponent -= 1;
        }
        (!other.is_zero()).then(|| Self::new(digits / other.digits, exponent - other.exponent))
    }

    /// The largest whole number that is not above this one.
    pub fn floor(self) -> Self {
        if self.exponent >= 0 {
            return self;
        }
        let whole = match 10i128.checked_pow(self.exponent.unsigned_abs()) {
            Some(unit) => self.digits.div_euclid(unit),
            None if self.digits < 0 => -1,
            None => 0,
        };
        Self::new(whole, 0)
    }

    /// The smallest whole number that is not below this one.
    pub fn ceil(self) -> Self {
        self.negate().floor().negate()
    }

    /// The nearest whole number, halves away from zero.
    pub fn round(self) -> Self {
        let half = Self { digits: 5, exponent: -1 };
        if self.digits < 0 { self.subtract(half).ceil() } else { self.add(half).floor() }
    }

    /// The number as a whole one, where it is.
    pub fn as_integer(self) -> Option<i64> {
        i64::try_from(self.digits_at(0)?).ok()
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::new(value.into(), 0)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.subtract(*other).digits.cmp(&0)
    }
}

/// As TOML: `128`, `0.15`, and a very small or large number in scientific notation.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_integer(), usize::try_from(-self.exponent)) {
            (Some(whole), _) => write!(f, "{whole}"),
            (None, Ok(places)) if places < 10 => {
                let digits = format!("{:0>1$}", self.digits.abs(), places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                write!(f, "{}{whole}.{fraction}", if self.digits < 0 { "-" } else { "" })
            }
            _ => write!(f, "{}e{}", self.digits, self.exponent),
        }
    }
}

/// Text that is no decimal number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct NotDecimal;

impl FromStr for Decimal {
    type Err = NotDecimal;

    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NotDecimal)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().map_err(|_| NotDecimal)?;
        let places = i32::try_from(fraction.len()).map_err(|_| NotDecimal)?;
        let exponent = exponent.checked_sub(places).filter(|exponent| exponent.abs() < 10_000).ok_or(NotDecimal)?;
        Ok(Self::new(digits, exponent))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().expect("a decimal")
    }

    #[test]
    fn a_tenth_and_two_are_three() {
        assert_eq!(decimal("0.1").add(decimal("0.2")), decimal("0.30"));
        assert_eq!(decimal("0.1").add(decimal("0.2")).to_f64().to_bits(), 0.3f64.to_bits());
        assert_eq!(decimal("1").divide(decimal("3")), Some(decimal("0.333333333333333333")));
        assert_eq!(decimal("2").divide(decimal("3")), Some(decimal("0.666666666666666667")));
        assert_eq!(decimal("1").divide(Decimal::ZERO), None);
        assert_eq!(decimal("1e12").add(decimal("1e-12")), decimal("1e12"), "24 digits apart");
        assert_eq!(decimal("-2.5").round(), decimal("-3"));
        assert_eq!((decimal("-2.5").floor(), decimal("-2.5").ceil()), (decimal("-3"), decimal("-2")));
        let shown = ["12e2", "-0.05", "1.5", "123.25", "1e-12", "-0"].map(|text| decimal(text).to_string());
        assert_eq!(shown, ["1200", "-0.05", "1.5", "123.25", "1e-12", "0"]);
        assert!("1.2.3".parse::<Decimal>().is_err() && "".parse::<Decimal>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn small_numbers_compute_like_fractions(a in -9999i64..9999, b in -9999i64..9999, i in 0i32..4, j in 0i32..4) {
            // Against whole numbers: everything in units of 10^-8.
            let (x, y) = (Decimal::new(a.into(), -i), Decimal::new(b.into(), -j));
            let (wide_a, wide_b) = (i128::from(a) * 10i128.pow(8 - i as u32), i128::from(b) * 10i128.pow(8 - j as u32));
            prop_assert_eq!(x.add(y), Decimal::new(wide_a + wide_b, -8));
            prop_assert_eq!(x.multiply(y), Decimal::new(i128::from(a) * i128::from(b), -i - j));
            prop_assert_eq!(x.cmp(&y), wide_a.cmp(&wide_b));
            prop_assert_eq!(x.floor(), Decimal::new(wide_a.div_euclid(100_000_000), 0));
            prop_assert_eq!(Decimal::from_f64(x.to_f64()), Some(x));
            if b != 0 {
                let error = x.divide(y).expect("not 0").multiply(y).subtract(x).to_f64().abs();
                prop_assert!(error <= x.to_f64().abs() * 1e-16);
            }
        }
    }
}
