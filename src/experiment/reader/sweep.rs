//! Reads the tables below `[sweep]`, and checks what they say against each other and against the rest of the file.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::{Node, Reader, conflict, describe, explain, place_of};
use crate::experiment::decimal::Decimal;
use crate::experiment::keys::{self, Key};
use crate::experiment::sweep::{Column, Exclude, Include, Sweep, Term, When, Zip};
use crate::experiment::{Diagnostic, Part, Place, Setting, Value, range};
use crate::suggest;

/// The lists of tables below `[sweep]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Zip,
    When,
    Exclude,
    Include,
}

impl List {
    pub(super) const ALL: [(&'static str, Self); 4] = [
        ("sweep.zip", Self::Zip),
        ("sweep.when", Self::When),
        ("sweep.exclude", Self::Exclude),
        ("sweep.include", Self::Include),
    ];

    pub(super) fn find(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == path).map(|(_, list)| list)
    }
}

/// What a column of values may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Each value once: an axis of its own.
    Distinct,
    /// Repeated values too: one column of several that vary together.
    Repeated,
}

impl Reader {
    /// Reads a list of tables, each of which says one thing.
    pub(super) fn take_list(&mut self, list: List, node: &Node<'_, '_>) {
        let tables = node.value.get_ref().as_array().map(|items| items.iter().collect::<Vec<_>>());
        let Some(tables) = tables.filter(|tables| tables.iter().all(|table| table.get_ref().is_table())) else {
            let found = describe(node.value.get_ref());
            let problem = Diagnostic::error(format!("`{}` must be a list of tables, not {found}", node.path));
            let help = match node.argument {
                None => format!("write `[[{}]]` above each, and its keys below", node.path),
                Some(_) => format!("write --set '{}=[{{ ... }}]'", node.path),
            };
            self.problems.push(problem.at(node.at.clone(), "this key").help(help));
            return;
        };
        if node.argument.is_some() {
            self.forget_list(list);
        }
        self.lists.insert(list);
        for table in tables {
            let table = node.table(table);
            match list {
                List::Zip => self.take_zip(&table),
                List::When => self.take_when(&table),
                List::Exclude => self.take_exclude(&table),
                List::Include => self.take_include(&table),
            }
        }
    }

    fn forget_list(&mut self, list: List) {
        match list {
            List::Zip => self.sweep.zips.clear(),
            List::When => self.sweep.whens.clear(),
            List::Exclude => self.sweep.excludes.clear(),
            List::Include => self.sweep.includes.clear(),
        }
    }

    fn take_zip(&mut self, table: &Node<'_, '_>) {
        let columns = self.columns(table, Part::Zip);
        let Some(first) = columns.first() else {
            self.empty_table(
                table,
                "`[[sweep.zip]]` names no keys",
                "give it two keys or more, with a list of values each",
            );
            return;
        };
        let lengths: Vec<usize> = columns.iter().map(|column| column.values.len()).collect();
        if lengths.iter().all(|length| *length == lengths[0]) {
            self.sweep.zips.push(Zip { columns });
            return;
        }
        let rare = |n: &usize| lengths.iter().filter(|length| *length == n).count();
        let usual = lengths.iter().copied().max_by_key(rare).unwrap_or(lengths[0]);
        let mut odd: Vec<&Column> = columns.iter().filter(|column| column.values.len() != usual).collect();
        odd.extend(columns.iter().filter(|column| column.values.len() == usual));
        let message = format!(
            "the lists of a `[[sweep.zip]]` must be of one length: `{}` differs",
            odd.first().unwrap_or(&first).key.name
        );
        let problem = odd.iter().fold(Diagnostic::error(message), |problem, column| {
            problem.at(column.place.clone(), counted(column.values.len(), "value"))
        });
        self.problems.push(problem.help("the first values go together, then the second, and so on"));
        self.broken.extend(columns.iter().map(|column| column.key.name));
    }

    fn take_when(&mut self, table: &Node<'_, '_>) {
        let [condition, grid] = self.words(table, ["if", "grid"]);
        let (Some(condition), Some(grid)) = (condition, grid) else {
            let help = "write `if = { KEY = VALUE }` and `grid = { KEY = [VALUES] }`";
            self.empty_table(table, "a `[[sweep.when]]` needs `if` and `grid`", help);
            return;
        };
        let (terms, columns) = (self.terms(&condition), self.columns(&grid, Part::When));
        let before = self.problems.len();
        for (node, is_empty, what) in [(&condition, terms.is_empty(), "if"), (&grid, columns.is_empty(), "grid")] {
            let is_table = node.value.get_ref().as_table().is_some_and(|table| table.is_empty());
            if is_empty && is_table {
                let problem = Diagnostic::error(format!("the `{what}` of this `[[sweep.when]]` is empty"));
                self.problems.push(
                    problem.at(node.place(node.value), "nothing in here").help("name a key, or take the table out"),
                );
            }
        }
        for column in &columns {
            if let Some(term) = terms.iter().find(|term| term.key.name == column.key.name) {
                let message = format!("this `[[sweep.when]]` gives `{}` values where it has one", column.key.name);
                let problem = Diagnostic::error(message)
                    .at(column.place.clone(), "this axis")
                    .at(term.place.clone(), "and this condition");
                self.problems.push(problem.help("a condition names keys that other parts of the sweep vary"));
            }
        }
        if self.problems.len() == before && !terms.is_empty() && !columns.is_empty() {
            self.sweep.whens.push(When { place: condition.at.clone(), condition: terms, grid: columns });
        }
    }

    fn take_exclude(&mut self, table: &Node<'_, '_>) {
        let [matches, because] = self.words(table, ["match", "because"]);
        let reason = because.as_ref().and_then(|node| node.value.get_ref().as_str()).map(str::trim).unwrap_or_default();
        if reason.is_empty() {
            let place = because.as_ref().map_or(table.at.clone(), |node| node.place(node.value));
            let problem = Diagnostic::error("a `[[sweep.exclude]]` must say why: `because` is missing");
            let problem = problem.at(place, "no reason given");
            self.problems.push(problem.help("write `because = \"...\"`: plan and report show it"));
        }
        let terms = matches.as_ref().map(|node| self.terms(node));
        let is_empty = |node: &Node<'_, '_>| node.value.get_ref().as_table().is_some_and(|table| table.is_empty());
        match (terms, matches) {
            (Some(matches), Some(node)) if !matches.is_empty() => {
                self.sweep.excludes.push(Exclude { place: node.at.clone(), matches, because: reason.to_owned() });
            }
            (_, Some(node)) if !is_empty(&node) => {}
            _ => self.empty_table(table, "a `[[sweep.exclude]]` needs `match`", "write `match = { KEY = VALUE }`"),
        }
    }

    fn take_include(&mut self, table: &Node<'_, '_>) {
        let before = self.problems.len();
        let mut row = Vec::new();
        for (key, node) in self.keys_within(table) {
            match node.read(key) {
                Ok(setting) => row.push((key, setting)),
                Err(problem) => self.problems.push(problem),
            }
        }
        for (i, (key, setting)) in row.iter().enumerate() {
            let is_rival = |other: &&'static Key| keys::rivals(key.name).any(|rival| rival == other.name);
            if let Some((other, its)) = row[..i].iter().find(|(other, _)| is_rival(other)) {
                let message = format!("`{}` and `{}` exclude each other", other.name, key.name);
                self.problems.push(conflict(message, setting, its).help("take one of them out"));
            }
        }
        if self.problems.len() > before {
            return;
        }
        if row.is_empty() {
            self.empty_table(table, "`[[sweep.include]]` names no keys", "name the values of the cell, or take it out");
            return;
        }
        for (key, setting) in &row {
            self.say(key, Part::Include, setting.value.to_string(), &place_of(setting));
        }
        self.sweep.includes.push(Include { place: table.at.clone(), row });
    }

    fn empty_table(&mut self, table: &Node<'_, '_>, message: &str, help: &str) {
        self.problems.push(Diagnostic::error(message).at(table.at.clone(), "this table").help(help));
    }

    /// The values of the words that a table may have; any other word is a mistake.
    fn words<'a, 'i, const N: usize>(&mut self, table: &Node<'a, 'i>, words: [&str; N]) -> [Option<Node<'a, 'i>>; N] {
        let mut found = [const { None }; N];
        for (name, value) in table.value.get_ref().as_table().into_iter().flat_map(|table| table.iter()) {
            let node = table.child(name, value);
            match words.iter().position(|word| *word == name.get_ref()) {
                Some(i) => found[i] = Some(node.root()),
                None => {
                    let problem = Diagnostic::error(format!("unknown key `{}`", name.get_ref()));
                    let help = match suggest::nearest(name.get_ref(), words) {
                        Some(word) => format!("did you mean `{word}`?"),
                        None => format!("this table has {}", words.join(" and ")),
                    };
                    self.problems.push(problem.at(node.at.clone(), "not of this format").help(help));
                }
            }
        }
        found
    }

    /// The keys of a run that a table names, dotted or nested; any other key is a mistake.
    fn keys_within<'a, 'i>(&mut self, table: &Node<'a, 'i>) -> Vec<(&'static Key, Node<'a, 'i>)> {
        let Some(children) = table.value.get_ref().as_table() else {
            let found = describe(table.value.get_ref());
            let problem = Diagnostic::error(format!("this must be a table of keys, not {found}"));
            self.problems.push(problem.at(table.at.clone(), "this value").help("write { KEY = VALUE }"));
            return Vec::new();
        };
        let mut found: Vec<(&'static Key, Node<'a, 'i>)> = Vec::new();
        for (name, value) in children.iter() {
            let node = table.child(name, value);
            if let Some(key) = keys::find(&node.path) {
                if self.may_vary(key, &node) {
                    found.push((key, node));
                }
            } else if value.get_ref().is_table() && keys::sections().any(|section| section == node.path) {
                found.extend(self.keys_within(&node));
            } else {
                self.unknown(&node, &node.path);
            }
        }
        for (i, (key, node)) in found.iter().enumerate() {
            if let Some((_, first)) = found[..i].iter().find(|(other, _)| other.name == key.name) {
                let problem = Diagnostic::error(format!("`{}` is given twice", key.name));
                self.problems.push(problem.at(node.at.clone(), "again here").at(first.at.clone(), "first here"));
            }
        }
        found
    }

    fn columns(&mut self, table: &Node<'_, '_>, part: Part) -> Vec<Column> {
        let keys = self.keys_within(table);
        keys.into_iter().map(|(key, node)| self.column(key, &node, part)).collect()
    }

    /// The conditions of a table: each key with one value, or with a list of which it must have one.
    fn terms(&mut self, table: &Node<'_, '_>) -> Vec<Term> {
        let mut terms = Vec::new();
        for (key, node) in self.keys_within(table) {
            let place = node.place(node.value);
            match (node.read(key), node.value.get_ref().as_array()) {
                (Ok(setting), _) => terms.push(Term { key, place, any_of: vec![setting.value] }),
                (Err(_), Some(items)) if !items.is_empty() => {
                    let values = self.values(key, &node, Values::Distinct);
                    let any_of = values.into_iter().map(|setting| setting.value).collect();
                    terms.push(Term { key, place, any_of });
                }
                (Err(problem), _) => self.problems.push(problem),
            }
        }
        terms
    }

    /// Whether a key may be part of a sweep; it is reported where not.
    pub(super) fn may_vary(&mut self, key: &'static Key, node: &Node<'_, '_>) -> bool {
        if key.is_setting() && key.name != "train.seed" {
            return true;
        }
        let problem = Diagnostic::error(format!("`{}` cannot be swept", key.name)).at(node.at.clone(), "this axis");
        self.problems.push(match key.name {
            "train.seed" => {
                problem.help("seeds repeat a cell, they are no axis: `[sweep.replicates]` with `seeds = 3`")
            }
            _ => problem.help("it describes the experiment as a whole"),
        });
        false
    }

    /// An argument for a swept key fixes the axis at one value, or gives it other values.
    pub(super) fn narrows_axis(&mut self, key: &'static Key, node: &Node<'_, '_>) -> bool {
        let Sweep { zips, whens, .. } = &self.sweep;
        let zipped =
            zips.iter().flat_map(|zip| &zip.columns).map(|column| (column.key, &column.place, "a `[[sweep.zip]]`"));
        let drawn = self.drawn.iter().map(|drawn| (drawn.key, &drawn.at, "`[sweep.random]`"));
        let conditional =
            whens.iter().flat_map(|when| &when.grid).map(|column| (column.key, &column.place, "a `[[sweep.when]]`"));
        if let Some((_, place, part)) = zipped.chain(conditional).chain(drawn).find(|(its, ..)| its.name == key.name) {
            let message = format!("`{}` is varied by {part}, and cannot be fixed alone", key.name);
            let problem =
                Diagnostic::error(message).at(node.at.clone(), "this argument").at(place.clone(), "varied here");
            self.problems
                .push(problem.help("an argument can fix axes of [sweep.grid]; change the file for the others"));
            return true;
        }
        let Some(axis) = self.sweep.grid.iter_mut().find(|axis| axis.key.name == key.name) else { return false };
        match node.read(key) {
            Ok(setting) => {
                axis.values = vec![setting.clone()];
                self.say(key, Part::Value, setting.value.to_string(), &place_of(&setting));
            }
            Err(_) if node.value.get_ref().is_array() => self.take_axis(key, node),
            Err(problem) => self.problems.push(problem),
        }
        true
    }

    /// Reads an axis of `[sweep.grid]`.
    pub(super) fn take_axis(&mut self, key: &'static Key, node: &Node<'_, '_>) {
        if !self.may_vary(key, node) {
            return;
        }
        let axis = self.column(key, node, Part::Grid);
        if node.argument.is_some() {
            self.forget_file(key);
        }
        match self.sweep.grid.iter_mut().find(|other| other.key.name == key.name) {
            None => self.sweep.grid.push(axis),
            Some(other) if node.argument.is_some() => *other = axis,
            Some(other) => self.problems.push(
                Diagnostic::error(format!("the axis `{}` is given twice", key.name))
                    .at(axis.place, "again here")
                    .at(other.place.clone(), "first here"),
            ),
        }
    }

    /// Like any argument, an axis wins over what the file says of its key.
    pub(super) fn forget_file(&mut self, key: &'static Key) {
        for name in std::iter::once(key.name).chain(keys::rivals(key.name)) {
            if matches!(self.given.get(name), Some(Setting { place: Some(Place::File { .. }), .. })) {
                self.given.remove(name);
            }
        }
    }

    fn column(&mut self, key: &'static Key, node: &Node<'_, '_>, part: Part) -> Column {
        let kind = if part == Part::Zip { Values::Repeated } else { Values::Distinct };
        let values = self.values(key, node, kind);
        values.iter().for_each(|value| self.say(key, part, value.value.to_string(), &place_of(value)));
        if values.is_empty() {
            self.broken.insert(key.name);
        }
        Column { key, place: node.at.clone(), values }
    }

    /// What a key is chosen from, each value once.
    pub(super) fn list_of_choices(
        &mut self,
        key: &'static Key,
        node: &Node<'_, '_>,
        list: &Spanned<DeValue<'_>>,
    ) -> Vec<Value> {
        let node = Node {
            file: node.file,
            path: node.path.clone(),
            at: node.at.clone(),
            value: list,
            argument: node.argument.map(|(typed, _)| (typed, None)),
            table: None,
        };
        self.values(key, &node, Values::Distinct).into_iter().map(|setting| setting.value).collect()
    }

    /// The good values of a list; the others are noted.
    fn values(&mut self, key: &'static Key, node: &Node<'_, '_>, kind: Values) -> Vec<Setting> {
        let mut values: Vec<Setting> = Vec::new();
        let items: Vec<&Spanned<DeValue<'_>>> = match node.value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            DeValue::Table(table) if range::is_range(table) => vec![node.value],
            other => {
                let message = format!("the axis `{}` must be a list of values, not {}", key.name, describe(other));
                let problem = Diagnostic::error(message).at(node.place(node.value), "this value");
                self.problems.push(problem.help("write the values in brackets"));
                return values;
            }
        };
        if items.is_empty() {
            let problem = Diagnostic::error(format!("the axis `{}` is empty", key.name));
            self.problems.push(problem.at(node.place(node.value), "no values").help("give it values, or take it out"));
        }
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for setting in items.into_iter().flat_map(|item| read_item(key, node, item)) {
            let setting = match setting {
                Ok(setting) => setting,
                Err(problem) => {
                    self.problems.push(problem);
                    continue;
                }
            };
            let first = *seen.entry(setting.value.to_string()).or_insert(values.len());
            if first < values.len() && kind == Values::Distinct {
                let message = format!("the axis `{}` has the value {} twice", key.name, setting.value);
                self.problems.push(conflict(message, &setting, &values[first]));
            } else {
                values.push(setting);
            }
        }
        values
    }

    /// A key varies in one part of the sweep only: in two, neither would know of the other.
    pub(super) fn check_sources(&mut self) {
        let Sweep { grid, zips, .. } = &self.sweep;
        let grid = grid.iter().map(|column| (column, "[sweep.grid]"));
        let zips = zips.iter().flat_map(|zip| &zip.columns).map(|column| (column, "a [[sweep.zip]]"));
        let drawn = self.sweep.random.iter().flat_map(|random| &random.axes).map(|column| (column, "[sweep.random]"));
        let always: Vec<(&Column, &str)> = grid.chain(zips).chain(drawn).collect();
        let sometimes: Vec<(&Column, &str)> =
            self.sweep.sometimes().map(|column| (column, "a [[sweep.when]]")).collect();
        let mut problems = Vec::new();
        for (i, (column, part)) in always.iter().chain(&sometimes).enumerate() {
            if let Some((first, other)) =
                always[..i.min(always.len())].iter().find(|(first, _)| first.key.name == column.key.name)
            {
                let message = format!("`{}` is varied by {other} and by {part}", column.key.name);
                let problem =
                    Diagnostic::error(message).at(column.place.clone(), "here").at(first.place.clone(), "and here");
                problems.push(problem.help("take it out of one of them"));
            }
        }
        self.problems.append(&mut problems);
    }

    pub(super) fn check_axes_against_base(&mut self) {
        for axis in self.sweep.always() {
            let is_open = |include: &Include| include.row.iter().all(|(key, _)| key.name != axis.key.name);
            if let Some(base) = self.given.get(axis.key.name)
                && !self.sweep.includes.iter().any(is_open)
            {
                let problem = Diagnostic::error(format!("`{}` is swept, so this value is never used", axis.key.name))
                    .at(place_of(base), "this value")
                    .at(axis.place.clone(), "swept here");
                self.problems.push(problem.help("take one of them out"));
            }
            let position = axis.key.position();
            for rival in keys::rivals(axis.key.name) {
                let is_it = |other: &&Column| other.key.name == rival && other.key.position() < position;
                let swept = self.sweep.always().find(is_it);
                let place = self.given.get(rival).map(place_of).or(swept.map(|other| other.place.clone()));
                if let Some(place) = place {
                    let message = format!("`{}` and `{rival}` exclude each other", axis.key.name);
                    let problem = Diagnostic::error(message).at(place, "this one");
                    let problem = problem.at(axis.place.clone(), "and this axis");
                    self.problems.push(problem.help("take one of them out"));
                }
            }
        }
    }

    pub(super) fn named_axis(&mut self, name: &'static str) -> Option<&'static Key> {
        let setting = self.given.get(name)?;
        let wanted = setting.value.to_string();
        let found = self.axes.iter().find(|axis| axis.key.name == wanted || axis.label == wanted);
        if found.is_none() {
            let problem = Diagnostic::error(format!("`{name}` must name an axis of the sweep, not \"{wanted}\""));
            self.problems.push(problem.at(place_of(setting), "this value").help(self.axes_in_words(&wanted)));
        }
        found.map(|axis| axis.key)
    }

    fn axes_in_words(&self, wanted: &str) -> String {
        let names: Vec<&str> = self.axes.iter().map(|axis| axis.key.name).collect();
        match suggest::nearest(wanted, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None if names.is_empty() => "nothing is swept: `[sweep.grid]` has no axis".to_owned(),
            None => format!("the axes are {}", names.join(", ")),
        }
    }

    pub(super) fn baseline_axes(&mut self) -> Option<Vec<(&'static Key, Setting)>> {
        for (key, setting) in &self.baseline {
            if !self.axes.iter().any(|axis| axis.key.name == key.name) {
                self.baseline_is_broken = true;
                let problem =
                    Diagnostic::error(format!("the baseline names `{}`, which is no axis of the sweep", key.name));
                self.problems.push(problem.at(place_of(setting), "this value").help(self.axes_in_words(key.name)));
            }
        }
        let baseline = std::mem::take(&mut self.baseline);
        (!baseline.is_empty() && !self.baseline_is_broken).then_some(baseline)
    }
}

/// The value of an item of a list, or the values of a range; of a range with many wrong values only the first is told.
fn read_item(key: &'static Key, node: &Node<'_, '_>, item: &Spanned<DeValue<'_>>) -> Vec<Result<Setting, Diagnostic>> {
    let plain = key.kind.read(item.get_ref());
    let Some(table) = item.get_ref().as_table().filter(|table| plain.is_err() && range::is_range(table)) else {
        return vec![node.setting(key, plain, item)];
    };
    let values = match range::values(key.kind, table) {
        Ok(values) => values,
        Err(fault) => {
            let place = fault.at.map_or(node.place(item), |span| node.place(item).elsewhere(span));
            return vec![Err(Diagnostic::error(fault.message).at(place, "this range").help(fault.help))];
        }
    };
    let read = |value: &Decimal| {
        let text = value.to_string();
        let parsed = DeValue::parse(&text).expect("invariant: a decimal is written as TOML");
        let place = node.place(item);
        key.kind
            .read(parsed.get_ref())
            .map(|value| Setting { value, place: Some(place.clone()), preset: None })
            .map_err(|rejection| explain(key, rejection, parsed.get_ref()).at(place, "this range has it"))
    };
    let read: Vec<Result<Setting, Diagnostic>> = values.iter().map(read).collect();
    match read.iter().find(|setting| setting.is_err()) {
        Some(problem) => vec![problem.clone()],
        None => read,
    }
}

fn counted(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}
