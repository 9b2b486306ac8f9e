//! Every point of a metric, in the order of times, steps and values; a page begins after the last point of the one before.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::App;
use super::runs::asked_run;
use crate::report::json::value;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire::{self, required};
use crate::store::LoggedPoint;
use crate::types::Timestamp;

/// Points of one answer at most; clients of version 3 ask for so many.
const MOST: usize = 25_000;

/// The points of a metric. One that was sent twice, exactly, is one: clients send again what they got no answer to.
pub fn get(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = asked_run(app, &request)?;
    let key = required("metric_key", request.asked("metric_key"))?;
    let is_paged = request.asked("max_results").is_some();
    let most = wire::max_results(wire::count("max_results", request.asked("max_results"))?, usize::MAX, MOST)?;
    let after = request.asked("page_token").filter(|token| !token.is_empty()).map(after).transpose()?;
    let history = app.history(&run)?;
    let mut points: Vec<Sent> = match history.logged.iter().find(|(name, _)| name.as_str() == key) {
        Some((_, logged)) => logged.iter().map(Sent::of).collect(),
        // Of a run that ablate trained: its steps.
        None => {
            let found = history.all_measured().find(|(name, _)| name.as_str() == key);
            let measured = found.map(|(_, points)| points).unwrap_or_default();
            measured.iter().map(|point| Sent { millis: 0, step: point.step, value: point.value }).collect()
        }
    };
    points.sort_by(Sent::order);
    points.dedup_by(|a, b| a.order(b) == Ordering::Equal);
    let start = after.map_or(0, |after| points.partition_point(|point| point.order(&after) != Ordering::Greater));
    let end = if is_paged { points.len().min(start + most) } else { points.len() };
    if start == end {
        return Ok(Reply::empty());
    }
    let metrics: Vec<Value> = points[start..end].iter().map(|point| point.json(key)).collect();
    let mut answer = json!({ "metrics": metrics });
    if end < points.len() {
        answer["next_page_token"] = Value::String(points[end - 1].token());
    }
    Ok(Reply::json(&answer))
}

/// A point as it is sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    millis: i64,
    step: i64,
    value: f64,
}

impl Sent {
    fn of(point: &LoggedPoint) -> Self {
        Self { millis: point.at.map_or(0, Timestamp::unix_millis), step: point.step, value: point.value }
    }

    fn order(&self, other: &Self) -> Ordering {
        let place = |point: &Self| (point.millis, point.step);
        place(self).cmp(&place(other)).then(self.value.total_cmp(&other.value))
    }

    fn json(&self, key: &str) -> Value {
        json!({ "key": key, "value": value(&self.value), "timestamp": self.millis, "step": self.step })
    }

    fn token(&self) -> String {
        format!("{}.{}.{:016x}", self.millis, self.step, self.value.to_bits())
    }
}

/// The point that a page begins after.
fn after(token: &str) -> Result<Sent, Fault> {
    let mut parts = token.split('.');
    let mut next = || parts.next();
    let parsed = || -> Option<Sent> {
        let (millis, step) = (next()?.parse().ok()?, next()?.parse().ok()?);
        let value = f64::from_bits(u64::from_str_radix(next()?, 16).ok()?);
        next().is_none().then_some(Sent { millis, step, value })
    }();
    parsed.ok_or_else(|| Fault::invalid("invalid page token: it is the 'next_page_token' of the page before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_point_that_it_stands_for() {
        for value in [0.0, -0.0, f64::NAN, f64::INFINITY, 1e-300] {
            let point = Sent { millis: -5, step: i64::MIN, value };
            assert_eq!(after(&point.token()).unwrap().order(&point), Ordering::Equal, "{value}");
        }
        for bad in ["", "1", "1.2", "1.2.x", "1.2.0.4", "a.b.c", "eyJvZmZzZXQiOiAxMH0="] {
            assert!(after(bad).is_err(), "{bad}");
        }
    }
}
