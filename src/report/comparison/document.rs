//! The comparison as JSON, for programs. Field names are stable: fields are added, and none changes its meaning.

use std::path::Path;

use serde_json::{Value, json};

use crate::analysis::statistics::Interval;
use crate::analysis::{
    Axis, CellSummary, Comparison, Effect, Importance, Part, SeedOutcome, Summary, against_baseline, importance,
    luck_in_words, marginal_effects, settings_of,
};
use crate::report::answer::Answer;

/// Everything that the tables and the report say in numbers.
pub fn document(comparison: &Comparison, summary: &Summary, report: &Path) -> Value {
    let answer = Answer::of(comparison, summary);
    let effects = |effects: Vec<Effect>| effects.iter().map(effect).collect::<Vec<_>>();
    let floors = comparison.floors.iter();
    let floors = floors.map(|f| {
        json!({
            "metric": f.metric, "label": f.label, "value": f.value, "plus_minus": f.error,
            "range": f.range.map(|(low, high)| [low, high]),
        })
    });
    let floors = floors.collect::<Vec<_>>();
    json!({
        "format": "ablate-comparison-2",
        "experiment": comparison.experiment,
        "metric": comparison.metric,
        "goal": comparison.goal,
        "axes": comparison.axes.iter().map(axis).collect::<Vec<_>>(),
        "cells": summary.cells.iter().map(cell).collect::<Vec<_>>(),
        "effects": effects(marginal_effects(comparison)),
        "against_baseline": effects(against_baseline(comparison)),
        "against_best": effects(summary.rivals.clone()),
        "importance": match importance(comparison) {
            Ok(found) => importance_of(&found),
            Err(why) => json!({ "not_computed": why.to_string() }),
        },
        "floors": floors,
        "headline": answer.headline,
        "how_sure": answer.how_sure,
        "statement": summary.statement(),
        "cautions": answer.cautions,
        "luck": luck_in_words(comparison),
        "winner": summary.shrunken.map(|s| json!({
            "raw": s.raw,
            "shrunken": s.shrunken,
            "kept": s.kept,
            "towards": s.towards.words(),
        })),
        "report": report,
    })
}

fn interval(interval: Interval) -> Value {
    json!([interval.low, interval.high])
}

fn axis(axis: &Axis) -> Value {
    let settings = axis.settings().collect::<Vec<_>>();
    json!({ "name": axis.name, "values": axis.values, "settings": settings, "changes_with": axis.also })
}

fn cell(cell: &CellSummary) -> Value {
    let settings = cell.key.0.iter().flat_map(|(axis, value)| settings_of(axis, value));
    let axes: serde_json::Map<_, _> = settings.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let estimate = cell.estimate.as_ref();
    json!({
        "axes": axes,
        "n": estimate.map_or(0, |e| e.n),
        "mean": estimate.map(|e| e.mean),
        "sd": estimate.and_then(|e| e.sd),
        "interval_95": estimate.and_then(|e| e.interval).map(interval),
        "min": estimate.map(|e| e.min),
        "max": estimate.map(|e| e.max),
        "missing": cell.missing(),
        "seeds": cell.outcomes.iter().map(seed).collect::<Vec<_>>(),
    })
}

fn seed(seed: &SeedOutcome) -> Value {
    json!({
        "seed": seed.seed,
        "run": seed.id,
        "state": seed.state.to_string(),
        "reason": seed.reason,
        "value": seed.value,
        "last_step": seed.last_step,
    })
}

fn effect(effect: &Effect) -> Value {
    let measured = effect.difference.and_then(|difference| difference.measured);
    json!({
        "effect": effect.name(),
        "reference": effect.reference,
        "settings": effect.blocks(),
        "difference": effect.difference.map(|difference| difference.mean),
        "interval_95": effect.interval().map(interval),
        "degrees": measured.map(|measured| measured.degrees),
        "p": effect.difference.and_then(|difference| difference.p()),
        "p_adjusted": effect.adjusted_p,
        "verdict": effect.verdict.word(),
        "by_axes": effect.by_axes,
        "advice": effect.advice(),
    })
}

fn importance_of(found: &Importance) -> Value {
    use crate::analysis::Method;
    let part = |part: &Part| {
        let row = part.row.as_ref();
        json!({
            "part": part.name,
            "degrees": row.map(|row| row.degrees),
            "sum_of_squares": row.map(|row| row.sum_of_squares),
            "f": row.and_then(|row| row.f),
            "p_adjusted": part.adjusted_p,
            "share": part.share,
            "rank_correlation": part.rank_correlation,
            "interval_95": part.interval.map(interval),
            "verdict": part.word(),
        })
    };
    let parts = found.parts.iter().map(part).collect::<Vec<_>>();
    match &found.method {
        Method::Anova { plots, seeds, is_common } => {
            json!({ "method": "anova", "parts": parts, "plots": plots, "seeds": seeds, "common_seeds": is_common })
        }
        Method::PedAnova { why, cells, left_out } => {
            let why = why.to_string();
            json!({ "method": "ped-anova", "because": why, "parts": parts, "cells": cells, "cells_left_out": left_out })
        }
    }
}
