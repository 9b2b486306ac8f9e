//! What a query means in a store: its names as fields that the store's runs have, its values as what such a field holds.
//!
//! A name that no run has, a value of another kind, a comparison that means nothing: each is a mistake at its place, so that
//! "no runs" always means that no run is so.

use std::collections::BTreeMap;

use super::names::{ends, named, prefixed};
use super::tree::{Condition, Kind, Literal, Name, Order, Test, Tree};
use super::value::{self, Interval, Pattern, number_of};
use crate::store::{Role, RunState};
use crate::suggest;
use crate::syntax::{Mistake, Span};
use crate::types::metrics::is_of_train_texts;
use crate::types::{RunId, Timestamp};

/// What it takes to look for a pattern grows with the square of its length.
const LONGEST_PATTERN: usize = 1_000;

/// Something that a run may have.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    Attribute(Attribute),
    /// A setting, under one of these full keys.
    Setting(Vec<String>),
    /// A leaf of the provenance, under one of these full keys.
    Provenance(Vec<String>),
    Metric(String, Aggregate),
    /// The run that it stands on in this role.
    Lineage(Role),
}

/// What every run has, or may have, whatever it is a run of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    Id,
    State,
    Experiment,
    Tag,
    Name,
    Note,
    Reason,
    Spec,
    LoggedBy,
    StepsDone,
    TotalSteps,
    Parameters,
    Created,
    Started,
    Ended,
    Took,
    Disk,
    TornBytes,
}

/// Which of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    Last,
    Min,
    Max,
    First,
    /// That of this step.
    At(i64),
}

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    State,
    /// Hexadecimal digits or an id, of which the first are enough.
    Beginning,
    Number,
    Moment,
    Seconds,
    Bytes,
}

/// The attributes by name; the first name of each is its own.
const ATTRIBUTES: [(&str, Attribute); 25] = [
    ("id", Attribute::Id),
    ("run", Attribute::Id),
    ("state", Attribute::State),
    ("experiment", Attribute::Experiment),
    ("tag", Attribute::Tag),
    ("tags", Attribute::Tag),
    ("name", Attribute::Name),
    ("note", Attribute::Note),
    ("reason", Attribute::Reason),
    ("spec_hash", Attribute::Spec),
    ("spec", Attribute::Spec),
    ("logged_by", Attribute::LoggedBy),
    ("steps_done", Attribute::StepsDone),
    ("total_steps", Attribute::TotalSteps),
    ("parameters", Attribute::Parameters),
    ("created", Attribute::Created),
    ("created_at", Attribute::Created),
    ("started", Attribute::Started),
    ("started_at", Attribute::Started),
    ("ended", Attribute::Ended),
    ("ended_at", Attribute::Ended),
    ("took", Attribute::Took),
    ("disk", Attribute::Disk),
    ("torn_bytes", Attribute::TornBytes),
    // Where no setting has this name.
    ("steps", Attribute::StepsDone),
];

impl Attribute {
    /// What it holds.
    pub fn holds(self) -> Holds {
        match self {
            Self::Id | Self::Spec => Holds::Beginning,
            Self::State => Holds::State,
            Self::Experiment | Self::Tag | Self::Name | Self::Note | Self::Reason | Self::LoggedBy => Holds::Text,
            Self::StepsDone | Self::TotalSteps | Self::Parameters | Self::TornBytes => Holds::Number,
            Self::Created | Self::Started | Self::Ended => Holds::Moment,
            Self::Took => Holds::Seconds,
            Self::Disk => Holds::Bytes,
        }
    }

    /// Whether a run may have several or none of them, so that not having one is an answer.
    fn is_set(self) -> bool {
        matches!(self, Self::Experiment | Self::Tag)
    }
}

/// What is asked of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// One of its numbers is here.
    Within(Field, Interval),
    /// One of its texts is this one.
    Is(Field, String),
    /// One of its texts begins so.
    Begins(Field, String),
    Like(Field, Pattern),
    Exists(Field),
    IsNan(Field),
    /// The run stands on this one, or on one that does.
    DescendsFrom(RunId),
}

/// What the values of a key are, over all runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    pub has_numbers: bool,
    /// One that is no number.
    pub word: Option<String>,
}

/// What the runs of a store have that a query can name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub settings: BTreeMap<String, Values>,
    pub provenance: BTreeMap<String, Values>,
    pub metrics: Vec<String>,
    pub experiments: Vec<String>,
    /// Ids, sorted: of those that begin as a word of the query does, two at least.
    pub runs: Vec<RunId>,
    /// The run that a person started last.
    pub latest: Option<RunId>,
    pub now: Option<Timestamp>,
    /// Whether a name means itself alone, and one that no run has is no mistake: nothing fulfils what is asked of it.
    pub is_exact: bool,
}

impl Known {
    /// What a condition means.
    ///
    /// # Errors
    /// When a name is no run's, or a value does not fit it.
    pub fn resolve(&self, condition: &Condition) -> Result<Tree<Check>, Mistake> {
        let Condition { name, test, is_negated } = condition;
        // As tracking clients have it.
        let tag = match name.text.strip_prefix("tags.") {
            Some(key) if name.kind.is_none() && !self.settings.contains_key(&name.text) => {
                Some(Name { text: key.to_owned(), kind: Some(Kind::Tag), ..name.clone() })
            }
            _ => None,
        };
        let name = tag.as_ref().unwrap_or(name);
        match test {
            Test::Word => return self.word(name),
            Test::DescendsFrom(run) => return Ok(Tree::Leaf(Check::DescendsFrom(self.run(run)?))),
            _ => {}
        }
        if name.kind == Some(Kind::Tag) {
            let tree = key_of_tag(name, test)?;
            return Ok(match (*is_negated, test) {
                (false, _) => tree,
                (true, Test::Exists) => Tree::not(tree),
                (true, _) => Tree::And(vec![key_of_tag(name, &Test::Exists)?, Tree::not(tree)]),
            });
        }
        let field = self.field(name)?;
        let tree = match test {
            Test::Compare(order, literal) => self.compare(&field, *order, literal, name)?,
            Test::OneOf(literals) => {
                let each = literals.iter().map(|literal| self.compare(&field, Order::Equal, literal, name));
                Tree::or(each.collect::<Result<_, _>>()?)
            }
            Test::Like { pattern, .. } if pattern.text.len() > LONGEST_PATTERN => {
                let text = format!("a pattern of more than {LONGEST_PATTERN} bytes is not looked for");
                return Err(Mistake::new(pattern.span.clone(), text));
            }
            Test::Like { pattern, ignore_case } => match is_numeric(&field) {
                true => return Err(Mistake::new(pattern.span.clone(), format!("`{}` is no text", name.text))),
                false => {
                    // The filters of tracking clients have no escapes.
                    let read = if self.is_exact { Pattern::new } else { Pattern::with_escapes };
                    Tree::Leaf(Check::Like(field.clone(), read(&pattern.text, *ignore_case)))
                }
            },
            Test::Exists => Tree::Leaf(Check::Exists(field.clone())),
            Test::IsNan => match &field {
                Field::Metric(..) => Tree::Leaf(Check::IsNan(field.clone())),
                _ => return Err(Mistake::new(name.span.clone(), format!("`{}` is no metric", name.text))),
            },
            Test::Word | Test::DescendsFrom(_) => unreachable!("invariant: both are answered above"),
        };
        let can_lack = matches!(&field, Field::Attribute(attribute) if attribute.is_set());
        Ok(match (*is_negated, test) {
            (false, _) => tree,
            (true, Test::Exists) => Tree::not(tree),
            (true, _) if can_lack => Tree::not(tree),
            (true, _) => Tree::And(vec![Tree::Leaf(Check::Exists(field)), Tree::not(tree)]),
        })
    }

    /// The field of a name.
    ///
    /// # Errors
    /// When no run has one, with the nearest that some have.
    pub fn field(&self, name: &Name) -> Result<Field, Mistake> {
        let (text, kind) = match name.kind {
            Some(kind) => (name.text.as_str(), Some(kind)),
            None => prefixed(&name.text),
        };
        let wants = |wanted| kind.is_none_or(|kind| kind == wanted);
        match kind {
            Some(Kind::Metric) if self.is_exact => return Ok(Field::Metric(text.to_owned(), Aggregate::Last)),
            Some(Kind::Setting) if self.is_exact => {
                let keys = named(&self.settings, text);
                return Ok(Field::Setting(if keys.is_empty() { vec![text.to_owned()] } else { keys }));
            }
            Some(Kind::Provenance) if self.is_exact => return Ok(Field::Provenance(vec![text.to_owned()])),
            _ => {}
        }
        if name.at.is_some() {
            return self.metric(text, name.at).ok_or_else(|| self.unknown(text, Some(Kind::Metric), &name.span));
        }
        if wants(Kind::Attribute)
            && let Some((_, attribute)) = ATTRIBUTES.iter().find(|(known, _)| *known == text && (*known != "steps"))
        {
            return Ok(Field::Attribute(*attribute));
        }
        if wants(Kind::Attribute)
            && let Some(role) = Role::from_name(text)
        {
            return Ok(Field::Lineage(role));
        }
        if wants(Kind::Setting) {
            let keys = named(&self.settings, text);
            if !keys.is_empty() {
                return Ok(Field::Setting(keys));
            }
        }
        if wants(Kind::Metric)
            && let Some(metric) = self.metric(text, None)
        {
            return Ok(metric);
        }
        if wants(Kind::Provenance) {
            let keys = named(&self.provenance, text);
            if !keys.is_empty() {
                return Ok(Field::Provenance(keys));
            }
        }
        if wants(Kind::Attribute) && text == "steps" {
            return Ok(Field::Attribute(Attribute::StepsDone));
        }
        Err(self.unknown(text, kind, &name.span))
    }

    /// The metric of a name: its own, its last part where that is one metric's, or either with what is asked of its values.
    fn metric(&self, text: &str, at: Option<i64>) -> Option<Field> {
        let own = |text: &str| {
            let exact = self.metrics.iter().find(|metric| *metric == text);
            exact.or_else(|| {
                // What is asked of train texts beside the held-out ones goes by its whole name.
                let ends = |metric: &&String| metric.rsplit('/').next() == Some(text) && !is_of_train_texts(metric);
                let mut short = self.metrics.iter().filter(ends);
                short.next().filter(|_| short.next().is_none())
            })
        };
        if let Some(metric) = own(text) {
            return Some(Field::Metric(metric.clone(), at.map_or(Aggregate::Last, Aggregate::At)));
        }
        let (metric, aggregate) = text.rsplit_once('.').filter(|_| at.is_none())?;
        let aggregate = match aggregate {
            "last" => Aggregate::Last,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            "first" => Aggregate::First,
            _ => return None,
        };
        Some(Field::Metric(own(metric)?.clone(), aggregate))
    }

    fn unknown(&self, text: &str, kind: Option<Kind>, span: &Span) -> Mistake {
        let wants = |wanted| kind.is_none_or(|kind| kind == wanted);
        let mut names: Vec<(&str, &str)> = Vec::new();
        if wants(Kind::Attribute) {
            names.extend(ATTRIBUTES.iter().map(|(name, _)| (*name, *name)));
            names.extend(Role::ALL.map(|role| (role.name(), role.name())));
        }
        if wants(Kind::Setting) {
            names.extend(ends(self.settings.keys(), '.'));
        }
        if wants(Kind::Metric) {
            names.extend(ends(self.metrics.iter(), '/'));
        }
        if wants(Kind::Provenance) {
            names.extend(ends(self.provenance.keys(), '.'));
        }
        let (plain, asked) = match text.rsplit_once('.') {
            Some((metric, asked @ ("min" | "max" | "first" | "last"))) => (metric, format!(".{asked}")),
            _ => (text, String::new()),
        };
        let what = match kind {
            Some(Kind::Metric) => "metric",
            Some(Kind::Provenance) => "provenance",
            Some(Kind::Attribute) => "attribute",
            Some(Kind::Setting | Kind::Tag) | None => "setting",
        };
        let mistake = Mistake::new(span.clone(), format!("no run has a {what} `{text}`"));
        match suggest::nearest_named(plain, names) {
            Some(name) => mistake.help(format!("did you mean `{name}{asked}`?")),
            None => mistake,
        }
    }

    fn word(&self, name: &Name) -> Result<Tree<Check>, Mistake> {
        if name.text == "latest"
            && let Some(latest) = &self.latest
        {
            return Ok(Tree::Leaf(Check::Is(Field::Attribute(Attribute::Id), latest.to_string())));
        }
        let beginning = name.text.to_lowercase();
        let is_experiment = self.experiments.contains(&name.text);
        let at = self.runs.partition_point(|run| run.as_str() < beginning.as_str());
        let begins = |run: &RunId| !beginning.is_empty() && run.as_str().starts_with(&beginning);
        let is_id = self.runs.get(at).is_some_and(begins);
        if !is_experiment && !is_id {
            let text = format!("`{}` is no experiment and begins no run's id", name.text);
            let mistake = Mistake::new(name.span.clone(), text);
            let known = self.experiments.iter().map(String::as_str);
            return Err(match suggest::nearest(&name.text, known) {
                Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
                None => mistake.help("`ablate list` shows all runs"),
            });
        }
        let experiment = Tree::Leaf(Check::Is(Field::Attribute(Attribute::Experiment), name.text.clone()));
        let id = Tree::Leaf(Check::Begins(Field::Attribute(Attribute::Id), beginning));
        Ok(Tree::Or(vec![experiment, id]))
    }

    fn run(&self, literal: &Literal) -> Result<RunId, Mistake> {
        let wanted = literal.text.to_lowercase();
        let mut found = self.runs.iter().filter(|run| !wanted.is_empty() && run.as_str().starts_with(&wanted));
        match (found.next(), found.next()) {
            (Some(run), None) => Ok(run.clone()),
            (None, _) if wanted == "latest" && self.latest.is_some() => {
                Ok(self.latest.clone().expect("invariant: it was just seen"))
            }
            (None, _) => Err(Mistake::new(literal.span.clone(), format!("no run is called `{}`", literal.text))),
            (Some(_), Some(_)) => {
                let text = format!("`{}` begins the ids of several runs", literal.text);
                Err(Mistake::new(literal.span.clone(), text).help("type one more character"))
            }
        }
    }

    /// How a field stands to a value.
    fn compare(&self, field: &Field, order: Order, literal: &Literal, name: &Name) -> Result<Tree<Check>, Mistake> {
        let wrong = |what: &str| {
            Mistake::new(literal.span.clone(), format!("`{}` is {what}, not `{}`", name.text, literal.text))
        };
        let within = |interval: Interval| {
            let wanted = match order {
                Order::Equal => interval,
                Order::Less => interval.below(),
                Order::LessOrEqual => interval.up_to(),
                Order::Greater => interval.above(),
                Order::GreaterOrEqual => interval.from(),
            };
            Tree::Leaf(Check::Within(field.clone(), wanted))
        };
        let exactly = |number: Option<f64>| number.map(|number| within(Interval::closed(number, number)));
        let text = literal.text.as_str();
        let only_equal = |tree: Tree<Check>| match order {
            Order::Equal => Ok(tree),
            _ => {
                let message = format!("`{}` is text: it has no `{}`", name.text, order.sign());
                Err(Mistake::new(name.span.clone(), message).help("`=`, `!=`, `in` and `like` are for texts"))
            }
        };
        // What an unset variable leaves of a command must not be every run.
        let nothing = || {
            let mistake = Mistake::new(literal.span.clone(), "an empty text begins every id".to_owned());
            Err(mistake.help("type some of its letters"))
        };
        match field {
            Field::Lineage(_) if text.is_empty() => nothing(),
            Field::Attribute(attribute) if text.is_empty() && attribute.holds() == Holds::Beginning => nothing(),
            Field::Lineage(_) => {
                let id = text.to_lowercase();
                let id = if id == "latest" { self.latest.as_ref().map_or(id, RunId::to_string) } else { id };
                only_equal(Tree::Leaf(Check::Begins(field.clone(), id)))
            }
            Field::Metric(..) if text.eq_ignore_ascii_case("nan") => {
                only_equal(Tree::Leaf(Check::IsNan(field.clone())))
            }
            Field::Metric(..) => {
                exactly(value::number(text)).ok_or_else(|| wrong("a metric, which is compared with numbers"))
            }
            Field::Attribute(attribute) => match attribute.holds() {
                Holds::Text => only_equal(Tree::Leaf(Check::Is(field.clone(), text.to_owned()))),
                Holds::Beginning => {
                    let id = match (attribute, &self.latest) {
                        (Attribute::Id, Some(latest)) if text == "latest" => latest.to_string(),
                        _ => text.to_lowercase(),
                    };
                    let length = if *attribute == Attribute::Id { RunId::LEN } else { 64 };
                    let is_whole = self.is_exact || id.len() == length;
                    let check = if is_whole { Check::Is(field.clone(), id) } else { Check::Begins(field.clone(), id) };
                    only_equal(Tree::Leaf(check))
                }
                Holds::State => {
                    let Some(state) = RunState::from_name(text) else {
                        let names = RunState::ALL.map(RunState::name);
                        let mistake = Mistake::new(literal.span.clone(), format!("`{text}` is not a state"));
                        let states = format!("states are {}", names.join(", "));
                        return Err(mistake.help(match suggest::nearest(text, names) {
                            Some(nearest) => format!("did you mean `{nearest}`? {states}"),
                            None => states,
                        }));
                    };
                    only_equal(Tree::Leaf(Check::Is(field.clone(), state.name().to_owned())))
                }
                Holds::Number => exactly(value::number(text)).ok_or_else(|| wrong("a number")),
                Holds::Seconds => {
                    exactly(value::seconds(text)).ok_or_else(|| wrong("a time such as 90, \"5 min\" or \"2 h\""))
                }
                Holds::Bytes => exactly(value::bytes(text)).ok_or_else(|| wrong("a size such as \"500 MB\"")),
                Holds::Moment if self.is_exact => {
                    exactly(value::number(text)).ok_or_else(|| wrong("a time in milliseconds since 1970"))
                }
                Holds::Moment => {
                    let now = self.now.unwrap_or(Timestamp::from_unix_millis(0));
                    let moment = value::moment(text, now).map(within);
                    moment.ok_or_else(|| wrong("a moment such as 2026-01-31, \"2026-01-31 09:30\" or \"2 days ago\""))
                }
            },
            Field::Setting(keys)
                if self.is_exact
                    && order != Order::Equal
                    && !keys.iter().any(|key| self.settings.contains_key(key)) =>
            {
                Ok(Tree::Or(Vec::new()))
            }
            Field::Setting(keys) => compare_key(field, keys, &self.settings, (order, literal, name), within),
            Field::Provenance(keys) => compare_key(field, keys, &self.provenance, (order, literal, name), within),
        }
    }
}

/// How a key whose values may be numbers or texts stands to a value.
fn compare_key(
    field: &Field,
    keys: &[String],
    known: &BTreeMap<String, Values>,
    (order, literal, name): (Order, &Literal, &Name),
    within: impl Fn(Interval) -> Tree<Check>,
) -> Result<Tree<Check>, Mistake> {
    /// Integers beyond it are not all told apart as floating-point numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    let values = || keys.iter().filter_map(|key| known.get(key));
    let has_numbers = values().any(|values| values.has_numbers);
    let word = values().find_map(|values| values.word.as_deref());
    let text = literal.text.as_str();
    let number = if literal.is_quoted { number_of(text) } else { value::number(text).filter(|n| n.is_finite()) };
    let is_text = Tree::Leaf(Check::Is(field.clone(), text.to_owned()));
    let wrong = |what: String| Err(Mistake::new(literal.span.clone(), format!("`{}` is {what}", name.text)));
    match (number, order) {
        (Some(number), Order::Equal) if number.abs() > EXACT && text.parse::<f64>().is_ok() => Ok(is_text),
        (Some(number), Order::Equal) if has_numbers => {
            let is_number = within(Interval::closed(number, number));
            // In quotes it may also be a text that happens to be spelled so.
            Ok(if literal.is_quoted { Tree::Or(vec![is_number, is_text]) } else { is_number })
        }
        (_, Order::Equal) if literal.is_quoted || word.is_some() => match (number, word) {
            (Some(_), Some(word)) if !literal.is_quoted => wrong(format!("a word such as `{word}`, not a number")),
            _ => Ok(is_text),
        },
        (None, Order::Equal) => wrong(format!("a number, not `{text}`")),
        (Some(number), _) if has_numbers => Ok(within(Interval::closed(number, number))),
        (None, _) if has_numbers => wrong(format!("a number, not `{text}`")),
        _ => {
            let such = word.map(|word| format!(" such as `{word}`")).unwrap_or_default();
            let message = format!("`{}` is text{such}: it has no `{}`", name.text, order.sign());
            Err(Mistake::new(name.span.clone(), message).help("`=`, `!=`, `in` and `like` are for texts"))
        }
    }
}

/// A condition on a tag `name=value`.
fn key_of_tag(name: &Name, test: &Test) -> Result<Tree<Check>, Mistake> {
    let tag = Field::Attribute(Attribute::Tag);
    let whole = |value: &Literal| Tree::Leaf(Check::Is(tag.clone(), format!("{}={}", name.text, value.text)));
    match test {
        Test::Compare(Order::Equal, value) => Ok(whole(value)),
        Test::OneOf(values) => Ok(Tree::or(values.iter().map(whole).collect())),
        Test::Like { pattern, ignore_case } => {
            let pattern = Pattern::new(&pattern.text, *ignore_case).after(&format!("{}=", name.text));
            Ok(Tree::Leaf(Check::Like(tag, pattern)))
        }
        Test::Exists => Ok(Tree::Leaf(Check::Begins(tag, format!("{}=", name.text)))),
        _ => Err(Mistake::new(name.span.clone(), "tags are texts: they are compared by `=`, `!=`, `in` and `like`")),
    }
}

fn is_numeric(field: &Field) -> bool {
    match field {
        Field::Metric(..) => true,
        Field::Attribute(attribute) => {
            matches!(attribute.holds(), Holds::Number | Holds::Moment | Holds::Seconds | Holds::Bytes)
        }
        Field::Setting(_) | Field::Provenance(_) | Field::Lineage(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    fn known() -> Known {
        let values = |has_numbers, word: Option<&str>| Values { has_numbers, word: word.map(str::to_owned) };
        let settings = [
            ("objective.mask_ratio", values(true, None)),
            ("optimizer.lr", values(true, None)),
            ("finetune.optimizer.lr", values(true, None)),
            ("schedule.kind", values(false, Some("linear"))),
            ("model.preset", values(false, Some("nano"))),
            ("train.budget", values(true, Some("off"))),
            ("train.seed", values(true, None)),
            ("data.demo.seed", values(true, None)),
        ];
        let provenance =
            [("machine.cpu", values(false, Some("EPYC"))), ("program.dirty", values(false, Some("false")))];
        Known {
            settings: settings.map(|(key, values)| (key.to_owned(), values)).into(),
            provenance: provenance.map(|(key, values)| (key.to_owned(), values)).into(),
            metrics: ["train/loss", "valid/loss", "valid/mlm_loss"].map(str::to_owned).to_vec(),
            experiments: ["quickstart", "pilot"].map(str::to_owned).to_vec(),
            runs: ["7h2kq9xw", "7h3aaaaa", "bb000000"].map(|id| id.parse().unwrap()).to_vec(),
            latest: Some("bb000000".parse().unwrap()),
            now: Some("2026-01-31T09:30:00Z".parse().unwrap()),
            is_exact: false,
        }
    }

    fn resolved(text: &str) -> Result<Tree<Check>, Mistake> {
        read(text)?.try_graft(&mut |condition| known().resolve(condition))
    }

    #[test]
    fn names_mean_what_runs_have() {
        let field = |text: &str| {
            let name = Name { text: text.to_owned(), kind: None, at: None, span: 0..0 };
            known().field(&name).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"))
        };
        let setting = |keys: &[&str]| Field::Setting(keys.iter().map(|key| (*key).to_owned()).collect());
        assert_eq!(field("mask_ratio"), setting(&["objective.mask_ratio"]));
        assert_eq!(field("optimizer.lr"), setting(&["optimizer.lr"]));
        assert_eq!(field("lr"), setting(&["finetune.optimizer.lr", "optimizer.lr"]));
        assert_eq!(field("params.lr"), field("lr"));
        assert_eq!(field("seed"), setting(&["train.seed"]));
        // What a guest calls `lr` takes nothing from the runs that have `optimizer.lr`.
        let mut with_guests = known();
        with_guests.settings.insert("lr".to_owned(), Values { has_numbers: true, word: None });
        let name = Name { text: "lr".to_owned(), kind: None, at: None, span: 0..0 };
        let both = setting(&["lr", "finetune.optimizer.lr", "optimizer.lr"]);
        assert_eq!(with_guests.field(&name).unwrap(), both);
        let tag = Tree::Leaf(Check::Is(Field::Attribute(Attribute::Tag), "team=a b".to_owned()));
        assert_eq!(resolved("tags.team = \"a b\"").unwrap(), tag);
        assert_eq!(field("schedule"), setting(&["schedule.kind"]));
        assert_eq!(field("mlm_loss.min"), Field::Metric("valid/mlm_loss".to_owned(), Aggregate::Min));
        assert_eq!(field("valid/loss"), Field::Metric("valid/loss".to_owned(), Aggregate::Last));
        // What evaluations ask of train texts takes no name from what they ask of held-out ones.
        let mut asked_twice = known();
        asked_twice.metrics.extend(["train/mlm_loss_mask", "valid/mlm_loss_mask"].map(str::to_owned));
        let name = Name { text: "mlm_loss_mask".to_owned(), kind: None, at: None, span: 0..0 };
        let held_out = Field::Metric("valid/mlm_loss_mask".to_owned(), Aggregate::Last);
        assert_eq!(asked_twice.field(&name).unwrap(), held_out);
        assert_eq!(field("cpu"), Field::Provenance(vec!["machine.cpu".to_owned()]));
        assert_eq!(field("steps"), Field::Attribute(Attribute::StepsDone));
        assert_eq!(field("starts_from"), Field::Lineage(Role::StartsFrom));
    }

    /// One line for each: the text, the place and the message.
    fn mistake(text: &str) -> String {
        let Mistake { span, message, help } = resolved(text).unwrap_err();
        let help = help.map(|help| format!(" | {help}")).unwrap_or_default();
        format!("{text} | {} | {message}{help}\n", &text[span])
    }

    #[test]
    fn what_means_nothing_is_refused_with_a_suggestion() {
        let mistakes = [
            "mask_ration = 0.3",
            "valid/mlm_los.min < 5",
            "loss < 3",
            "metric.mask_ratio = 1",
            "mask_ratio = high",
            "preset > 3",
            "preset = 3",
            "schedule < cosine",
            "state = done",
            "state > finished",
            "started > soon",
            "took > long",
            "disk > big",
            "valid/mlm_loss like x",
            "valid/mlm_loss = low",
            "mask_ratio is nan",
            "quickstrat",
            "descends from 7h",
            "descends from zz",
            "cpu > EPYC",
            "experiment > pilot",
            "id = \"\"",
            "reproduces = \"\"",
            "\"\"",
        ];
        insta::assert_snapshot!(mistakes.map(mistake).concat(), @r#"
        mask_ration = 0.3 | mask_ration | no run has a setting `mask_ration` | did you mean `objective.mask_ratio`?
        valid/mlm_los.min < 5 | valid/mlm_los.min | no run has a setting `valid/mlm_los.min` | did you mean `valid/mlm_loss.min`?
        loss < 3 | loss | no run has a setting `loss` | did you mean `train/loss`?
        metric.mask_ratio = 1 | metric.mask_ratio | no run has a metric `mask_ratio`
        mask_ratio = high | high | `mask_ratio` is a number, not `high`
        preset > 3 | preset | `preset` is text such as `nano`: it has no `>` | `=`, `!=`, `in` and `like` are for texts
        preset = 3 | 3 | `preset` is a word such as `nano`, not a number
        schedule < cosine | schedule | `schedule` is text such as `linear`: it has no `<` | `=`, `!=`, `in` and `like` are for texts
        state = done | done | `done` is not a state | states are planned, running, finished, failed, interrupted, stopped, lost
        state > finished | state | `state` is text: it has no `>` | `=`, `!=`, `in` and `like` are for texts
        started > soon | soon | `started` is a moment such as 2026-01-31, "2026-01-31 09:30" or "2 days ago", not `soon`
        took > long | long | `took` is a time such as 90, "5 min" or "2 h", not `long`
        disk > big | big | `disk` is a size such as "500 MB", not `big`
        valid/mlm_loss like x | x | `valid/mlm_loss` is no text
        valid/mlm_loss = low | low | `valid/mlm_loss` is a metric, which is compared with numbers, not `low`
        mask_ratio is nan | mask_ratio | `mask_ratio` is no metric
        quickstrat | quickstrat | `quickstrat` is no experiment and begins no run's id | did you mean `quickstart`?
        descends from 7h | 7h | `7h` begins the ids of several runs | type one more character
        descends from zz | zz | no run is called `zz`
        cpu > EPYC | cpu | `cpu` is text such as `EPYC`: it has no `>` | `=`, `!=`, `in` and `like` are for texts
        experiment > pilot | experiment | `experiment` is text: it has no `>` | `=`, `!=`, `in` and `like` are for texts
        id = "" | "" | an empty text begins every id | type some of its letters
        reproduces = "" | "" | an empty text begins every id | type some of its letters
        "" | "" | `` is no experiment and begins no run's id | `ablate list` shows all runs
        "#);
    }

    #[test]
    fn what_runs_lack_is_neither_equal_nor_unequal_but_tags_can_be_lacked() {
        let lr = Field::Setting(vec!["optimizer.lr".to_owned()]);
        let equal = Tree::Leaf(Check::Within(lr.clone(), Interval::closed(3.0, 3.0)));
        let expected = Tree::And(vec![Tree::Leaf(Check::Exists(lr)), Tree::not(equal)]);
        assert_eq!(resolved("optimizer.lr != 3").unwrap(), expected);
        let tag = Check::Is(Field::Attribute(Attribute::Tag), "x".to_owned());
        assert_eq!(resolved("tag != x").unwrap(), Tree::not(Tree::Leaf(tag)));
    }

    #[test]
    fn large_integers_are_compared_by_their_digits() {
        let seed = Field::Setting(vec!["train.seed".to_owned()]);
        let expected = Tree::Leaf(Check::Is(seed, "18446744073709551615".to_owned()));
        assert_eq!(resolved("seed = 18446744073709551615").unwrap(), expected);
    }
}
