//! The laws of `train.seq_len_warmup`: its lengths rise to `train.seq_len`, each divides the tokens of a batch, and steps are left for
//! the last one.

use super::blame;
use crate::experiment::{Diagnostic, Settings, Value, problem};

const WARMUP: &str = "train.seq_len_warmup";

/// The most lengths that a message names.
const NAMED: usize = 12;

/// The lengths of a cell with their shares, where it has some.
fn stages(cell: &Settings<'_>) -> Option<Vec<(i64, f64)>> {
    let Value::List(stages) = &cell.get(WARMUP)?.value else { return None };
    let stage = |stage: &Value| match stage {
        Value::List(pair) => match pair[..] {
            [Value::Integer(length), Value::Float(share)] => Some((length, share)),
            _ => None,
        },
        _ => None,
    };
    stages.iter().map(stage).collect()
}

pub(super) fn rise(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (stages, last) = (stages(cell)?, cell.integer("train.seq_len")?);
    let lengths: Vec<i64> = stages.into_iter().map(|(length, _)| length).chain([last]).collect();
    let place = lengths.windows(2).position(|two| two[0] >= two[1])?;
    let (length, next) = (lengths[place], lengths[place + 1]);
    let (message, keys) = match place + 2 == lengths.len() {
        true => (
            format!("`{WARMUP}` has the length {length}, and `train.seq_len` is {last}: what comes first is shorter"),
            &[WARMUP, "train.seq_len"][..],
        ),
        false => (format!("the lengths of `{WARMUP}` do not rise: {next} follows {length}"), &[WARMUP][..]),
    };
    let mut sorted: Vec<i64> = lengths.into_iter().filter(|length| *length < last).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let sorted: Vec<String> = sorted.into_iter().chain([last]).map(|length| length.to_string()).collect();
    Some(blame(cell, &problem::LENGTHS_DO_NOT_RISE, message, keys).help(format!("in order: {}", sorted.join(", "))))
}

pub(super) fn divide(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (stages, last) = (stages(cell)?, cell.integer("train.seq_len")?);
    let batch = cell.integer("train.batch_size")?;
    let tokens = batch * last;
    let (length, _) = stages.into_iter().find(|(length, _)| tokens % length != 0)?;
    let message = format!(
        "a batch of {batch} x {last} = {tokens} tokens does not make whole sequences of the length {length} of `{WARMUP}`"
    );
    let keys = [WARMUP, "train.batch_size", "train.seq_len"];
    let mut near: Vec<i64> = (8..last).filter(|other| tokens % other == 0).collect();
    near.sort_by_key(|other| (other - length).abs());
    near.truncate(NAMED);
    near.sort_unstable();
    let near: Vec<String> = near.into_iter().map(|other| other.to_string()).collect();
    let help = match near.is_empty() {
        true => "no shorter length does: take another batch size".to_owned(),
        false => format!("lengths that do: {}", near.join(", ")),
    };
    Some(blame(cell, &problem::LENGTH_DOES_NOT_DIVIDE, message, &keys).help(help))
}

pub(super) fn leave_steps(cell: &Settings<'_>) -> Option<Diagnostic> {
    let (stages, last) = (stages(cell)?, cell.integer("train.seq_len")?);
    let sum: f64 = stages.iter().map(|(_, share)| share).sum();
    // Decimal shares that add up to 1 may come out a rounding below it.
    if sum < 1.0 - 1e-12 {
        return None;
    }
    let message = format!("the shares of `{WARMUP}` leave no step for sequences of {last}");
    let help = "together they are less than 1: the rest is made at `train.seq_len`";
    Some(blame(cell, &problem::NO_STEP_IS_LEFT, message, &[WARMUP]).help(help))
}
