//! What a run may cost, in place of how long it trains: models of different sizes are compared at equal cost.

use std::fmt;

use toml::de::DeValue;

use super::number::{self, Bounds, float};

/// The cost of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Tokens through the model, at full sequences.
    Tokens(f64),
    /// Floating-point operations of training, as `plan` estimates them.
    Flops(f64),
    /// Seconds on a machine that makes so many operations in each: a declared speed, so that the same file means the same
    /// runs on every machine and on every day.
    Seconds { seconds: f64, flops_per_second: f64 },
}

impl Budget {
    /// Reads `{ tokens = N }`, `{ flops = N }` or `{ seconds = N, flops_per_second = N }`.
    pub(super) fn read(value: &DeValue<'_>) -> Option<Self> {
        let table = value.as_table()?;
        let number = |key: &str| float(table.get(key)?.get_ref(), Bounds::between(0.0, f64::INFINITY));
        match table.len() {
            1 => number("tokens").map(Self::Tokens).or_else(|| number("flops").map(Self::Flops)),
            2 => Some(Self::Seconds { seconds: number("seconds")?, flops_per_second: number("flops_per_second")? }),
            _ => None,
        }
    }

    /// The steps that it pays for, when each takes this many tokens and operations: rounded down.
    pub fn steps(&self, tokens: f64, flops: f64) -> u64 {
        let steps = match *self {
            Self::Tokens(budget) => budget / tokens,
            Self::Flops(budget) => budget / flops,
            Self::Seconds { seconds, flops_per_second } => seconds * flops_per_second / flops,
        };
        steps as u64
    }

    pub(super) fn to_json(self) -> serde_json::Value {
        match self {
            Self::Tokens(tokens) => serde_json::json!({ "tokens": tokens }),
            Self::Flops(flops) => serde_json::json!({ "flops": flops }),
            Self::Seconds { seconds, flops_per_second } => {
                serde_json::json!({ "seconds": seconds, "flops_per_second": flops_per_second })
            }
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |number: &f64| number::shown(*number);
        match self {
            Self::Tokens(tokens) => write!(f, "{} tokens", shown(tokens)),
            Self::Flops(flops) => write!(f, "{} FLOPs", shown(flops)),
            Self::Seconds { seconds, flops_per_second } => {
                write!(f, "{} s at {} FLOP/s", shown(seconds), shown(flops_per_second))
            }
        }
    }
}
