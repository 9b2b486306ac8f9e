//! What was logged at a step: its time, its step and its numbers.

use serde_json::Value;

use super::record::{History, Item, Reading, Said, said};
use crate::exchange::findings::shown;
use crate::exchange::intake::ImportError;

/// The time that W&B gives a step, in seconds since 1970.
pub fn timestamp(history: &History<'_>) -> Option<f64> {
    let its = history.items.iter().rev().find(|item| item.keys == ["_timestamp"])?;
    its.value.number().map(|(secs, _)| secs)
}

/// The step of what was logged, where it says one, and whether `_step` says something else or no step at all.
pub fn step(history: &History<'_>) -> (Option<i64>, bool) {
    let Some(item) = history.items.iter().rev().find(|item| item.keys == ["_step"]) else {
        return (history.step, false);
    };
    let said = match &item.value {
        Said::Integer(step) => Some(*step),
        _ => None,
    };
    let step = history.step.or(said);
    (step, said.is_none() || said != step)
}

/// What a number was before it was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Was {
    ThatNumber,
    /// An integer of more than 53 bits.
    MoreExact,
    Boolean,
}

impl Was {
    fn of(is_exact: bool) -> Self {
        if is_exact { Self::ThatNumber } else { Self::MoreExact }
    }
}

/// Hands over every number that was logged at a step, with its key and what it was; whatever else was logged is noted by
/// its kind.
pub fn numbers(
    history: &History<'_>,
    note: &mut dyn FnMut(&str, &str),
    take: &mut dyn FnMut(&str, f64, Was) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    // A medium is several items, of which one says what it is.
    let mut media: Vec<&[&str]> = Vec::new();
    for item in &history.items {
        if let (Some((&"_type", medium)), Said::Text(kind)) = (item.keys.split_last(), &item.value)
            && !medium.is_empty()
        {
            media.push(medium);
            note(&format!("media of the type {}", shown(kind)), &medium.join("."));
        }
    }
    for Item { keys, value } in &history.items {
        if matches!(keys[..], ["_step" | "_timestamp" | "_runtime"]) || keys[0] == "_wandb" {
            continue;
        }
        if media.iter().any(|medium| keys.starts_with(medium)) {
            continue;
        }
        let joined;
        let key = match keys[..] {
            [key] => key,
            _ => {
                joined = keys.join(".");
                &joined
            }
        };
        match value {
            Said::Bool(is_true) => take(key, f64::from(u8::from(*is_true)), Was::Boolean)?,
            Said::Text(_) => note("texts", key),
            Said::Malformed => note("values that are no JSON", key),
            Said::Unread(_) => note("values of more than 1 MiB", key),
            Said::Json(value) => inner_numbers(key, value, note, take)?,
            Said::Number(_) | Said::Integer(_) | Said::Unsigned(_) | Said::Large(_) => {
                if let Some((number, is_exact)) = value.number() {
                    take(key, number, Was::of(is_exact))?;
                }
            }
        }
    }
    Ok(())
}

/// The numbers of an object, whose keys are joined by points.
fn inner_numbers(
    key: &str,
    value: &Value,
    note: &mut dyn FnMut(&str, &str),
    take: &mut dyn FnMut(&str, f64, Was) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    match value {
        Value::Object(fields) => {
            if let Some(kind) = fields.get("_type").and_then(Value::as_str) {
                note(&format!("media of the type {}", shown(kind)), key);
                return Ok(());
            }
            fields.iter().try_for_each(|(name, inner)| inner_numbers(&format!("{key}.{name}"), inner, note, take))
        }
        Value::Array(_) => {
            note("lists", key);
            Ok(())
        }
        Value::Null => {
            note("values that are null", key);
            Ok(())
        }
        Value::Bool(is_true) => take(key, f64::from(u8::from(*is_true)), Was::Boolean),
        scalar => match said(&scalar.to_string(), Reading::Logged).number() {
            Some((number, is_exact)) => take(key, number, Was::of(is_exact)),
            None => {
                note("texts", key);
                Ok(())
            }
        },
    }
}
