//! Everything that a query can ask of one run, as values: what a table shows of it, and what the SQL of a query is held
//! against in its tests.

use std::collections::BTreeMap;

use super::row::RunRow;
use crate::store::Role;
use crate::store::query::{Aggregate, Attribute, Field};
use crate::types::{RunId, Timestamp};

/// A run with its settings, its provenance and the runs that it stands on.
#[derive(Clone, Debug)]
pub struct Facts {
    pub row: RunRow,
    /// Leaves by key.
    pub settings: BTreeMap<String, String>,
    /// Leaves by key.
    pub provenance: BTreeMap<String, String>,
    pub edges: Vec<(Role, RunId)>,
}

/// A value of a run in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    Count(u64),
    Moment(Timestamp),
    Seconds(f64),
    Bytes(u64),
}

impl Facts {
    /// The value of a field; values at single steps are in the log.
    pub(super) fn cell(&self, field: &Field) -> Option<Cell> {
        let leaf = |leaves: &BTreeMap<String, String>, keys: &[String]| {
            keys.iter().find_map(|key| leaves.get(key)).map(|value| Cell::Text(value.clone()))
        };
        match field {
            Field::Attribute(attribute) => self.attribute(*attribute),
            Field::Setting(keys) => leaf(&self.settings, keys),
            Field::Provenance(keys) => leaf(&self.provenance, keys),
            Field::Lineage(role) => {
                self.edges.iter().find(|(its, _)| its == role).map(|(_, run)| Cell::Text(run.to_string()))
            }
            Field::Metric(name, aggregate) => {
                let (_, metric) = self.row.metrics.iter().find(|(metric, _)| metric.as_str() == name)?;
                match aggregate {
                    Aggregate::Last => Some(metric.last),
                    Aggregate::First => Some(metric.first),
                    Aggregate::Min => metric.min,
                    Aggregate::Max => metric.max,
                    Aggregate::At(_) => None,
                }
                .map(Cell::Number)
            }
        }
    }

    fn attribute(&self, attribute: Attribute) -> Option<Cell> {
        let row = &self.row;
        let joined = |texts: Vec<&str>| Some(texts.join(" ")).filter(|text| !text.is_empty()).map(Cell::Text);
        let text = |text: &Option<String>| text.clone().map(Cell::Text);
        match attribute {
            Attribute::Id => Some(Cell::Text(row.id.to_string())),
            Attribute::State => Some(Cell::Text(row.state.name().to_owned())),
            Attribute::Experiment => joined(row.experiments.iter().map(|group| group.name.as_str()).collect()),
            Attribute::Tag => joined(row.labels.tags.iter().map(String::as_str).collect()),
            Attribute::Name => text(&row.labels.name),
            Attribute::Note => text(&row.labels.note),
            Attribute::Reason => text(&row.reason),
            Attribute::Spec => row.spec_hash.map(|hash| Cell::Text(hash.to_string())),
            Attribute::LoggedBy => text(&row.logged_by),
            Attribute::StepsDone => Some(Cell::Count(row.steps_done.0)),
            Attribute::TotalSteps => row.total_steps.map(Cell::Count),
            Attribute::Parameters => row.parameters.map(Cell::Count),
            Attribute::Created => row.created_at.map(Cell::Moment),
            Attribute::Started => row.started_at.map(Cell::Moment),
            Attribute::Ended => row.ended_at.map(Cell::Moment),
            Attribute::Took => row.worked_secs().map(Cell::Seconds),
            Attribute::Disk => Some(Cell::Bytes(row.disk_bytes)),
            Attribute::TornBytes => Some(Cell::Count(row.torn_bytes)),
        }
    }
}

/// The definition of what a query means, run by run and without SQL.
#[cfg(test)]
pub(super) mod oracle {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::query::{Check, Tree, number_of};

    /// The runs of `all` that fulfil the tree.
    pub fn fulfilling<'f>(tree: &Tree<Check>, all: &'f [Facts]) -> BTreeSet<&'f RunId> {
        let fulfils = |facts: &&Facts| tree.holds(&|check| holds(check, facts, all));
        all.iter().filter(fulfils).map(|facts| &facts.row.id).collect()
    }

    /// The number that a field is sorted by, if it has one.
    pub fn number(field: &Field, facts: &Facts) -> Option<f64> {
        numbers(field, facts).into_iter().find(|number| !number.is_nan())
    }

    fn holds(check: &Check, facts: &Facts, all: &[Facts]) -> bool {
        match check {
            Check::Within(field, interval) => numbers(field, facts).into_iter().any(|number| interval.contains(number)),
            Check::Is(field, text) => texts(field, facts).iter().any(|value| value == text),
            Check::Begins(field, text) => texts(field, facts).iter().any(|value| value.starts_with(text)),
            Check::Like(field, pattern) => texts(field, facts).iter().any(|value| pattern.matches(value)),
            Check::Exists(field) => !texts(field, facts).is_empty() || !numbers(field, facts).is_empty(),
            Check::IsNan(field) => numbers(field, facts).iter().any(|number| number.is_nan()),
            Check::DescendsFrom(run) => descends(facts, run, all, &mut BTreeSet::new()),
        }
    }

    fn descends<'f>(facts: &'f Facts, from: &RunId, all: &'f [Facts], seen: &mut BTreeSet<&'f RunId>) -> bool {
        facts.edges.iter().any(|(_, other)| {
            other == from
                || seen.insert(other)
                    && all.iter().find(|facts| facts.row.id == *other).is_some_and(|its| descends(its, from, all, seen))
        })
    }

    fn leaves<'f>(field: &Field, facts: &'f Facts) -> Vec<&'f String> {
        let (leaves, keys) = match field {
            Field::Setting(keys) => (&facts.settings, keys),
            Field::Provenance(keys) => (&facts.provenance, keys),
            _ => return Vec::new(),
        };
        keys.iter().filter_map(|key| leaves.get(key)).collect()
    }

    fn numbers(field: &Field, facts: &Facts) -> Vec<f64> {
        match field {
            Field::Setting(_) | Field::Provenance(_) => {
                leaves(field, facts).into_iter().filter_map(|text| number_of(text)).collect()
            }
            _ => facts
                .cell(field)
                .into_iter()
                .filter_map(|cell| match cell {
                    Cell::Text(_) => None,
                    Cell::Number(number) | Cell::Seconds(number) => Some(number),
                    Cell::Count(count) | Cell::Bytes(count) => Some(count as f64),
                    Cell::Moment(at) => Some(at.unix_millis() as f64),
                })
                .collect(),
        }
    }

    fn texts(field: &Field, facts: &Facts) -> Vec<String> {
        match field {
            Field::Setting(_) | Field::Provenance(_) => leaves(field, facts).into_iter().cloned().collect(),
            Field::Attribute(Attribute::Experiment) => {
                facts.row.experiments.iter().map(|group| group.name.clone()).collect()
            }
            Field::Attribute(Attribute::Tag) => facts.row.labels.tags.iter().cloned().collect(),
            Field::Attribute(Attribute::Spec) => {
                let hashes = [facts.row.spec_hash, facts.row.identity];
                hashes.into_iter().flatten().map(|hash| hash.to_string()).collect()
            }
            _ => match facts.cell(field) {
                Some(Cell::Text(text)) => vec![text],
                _ => Vec::new(),
            },
        }
    }
}
