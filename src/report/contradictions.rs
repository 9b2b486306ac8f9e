//! No two places of a report contradict each other: over random sweeps, everything that a report says in words and numbers
//! is read back (JSON, box, tables, figures, page) and held against one another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::Answer;
use super::comparison::{document, parts};
use super::page::{Page, Record};
use super::spelling::p_value;
use super::tables::{csv, tables};
use crate::analysis::fixture::{self, Noise};
use crate::analysis::{Axis, AxisKind, Comparison, Goal, RunState, join_axes, marginal_effects, summarize};
use crate::plot::Figure;
use crate::plot::charts::{Choice, standard_figures};

#[test]
fn reports_do_not_contradict_themselves() {
    check(40);
}

#[test]
#[ignore = "the long version of the test above"]
fn reports_do_not_contradict_themselves_in_many_sweeps() {
    check(1_000);
}

fn check(sweeps: u64) {
    let mut noise = Noise::new(77);
    let mut seen = BTreeMap::<&str, usize>::new();
    for i in 0..sweeps {
        let comparison = random_sweep(i, &mut noise);
        for part in parts(comparison.clone()) {
            let report = Report::of(&part.comparison);
            let found = report.contradictions();
            assert!(found.is_empty(), "sweep {i}: {}\n{}", found.join("\n"), report.json);
            for (what, is_there) in report.kinds() {
                *seen.entry(what).or_default() += usize::from(is_there);
            }
        }
    }
    // Reading only what is simple would find nothing.
    assert!(seen.values().all(|count| *count > 0), "{seen:?}");
}

/// Two or three axes of two or three values, or one; some with a zip, with holes, with runs that failed, with a metric that
/// not all cells record, with seeds of their own or common ones.
fn random_sweep(i: u64, noise: &mut Noise) -> Comparison {
    const VALUES: [&str; 3] = ["a", "b", "c"];
    let pick = |n: usize, noise: &mut Noise| (noise.unit() * n as f64) as usize;
    let levels = (0..1 + pick(3, noise)).map(|_| 2 + pick(2, noise)).collect::<Vec<_>>();
    let names = ["first", "second", "third"];
    let mut axes = levels.iter().zip(names).map(|(&n, name)| fixture::axis(name, &VALUES[..n], AxisKind::Category));
    let mut axes = axes.by_ref().collect::<Vec<Axis>>();
    let is_zipped = i % 3 == 1;
    if is_zipped {
        let rates = &["0.001", "0.002", "0.004"][..levels[0]];
        axes.push(fixture::axis("lr", rates, AxisKind::Numeric));
    }
    let seeds = 1 + i % 4;
    let mut comparison = fixture::sweep_over("random", axes.clone(), seeds);
    let place = |axis: usize, value: &str| axes[axis].values.iter().position(|known| known == value).unwrap_or(0);
    if is_zipped {
        let last = axes.len() - 1;
        comparison.runs.retain(|run| place(0, &run.axes[0].1) == place(last, &run.axes[last].1));
        if let Some(baseline) = &mut comparison.baseline {
            baseline[last].1.clone_from(&axes[last].values[0]);
        }
    }
    if i.is_multiple_of(2) {
        fixture::own_luck(&mut comparison, &names[..1 + pick(levels.len(), noise)]);
    }
    if i % 5 == 2 {
        comparison.runs.retain(|run| run.axes.iter().any(|(_, value)| value != "b"));
    }
    let effects = (0..9).map(|_| if noise.unit() < 0.4 { 0.0 } else { 1.5 * noise.normal() }).collect::<Vec<_>>();
    let cross = if noise.unit() < 0.3 { noise.normal() } else { 0.0 };
    let spread = 0.03 + 0.4 * noise.unit();
    let mut of_seed = BTreeMap::new();
    fixture::fill(&mut comparison, |run| {
        let places = (0..levels.len()).map(|axis| place(axis, &run.axes[axis].1)).collect::<Vec<_>>();
        let main = places.iter().enumerate().map(|(axis, &p)| if p == 0 { 0.0 } else { effects[3 * axis + p] });
        let shared = *of_seed.entry(run.seed).or_insert_with(|| noise.normal());
        let corner = if places.iter().all(|p| *p == 1) { cross } else { 0.0 };
        5.0 + main.sum::<f64>() + corner + spread * (0.5 * shared + noise.normal())
    });
    if is_zipped {
        join_axes(&mut comparison, &[vec!["first".to_owned(), "lr".to_owned()]]);
    }
    comparison.runs.iter_mut().filter(|_| noise.unit() < 0.04).for_each(|run| run.state = RunState::Failed);
    if i % 4 == 3 {
        let (metric, axis) = (comparison.metric.clone(), comparison.axes.last().map(|axis| axis.name.clone()));
        let value = comparison.axes.last().and_then(|axis| axis.values.last().cloned());
        let is_without =
            |run: &&mut crate::analysis::RunData| run.axis(axis.as_deref().unwrap_or("")) == value.as_deref();
        comparison.runs.iter_mut().filter(is_without).for_each(|run| drop(run.series.remove(&metric)));
    }
    comparison.goal = if i % 7 == 3 { Goal::Maximize } else { Goal::Minimize };
    comparison.negligible = (i % 5 == 1).then_some(1.5);
    if i % 3 == 2 {
        comparison.baseline = None;
    }
    for (n, run) in (0..).zip(&mut comparison.runs) {
        run.facts.insert("unigram_entropy".to_owned(), json!(4.0 + 0.2 * f64::from(n % 3)));
    }
    comparison
}

/// Everything that is said of one comparison.
struct Report<'a> {
    comparison: &'a Comparison,
    answer: Answer,
    json: Value,
    figures: Vec<Figure>,
    /// Every table as CSV, by name.
    tables: BTreeMap<&'static str, String>,
    page: String,
}

impl<'a> Report<'a> {
    fn of(comparison: &'a Comparison) -> Self {
        let summary = summarize(comparison);
        let figures = standard_figures(comparison, &Choice::default());
        let record = Record::default();
        Self {
            answer: Answer::of(comparison, &summary),
            json: document(comparison, &summary, "report.html".as_ref()),
            tables: tables(comparison).iter().map(|table| (table.name, csv(table))).collect(),
            page: Page { comparison, figures: &figures, record: &record }.html().unwrap(),
            figures,
            comparison,
        }
    }

    fn list(&self, name: &str) -> &[Value] {
        self.json[name].as_array().map_or(&[], Vec::as_slice)
    }

    /// What must occur among the sweeps for the test to mean anything.
    fn kinds(&self) -> [(&'static str, bool); 7] {
        let all = || self.list("effects").iter().chain(self.list("against_baseline")).chain(self.list("against_best"));
        let is = |word: &'static str| move |effect: &Value| effect["verdict"] == word;
        let is_carried = |effect: &Value| effect["by_axes"].as_array().is_some_and(|axes| !axes.is_empty());
        [
            ("better", all().any(is("better"))),
            ("worse", all().any(is("worse"))),
            ("negligible", all().any(is("negligible"))),
            ("inconclusive", all().any(is("inconclusive"))),
            ("by axes", all().any(is_carried)),
            ("joint", self.comparison.axes.iter().any(|axis| axis.settings().count() > 1)),
            ("partial", self.answer.cautions.iter().any(|caution| caution.contains("is not recorded where"))),
        ]
    }

    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for list in ["effects", "against_baseline", "against_best"] {
            self.list(list).iter().for_each(|effect| self.check_effect(effect, &mut found));
        }
        self.check_mirror(&mut found);
        self.check_importance(&mut found);
        self.check_tables(&mut found);
        self.check_figures(&mut found);
        self.check_sentences(&mut found);
        self.check_page(&mut found);
        found
    }

    /// The verdict is what p, difference and the smallest effect of interest say; what axes carry, they carry.
    fn check_effect(&self, effect: &Value, found: &mut Vec<String>) {
        let (verdict, p) = (effect["verdict"].as_str().unwrap(), effect["p_adjusted"].as_f64());
        let is_told = matches!(verdict, "better" | "worse");
        let mean = effect["difference"].as_f64().unwrap_or(0.0);
        if is_told && p.is_none_or(|p| p >= 0.05) || verdict == "inconclusive" && p.is_some_and(|p| p < 0.05) {
            found.push(format!("{}: {verdict} with p {p:?}", effect["effect"]));
        }
        if is_told && self.comparison.goal.prefers(mean, 0.0) != (verdict == "better") {
            found.push(format!("{}: {mean} is {verdict}", effect["effect"]));
        }
        if self.comparison.negligible.is_none() && verdict == "negligible" {
            found.push(format!("{}: negligible to nobody", effect["effect"]));
        }
        for axis in effect["by_axes"].as_array().unwrap() {
            if !self.told_axes().contains(axis.as_str().unwrap()) {
                found.push(format!("{} is {verdict} by {axis}, of which nothing is told", effect["effect"]));
            }
        }
    }

    /// The axes of which an effect is told, by the verdicts themselves.
    fn told_axes(&self) -> BTreeSet<String> {
        let effects = marginal_effects(self.comparison);
        effects.into_iter().filter(|effect| effect.verdict.is_told()).filter_map(|effect| effect.axis).collect()
    }

    /// Two cells that are compared from either side, or as the two values of the only axis.
    fn check_mirror(&self, found: &mut Vec<String>) {
        let cells = self.comparison.cells().iter().map(|cell| cell.key.clone()).collect::<Vec<_>>();
        // What is compared with what, spelled out.
        let pair = |effect: &Value| {
            let reference = cells.iter().find(|key| key.to_string() == effect["reference"].as_str().unwrap_or(""))?;
            let named = |key: &&crate::analysis::CellKey| {
                *key != reference && key.difference_from(reference) == effect["effect"].as_str().unwrap_or("")
            };
            Some((cells.iter().find(named)?.to_string(), reference.to_string()))
        };
        let mut known = BTreeMap::<(String, String), (&Value, f64)>::new();
        for effect in self.list("against_baseline").iter().chain(self.list("against_best")) {
            let Some((cell, reference)) = pair(effect) else {
                found.push(format!("no cells are {} and {}", effect["effect"], effect["reference"]));
                continue;
            };
            let mean = effect["difference"].as_f64().unwrap_or(f64::NAN);
            let (place, sign) = if cell < reference { ((cell, reference), 1.0) } else { ((reference, cell), -1.0) };
            let (other, its) = *known.entry(place.clone()).or_insert((effect, sign * mean));
            let is_same = (its - sign * mean).abs() < 1e-9 || its.is_nan() && mean.is_nan();
            let is_told = |effect: &Value| matches!(effect["verdict"].as_str(), Some("better" | "worse"));
            if !is_same || other["p_adjusted"] != effect["p_adjusted"] || is_told(other) != is_told(effect) {
                found.push(format!("{place:?} is two things: {other} and {effect}"));
            }
        }
        if let [axis] = &self.comparison.axes[..] {
            for effect in marginal_effects(self.comparison) {
                let name = |value: &str| crate::analysis::spelled(&axis.name, value);
                let (cell, reference) = (name(&effect.treatment), name(&effect.reference));
                let place = if cell < reference { (cell, reference) } else { (reference, cell) };
                if let Some((other, _)) = known.get(&place)
                    && other["p_adjusted"].as_f64() != effect.adjusted_p
                {
                    found.push(format!("{}: p {:?} and {}", effect.name(), effect.adjusted_p, other["p_adjusted"]));
                }
            }
        }
    }

    fn check_importance(&self, found: &mut Vec<String>) {
        for part in self.json["importance"]["parts"].as_array().map_or(&[][..], Vec::as_slice) {
            let name = part["part"].as_str().unwrap();
            let Some(axis) = self.comparison.axis(name) else { continue };
            let has_effect = marginal_effects(self.comparison)
                .iter()
                .any(|effect| effect.axis.as_ref() == Some(&axis.name) && effect.adjusted_p.is_some());
            let is_negligible = self.comparison.negligible.is_some();
            let is_told = self.told_axes().contains(name);
            if has_effect && !is_negligible && is_told != (part["verdict"] == "clear") {
                found.push(format!("{name} is {}, its effects are otherwise", part["verdict"]));
            }
        }
    }

    /// The rows of the tables are those of the JSON, number for number and word for word.
    fn check_tables(&self, found: &mut Vec<String>) {
        for (table, list) in
            [("effects", "effects"), ("against-baseline", "against_baseline"), ("against-best", "against_best")]
        {
            let text = self.tables.get(table).map_or("", String::as_str);
            let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()).collect::<Vec<_>>();
            let list = self.list(list);
            if rows.len() != list.len() {
                found.push(format!("{table} has {} rows, the document {}", rows.len(), list.len()));
            }
            for (row, effect) in rows.iter().zip(list) {
                let number = |i: usize| row[i].parse::<f64>().ok();
                let expected = [effect["difference"].as_f64(), effect["p_adjusted"].as_f64()];
                if row[0] != effect["effect"].as_str().unwrap() || [number(1), number(5)] != expected {
                    found.push(format!("{table}: {row:?} and {effect}"));
                }
                // A list of axes is quoted, and so cut at its commas here.
                if !effect["difference"].is_null()
                    && !row[6].trim_start_matches('"').starts_with(effect["verdict"].as_str().unwrap())
                {
                    found.push(format!("{table}: {} and {}", row[6], effect["verdict"]));
                }
            }
        }
        let cells = self.tables["cells"].lines().count() - 1;
        if cells != self.list("cells").len() {
            found.push(format!("{cells} rows of cells, {} in the document", self.list("cells").len()));
        }
    }

    /// What the figures of effects and of importance write beside their marks.
    fn check_figures(&self, found: &mut Vec<String>) {
        let rows = |name: &str| {
            let figure = self.figures.iter().find(|figure| figure.name == name);
            let panel = figure.map(|figure| &figure.panels[0]);
            panel.map_or(Vec::new(), |panel| {
                let names = panel.y.ticks.iter().map(|tick| tick.text.replace('\n', " "));
                names.zip(panel.labels.iter().map(|label| label.text.clone())).collect()
            })
        };
        for (figure, list) in [("effects", "effects"), ("against-baseline", "against_baseline")] {
            for (name, text) in rows(figure) {
                let its = self.list(list).iter().find(|effect| effect["effect"] == name.as_str());
                let word = its.map_or("", |effect| effect["verdict"].as_str().unwrap());
                if !text.split_once(": ").is_some_and(|(_, said)| !word.is_empty() && said.starts_with(word)) {
                    found.push(format!("figure {figure}: {name} | {text}, elsewhere {word}"));
                }
            }
        }
        let parts = self.json["importance"]["parts"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, text) in rows("importance") {
            let its = parts.iter().find(|part| part["part"] == name.as_str());
            let word = its.map_or("nothing", |part| part["verdict"].as_str().unwrap());
            if !text.ends_with(word) {
                found.push(format!("figure importance: {name} | {text}, elsewhere {word}"));
            }
        }
    }

    /// The box says of an axis what its effects say, and of the best what the comparisons with it say.
    fn check_sentences(&self, found: &mut Vec<String>) {
        let Answer { matters, by_how_much, best, headline, effects, .. } = &self.answer;
        let told = self.told_axes();
        if effects.iter().any(|effect| effect.difference.is_some()) {
            let matters = matters.as_deref().unwrap_or_default();
            let (named, open) = matters.split_once("; of ").unwrap_or((matters, ""));
            for axis in &self.comparison.axes {
                let has = |text: &str| text.split([' ', ',', ';', ':', '.']).any(|word| word == axis.name);
                let has_effects = effects.iter().any(|effect| effect.axis.as_ref() == Some(&axis.name));
                if has_effects
                    && told.contains(&axis.name) != (has(named) && !has(open) && !matters.starts_with("No axis"))
                {
                    found.push(format!("{} in: {matters}", axis.name));
                }
            }
            if told.is_empty() != headline.starts_with("No axis can be told")
                && !effects.is_empty()
                && self.list("cells").iter().any(|cell| cell["n"] != 0)
            {
                found.push(format!("{told:?} in: {headline}"));
            }
        }
        for effect in effects {
            let change = effect.change();
            let said = format!("{}, {}", effect.size().unwrap_or_default(), effect.word());
            let after =
                by_how_much.iter().filter_map(|text| text.split_once(&format!("{change}: "))).map(|(_, after)| after);
            if after.into_iter().any(|after| !after.starts_with(&said)) {
                found.push(format!("{change} is {said}, but {by_how_much:?}"));
            }
        }
        let rivals = self.list("against_best");
        let not_worse = rivals.iter().filter(|effect| effect["verdict"] != "worse").count();
        let is_clear = best.ends_with(": better than every other cell.");
        if is_clear
            && !rivals.is_empty()
            && self.json["statement"].as_str().is_some_and(|text| text.contains("cannot tell it"))
        {
            found.push(format!("{best} {}", self.json["statement"]));
        }
        if rivals.iter().any(|effect| effect["verdict"] == "better") {
            found.push(format!("better than the best: {best}"));
        }
        if let Some((_, tied)) = best.split_once("not told apart from ") {
            let tied = tied.split(' ').next().and_then(|count| count.parse::<usize>().ok());
            if tied.is_none_or(|tied| tied > not_worse) {
                found.push(format!("{best} {not_worse} are not worse"));
            }
        }
    }

    /// The rows of the page's tables of effects.
    fn check_page(&self, found: &mut Vec<String>) {
        let escape = |text: &str| text.replace('<', "&lt;").replace('>', "&gt;");
        let rows = self.page.split("<tr").map(|row| row.split("</tr>").next().unwrap_or_default()).collect::<Vec<_>>();
        for effect in &self.answer.effects {
            let name = format!("<th scope=\"row\">{}</th>", escape(&effect.name()));
            let p = effect.adjusted_p.map_or("\u{2013}".to_owned(), p_value);
            let is_said = |row: &str| row.contains(&escape(&p)) && row.contains(&format!(">{}</span>", effect.word()));
            let its = rows.iter().copied().filter(|row| row.contains(&name)).collect::<Vec<_>>();
            if its.is_empty() || !its.iter().copied().all(is_said) {
                found.push(format!("page: {} is {} with p {p}: {its:?}", effect.name(), effect.word()));
            }
        }
        let lacks = |text: &String| !self.page.contains(&escape(text));
        for caution in self.answer.cautions.iter().filter(|caution| lacks(&caution.replace('&', "&amp;"))) {
            found.push(format!("not on the page: {caution}"));
        }
    }
}
