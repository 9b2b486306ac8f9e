//! `ablate keys`: the keys of the experiment file, for people and, as a JSON schema, for editors.

use serde_json::{Map, Value, json};

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::experiment::{Key, Kind, keys, presets};
use crate::suggest::nearest;
use crate::types::metrics;

/// What `ablate keys` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A table of the file, such as `schedule`; or `presets`, or `metrics` [default: all tables]
    #[arg(value_name = "SECTION")]
    pub section: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

/// The tables whose keys are those of the others: what they are for, and an example.
const FREE: [(&str, &str); 6] = [
    ("sweep.grid", r#"every combination of values: "objective.mask_ratio" = [0.15, 0.30]"#),
    (
        "sweep.zip",
        r#"values that go together, in [[...]]: "model.preset" = ["nano", "micro"] and "optimizer.lr" = [2e-3, 1e-3]"#,
    ),
    ("sweep.when", r#"axes of some cells, in [[...]]: if = { "objective.nsp" = "random" }, grid = { ... }"#),
    ("sweep.exclude", r#"cells to leave out, in [[...]]: match = { "model.preset" = "micro" }, because = "...""#),
    ("sweep.include", r#"cells to add, in [[...]]: "model.preset" = "nano""#),
    ("sweep.derive", r#"values from others: "model.intermediate_size" = "4 * model.hidden_size""#),
];

/// The lists beside the tables of keys.
const LISTS: [&str; 2] = ["presets", "metrics"];

/// Prints keys with their values, defaults and meanings; with `--json` the schema of the whole file.
pub fn keys(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if arguments.json.wanted {
        context.printer.json(&schema());
        return Ok(());
    }
    let text = match arguments.section.as_deref().map(|name| name.trim_matches(['[', ']'])) {
        None => sections().map(|section| of_section(context, section)).collect::<Vec<_>>().join("\n"),
        Some("presets") => list_of_presets(),
        Some("metrics") => list_of_metrics(),
        Some(name)
            if FREE.iter().any(|(table, _)| is_within(table, name)) || sections().any(|s| is_within(s, name)) =>
        {
            of_table(context, name)
        }
        Some(name) => return Err(unknown(name)),
    };
    context.printer.data(text.trim_end());
    Ok(())
}

/// The tables that have keys of their own.
fn sections() -> impl Iterator<Item = &'static str> {
    keys::sections().filter(|section| keys_of(section).next().is_some())
}

fn keys_of<'s>(section: &'s str) -> impl Iterator<Item = &'static Key> + use<'s> {
    keys::all().filter(move |key| keys::split(key.name).0 == section)
}

/// Whether a table is the one of this name, or below it.
fn is_within(table: &str, name: &str) -> bool {
    table.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A table and those below it: their keys, or what stands in them.
fn of_table(context: &Context, name: &str) -> String {
    let mut parts: Vec<String> =
        sections().filter(|section| is_within(section, name)).map(|section| of_section(context, section)).collect();
    let free: Vec<_> = FREE.iter().filter(|(section, _)| is_within(section, name)).collect();
    if !free.is_empty() {
        let rows = free.into_iter().map(|(section, text)| vec![format!("[{section}]"), (*text).to_owned()]);
        parts.push(table(&[("table", Align::Left), ("any key of the other tables", Align::Left)], rows));
    }
    parts.join("\n")
}

fn unknown(name: &str) -> CliError {
    let names = || sections().chain(["sweep"]).chain(LISTS);
    CliError::request(match nearest(name, names()) {
        Some(meant) => format!("there is no table `{name}`; did you mean `{meant}`?"),
        None => format!("there is no table `{name}`; there are {}", names().collect::<Vec<_>>().join(", ")),
    })
}

/// `[schedule]`, and its keys.
fn of_section(context: &Context, section: &str) -> String {
    let title = context.printer.paint(Stream::Out, Style::Strong, &format!("[{section}]"));
    let columns = [("key", Align::Left), ("default", Align::Left), ("takes", Align::Left), ("", Align::Left)];
    let rows = keys_of(section).map(|key| {
        let default = key.default.map_or("-", |default| if default.len() > 20 { "..." } else { default });
        vec![keys::split(key.name).1.to_owned(), default.to_owned(), takes(key), key.doc.to_owned()]
    });
    format!("{title}\n{}\n", table(&columns, rows))
}

/// The values of a key in a few words; long lists have a list of their own.
fn takes(key: &Key) -> String {
    match key.name {
        "model.preset" => "see `ablate keys presets`".to_owned(),
        "experiment.metric" => "see `ablate keys metrics`".to_owned(),
        _ => key.kind.to_string(),
    }
}

fn list_of_presets() -> String {
    let columns = [("preset", Align::Left), ("what it sets", Align::Left)];
    let rows = presets::all().map(|preset| {
        let setting = |(key, value): &(&'static str, _)| format!("{} = {value}", keys::split(key).1);
        vec![preset.name.to_owned(), preset.settings.iter().map(setting).collect::<Vec<_>>().join(", ")]
    });
    table(&columns, rows)
}

fn list_of_metrics() -> String {
    let columns = [("metric", Align::Left), ("better", Align::Left), ("", Align::Left)];
    let better = |goal| if goal == metrics::Goal::Minimize { "less" } else { "more" };
    let rows =
        metrics::all().map(|metric| vec![metric.name().to_owned(), better(metric.goal).to_owned(), metric.to_string()]);
    table(&columns, rows)
}

/// A JSON schema of the experiment file (draft 2020-12), as editors take it.
fn schema() -> Value {
    let mut root = object();
    for key in keys::all() {
        let place = keys::split(key.name).0.split('.').fold(&mut root, |table, name| {
            let tables = table["properties"].as_object_mut().expect("invariant: a table has properties");
            tables.entry(name).or_insert_with(object)
        });
        place["properties"][keys::split(key.name).1] = of_key(key);
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("An experiment of ablate");
    root["properties"]["base"] =
        json!({ "type": "string", "description": "The experiment file that this one builds on" });
    for part in ["grid", "derive"] {
        root["properties"]["sweep"]["properties"][part] = json!({ "type": "object" });
    }
    for part in ["zip", "when", "exclude", "include"] {
        root["properties"]["sweep"]["properties"][part] = json!({ "type": "array", "items": { "type": "object" } });
    }
    root["properties"]["experiment"]["properties"]["baseline"] = json!({ "type": "object" });
    root["properties"]["sweep"]["properties"]["random"]["additionalProperties"] = json!(true);
    root
}

fn object() -> Value {
    json!({ "type": "object", "properties": Map::new(), "additionalProperties": false })
}

fn of_key(key: &Key) -> Value {
    let mut schema = of_kind(&key.kind);
    schema["description"] = json!(key.doc);
    if let Some(default) = key.default_value().and_then(|value| value.to_json()) {
        schema["default"] = default;
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    let number = json!({ "type": "number" });
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Integer { min, max: i64::MAX } => json!({ "type": "integer", "minimum": min }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Float(bounds) => bounds.schema(),
        Kind::FloatOrOff(bounds) => json!({ "anyOf": [bounds.schema(), { "const": "off" }] }),
        Kind::Choice { choices, .. } => json!({ "enum": choices }),
        Kind::Betas => json!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 }),
        Kind::Masking => json!({ "anyOf": [
            { "enum": ["dynamic", "static"] },
            { "type": "object", "properties": { "copies": { "type": "integer", "minimum": 1 } } },
        ] }),
        Kind::Lengths => {
            let stage = json!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 });
            json!({ "anyOf": [{ "const": "off" }, { "type": "array", "items": stage, "minItems": 1 }] })
        }
        Kind::Budget => json!({ "type": "object", "additionalProperties": number }),
        Kind::Seeds => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "array", "items": { "type": "integer", "minimum": 0 } },
        ] }),
        Kind::Words(words) => json!({ "type": "array", "items": { "enum": words } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Colour, Global};

    /// A table is shown with all that stands below it.
    #[test]
    fn every_table_of_the_sweep_is_shown() {
        let global = Global { runs: "".into(), data: "".into(), color: Colour::Never, quiet: false };
        let context = Context::new(&global);
        let text = of_table(&context, "sweep");
        for name in FREE.map(|(name, _)| name).into_iter().chain(sections().filter(|name| is_within(name, "sweep"))) {
            assert!(text.contains(&format!("[{name}]")), "{name}: {text}");
        }
        assert!(!of_table(&context, "schedule").contains("[sweep"));
        assert!(!is_within("sweeper", "sweep"));
    }

    /// Every key is in the schema, at its place, with its default of its type.
    #[test]
    fn the_schema_has_every_key() {
        let schema = schema();
        for key in keys::all() {
            let pointer = format!("/properties/{}", key.name.replace('.', "/properties/"));
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{} is missing", key.name));
            assert_eq!(found["description"], key.doc);
            let of_type = match found["type"].as_str() {
                Some("boolean") => Value::is_boolean,
                Some("integer") => Value::is_i64,
                Some("number") => Value::is_number,
                Some("string") => Value::is_string,
                Some("array") => Value::is_array,
                _ => continue,
            };
            assert!(found.get("default").is_none_or(of_type), "{}: {found}", key.name);
        }
        insta::assert_snapshot!(schema.pointer("/properties/optimizer/properties/lr").unwrap(), @r#"{"type":"number","exclusiveMinimum":0.0,"description":"The peak learning rate","default":0.0005}"#);
    }
}
