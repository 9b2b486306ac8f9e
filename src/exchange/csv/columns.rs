//! What the columns of a table are, by their names: upper and lower case are one, and so are a space and an underscore.

use std::collections::BTreeSet;

use crate::csv::plain;

/// Who a row is of.
const RUN: &[&str] = &["run", "run_id", "run_name"];
const EXPERIMENT: &[&str] = &["experiment", "experiment_name"];
const METRIC: &[&str] = &["metric", "metric_name", "key", "tag", "variable"];
const VALUE: &[&str] = &["value", "metric_value"];
const STEP: &[&str] = &["step", "_step", "global_step", "iteration"];
/// What counts where nothing else does.
const EPOCH: &[&str] = &["epoch"];

/// Times and their units: `None` is text, a number the seconds of one.
const TIME: &[(&str, Option<f64>)] = &[
    ("time", None),
    ("timestamp", None),
    ("wall_time", Some(1.0)),
    ("_timestamp", Some(1.0)),
    ("time_ms", Some(1e-3)),
    ("timestamp_ms", Some(1e-3)),
];

/// A table of `ablate export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    Long,
    Wide,
    Runs,
}

/// How the tables of `ablate export` begin.
const OURS: [(Ours, &[&str]); 3] = [
    (Ours::Long, &["run", "experiment", "metric", "step", "value", "time"]),
    (Ours::Wide, &["run", "experiment", "step"]),
    (
        Ours::Runs,
        &["id", "experiment", "name", "state", "reason", "tags", "note", "created", "started", "ended", "took_secs"],
    ),
];

/// The table of `ablate export` that begins with these columns.
fn ours(folded: &[String]) -> Option<Ours> {
    let begins = |ours: &[&str]| folded.len() >= ours.len() && folded.iter().zip(ours).all(|(a, b)| a == b);
    OURS.into_iter().find(|(_, ours)| begins(ours)).map(|(kind, _)| kind)
}

/// In our table of steps every column after the third is a metric, whatever it is called.
fn wide_of_ours(names: &[String]) -> Shape {
    let of = Of { run: Some(0), experiment: Some(1), step: 2, time: None };
    Shape::Wide { of, metrics: (3..names.len()).map(|at| (at, metric_of(names, at))).collect() }
}

/// In our table of runs the columns of every run come first; then settings; then metrics, three columns each.
fn roles_of_ours(names: &[String], folded: &[String]) -> Vec<Role> {
    let mut roles = Vec::with_capacity(names.len());
    while let Some(role) = folded.get(roles.len()).and_then(|name| fixed(name)) {
        // Where the columns of every run end, a metric or setting of one of their names is spelled otherwise.
        if roles.len() >= OF_EVERY_RUN || roles.contains(&role) && role != Role::Other {
            break;
        }
        roles.push(role);
    }
    while roles.len() < names.len() {
        let at = roles.len();
        let name = metric_of(names, at);
        let is = |at: usize, end: &str| at < names.len() && metric_of(names, at) == format!("{name}{end}");
        if is(at + 1, ".min") && is(at + 2, ".max") {
            roles.extend([Role::Metric(name), Role::Other, Role::Other]);
        } else {
            let key = names[at].strip_prefix("param.").unwrap_or(&names[at]);
            roles.push(Role::Setting(key.to_owned()));
        }
    }
    roles
}

/// Columns of every run in our table of runs.
const OF_EVERY_RUN: usize = 17;

/// A table's columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    pub names: Vec<String>,
    pub shape: Shape,
    /// Whether `ablate export` wrote it, so that texts are spelled as it does.
    pub is_ours: bool,
}

/// What a row is.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A point.
    Long { of: Of, metric: usize, value: usize },
    /// A step, with a column for each metric.
    Wide { of: Of, metrics: Vec<(usize, String)> },
    /// A run.
    Runs(Vec<Role>),
}

/// Where rows of points say whose they are, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Of {
    pub run: Option<usize>,
    pub experiment: Option<usize>,
    pub step: usize,
    pub time: Option<(usize, Option<f64>)>,
}

/// What a column of runs holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    Id,
    Name,
    Experiment,
    State,
    Reason,
    /// With commas between.
    Tags,
    Tag(String),
    Note,
    Started,
    Ended,
    Steps,
    Setting(String),
    /// The value that was logged last.
    Metric(String),
    /// Kept as it stands.
    Other,
}

impl Columns {
    /// Understands the names of columns; `metrics` names those of a table of runs that are measured, where the names do not say so.
    ///
    /// # Errors
    /// Why not, with the columns that there are and what would be understood.
    pub fn of(names: &[String], metrics: &[String]) -> Result<Self, String> {
        let folded: Vec<String> = names.iter().map(|name| name.trim().to_lowercase().replace(' ', "_")).collect();
        let is_ours = ours(&folded).is_some();
        let names: Vec<String> =
            names.iter().map(|name| if is_ours { plain(name).to_owned() } else { name.trim().to_owned() }).collect();
        let found = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(format!("has two columns `{twice}`"));
        }
        let shape = match ours(&folded) {
            Some(Ours::Runs) if metrics.is_empty() => Ok(Shape::Runs(roles_of_ours(&names, &folded))),
            Some(Ours::Wide) if metrics.is_empty() && names.len() > 3 => Ok(wide_of_ours(&names)),
            _ => Self::shape(&names, &folded, metrics),
        };
        let shape = shape.map_err(|why| format!("{why}; its columns are {}", found()))?;
        Ok(Self { names, shape, is_ours })
    }

    fn shape(names: &[String], folded: &[String], metrics: &[String]) -> Result<Shape, String> {
        let one = |wanted: &[&str]| {
            let found: Vec<usize> = (0..folded.len()).filter(|at| wanted.contains(&folded[*at].as_str())).collect();
            match found[..] {
                [] => Ok(None),
                [at] => Ok(Some(at)),
                [a, b, ..] => Err(format!("both `{}` and `{}` could be the {}", names[a], names[b], wanted[0])),
            }
        };
        let step = match one(STEP)? {
            Some(step) => Some(step),
            None => one(EPOCH)?,
        };
        let Some(step) = step.filter(|_| metrics.is_empty()) else { return runs(names, folded, metrics) };
        let of = Of { run: one(RUN)?, experiment: one(EXPERIMENT)?, step, time: time(names, folded)? };
        match (one(METRIC)?, one(VALUE)?) {
            (Some(metric), Some(value)) => {
                let known = [Some(metric), Some(value), of.run, of.experiment, Some(step), of.time.map(|(at, _)| at)];
                match (0..names.len()).find(|at| !known.contains(&Some(*at))) {
                    Some(other) => Err(format!("with a point a row, `{}` has no meaning here", names[other])),
                    None => Ok(Shape::Long { of, metric, value }),
                }
            }
            (None, None) => {
                let known = [of.run, of.experiment, Some(step), of.time.map(|(at, _)| at)];
                // Where `step` counts, an epoch is measured like anything else.
                let rest = (0..names.len()).filter(|at| !known.contains(&Some(*at)));
                let metrics: Vec<(usize, String)> = rest.map(|at| (at, names[at].clone())).collect();
                if metrics.is_empty() {
                    Err("has steps, and nothing measured at them".to_owned())
                } else {
                    Ok(Shape::Wide { of, metrics })
                }
            }
            (None, Some(value)) => Err(format!(
                "has `{}`, but no column says of which metric: a column `metric` would, or the metric's own name in place of `{}`",
                names[value], names[value]
            )),
            (Some(metric), None) => {
                Err(format!("has `{}`, but no column `value` with what was measured", names[metric]))
            }
        }
    }
}

fn time(names: &[String], folded: &[String]) -> Result<Option<(usize, Option<f64>)>, String> {
    let unit = |at: usize| TIME.iter().find(|(name, _)| *name == folded[at]).map(|(_, unit)| (at, *unit));
    let found: Vec<(usize, Option<f64>)> = (0..folded.len()).filter_map(unit).collect();
    match found[..] {
        [] => Ok(None),
        [time] => Ok(Some(time)),
        [a, b, ..] => Err(format!("both `{}` and `{}` could be the time", names[a.0], names[b.0])),
    }
}

/// The metric of a column of our tables: one that is called as another column is, or begins so, has `metric.` before it there.
fn metric_of(names: &[String], at: usize) -> String {
    names[at].strip_prefix("metric.").unwrap_or(&names[at]).to_owned()
}

/// The columns of a table with a run a row.
fn runs(names: &[String], folded: &[String], metrics: &[String]) -> Result<Shape, String> {
    if let Some(absent) = metrics.iter().find(|metric| !names.contains(metric)) {
        return Err(format!("has no column `{absent}`, which --metric names"));
    }
    let mut roles: Vec<Option<Role>> = (0..names.len()).map(|at| fixed(&folded[at])).collect();
    let mut is_measured = false;
    for at in 0..names.len() {
        let name = names[at].clone();
        let is = |at: usize, end: &str| names.get(at).is_some_and(|other| *other == format!("{name}{end}"));
        if metrics.contains(&names[at]) {
            roles[at] = Some(Role::Metric(names[at].clone()));
        } else if roles[at].is_none() && is(at + 1, ".min") && is(at + 2, ".max") {
            roles[at] = Some(Role::Metric(name));
            roles[at + 1] = Some(Role::Other);
            roles[at + 2] = Some(Role::Other);
        } else if let Some(key) = names[at].strip_prefix("metrics.") {
            roles[at] = Some(Role::Metric(key.to_owned()));
        } else if let Some(key) = names[at].strip_prefix("params.").or(names[at].strip_prefix("param.")) {
            roles[at] = Some(Role::Setting(key.to_owned()));
            continue;
        } else {
            continue;
        }
        is_measured = true;
    }
    if !is_measured {
        return Err("is no table that is understood: `step` with a column for each metric is (`step`, `loss`, ...); `run`, `metric`, \
                    `step`, `value` is; and a run a row is, with --metric COLUMN for each column that was measured"
            .to_owned());
    }
    for key in [Role::Id, Role::Name, Role::Experiment, Role::State, Role::Started, Role::Ended, Role::Steps] {
        let same: Vec<usize> = (0..names.len()).filter(|at| roles[*at].as_ref() == Some(&key)).collect();
        if let [a, b, ..] = same[..] {
            return Err(format!(
                "both `{}` and `{}` could be the {}",
                names[a],
                names[b],
                format!("{key:?}").to_lowercase()
            ));
        }
    }
    let or_setting = |(at, role): (usize, Option<Role>)| role.unwrap_or_else(|| Role::Setting(names[at].clone()));
    Ok(Shape::Runs(roles.into_iter().enumerate().map(or_setting).collect()))
}

/// What a column of that name is in every table of runs.
fn fixed(name: &str) -> Option<Role> {
    Some(match name {
        "id" | "run" | "run_id" => Role::Id,
        "name" | "run_name" | "tags.mlflow.runname" => Role::Name,
        "experiment" | "experiment_name" => Role::Experiment,
        "state" | "status" => Role::State,
        "reason" => Role::Reason,
        "tags" => Role::Tags,
        "note" | "notes" | "tags.mlflow.note.content" => Role::Note,
        "started" | "start_time" => Role::Started,
        "ended" | "end_time" => Role::Ended,
        "steps_done" => Role::Steps,
        "created" | "took_secs" | "total_steps" | "parameters" | "spec_hash" | "logged_by" | "starts_from"
        | "experiment_id" | "artifact_uri" => Role::Other,
        _ => Role::Tag(name.strip_prefix("tags.")?.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, metrics: &[&str]) -> String {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        let metrics: Vec<String> = metrics.iter().map(|&metric| metric.to_owned()).collect();
        match Columns::of(&names, &metrics) {
            Err(why) => why.split(';').next().unwrap_or_default().to_owned(),
            Ok(columns) => {
                let named = |at: Option<usize>| at.map_or("-", |at| &columns.names[at]);
                let of = |of: &Of| {
                    format!(
                        "run {} step {} time {}",
                        named(of.run),
                        named(Some(of.step)),
                        named(of.time.map(|(at, _)| at))
                    )
                };
                match &columns.shape {
                    Shape::Long { of: its, metric, value } => {
                        format!("long: {} {} = {}", of(its), named(Some(*metric)), named(Some(*value)))
                    }
                    Shape::Wide { of: its, metrics } => {
                        let metrics: Vec<&str> = metrics.iter().map(|(_, name)| name.as_str()).collect();
                        format!("wide: {} {}", of(its), metrics.join(" "))
                    }
                    Shape::Runs(roles) => roles.iter().map(|role| format!("{role:?}")).collect::<Vec<_>>().join(" "),
                }
            }
        }
    }

    #[test]
    fn names_say_what_columns_are() {
        for (header, expected) in [
            ("run,experiment,metric,step,value,time", "long: run run step step time time metric = value"),
            ("Step,Tag,Value,Wall time", "long: run - step Step time Wall time Tag = Value"),
            ("epoch,step,train_loss", "wide: run - step step time - epoch train_loss"),
            ("epoch,loss,val_loss", "wide: run - step epoch time - loss val_loss"),
            ("run,experiment,step,acc,metric.run,metric.x", "wide: run run step step time - acc run x"),
            (
                "run_id,params.lr,metrics.loss,tags.team,start_time",
                r#"Id Setting("lr") Metric("loss") Tag("team") Started"#,
            ),
            (
                "id,experiment,name,state,reason,tags,note,created,started,ended,took_secs,steps_done,total_steps,parameters,spec_hash,\
                 logged_by,starts_from,lr,param.id,step,epoch,epoch.min,epoch.max,run,run.min,run.max",
                r#"Id Experiment Name State Reason Tags Note Other Started Ended Other Steps Other Other Other Other Other Setting("lr") Setting("id") Setting("step") Metric("epoch") Other Other Metric("run") Other Other"#,
            ),
            (
                "run,experiment,step,epoch,value,wall_time,metric.run",
                "wide: run run step step time - epoch value wall_time run",
            ),
            ("id,lr,loss,loss.min,loss.max", r#"Id Setting("lr") Metric("loss") Other Other"#),
        ] {
            assert_eq!(check(header, &[]), expected, "{header}");
        }
        assert_eq!(check("name,lr,step,loss", &["loss"]), r#"Name Setting("lr") Setting("step") Metric("loss")"#);
    }

    #[test]
    fn what_leaves_a_choice_is_refused() {
        for (header, metrics, expected) in [
            ("run,run_id,step,loss", &[][..], "both `run` and `run_id` could be the run"),
            ("step,global_step,loss", &[], "both `step` and `global_step` could be the step"),
            ("step,metric,key,value", &[], "both `metric` and `key` could be the metric"),
            (
                "Wall time,Step,Value",
                &[],
                "has `Value`, but no column says of which metric: a column `metric` would, or the metric's own name in place of `Value`",
            ),
            ("step,metric", &[], "has `metric`, but no column `value` with what was measured"),
            ("step,metric,value,phase", &[], "with a point a row, `phase` has no meaning here"),
            ("step,loss,loss", &[], "has two columns `loss`"),
            ("step", &[], "has steps, and nothing measured at them"),
            ("step,time,timestamp,loss", &[], "both `time` and `timestamp` could be the time"),
            ("id,run_id,loss", &["loss"], "both `id` and `run_id` could be the id"),
            ("id,lr", &["loss"], "has no column `loss`, which --metric names"),
        ] {
            assert_eq!(check(header, metrics), expected, "{header}");
        }
        let names = ["name".to_owned(), "lr".to_owned(), "loss".to_owned()];
        let error = Columns::of(&names, &[]).unwrap_err();
        assert!(
            error.starts_with("is no table that is understood") && error.ends_with("`name`, `lr`, `loss`"),
            "{error}"
        );
    }
}
