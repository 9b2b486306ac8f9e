//! A specification as an experiment file: what somebody would write to plan the same run.

use serde_json::{Map, Value, json};

use super::{RunSpec, StageSpec};
use crate::experiment::{CodecError, Kind, keys, read_toml, write_toml};

/// The experiment file of one run, with every setting said; `starts_from` is the run that it starts from, where it does.
///
/// What it plans has the same hash wherever its data are the same; `None` for what no file can plan, an imported model.
///
/// # Errors
/// When a number is beyond TOML's.
pub fn experiment_file(spec: &RunSpec, name: &str, starts_from: Option<&str>) -> Result<Option<String>, CodecError> {
    let said: Value = read_toml(&spec.to_toml()?)?;
    let of_stage: &[(&str, &str)] = match spec.stage {
        StageSpec::Import(_) => return Ok(None),
        StageSpec::Pretrain(_) => &[],
        // What trains is said of the stage in a file, and of the run in its specification.
        StageSpec::Finetune(_) => {
            &[("finetune.optimizer.", "optimizer."), ("finetune.schedule.", "schedule."), ("finetune.train.", "train.")]
        }
    };
    // What the run that it starts from decides, a file does not say again.
    let of_run: &[&str] = match (starts_from, of_stage) {
        (None, _) => &[],
        (Some(_), []) => &["tokenizer.", "model."],
        (Some(_), _) => &["data.", "tokenizer.", "model.", "objective."],
    };
    let mut file = Map::new();
    put(&mut file, "experiment.name", json!(name));
    for key in keys::all().filter(|key| key.is_setting()) {
        let stage = of_stage.iter().find(|(in_file, _)| key.name.starts_with(in_file));
        let path = match stage {
            Some((in_file, in_spec)) => key.name.replacen(in_file, in_spec, 1),
            None if of_stage.iter().any(|(_, in_spec)| key.name.starts_with(in_spec)) => {
                // A run's seed is its pretraining's, and what both stages run with is said once.
                let mut shared = keys::SHARED_BY_STAGES.iter().chain([&"seed"]);
                match shared.any(|shared| key.name == format!("train.{shared}")) {
                    true => key.name.to_owned(),
                    false => continue,
                }
            }
            None if of_run.iter().any(|section| key.name.starts_with(section)) => continue,
            None => key.name.replacen("data.demo_", "data.demo.", 1),
        };
        let below = |path: &str| {
            let mut parts = path.split('.').filter(|part| !part.is_empty());
            parts.try_fold(&said, |tree, name| tree.get(name))
        };
        // A run's specification has nothing where a file says "off".
        let is_off = matches!(key.kind, Kind::FloatOrOff(_)) && below(keys::split(&path).0).is_some();
        let off = is_off.then(|| json!("off"));
        let found = below(&path).or(off.as_ref());
        // The built-in corpus has its own format, which no file says.
        let is_sayable = |value: &&Value| !(key.name == "data.format" && **value == "demo");
        if let Some(value) = found.filter(is_sayable) {
            put(&mut file, key.name, value.clone());
        }
    }
    if let Some(run) = starts_from {
        put(&mut file, if of_stage.is_empty() { "train.run" } else { "finetune.run" }, json!(run));
    }
    write_toml(&Value::Object(file)).map(Some)
}

/// Sets a dotted key.
fn put(file: &mut Map<String, Value>, key: &str, value: Value) {
    let (path, name) = keys::split(key);
    let mut table = file;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let inner = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(inner) = inner else { return };
        table = inner;
    }
    table.insert(name.to_owned(), value);
}
