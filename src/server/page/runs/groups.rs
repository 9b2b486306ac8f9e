//! Runs that a query finds as groups: of each the values that its runs have in common, how many runs there are, and of each
//! metric the mean with its interval. Every run is looked at and none is kept; the statistics are those of the report.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::{encoded, equal, named, short, typed};
use super::asked::Asked;
use crate::analysis::plus_minus;
use crate::analysis::statistics::Estimate;
use crate::report::{format, spelling};
use crate::server::App;
use crate::store::{Cell, Index, Looked, NumberColumn, RunState, Spelled, StoreError, Wanted};

/// Groups that are told apart, and rows of a page.
const MOST_GROUPS: usize = 10_000;
const ROWS: usize = 100;

/// What a run has of a setting. Numbers are one value however they are written, and come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Number(Number),
    Text(String),
    Missing,
}

#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl Word {
    fn of(word: &Spelled) -> Self {
        match word.number {
            // The two zeros are one value.
            Some(number) => Self::Number(Number(number + 0.0)),
            None => Self::Text(word.text.clone()),
        }
    }
}

/// Runs that have the same values.
#[derive(Clone, Debug, Default)]
struct Group {
    /// The values as they are written in one of the runs.
    texts: Vec<Option<String>>,
    runs: usize,
    finished: usize,
    /// Of each column the values of the finished runs that are numbers, and how many are not.
    values: Vec<Vec<f64>>,
    odd: Vec<usize>,
}

/// All groups of a view.
pub struct Groups {
    columns: Vec<NumberColumn>,
    groups: Vec<(Vec<Word>, Group)>,
    runs: usize,
    /// Runs that belong to groups beyond those that are told apart.
    left_out: usize,
}

impl Groups {
    /// The groups of a view, with these columns as far as they hold numbers.
    ///
    /// # Errors
    /// When the query cannot be answered, or runs cannot be told apart by what is named.
    pub fn of(index: &Index, asked: &Asked, columns: &[String]) -> Result<Self, StoreError> {
        let mut found = BTreeMap::new();
        let (mut runs, mut left_out) = (0, 0);
        let wanted = Wanted { words: &asked.groups, numbers: columns };
        let columns = index.scan(&asked.runs()?, wanted, &mut |looked| {
            runs += 1;
            left_out += usize::from(!count(&mut found, &looked));
        })?;
        let mut all = Self { columns, groups: found.into_iter().collect(), runs, left_out };
        all.sort(asked);
        Ok(all)
    }

    /// By what the address says; else by the values.
    fn sort(&mut self, asked: &Asked) {
        let (name, is_reversed) =
            asked.sort.strip_prefix('-').map_or((asked.sort.as_str(), false), |name| (name, true));
        let turned = |order: Ordering| if is_reversed { order.reverse() } else { order };
        if let Some(at) = asked.groups.iter().position(|group| group == name) {
            self.groups.sort_by(|(a, _), (b, _)| turned(a[at].cmp(&b[at])));
        } else if let Some(at) = self.columns.iter().position(|(column, _)| column == name) {
            // What has no mean comes last, either way.
            let mean = |group: &Group| Estimate::of(&group.values[at]).map(|estimate| estimate.mean);
            self.groups.sort_by_cached_key(|(_, group)| {
                let mean = mean(group);
                let mean = mean.map(|mean| if is_reversed { -mean } else { mean });
                (mean.is_none(), mean.map(Number))
            });
        } else if name == "runs" || name == "finished" {
            let count = |group: &Group| if name == "runs" { group.runs } else { group.finished };
            self.groups.sort_by(|(_, a), (_, b)| turned(count(a).cmp(&count(b))));
        }
    }

    /// The table.
    pub fn table(&self, app: &App, asked: &Asked) -> Markup {
        if self.groups.is_empty() {
            return html! { p.empty { "No run matches." } };
        }
        let from = asked.from.min(self.groups.len() - 1);
        let shown = &self.groups[from..(from + ROWS).min(self.groups.len())];
        let heading = |name: &str, text: &str, is_number: bool| {
            html! {
                th scope="col" class=[is_number.then_some("number")] aria-sort=[asked.direction(name)] {
                    a href=(asked.sorted_by(name).address()) title=(name) { (typed(text)) }
                }
            }
        };
        html! {
            div.actions {
                @if !asked.query.is_empty() { a.button href={ (app.root_path) "/compare?q=" (encoded(&asked.query)) } { "Compare" } }
                output.count {
                    (format::plural(self.runs, "run")) " in "
                    @if self.left_out > 0 { "more than " }
                    (format::plural(self.groups.len(), "group"))
                }
            }
            @if self.left_out > 0 {
                p.warning {
                    (format::plural(self.left_out, "run")) " of further groups are not counted: "
                    (format::thousands(MOST_GROUPS as u64)) " groups are told apart at most."
                }
            }
            div.scroll tabindex="0" role="region" aria-label="Groups" {
                table.groups {
                    thead { tr {
                        @for name in &asked.groups { (heading(name, short(name), false)) }
                        (heading("runs", "runs", true)) (heading("finished", "finished", true))
                        @for (name, _) in &self.columns { (heading(name, name, true)) th.number scope="col" { "range" } }
                    } }
                    tbody { @for (words, group) in shown { (self.row(asked, words, group)) } }
                }
            }
            p.quiet { "\u{b1}: the 95 % interval of the mean over the last values of the finished runs, by Student's t." }
            p.actions {
                @if from > 0 {
                    a rel="prev" href=(Asked { from: from.saturating_sub(ROWS), ..asked.clone() }.address()) { "Previous " (ROWS) }
                }
                @if from + ROWS < self.groups.len() {
                    a rel="next" href=(Asked { from: from + ROWS, ..asked.clone() }.address()) { "Next " (ROWS) }
                }
            }
        }
    }

    fn row(&self, asked: &Asked, words: &[Word], group: &Group) -> Markup {
        let condition = |((name, word), text): ((&String, &Word), &Option<String>)| {
            let name = named(name)?;
            Some(match (word, text) {
                (Word::Missing, _) | (_, None) => format!("{name} is missing"),
                (Word::Number(_), Some(text)) => format!("{name} = {text}"),
                (Word::Text(_), Some(text)) => equal(&name, text),
            })
        };
        let conditions: Option<Vec<String>> = asked.groups.iter().zip(words).zip(&group.texts).map(condition).collect();
        let runs = conditions.map(|conditions| asked.narrowed(&conditions.join(" and ")).address());
        html! {
            tr {
                @for text in &group.texts {
                    td { @match text {
                        Some(text) => (typed(&spelling::setting(text))), None => span.none { "\u{2013}" },
                    } }
                }
                td.number { @match runs { Some(runs) => a href=(runs) { (group.runs) }, None => (group.runs) } }
                td.number { (group.finished) }
                @for (((_, cell), values), odd) in self.columns.iter().zip(&group.values).zip(&group.odd) {
                    (means(*cell, values, *odd, group.finished))
                }
            }
        }
    }
}

/// A mean with its interval, and the range.
fn means(cell: fn(f64) -> Cell, values: &[f64], odd: usize, finished: usize) -> Markup {
    let now = crate::types::Timestamp::from_unix_millis(0);
    let text = |value: f64| format::cell(&cell(value), now);
    let Some(estimate) = Estimate::of(values) else {
        return html! { td.number { @if odd > 0 { (odd) " not finite" } @else { span.none { "\u{2013}" } } } td {} };
    };
    let mean = match (estimate.interval, cell(0.0)) {
        (Some(_), Cell::Number(_)) => plus_minus(&estimate),
        (Some(interval), _) => format!("{} \u{b1} {}", text(estimate.mean), text(interval.half_width())),
        (None, _) => text(estimate.mean),
    };
    html! {
        td.number {
            (mean)
            @if estimate.n < finished { span.quiet { " (n = " (estimate.n) @if odd > 0 { ", " (odd) " not finite" } ")" } }
        }
        td.number.quiet { @if estimate.n > 1 { (text(estimate.min)) " to " (text(estimate.max)) } }
    }
}

/// Counts a run to its groups: one for each combination of what it has, of tags several. Whether there was room for all.
fn count(found: &mut BTreeMap<Vec<Word>, Group>, looked: &Looked) -> bool {
    let mut keys: Vec<(Vec<Word>, Vec<Option<String>>)> = vec![Default::default()];
    for words in &looked.words {
        let mut longer = Vec::new();
        for (key, texts) in &keys {
            let mut add = |word: Word, text: Option<String>| {
                longer.push(([key.as_slice(), &[word]].concat(), [texts.as_slice(), &[text]].concat()));
            };
            match words.is_empty() {
                true => add(Word::Missing, None),
                false => words.iter().for_each(|word| add(Word::of(word), Some(word.text.clone()))),
            }
        }
        keys = longer;
    }
    let mut is_counted = true;
    for (key, texts) in keys {
        if found.len() >= MOST_GROUPS && !found.contains_key(&key) {
            is_counted = false;
            continue;
        }
        let count = looked.numbers.len();
        let group = found.entry(key).or_insert_with(|| Group {
            texts: texts.clone(),
            values: vec![Vec::new(); count],
            odd: vec![0; count],
            ..Group::default()
        });
        // The same whatever the order in which runs are looked at.
        group.texts = std::mem::take(&mut group.texts).min(texts);
        group.runs += 1;
        if looked.state != RunState::Finished {
            continue;
        }
        group.finished += 1;
        for (at, value) in looked.numbers.iter().enumerate() {
            match value {
                Some(value) if value.is_finite() => group.values[at].push(*value),
                Some(_) => group.odd[at] += 1,
                None => {}
            }
        }
    }
    is_counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(words: &[&[&str]], number: Option<f64>, state: RunState) -> Looked {
        let spelled = |text: &&str| Spelled { text: (*text).to_owned(), number: text.parse().ok() };
        let words = words.iter().map(|words| words.iter().map(spelled).collect()).collect();
        Looked { state, words, numbers: vec![number] }
    }

    #[test]
    fn numbers_are_one_value_however_they_are_written() {
        let mut found = BTreeMap::new();
        for (lr, value) in [("1e-3", Some(1.0)), ("0.001", Some(3.0)), ("0.0010", Some(f64::NAN)), ("fast", None)] {
            assert!(count(&mut found, &looked(&[&[lr]], value, RunState::Finished)));
        }
        assert!(count(&mut found, &looked(&[&["1e-3"]], Some(9.0), RunState::Failed)));
        assert!(count(&mut found, &looked(&[&[]], Some(9.0), RunState::Finished)));
        let groups: Vec<_> = found.into_values().collect();
        let of =
            |at: usize| (groups[at].texts[0].as_deref(), groups[at].runs, groups[at].finished, &groups[at].values[0]);
        assert_eq!(of(0), (Some("0.001"), 4, 3, &vec![1.0, 3.0]));
        assert_eq!(groups[0].odd, [1]);
        assert_eq!(of(1), (Some("fast"), 1, 1, &vec![]));
        assert_eq!(of(2), (None, 1, 1, &vec![9.0]), "what has none is a group, the last");
    }

    #[test]
    fn a_run_is_in_the_group_of_each_of_its_tags() {
        let mut found = BTreeMap::new();
        count(&mut found, &looked(&[&["a", "b"], &["1", "2"]], None, RunState::Finished));
        count(&mut found, &looked(&[&["a"], &["1"]], None, RunState::Finished));
        assert_eq!(found.values().map(|group| group.runs).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }

    #[test]
    fn groups_that_do_not_fit_are_told_of() {
        let mut found = BTreeMap::new();
        let run = |seed: usize| looked(&[&[&seed.to_string()]], None, RunState::Finished);
        assert!((0..MOST_GROUPS).all(|seed| count(&mut found, &run(seed))));
        assert!(!count(&mut found, &run(MOST_GROUPS)) && count(&mut found, &run(7)));
        assert_eq!(found.len(), MOST_GROUPS);
    }
}
