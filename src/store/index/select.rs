//! A resolved query as SQL. Every condition is 0 or 1, never NULL, so that and, or and not mean in SQL what they mean in
//! words.

use rusqlite::types::Value;

use crate::store::query::{Aggregate, Attribute, Check, Field, Interval, Tree};

/// A piece of SQL and the values for its marks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sql {
    pub text: String,
    pub values: Vec<Value>,
}

impl Sql {
    fn new(text: impl Into<String>, values: Vec<Value>) -> Self {
        Self { text: text.into(), values }
    }

    fn joined(parts: Vec<Self>, by: &str, of_none: &str) -> Self {
        if parts.is_empty() {
            return Self::new(of_none, Vec::new());
        }
        let text = parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(by);
        Self::new(format!("({text})"), parts.into_iter().flat_map(|part| part.values).collect())
    }
}

/// The state of a run at this moment: the recorded one, but for those that were looked at.
pub(super) const STATE: &str = "coalesce((SELECT state FROM temp.states_now WHERE run = id), state)";

/// The condition that a run fulfils the tree.
pub(super) fn condition(tree: &Tree<Check>) -> Sql {
    match tree {
        Tree::And(parts) => Sql::joined(parts.iter().map(condition).collect(), " AND ", "TRUE"),
        Tree::Or(parts) => Sql::joined(parts.iter().map(condition).collect(), " OR ", "FALSE"),
        Tree::Not(tree) => {
            let Sql { text, values } = condition(tree);
            Sql::new(format!("NOT {text}"), values)
        }
        Tree::Leaf(check) => of_check(check),
    }
}

/// What the runs are sorted by, first to last.
pub(super) fn order(field: &Field, is_reversed: bool) -> Sql {
    let direction = if is_reversed { "DESC" } else { "ASC" };
    let (text, values) = match field {
        Field::Attribute(attribute) => match place(*attribute) {
            Place::Column(column) => (column.to_owned(), Vec::new()),
            Place::Rows { table, column } => {
                (format!("(SELECT min({column}) FROM {table} WHERE run = id)"), Vec::new())
            }
        },
        Field::Lineage(role) => {
            ("(SELECT other FROM edges WHERE run = id AND role = ?)".to_owned(), vec![text_value(role.name())])
        }
        Field::Metric(name, aggregate) => {
            let of_run = rows_of_metric(*aggregate);
            let mut values = vec![text_value(name)];
            values.extend(step_value(*aggregate));
            (format!("(SELECT {} FROM {} LIMIT 1)", of_run.column, of_run.correlated), values)
        }
        Field::Setting(keys) | Field::Provenance(keys) => {
            let (table, marks) = (table_of(field), marks(keys.len()));
            // Numbers before texts, which is how SQLite sorts them.
            let text =
                format!("(SELECT coalesce(number, value) FROM {table} WHERE run = id AND key IN ({marks}) LIMIT 1)");
            (text, keys.iter().map(|key| text_value(key)).collect())
        }
    };
    Sql::new(format!("{text} {direction} NULLS LAST, "), values)
}

/// The texts of a field as a JSON list: what it has of them, or NULL.
pub(super) fn texts(field: &Field) -> Sql {
    match field {
        Field::Attribute(attribute) => match place(*attribute) {
            Place::Column(column) => Sql::new(
                format!("(CASE WHEN {column} IS NULL THEN NULL ELSE json_array(CAST({column} AS TEXT)) END)"),
                Vec::new(),
            ),
            Place::Rows { table, column } => {
                Sql::new(format!("(SELECT json_group_array({column}) FROM {table} WHERE run = id)"), Vec::new())
            }
        },
        Field::Lineage(role) => {
            Sql::new("(SELECT json_array(other) FROM edges WHERE run = id AND role = ?)", vec![text_value(role.name())])
        }
        // The first key that the run has, as its cell in a table shows.
        Field::Setting(keys) | Field::Provenance(keys) => {
            let one = format!("(SELECT json_array(value) FROM {} WHERE run = id AND key = ?), ", table_of(field));
            let values = keys.iter().map(|key| text_value(key)).collect();
            Sql::new(format!("coalesce({}NULL, NULL)", one.repeat(keys.len())), values)
        }
        Field::Metric(..) => Sql::new("NULL", Vec::new()),
    }
}

/// The number of a field: NULL where there is none, and a text where it is not a number.
pub(super) fn number(field: &Field) -> Sql {
    match field {
        Field::Attribute(attribute) => match place(*attribute) {
            Place::Column(column) => Sql::new(column, Vec::new()),
            Place::Rows { .. } => Sql::new("NULL", Vec::new()),
        },
        Field::Metric(name, aggregate) => {
            let MetricRows { correlated, column, may_be_nan, .. } = rows_of_metric(*aggregate);
            let mut values = vec![text_value(name)];
            values.extend(step_value(*aggregate));
            let value = format!("CASE WHEN {column} IS NULL AND {may_be_nan} THEN 'nan' ELSE {column} END");
            Sql::new(format!("(SELECT {value} FROM {correlated} LIMIT 1)"), values)
        }
        Field::Setting(_) | Field::Provenance(_) | Field::Lineage(_) => Sql::new("NULL", Vec::new()),
    }
}

fn of_check(check: &Check) -> Sql {
    match check {
        Check::DescendsFrom(run) => Sql::new(
            "(id IN (WITH RECURSIVE heirs(run) AS (SELECT run FROM edges WHERE other = ? UNION SELECT edges.run FROM \
             edges JOIN heirs ON edges.other = heirs.run) SELECT run FROM heirs))",
            vec![text_value(run.as_str())],
        ),
        Check::Within(field, interval) => of_field(field, true, &|value| within(value, *interval)),
        // `IS` is never NULL, and finds its rows by an index.
        Check::Is(Field::Attribute(Attribute::Spec), hash) => {
            Sql::new("(spec_hash IS ? OR identity IS ?)", vec![text_value(hash); 2])
        }
        Check::Is(field, text) => match column_of(field) {
            Some(column) => Sql::new(format!("({column} IS ?)"), vec![text_value(text)]),
            None => of_field(field, false, &|value| Sql::new(format!("{value} = ?"), vec![text_value(text)])),
        },
        Check::Begins(field, text) => of_field(field, false, &|value| {
            Sql::new(
                format!("substr({value}, 1, ?) = ?"),
                vec![Value::Integer(text.chars().count() as i64), text_value(text)],
            )
        }),
        Check::Like(field, pattern) => {
            let (glob, ignores_case) = pattern.glob();
            of_field(field, false, &|value| {
                let value = if ignores_case { format!("lower({value})") } else { value.to_owned() };
                Sql::new(format!("{value} GLOB ?"), vec![text_value(&glob)])
            })
        }
        Check::Exists(Field::Metric(name, aggregate)) => {
            let MetricRows { column, may_be_nan, .. } = rows_of_metric(*aggregate);
            of_metric(name, *aggregate, Sql::new(format!("({column} IS NOT NULL OR {may_be_nan})"), Vec::new()))
        }
        Check::IsNan(Field::Metric(name, aggregate)) => {
            let MetricRows { column, may_be_nan, .. } = rows_of_metric(*aggregate);
            of_metric(name, *aggregate, Sql::new(format!("({column} IS NULL AND {may_be_nan})"), Vec::new()))
        }
        Check::Exists(field) => of_field(field, false, &|value| Sql::new(format!("{value} IS NOT NULL"), Vec::new())),
        Check::IsNan(_) => Sql::new("FALSE", Vec::new()),
    }
}

/// The id where most of the runs may fulfil a condition: they are gone through in their order, up to the limit, rather than found
/// one by one and sorted. The sign keeps the planner from the latter.
const IN_TURN: &str = "+id";

/// The column of an attribute that has one.
fn column_of(field: &Field) -> Option<&'static str> {
    let Field::Attribute(attribute) = field else { return None };
    match place(*attribute) {
        Place::Column(column) => Some(column),
        Place::Rows { .. } => None,
    }
}

/// The condition that some value of the field fulfils `test`.
fn of_field(field: &Field, is_number: bool, test: &dyn Fn(&str) -> Sql) -> Sql {
    match field {
        Field::Attribute(attribute) => match place(*attribute) {
            Place::Column(column) => {
                let Sql { text, values } = test(column);
                // A specification has two hashes: as it was stored, and as it would be planned now.
                match (*attribute == Attribute::Spec).then(|| test("identity")) {
                    Some(second) => {
                        let values = values.into_iter().chain(second.values).collect();
                        Sql::new(format!("(coalesce({text}, 0) OR coalesce({}, 0))", second.text), values)
                    }
                    None => Sql::new(format!("coalesce({text}, 0)"), values),
                }
            }
            Place::Rows { table, column } => {
                let Sql { text, values } = test(column);
                let id = if table == "experiments" { IN_TURN } else { "id" };
                Sql::new(format!("({id} IN (SELECT run FROM {table} WHERE {text}))"), values)
            }
        },
        Field::Lineage(role) => {
            let Sql { text, values } = test("other");
            let values = std::iter::once(text_value(role.name())).chain(values).collect();
            Sql::new(format!("(id IN (SELECT run FROM edges WHERE role = ? AND {text}))"), values)
        }
        Field::Metric(name, aggregate) => of_metric(name, *aggregate, test(rows_of_metric(*aggregate).column)),
        Field::Setting(keys) | Field::Provenance(keys) => {
            let (table, marks) = (table_of(field), marks(keys.len()));
            let Sql { text, values } = test(if is_number { "number" } else { "value" });
            let values = keys.iter().map(|key| text_value(key)).chain(values).collect();
            Sql::new(format!("({IN_TURN} IN (SELECT run FROM {table} WHERE key IN ({marks}) AND {text}))"), values)
        }
    }
}

/// The condition that the rows of a metric fulfil `test`.
fn of_metric(name: &str, aggregate: Aggregate, test: Sql) -> Sql {
    let mut values = vec![text_value(name)];
    values.extend(step_value(aggregate));
    values.extend(test.values);
    Sql::new(format!("({IN_TURN} IN (SELECT run FROM {} AND {}))", rows_of_metric(aggregate).table, test.text), values)
}

/// Where an attribute stands.
enum Place {
    Column(&'static str),
    Rows { table: &'static str, column: &'static str },
}

fn place(attribute: Attribute) -> Place {
    Place::Column(match attribute {
        Attribute::Id => "id",
        Attribute::State => STATE,
        Attribute::Experiment => return Place::Rows { table: "experiments", column: "name" },
        Attribute::Tag => return Place::Rows { table: "run_tags", column: "tag" },
        Attribute::Name => "name",
        Attribute::Note => "note",
        Attribute::Reason => "reason",
        Attribute::Spec => "spec_hash",
        Attribute::LoggedBy => "logged_by",
        Attribute::StepsDone => "steps_done",
        Attribute::TotalSteps => "total_steps",
        Attribute::Parameters => "parameters",
        Attribute::Created => "created_ms",
        Attribute::Started => "started_ms",
        Attribute::Ended => "ended_ms",
        Attribute::Took => "(CASE WHEN ended_ms IS NULL THEN NULL ELSE worked_ms / 1000.0 END)",
        Attribute::Disk => "disk_bytes",
        Attribute::TornBytes => "torn_bytes",
    })
}

/// The rows that hold an aggregate of a metric.
struct MetricRows {
    /// The table with the conditions on metric and step.
    table: &'static str,
    /// The same, of the run at hand.
    correlated: &'static str,
    column: &'static str,
    /// Whether NULL stands for what is not a number; else it stands for there being no number at all.
    may_be_nan: &'static str,
}

fn rows_of_metric(aggregate: Aggregate) -> MetricRows {
    let of_summary = |column, may_be_nan| MetricRows {
        table: "metrics WHERE name = ?",
        correlated: "metrics WHERE run = id AND name = ?",
        column,
        may_be_nan,
    };
    match aggregate {
        Aggregate::Last => of_summary("last", "TRUE"),
        Aggregate::First => of_summary("first_value", "TRUE"),
        Aggregate::Min => of_summary("best_min", "FALSE"),
        Aggregate::Max => of_summary("best_max", "FALSE"),
        Aggregate::At(_) => MetricRows {
            table: "temp.values_at WHERE name = ? AND step = ?",
            correlated: "temp.values_at WHERE run = id AND name = ? AND step = ?",
            column: "value",
            may_be_nan: "TRUE",
        },
    }
}

fn step_value(aggregate: Aggregate) -> Option<Value> {
    if let Aggregate::At(step) = aggregate { Some(Value::Integer(step)) } else { None }
}

fn table_of(field: &Field) -> &'static str {
    if matches!(field, Field::Provenance(_)) { "provenance" } else { "settings" }
}

fn within(value: &str, Interval { low, has_low, high, has_high }: Interval) -> Sql {
    let bound = |sign: &str, is_closed: bool, limit: f64| {
        let equal = if is_closed { "=" } else { "" };
        Sql::new(format!("{value} {sign}{equal} ?"), vec![Value::Real(limit)])
    };
    Sql::joined(vec![bound(">", has_low, low), bound("<", has_high, high)], " AND ", "TRUE")
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn text_value(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::super::facts::{Cell, Facts, oracle};
    use super::super::row::{MetricSummary, RunRow};
    use super::super::rows::{self, Selection};
    use super::super::scan;
    use super::super::schema;
    use super::super::summary::Summary;
    use super::*;
    use crate::store::query::Pattern;
    use crate::store::{Group, Labels, Role, RunState, Trash};
    use crate::types::{ContentHash, RunId, SpecHash, Step, Timestamp};

    const METRICS: [&str; 2] = ["train/loss", "valid/loss"];
    const SETTINGS: [&str; 4] = ["finetune.optimizer.lr", "optimizer.lr", "schedule.kind", "train.seed"];
    const PROVENANCE: [&str; 2] = ["machine.cores", "machine.cpu"];
    const TEXTS: [&str; 9] = ["", "1e-4", "3", "2.5e0", "Nano", "nano*x", "a[b]c", "한 국", "-0"];
    const NUMBERS: [f64; 9] = [f64::NEG_INFINITY, -2.0, -0.0, 1e-4, 1.0, 2.5, 3.0, 1e300, f64::INFINITY];

    fn id(number: usize) -> RunId {
        let first = if number.is_multiple_of(2) { "aa" } else { "bb" };
        format!("{first}00000{number}").parse().unwrap()
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned)
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![5 => prop::sample::select(NUMBERS.to_vec()), 1 => Just(f64::NAN)]
    }

    fn any_leaves(keys: &'static [&'static str]) -> impl Strategy<Value = BTreeMap<String, String>> {
        let leaf = (prop::sample::select(keys.to_vec()), any_text());
        prop::collection::vec(leaf, 0..4)
            .prop_map(|leaves| leaves.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn any_metric() -> impl Strategy<Value = MetricSummary> {
        let number = || prop::option::of(prop::sample::select(NUMBERS.to_vec()));
        (any_value(), number(), number(), any_value(), -3i64..9).prop_map(|(last, min, max, first, last_step)| {
            MetricSummary { last, min, max, first, last_step, last_at: None }
        })
    }

    /// A run that may be anything, as the only one with this number.
    fn any_run(number: usize) -> impl Strategy<Value = Facts> {
        let millis = || prop::option::of(0i64..4);
        let labels =
            (prop::option::of(any_text()), prop::collection::btree_set(any_text(), 0..3), prop::option::of(any_text()));
        let attributes =
            (prop::sample::select(RunState::ALL.to_vec()), millis(), millis(), millis(), 0i64..5000, 0u64..4);
        let more = (prop::option::of(0u64..4), prop::option::of(any_text()), prop::option::of(any_text()), 0u64..3);
        let metrics = prop::collection::vec((prop::sample::select(METRICS.to_vec()), any_metric()), 0..3);
        let groups = prop::collection::btree_set(any_text(), 0..3);
        let edges = prop::collection::vec((any::<bool>(), 0usize..8), 0..3);
        let leaves = (any_leaves(&SETTINGS), any_leaves(&PROVENANCE));
        (labels, attributes, more, metrics, groups, edges, leaves).prop_map(
            move |(
                (name, tags, note),
                (state, created, started, ended, worked_ms, steps),
                (total, reason, logged_by, hash),
                metrics,
                groups,
                edges,
                (settings, provenance),
            )| {
                let moment = |at: Option<i64>| at.map(Timestamp::from_unix_millis);
                let hash_of = |n: u64| SpecHash(ContentHash::of(&n.to_le_bytes()));
                let group = |name: String| Group { name, axes: serde_json::Map::new() };
                let of_edge = |(is_start, other): (bool, usize)| {
                    (if is_start { Role::StartsFrom } else { Role::Reproduces }, id(other))
                };
                let edges: BTreeMap<Role, RunId> = edges.into_iter().map(of_edge).collect();
                let row = RunRow {
                    id: id(number),
                    spec_hash: (hash > 0).then(|| hash_of(hash)),
                    identity: (hash > 1).then(|| hash_of(hash + 1)),
                    logged_by,
                    state,
                    reason,
                    created_at: moment(created),
                    started_at: moment(started),
                    ended_at: moment(ended),
                    worked_ms,
                    running_since: None,
                    steps_done: Step(steps),
                    total_steps: total,
                    parameters: total.map(|n| n * 2),
                    experiments: groups.into_iter().map(group).collect(),
                    was_made_for_one: false,
                    labels: Labels { name, tags, note, groups: Vec::new(), trashed_at: None },
                    reproduces: edges.get(&Role::Reproduces).cloned(),
                    metrics: metrics.into_iter().map(|(name, metric)| (name.parse().unwrap(), metric)).collect(),
                    torn_bytes: hash,
                    disk_bytes: steps * 1000,
                    inputs: None,
                };
                Facts { row, settings, provenance, edges: edges.into_iter().collect() }
            },
        )
    }

    fn any_runs() -> impl Strategy<Value = Vec<Facts>> {
        (0usize..8).prop_flat_map(|count| (0..count).map(any_run).collect::<Vec<_>>())
    }

    fn keys(all: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
        prop::collection::btree_set(prop::sample::select(all.to_vec()), 1..3)
            .prop_map(|keys| keys.into_iter().map(str::to_owned).collect())
    }

    fn text_field() -> impl Strategy<Value = Field> {
        let attributes = [
            Attribute::Id,
            Attribute::State,
            Attribute::Experiment,
            Attribute::Tag,
            Attribute::Name,
            Attribute::Note,
            Attribute::Reason,
            Attribute::Spec,
            Attribute::LoggedBy,
        ];
        prop_oneof![
            3 => prop::sample::select(attributes.to_vec()).prop_map(Field::Attribute),
            2 => keys(&SETTINGS).prop_map(Field::Setting),
            1 => keys(&PROVENANCE).prop_map(Field::Provenance),
            1 => prop::sample::select(vec![Role::StartsFrom, Role::Reproduces]).prop_map(Field::Lineage),
        ]
    }

    fn metric_field() -> impl Strategy<Value = Field> {
        let aggregates = [Aggregate::Last, Aggregate::Min, Aggregate::Max, Aggregate::First];
        (prop::sample::select(METRICS.to_vec()), prop::sample::select(aggregates.to_vec()))
            .prop_map(|(name, aggregate)| Field::Metric(name.to_owned(), aggregate))
    }

    fn number_field() -> impl Strategy<Value = Field> {
        let attributes = [
            Attribute::StepsDone,
            Attribute::TotalSteps,
            Attribute::Parameters,
            Attribute::Created,
            Attribute::Started,
            Attribute::Ended,
            Attribute::Took,
            Attribute::Disk,
            Attribute::TornBytes,
        ];
        prop_oneof![
            2 => prop::sample::select(attributes.to_vec()).prop_map(Field::Attribute),
            2 => keys(&SETTINGS).prop_map(Field::Setting),
            1 => keys(&PROVENANCE).prop_map(Field::Provenance),
            3 => metric_field(),
        ]
    }

    fn any_interval() -> impl Strategy<Value = Interval> {
        let number = || prop::sample::select(NUMBERS.to_vec());
        (number(), any::<bool>(), number(), any::<bool>()).prop_map(|(low, has_low, high, has_high)| Interval {
            low,
            has_low,
            high,
            has_high,
        })
    }

    fn any_check() -> impl Strategy<Value = Check> {
        let text = || {
            prop_oneof![
                any_text(),
                prop::sample::select(RunState::ALL.map(|s| s.name().to_owned()).to_vec()),
                Just("aa".to_owned())
            ]
        };
        prop_oneof![
            4 => (number_field(), any_interval()).prop_map(|(field, interval)| Check::Within(field, interval)),
            3 => (text_field(), text()).prop_map(|(field, text)| Check::Is(field, text)),
            2 => (text_field(), text()).prop_map(|(field, text)| Check::Begins(field, text)),
            2 => (text_field(), "[%_a-cNn*\\[\\]한]{0,4}", any::<bool>())
                .prop_map(|(field, pattern, ignore_case)| Check::Like(field, Pattern::new(&pattern, ignore_case))),
            2 => prop_oneof![text_field(), number_field()].prop_map(Check::Exists),
            1 => metric_field().prop_map(Check::IsNan),
            1 => (0usize..8).prop_map(|number| Check::DescendsFrom(id(number))),
        ]
    }

    fn any_tree() -> impl Strategy<Value = Tree<Check>> {
        any_check().prop_map(Tree::Leaf).prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::And),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::Or),
                inner.prop_map(Tree::not),
            ]
        })
    }

    /// An index of these runs. What is lost is recorded as running, and told by who looks.
    fn index_of(runs: &[Facts]) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        for facts in runs {
            let mut recorded = facts.clone();
            if facts.row.state == RunState::Lost {
                recorded.row.state = RunState::Running;
                connection.execute("INSERT INTO temp.states_now VALUES (?, 'lost')", [facts.row.id.as_str()]).unwrap();
            }
            Summary::of(&recorded).write(&connection).unwrap();
        }
        connection
    }

    fn selected(connection: &Connection, tree: &Tree<Check>, order: Option<(Field, bool)>) -> Vec<RunId> {
        let order = order.into_iter().collect();
        let selection = Selection { tree: tree.clone(), trash: Trash::With, order, limit: None };
        let rows =
            rows::select(connection, &selection).unwrap_or_else(|error| panic!("{error}: {:?}", condition(tree)));
        rows.into_iter().map(|noted| noted.row.id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// SQL finds the runs that fulfil the tree by its definition.
        #[test]
        fn sql_says_what_the_tree_means(runs in any_runs(), trees in prop::collection::vec(any_tree(), 12)) {
            let connection = index_of(&runs);
            for tree in trees {
                let found = selected(&connection, &tree, None);
                let expected = oracle::fulfilling(&tree, &runs);
                prop_assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected, "{:?} {:?}", tree, condition(&tree));
            }
        }

        /// Every key can be sorted by, either way: the order is that of the values, and what lacks one comes last.
        #[test]
        fn runs_are_sorted_by_any_key(runs in any_runs(), field in prop_oneof![text_field(), number_field()]) {
            let connection = index_of(&runs);
            let number = |id: &RunId| {
                let facts = runs.iter().find(|facts| facts.row.id == *id).unwrap();
                oracle::number(&field, facts)
            };
            for is_reversed in [false, true] {
                let found = selected(&connection, &Tree::all(), Some((field.clone(), is_reversed)));
                prop_assert_eq!(found.len(), runs.len());
                if matches!(field, Field::Metric(..)) {
                    let known: Vec<f64> = found.iter().map_while(number).collect();
                    prop_assert!(found[known.len()..].iter().all(|id| number(id).is_none()));
                    prop_assert!(known.is_sorted_by(|a, b| if is_reversed { a >= b } else { a <= b }), "{:?}", known);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// What is looked at without reading runs whole is what a table shows of them.
        #[test]
        fn a_scan_sees_what_a_table_shows(runs in any_runs(), words in text_field(), metric in metric_field()) {
            let connection = index_of(&runs);
            let selection = Selection { tree: Tree::all(), trash: Trash::With, order: Vec::new(), limit: None };
            let id = texts(&Field::Attribute(Attribute::Id));
            let statement = rows::selecting(&selection, &[texts(&words), id, number(&metric)]);
            let mut found = Vec::new();
            scan::go_through(&connection, statement, &[false; 2], 1, &mut |looked| found.push(looked)).unwrap();
            prop_assert_eq!(found.len(), runs.len());
            for looked in found {
                let id = &looked.words[1][0].text;
                let facts = runs.iter().find(|facts| facts.row.id.as_str() == id).unwrap();
                let shown = match &words {
                    Field::Attribute(Attribute::Experiment) => {
                        facts.row.experiments.iter().map(|group| group.name.clone()).collect()
                    }
                    Field::Attribute(Attribute::Tag) => facts.row.labels.tags.iter().cloned().collect(),
                    _ => facts.cell(&words).into_iter().map(|cell| match cell {
                        Cell::Text(text) => text,
                        other => panic!("{other:?} is no text"),
                    }).collect::<BTreeSet<_>>(),
                };
                prop_assert_eq!(looked.words[0].iter().map(|word| word.text.clone()).collect::<BTreeSet<_>>(), shown);
                // SQLite knows one zero.
                let of = |number: f64| if number.is_nan() { u64::MAX } else { (number + 0.0).to_bits() };
                let bits = |number: Option<f64>| number.map(of);
                let value = match facts.cell(&metric) {
                    Some(Cell::Number(value)) => Some(value),
                    _ => None,
                };
                prop_assert_eq!(bits(looked.numbers[0]), bits(value));
                prop_assert_eq!(looked.state, facts.row.state);
            }
        }
    }

    #[test]
    fn what_others_stand_on_is_followed_round_a_circle() {
        let mut runs: Vec<Facts> = Vec::new();
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        for number in 0..4 {
            let tree = any_run(number).new_tree(&mut runner).unwrap();
            let mut facts = proptest::strategy::ValueTree::current(&tree);
            facts.edges = vec![(Role::StartsFrom, id((number + 1) % 3))];
            runs.push(facts);
        }
        let found = selected(&index_of(&runs), &Tree::Leaf(Check::DescendsFrom(id(0))), None);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(oracle::fulfilling(&Tree::Leaf(Check::DescendsFrom(id(0))), &runs).len(), 4);
    }
}
