//! What is logged to a run: points, parameters, tags, data sets. What is sent together is recorded together, or not at all.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::runs::{active, check_tags, sent_run, tag_run};
use crate::clock;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire::{self, Int, KeyValue, Number, SentMetric, required};
use crate::server::writer::Entries;
use crate::store::LoggedPoint;
use crate::types::RunId;

#[derive(Deserialize)]
struct LogMetric {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    value: Option<Number>,
    timestamp: Option<Int>,
    step: Option<Int>,
}

/// Logs a point of a metric.
pub fn log_metric(request: &Request) -> Result<(RunId, Entries), Fault> {
    let sent: LogMetric = wire::read(request)?;
    let run = wire::run_id(required("run_id", sent.run_id.as_deref().or(sent.run_uuid.as_deref()))?)?;
    let key = required("key", sent.key.as_deref())?.to_owned();
    let value = sent.value.ok_or_else(|| Fault::invalid("missing value for required parameter 'value'"))?;
    let point = point(SentMetric { key, value, timestamp: sent.timestamp, step: sent.step })?;
    Ok((run, Entries { points: vec![point], ..Entries::default() }))
}

#[derive(Deserialize)]
struct LogParameter {
    run_id: Option<String>,
    run_uuid: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    value: String,
}

/// Logs a parameter.
pub fn log_parameter(request: &Request) -> Result<(RunId, Entries), Fault> {
    let sent: LogParameter = wire::read(request)?;
    let run = wire::run_id(required("run_id", sent.run_id.as_deref().or(sent.run_uuid.as_deref()))?)?;
    let key = required("key", sent.key.as_deref())?.to_owned();
    let parameters = parameters(vec![KeyValue { key, value: sent.value }])?;
    Ok((run, Entries { parameters, ..Entries::default() }))
}

#[derive(Deserialize)]
struct LogBatch {
    run_id: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    metrics: Vec<SentMetric>,
    #[serde(default, deserialize_with = "wire::or_default")]
    params: Vec<KeyValue>,
    #[serde(default, deserialize_with = "wire::or_default")]
    tags: Vec<KeyValue>,
}

/// Logs metrics, parameters and tags.
pub fn log_batch(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: LogBatch = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref())?;
    check_tags(&sent.tags)?;
    let points = sent.metrics.into_iter().map(point).collect::<Result<Vec<_>, _>>()?;
    let parameters = parameters(sent.params)?;
    match points.is_empty() && parameters.is_empty() {
        true => active(app, &run)?,
        false => app.writer.write(&run, Entries { points, parameters, ..Entries::default() })?,
    }
    tag_run(app, &run, &sent.tags)?;
    Ok(Reply::empty())
}

#[derive(Deserialize)]
struct LogInputs {
    run_id: Option<String>,
    #[serde(default, deserialize_with = "wire::or_default")]
    datasets: Vec<Value>,
}

/// Logs data sets.
pub fn log_inputs(app: &App, request: Request) -> Result<Reply, Fault> {
    let sent: LogInputs = wire::read(&request)?;
    let run = sent_run(app, sent.run_id.as_deref())?;
    for input in &sent.datasets {
        for field in ["name", "digest", "source_type", "source"] {
            let is_text = input.pointer(&format!("/dataset/{field}")).is_some_and(Value::is_string);
            if !is_text {
                return Err(Fault::invalid(format!("missing value for required parameter 'dataset.{field}'")));
            }
        }
    }
    app.writer.write(&run, Entries { inputs: sent.datasets, ..Entries::default() })?;
    Ok(Reply::empty())
}

fn point(sent: SentMetric) -> Result<LoggedPoint, Fault> {
    let at = match sent.timestamp {
        Some(Int(millis)) => wire::moment("timestamp", millis)?,
        None => clock::now(),
    };
    let Number(value) = sent.value;
    let step = sent.step.map_or(0, |Int(step)| step);
    Ok(LoggedPoint { key: wire::metric_name(&sent.key)?, step, at: Some(at), value })
}

fn parameters(sent: Vec<KeyValue>) -> Result<BTreeMap<String, String>, Fault> {
    let mut parameters = BTreeMap::new();
    for KeyValue { key, value } in sent {
        wire::check_key("param", &key)?;
        wire::check_value("param", &key, &value)?;
        if parameters.contains_key(&key) {
            return Err(Fault::invalid(format!("the parameter '{key}' is in the request twice")));
        }
        parameters.insert(key, value);
    }
    Ok(parameters)
}
