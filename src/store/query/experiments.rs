//! MLflow's filter strings over experiments: by their names, ids, times and tags.

use std::cmp::Ordering;

use super::mlflow;
use super::tree::{Condition, Kind, Literal, Name, Order, Test, Tree};
use super::value::Pattern;
use crate::store::{ExperimentEntry, StoreError};
use crate::syntax::Mistake;
use crate::types::Timestamp;

/// Which experiments are wanted, in which order.
#[derive(Clone, Debug)]
pub struct ExperimentFilter {
    tree: Tree<Condition>,
    order: Vec<(Name, bool)>,
}

/// What an experiment has under a name.
#[derive(PartialEq)]
enum Held<'e> {
    Text(&'e str),
    Number(f64),
}

impl ExperimentFilter {
    /// Reads a filter string of MLflow, and what it sorts by.
    ///
    /// # Errors
    /// [`StoreError::Query`] for the first mistake, at its place.
    pub fn of_mlflow(filter: &str, order: &[String]) -> Result<Self, StoreError> {
        let wrong = |text: &str, mistake| StoreError::Query { text: text.to_owned(), mistake: Box::new(mistake) };
        let tree = mlflow::read_with(filter, attribute).map_err(|mistake| wrong(filter, mistake))?;
        for condition in tree.leaves() {
            check(condition).map_err(|mistake| wrong(filter, mistake))?;
        }
        let key = |key: &String| mlflow::read_order_with(key, attribute).map_err(|mistake| wrong(key, mistake));
        Ok(Self { tree, order: order.iter().map(key).collect::<Result<_, _>>()? })
    }

    /// Whether an experiment is wanted.
    pub fn matches(&self, experiment: &ExperimentEntry) -> bool {
        self.tree.holds(&|condition| holds(condition, experiment))
    }

    /// Sorts experiments; where nothing is said, those that changed last come first.
    pub fn sort(&self, experiments: &mut [ExperimentEntry]) {
        experiments.sort_by(|a, b| {
            let by_keys = self.order.iter().map(|(name, is_reversed)| {
                let order = compare(held(name, a), held(name, b));
                if *is_reversed { order.reverse() } else { order }
            });
            by_keys.fold(Ordering::Equal, Ordering::then).then(b.changed_at.cmp(&a.changed_at)).then(a.id.cmp(&b.id))
        });
    }
}

fn attribute(text: &str) -> Option<&'static str> {
    Some(match text {
        "name" => "name",
        "experiment_id" => "id",
        "creation_time" => "created",
        "last_update_time" => "changed",
        _ => return None,
    })
}

fn is_number(name: &Name) -> bool {
    name.kind == Some(Kind::Attribute) && matches!(name.text.as_str(), "created" | "changed")
}

/// Whether the values fit what they are compared with.
fn check(condition: &Condition) -> Result<(), Mistake> {
    let Condition { name, test, .. } = condition;
    let no_number = |literal: &Literal| literal.text.parse::<f64>().is_err();
    let wrong = |text: &str| Err(Mistake::new(name.span.clone(), text));
    match (&name.kind, test) {
        (Some(Kind::Metric | Kind::Setting), _) => wrong("experiments have no metrics and no parameters"),
        (_, Test::Compare(_, literal)) if is_number(name) && no_number(literal) => {
            wrong("a time is compared with milliseconds since 1970")
        }
        (_, Test::Compare(Order::Equal, _) | Test::Exists | Test::OneOf(_)) => Ok(()),
        (_, Test::Compare(..)) if is_number(name) => Ok(()),
        (_, Test::Like { .. }) if !is_number(name) => Ok(()),
        _ => wrong("a text is compared by `=`, `!=`, `in` and `like`, a time by `<` and `>` too"),
    }
}

fn held<'e>(name: &Name, experiment: &'e ExperimentEntry) -> Option<Held<'e>> {
    let millis = |at: Option<Timestamp>| at.map(|at| Held::Number(at.unix_millis() as f64));
    match (&name.kind, name.text.as_str()) {
        (Some(Kind::Tag), key) => experiment.tags.get(key).map(|value| Held::Text(value)),
        (_, "name") => Some(Held::Text(&experiment.name)),
        (_, "id") => Some(Held::Text(&experiment.id)),
        (_, "created") => millis(experiment.created_at),
        (_, "changed") => millis(experiment.changed_at),
        _ => None,
    }
}

fn holds(condition: &Condition, experiment: &ExperimentEntry) -> bool {
    let Condition { name, test, is_negated } = condition;
    let Some(held) = held(name, experiment) else { return *test == Test::Exists && *is_negated };
    let is_so = match test {
        Test::Exists => true,
        Test::OneOf(values) => values.iter().any(|value| stands(&held, Order::Equal, value)),
        Test::Compare(order, value) => stands(&held, *order, value),
        Test::Like { pattern, ignore_case } => {
            matches!(held, Held::Text(text) if Pattern::new(&pattern.text, *ignore_case).matches(text))
        }
        _ => false,
    };
    is_so != *is_negated
}

fn stands(held: &Held<'_>, order: Order, literal: &Literal) -> bool {
    let ordering = match held {
        Held::Text(text) => return *text == literal.text,
        Held::Number(number) => literal.text.parse::<f64>().ok().and_then(|other| number.partial_cmp(&other)),
    };
    ordering.is_some_and(|ordering| match order {
        Order::Equal => ordering.is_eq(),
        Order::Less => ordering.is_lt(),
        Order::LessOrEqual => ordering.is_le(),
        Order::Greater => ordering.is_gt(),
        Order::GreaterOrEqual => ordering.is_ge(),
    })
}

/// What is not there comes last.
fn compare(a: Option<Held<'_>>, b: Option<Held<'_>>) -> Ordering {
    match (a, b) {
        (Some(Held::Text(a)), Some(Held::Text(b))) => a.cmp(b),
        (Some(Held::Number(a)), Some(Held::Number(b))) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::at;

    fn entry(name: &str, created: i64, tags: &[(&str, &str)]) -> ExperimentEntry {
        ExperimentEntry {
            id: created.to_string(),
            name: name.to_owned(),
            former_names: Vec::new(),
            created_at: Some(at(created)),
            changed_at: Some(at(-created)),
            trashed_at: None,
            tags: tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            mlflow_meta: None,
        }
    }

    #[test]
    fn experiments_are_found_and_sorted() {
        let all = [entry("grus", 1, &[("team", "a")]), entry("Lstms", 2, &[("team", "b")]), entry("bert", 3, &[])];
        let check = |filter: &str, order: &[&str], expected: &str| {
            let order: Vec<String> = order.iter().map(|key| (*key).to_owned()).collect();
            let filter = ExperimentFilter::of_mlflow(filter, &order).unwrap_or_else(|error| panic!("{error}"));
            let mut found: Vec<_> = all.iter().filter(|entry| filter.matches(entry)).cloned().collect();
            filter.sort(&mut found);
            assert_eq!(found.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(" "), expected);
        };
        check("", &[], "grus Lstms bert");
        check("name = 'bert'", &[], "bert");
        check("name ILIKE '%ST%' and tags.team = 'b'", &[], "Lstms");
        check("tags.team != 'a'", &[], "Lstms");
        check("tag.team IS NULL", &[], "bert");
        check("creation_time > 1 and attribute.last_update_time >= -3", &["creation_time DESC"], "bert Lstms");
        check("name IN ('grus', 'bert')", &["name"], "bert grus");
        for wrong in ["user_id = 'x'", "metrics.a = 1", "name > 'a'", "creation_time = 'x'", "creation_time like '1'"] {
            assert!(ExperimentFilter::of_mlflow(wrong, &[]).is_err(), "{wrong}");
        }
    }
}
