//! Queries over runs: what a person or a client types becomes one abstract tree, whichever grammar it is written in.
//!
//! [`read`] and [`mlflow`] read the two grammars into a [`Tree`] of [`Condition`]s; [`resolve`] finds out what their names
//! and [`value`]s mean in a store. The index answers the resolved tree in SQL.

mod experiments;
mod mlflow;
mod names;
mod read;
mod resolve;
mod tree;
mod value;
mod words;

pub use experiments::ExperimentFilter;
pub(super) use resolve::{Aggregate, Attribute, Check, Field, Holds, Known, Values};
pub(super) use tree::{Condition, Name, Test, Tree};
#[cfg(test)]
pub(super) use value::Pattern;
pub(super) use value::{Interval, number_of};

use tree::{Literal, Order};

use super::{RunState, StoreError};
use crate::syntax::Mistake;
use crate::types::{SpecHash, Timestamp};

/// Which runs are wanted, in which order; the default wants all, newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct RunQuery {
    /// As it was typed, for what is said of it.
    text: String,
    tree: Tree<Condition>,
    /// The first so many; `None`: all.
    pub limit: Option<usize>,
    pub trash: Trash,
    /// What they are sorted by, first to last, and whether the largest is the first.
    order: Vec<(Name, bool)>,
    /// Whether a name means itself alone, and one that no run has is no mistake.
    is_exact: bool,
    now: Timestamp,
}

/// Whether runs in the trash are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trash {
    /// They are in no answer.
    #[default]
    Without,
    /// They are the answer.
    Only,
    /// They are like others.
    With,
}

impl Default for RunQuery {
    fn default() -> Self {
        let now = Timestamp::from_unix_millis(0);
        Self {
            text: String::new(),
            tree: Tree::all(),
            limit: None,
            trash: Trash::Without,
            order: Vec::new(),
            is_exact: false,
            now,
        }
    }
}

impl RunQuery {
    /// Reads a query such as `quickstart state = finished and mask_ratio >= 0.3 limit=20`, typed at `now`.
    ///
    /// # Errors
    /// [`StoreError::Query`] for the first mistake, at its place.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, StoreError> {
        let mut query = Self { text: text.to_owned(), now, ..Self::default() };
        let tree = read::read(text).map_err(|mistake| query.wrong(mistake))?;
        query.tree = query.take_clauses(tree).map_err(|mistake| query.wrong(mistake))?;
        Ok(query)
    }

    /// Reads a filter string of MLflow, and what it sorts by: `metrics.loss DESC`. Names mean themselves before
    /// anything else there, and no run need have what they name.
    ///
    /// # Errors
    /// [`StoreError::Query`] for the first mistake, at its place.
    pub fn of_mlflow(text: &str, order: &[String], now: Timestamp) -> Result<Self, StoreError> {
        let query = Self { text: text.to_owned(), is_exact: true, now, ..Self::default() };
        let tree = mlflow::read(text).map_err(|mistake| query.wrong(mistake))?;
        let key = |key: &String| {
            let wrong = |mistake| StoreError::Query { text: key.clone(), mistake: Box::new(mistake) };
            mlflow::read_order(key).map_err(wrong)
        };
        let order = order.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { tree, order, ..query })
    }

    /// Those of any of these experiments alone; with the empty name, those of none too.
    #[must_use]
    pub fn within_experiments(self, names: &[&str]) -> Self {
        let named: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
        let mut any = Vec::new();
        if !named.is_empty() {
            any.push(read::equal("experiment", &named));
        }
        if named.len() < names.len() {
            any.push(read::lacking("experiment"));
        }
        Self { tree: Tree::and(vec![Tree::or(any), self.tree]), ..self }
    }

    /// The runs that people gave this name.
    pub fn of_name(name: &str) -> Self {
        Self { tree: read::equal("name", &[name]), ..Self::default() }
    }

    /// The same, which people are told of by this text.
    #[must_use]
    pub fn called(self, text: &str) -> Self {
        Self { text: text.to_owned(), ..self }
    }

    /// The runs of a specification, as it is stored or as this program would plan it.
    pub fn of_spec(hash: SpecHash) -> Self {
        Self { tree: read::equal("spec_hash", &[&hash.to_string()]), ..Self::default() }
    }

    /// The runs in any of these states.
    pub fn in_states(states: &[RunState]) -> Self {
        Self {
            tree: read::equal("state", &states.iter().map(|state| state.name()).collect::<Vec<_>>()),
            ..Self::default()
        }
    }

    /// The first so many.
    #[must_use]
    pub fn limited(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// With, without or only what is in the trash.
    #[must_use]
    pub fn from_trash(self, trash: Trash) -> Self {
        Self { trash, ..self }
    }

    /// Sorted by the values of a key, the smallest first, or the largest where `-` stands before it. What lacks it comes last.
    #[must_use]
    pub fn sorted_by(self, key: &str) -> Self {
        let (key, is_reversed) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
        let order = vec![(name_of(key), is_reversed)];
        Self { order, ..self }
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it wants every run.
    pub fn is_of_all(&self) -> bool {
        self.tree == Tree::all()
    }

    /// The names of experiments, or beginnings of ids, that stand in it as words.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let words = self.tree.leaves().into_iter().filter(|condition| condition.test == Test::Word);
        words.map(|condition| condition.name.text.as_str())
    }

    /// The experiments that it asks for by name, and what may be one.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.tree.leaves().into_iter().filter_map(|condition| match &condition.test {
            Test::Compare(Order::Equal, value) if condition.name.text == "experiment" => Some(value.text.as_str()),
            Test::Word => Some(condition.name.text.as_str()),
            _ => None,
        })
    }

    pub(super) fn tree(&self) -> &Tree<Condition> {
        &self.tree
    }

    pub(super) fn order(&self) -> &[(Name, bool)] {
        &self.order
    }

    pub(super) fn is_exact(&self) -> bool {
        self.is_exact
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// A mistake in this query.
    pub(super) fn wrong(&self, mistake: Mistake) -> StoreError {
        StoreError::Query { text: self.text.clone(), mistake: Box::new(mistake) }
    }

    /// Takes out what says how many and from where, not which: `limit=20`, `trash=yes`.
    fn take_clauses(&mut self, tree: Tree<Condition>) -> Result<Tree<Condition>, Mistake> {
        let parts = match tree {
            Tree::And(parts) => parts,
            one => vec![one],
        };
        let mut kept = Vec::new();
        for part in parts {
            let is_taken = match &part {
                Tree::Leaf(Condition { name, test: Test::Compare(Order::Equal, value), is_negated: false }) => {
                    self.take_clause(&name.text, value)?
                }
                _ => false,
            };
            if !is_taken {
                kept.push(part);
            }
        }
        let tree = Tree::and(kept);
        let clause = |condition: &&Condition| matches!(condition.name.text.as_str(), "limit" | "trash");
        match tree.leaves().into_iter().find(|condition| clause(condition) && condition.test != Test::Word) {
            Some(Condition { name, .. }) => {
                let text = format!("`{}` is no condition: it is written `{}`, once", name.text, example(&name.text));
                Err(Mistake::new(name.span.clone(), text)
                    .help("and beside all conditions, not within `or`, `not` or parentheses"))
            }
            None => Ok(tree),
        }
    }

    fn take_clause(&mut self, name: &str, value: &Literal) -> Result<bool, Mistake> {
        let wrong = |text: &str| Err(Mistake::new(value.span.clone(), text));
        match (name, value.text.as_str()) {
            ("limit", _) if self.limit.is_some() => return wrong("there is a limit already"),
            ("limit", count) => match count.parse() {
                Ok(count) => self.limit = Some(count),
                Err(_) => return wrong("a limit is a count of runs, such as limit=20"),
            },
            ("trash", "yes") => self.trash = Trash::Only,
            ("trash", "no") => self.trash = Trash::Without,
            ("trash", "any") => self.trash = Trash::With,
            ("trash", _) => {
                return wrong("what is in the trash is asked for by trash=yes, or with the rest by trash=any");
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn example(clause: &str) -> &'static str {
    if clause == "limit" { "limit=20" } else { "trash=yes" }
}

/// A name outside of a query, with what is asked of a metric: `valid/mlm_loss.at(100)`.
pub(super) fn name_of(text: &str) -> Name {
    let at = text.strip_suffix(')').and_then(|text| text.rsplit_once(".at("));
    let (text, at) = match at.and_then(|(metric, step)| Some((metric, step.parse().ok()?))) {
        Some((metric, step)) => (metric, Some(step)),
        None => (text, None),
    };
    Name { text: text.to_owned(), kind: None, at, span: 0..0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<RunQuery, StoreError> {
        RunQuery::parse(text, Timestamp::from_unix_millis(0))
    }

    #[test]
    fn how_many_and_from_where_is_taken_out_of_the_conditions() {
        let query = parsed("quickstart trash=yes state=finished,lost limit=5").unwrap();
        assert_eq!((query.limit, query.trash, query.tree.leaves().len()), (Some(5), Trash::Only, 2));
        assert_eq!(query.experiments().collect::<Vec<_>>(), ["quickstart"]);
        assert_eq!(parsed("limit = 3").unwrap().tree, Tree::all());
        assert!(parsed("").unwrap().is_of_all());
        for (text, expected) in [
            ("limit=3 limit=5", "there is a limit already"),
            ("limit=all", "a limit is a count of runs, such as limit=20"),
            ("trash=perhaps", "what is in the trash is asked for by trash=yes, or with the rest by trash=any"),
            ("a=1 or limit=3", "`limit` is no condition: it is written `limit=20`, once"),
            ("limit > 3", "`limit` is no condition: it is written `limit=20`, once"),
        ] {
            let StoreError::Query { mistake, .. } = parsed(text).unwrap_err() else { panic!("{text}") };
            assert_eq!(mistake.message, expected, "{text}");
        }
    }

    #[test]
    fn a_key_to_sort_by_may_be_reversed_and_of_a_step() {
        let query = RunQuery::default().sorted_by("-valid/mlm_loss.at(100)");
        let [(name, is_reversed)] = query.order() else { panic!("there is one key") };
        assert_eq!((name.text.as_str(), name.at, *is_reversed), ("valid/mlm_loss", Some(100), true));
    }

    /// What stands in queries of either grammar, beside numbers and brackets.
    const WORDS: [&str; 44] = [
        " and ",
        " or ",
        " not ",
        " in (",
        " not in (",
        " like ",
        " ilike ",
        " is nan",
        " is missing",
        " is not null",
        "exists ",
        "descends from ",
        "tag:",
        "limit=",
        "trash=any",
        "state",
        "finished",
        "FINISHED",
        "KILLED",
        "started",
        "> \"2 days ago\"",
        "2026-01-31",
        "mask_ratio",
        "train/loss",
        ".min",
        ".at(",
        ".at(-1)",
        "latest",
        "experiment",
        "dirty = true",
        "cpu like '%x%'",
        ",",
        "<=",
        "!=",
        "<>",
        "metrics.",
        "params.`a b`",
        "tags.",
        "attributes.",
        "run_id",
        " ASC",
        " DESC",
        "'",
        "0.3",
    ];

    /// Queries of both grammars: a tree that is printed reads as the same tree, and the index answers or points at a place.
    #[test]
    #[ignore = "ten minutes"]
    fn fuzz_queries() {
        let sound = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
        let ours = sound(&[
            "state = finished and mask_ratio >= 0.3 and (valid/mlm_loss.min < 5 or tag:keep) and not experiment = pilot",
            "7h2 bb0 state=finished,lost  train/lr.at(2) != 1e-4 limit=20",
            "lr not in (1e-4, 1e-3) and cpu like \"%EPYC%\" and host not ilike x_ started > '2 days ago'",
            "exists(valid/mlm_loss) exists reproduces and tag is missing and train/loss.max is not nan trash=any",
            "descends from 7h2 or \"valid loss\"<2 or `a b` = c",
        ]);
        let mlflow = sound(&[
            "metrics.loss < 1.5 AND params.\"learning rate\" = '0.1' and tags.`a b` ILIKE '%x%'",
            "attributes.status != 'KILLED' and run_id in ('a', 'b') and params.lr IS NOT NULL",
            "tags.mlflow.runName LIKE 'x%' and start_time > 5 and user_id = 'ana' and tag.k = ''",
        ]);
        let (_folder, store) = crate::store::testing::store_of_samples();
        let mut index = crate::store::Index::open(&store).unwrap();
        crate::fuzzing::fuzz("queries", |luck| {
            let is_ours = luck.below(3) > 0;
            let text = luck.spoilt_text(if is_ours { &ours } else { &mlflow }, &WORDS);
            let now = Timestamp::from_unix_millis(1_700_000_000_000);
            let (tree, query) = match is_ours {
                true => (read::read(&text), RunQuery::parse(&text, now)),
                false => (mlflow::read(&text), RunQuery::of_mlflow(&text, std::slice::from_ref(&text), now)),
            };
            let mut outcome = "refused by the grammar";
            match &tree {
                Ok(tree) => {
                    outcome = "refused by the index";
                    let printed = if is_ours { printed::ours(tree) } else { printed::mlflow(tree) };
                    let again = if is_ours { read::read(&printed) } else { mlflow::read(&printed) };
                    match again {
                        Ok(again) => {
                            assert_eq!(
                                printed::without_places(&again),
                                printed::without_places(tree),
                                "{text}\n{printed}"
                            );
                        }
                        Err(mistake) => assert!(printed::is_limit(&mistake), "{text}\n{printed}\n{mistake:?}"),
                    }
                }
                Err(mistake) => assert!(text.get(mistake.span.clone()).is_some(), "{text}"),
            }
            match query.and_then(|query| index.query(&query)) {
                Ok(rows) => {
                    assert!(rows.len() <= 3);
                    outcome = "answered";
                }
                Err(StoreError::Query { text: whole, mistake }) => {
                    assert!(whole.get(mistake.span.clone()).is_some() && !mistake.message.is_empty(), "{text}");
                }
                Err(error) => panic!("{text}\n{error}"),
            }
            outcome
        });
    }

    /// Trees as text that reads as the same tree, for both grammars.
    mod printed {
        use super::super::tree::{Condition, Kind, Literal, Name, Test, Tree};
        use crate::syntax::Mistake;

        pub fn ours(tree: &Tree<Condition>) -> String {
            let within = |part: &Tree<Condition>| match part {
                Tree::And(_) | Tree::Or(_) => format!("({})", ours(part)),
                _ => ours(part),
            };
            let joined = |parts: &[Tree<Condition>], by| parts.iter().map(within).collect::<Vec<_>>().join(by);
            match tree {
                Tree::And(parts) => joined(parts, " and "),
                Tree::Or(parts) => joined(parts, " or "),
                Tree::Not(tree) => format!("not {}", within(tree)),
                Tree::Leaf(Condition { test: Test::DescendsFrom(run), .. }) => format!("descends from {}", value(run)),
                Tree::Leaf(condition) => {
                    let Name { text, at, .. } = &condition.name;
                    let name = at.map_or_else(|| quoted(text), |step| format!("{text}.at({step})"));
                    format!("{name}{}", test(condition))
                }
            }
        }

        pub fn mlflow(tree: &Tree<Condition>) -> String {
            let condition = |condition: &&Condition| {
                let Name { text, kind, .. } = &condition.name;
                let name = match (kind.unwrap(), text.as_str()) {
                    (Kind::Metric, key) => format!("metrics.{}", quoted(key)),
                    (Kind::Setting, key) => format!("params.{}", quoted(key)),
                    (Kind::Tag, key) => format!("tags.{}", quoted(key)),
                    (Kind::Attribute, "id") => "run_id".to_owned(),
                    (Kind::Attribute, "name") => "run_name".to_owned(),
                    (Kind::Attribute, "state") => "status".to_owned(),
                    (Kind::Attribute, "started") => "start_time".to_owned(),
                    (Kind::Attribute, "ended") => "end_time".to_owned(),
                    (Kind::Attribute, "note") => "tags.mlflow.note.content".to_owned(),
                    (Kind::Provenance, "client.user") => "user_id".to_owned(),
                    other => panic!("{other:?}"),
                };
                let test = match condition {
                    Condition { test: Test::Exists, is_negated, .. } => {
                        if *is_negated { " is null" } else { " is not null" }.to_owned()
                    }
                    _ => test(condition),
                };
                format!("{name}{test}")
            };
            tree.leaves().iter().map(condition).collect::<Vec<_>>().join(" and ")
        }

        fn test(condition: &Condition) -> String {
            let not = if condition.is_negated { "not " } else { "" };
            match &condition.test {
                Test::Compare(_, literal) if condition.is_negated => format!(" != {}", value(literal)),
                Test::Compare(order, literal) => format!(" {} {}", order.sign(), value(literal)),
                Test::OneOf(literals) => {
                    format!(" {not}in ({})", literals.iter().map(value).collect::<Vec<_>>().join(", "))
                }
                Test::Like { pattern, ignore_case } => {
                    format!(" {not}{}like {}", if *ignore_case { "i" } else { "" }, value(pattern))
                }
                Test::Exists => if condition.is_negated { " is missing" } else { " is not missing" }.to_owned(),
                Test::IsNan => format!(" is {not}nan"),
                Test::Word => String::new(),
                Test::DescendsFrom(_) => unreachable!("it is printed with its name"),
            }
        }

        fn value(literal: &Literal) -> String {
            if literal.is_quoted { quoted(&literal.text) } else { literal.text.clone() }
        }

        /// A text in quotes of a kind that it has not.
        fn quoted(text: &str) -> String {
            let quote = ['"', '\'', '`'].into_iter().find(|quote| !text.contains(*quote)).expect("one closed it");
            format!("{quote}{text}{quote}")
        }

        /// A tree is printed with more parentheses than it was written with, and a list in more letters.
        pub fn is_limit(mistake: &Mistake) -> bool {
            ["nested deeper", "too long", "at most"].iter().any(|limit| mistake.message.contains(limit))
        }

        /// The tree, wherever its parts stood.
        pub fn without_places(tree: &Tree<Condition>) -> Tree<Condition> {
            let literal = |literal: &Literal| Literal { span: 0..0, ..literal.clone() };
            let mut plain = |condition: &Condition| {
                let name = Name { span: 0..0, ..condition.name.clone() };
                let test = match &condition.test {
                    Test::Compare(order, value) => Test::Compare(*order, literal(value)),
                    Test::OneOf(values) => Test::OneOf(values.iter().map(literal).collect()),
                    Test::Like { pattern, ignore_case } => {
                        Test::Like { pattern: literal(pattern), ignore_case: *ignore_case }
                    }
                    Test::DescendsFrom(run) => Test::DescendsFrom(literal(run)),
                    other => other.clone(),
                };
                Ok::<_, ()>(Tree::Leaf(Condition { name, test, is_negated: condition.is_negated }))
            };
            tree.try_graft(&mut plain).unwrap()
        }
    }
}
