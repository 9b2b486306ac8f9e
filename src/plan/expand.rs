//! The sweep algebra: what an experiment declares to the points of its sweep, in a fixed order.
//!
//! Expansion is a pipeline, and each stage maps all points so far to new ones:
//!
//! 1. `[sweep.grid]`: the product of all axes, the first one of the key table varying slowest
//! 2. `[[sweep.zip]]`: times the rows of each zip, as of one axis
//! 3. `[sweep.random]`: times the rows that are drawn, as of one more zip
//! 4. `[[sweep.when]]`: where its condition holds, a point becomes one for each combination of its grid; a condition on
//!    an axis of another `when` is looked at after that one
//! 5. `[[sweep.exclude]]`: points that match are taken out
//! 6. `[[sweep.include]]`: rows are added at the end; where there is nothing but rows, they are the sweep
//! 7. points that are there already are taken out
//!
//! Replicates come after all stages and are no axis. A condition on an axis that is absent does not hold, and one on a
//! key that does not vary looks at what the cell has through all its layers.

use std::collections::BTreeSet;
use std::fmt;

use crate::experiment::{Column, Diagnostic, Exclude, Experiment, Point, Term, Value, When, keys, problem};

/// The most cells that a sweep may have.
pub const MAX_CELLS: usize = 200_000;

/// The points of a sweep, and how they came about.
#[derive(Clone, Debug)]
pub struct Expansion {
    pub points: Vec<Point>,
    pub tally: Tally,
    /// Whether the sweep has more than [`MAX_CELLS`] points, and was given up.
    pub is_too_large: bool,
}

/// How many points each stage made or took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The lengths of the axes of the grid.
    pub grid: Vec<usize>,
    /// The rows of each zip.
    pub zips: Vec<usize>,
    /// The rows that are drawn.
    pub random: Option<usize>,
    /// The points of the product.
    pub product: usize,
    /// Points that conditional axes added; absent where the sweep has none. So are the next two.
    pub when: Option<usize>,
    /// What each exclusion took, and why.
    pub excludes: Vec<(usize, String)>,
    pub includes: Option<usize>,
    /// Points that were there already.
    pub duplicates: usize,
    /// What is left.
    pub cells: usize,
}

/// Expands a sweep; one point without axes where nothing is swept. Also says what is wrong or odd about its parts.
///
/// A sweep of more than [`MAX_CELLS`] points is an error, and has no points.
pub fn expand(experiment: &Experiment) -> (Expansion, Vec<Diagnostic>) {
    let mut sweep = Expander { experiment, points: Vec::new(), tally: Tally::default(), problems: Vec::new() };
    let is_too_large = !(sweep.product() && sweep.whens());
    if !is_too_large {
        sweep.excludes();
        sweep.includes();
        sweep.tally.cells = sweep.points.len();
    } else {
        sweep.points.clear();
    }
    (Expansion { points: sweep.points, tally: sweep.tally, is_too_large }, sweep.problems)
}

/// `grid 2 x 3 x zip 2 = 12, when +4, exclude -2 (OOM on 8 GB), include +1, duplicates -0 = 15 cells`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let mut factors = Vec::new();
        if !self.grid.is_empty() {
            factors.push(format!("grid {}", sizes(&self.grid)));
        }
        factors.extend(self.zips.iter().map(|rows| format!("zip {rows}")));
        factors.extend(self.random.map(|rows| format!("random {rows}")));
        let mut stages = Vec::new();
        stages.extend(self.when.map(|n| format!("when +{n}")));
        let excludes: Vec<String> = self.excludes.iter().map(|(n, because)| format!("-{n} ({because})")).collect();
        if !excludes.is_empty() {
            stages.push(format!("exclude {}", excludes.join(", ")));
        }
        stages.extend(self.includes.map(|n| format!("include +{n}")));
        if !stages.is_empty() || self.duplicates > 0 {
            stages.push(format!("duplicates -{}", self.duplicates));
        }
        if !factors.is_empty() {
            write!(f, "{} = ", factors.join(" x "))?;
        }
        if !stages.is_empty() {
            if !factors.is_empty() {
                write!(f, "{}, ", self.product)?;
            }
            write!(f, "{} = ", stages.join(", "))?;
        }
        write!(f, "{} cell{}", self.cells, if self.cells == 1 { "" } else { "s" })
    }
}

struct Expander<'e> {
    experiment: &'e Experiment,
    points: Vec<Point>,
    tally: Tally,
    problems: Vec<Diagnostic>,
}

/// A list of assignments of which a point takes one: an axis's values, or a zip's rows.
type Choices = Vec<Vec<(usize, usize)>>;

impl Expander<'_> {
    fn product(&mut self) -> bool {
        let sweep = &self.experiment.sweep;
        let grid: Vec<Choices> = sweep.grid.iter().map(|column| self.rows(std::slice::from_ref(column))).collect();
        let zips: Vec<Choices> = sweep.zips.iter().map(|zip| self.rows(&zip.columns)).collect();
        let random: Vec<Choices> = sweep.random.iter().map(|random| self.rows(&random.columns)).collect();
        self.tally.random = random.first().map(Vec::len);
        self.tally.grid = grid.iter().map(Vec::len).collect();
        self.tally.zips = zips.iter().map(Vec::len).collect();
        let factors: Vec<Choices> =
            grid.into_iter().chain(zips).chain(random).filter(|choices| !choices.is_empty()).collect();
        let size = factors.iter().try_fold(1usize, |size, choices| size.checked_mul(choices.len()));
        if size.is_none_or(|size| size > MAX_CELLS) {
            self.problems.push(self.too_many_in_product());
            return false;
        }
        if !factors.is_empty() || sweep.includes.is_empty() {
            let nowhere = Point::nowhere(self.experiment.axes.len());
            self.points = factors.iter().fold(vec![nowhere], |points, choices| times(&points, choices));
        }
        self.tally.product = self.points.len();
        true
    }

    /// The rows of columns that vary together; axes without a good value take no part.
    fn rows(&self, columns: &[Column]) -> Choices {
        let length = columns.iter().map(|column| column.values.len()).max().unwrap_or(0);
        let cell = |column: &Column, i: usize| {
            let axis = self.experiment.axes.iter().position(|axis| axis.key.name == column.key.name)?;
            Some((axis, self.experiment.axes[axis].index_of(&column.values.get(i)?.value)?))
        };
        (0..length).map(|i| columns.iter().filter_map(|column| cell(column, i)).collect()).collect()
    }

    fn whens(&mut self) -> bool {
        let whens = &self.experiment.sweep.whens;
        if whens.is_empty() {
            return true;
        }
        let mut left: Vec<&When> = whens.iter().collect();
        while !left.is_empty() {
            let waits = |when: &When| {
                let mut grids = left.iter().flat_map(|other| &other.grid);
                grids.any(|column| when.condition.iter().any(|term| term.key.name == column.key.name))
            };
            let Some(i) = left.iter().position(|when| !waits(when)) else {
                self.problems.push(circular(&left));
                return true;
            };
            if !self.when(left.remove(i)) {
                return false;
            }
        }
        self.tally.when = Some(self.points.len() - self.tally.product);
        self.check_rivals();
        true
    }

    fn when(&mut self, when: &When) -> bool {
        let test = Test::new(self.experiment, &when.condition);
        let factors: Vec<Choices> = when.grid.iter().map(|column| self.rows(std::slice::from_ref(column))).collect();
        let (mut matched, mut contradicted) = (false, false);
        let mut points = Vec::with_capacity(self.points.len());
        for point in std::mem::take(&mut self.points) {
            if !test.holds(&point) {
                points.push(point);
                continue;
            }
            matched = true;
            let choices = factors.iter().flatten().flatten();
            if let Some((axis, _)) = choices.into_iter().find(|(axis, _)| point.get(*axis).is_some())
                && !std::mem::replace(&mut contradicted, true)
            {
                self.problems.push(self.contradiction(*axis, when, &point));
            }
            points.extend(factors.iter().fold(vec![point], |points, choices| times(&points, choices)));
            if points.len() > MAX_CELLS {
                let message = format!("the sweep has more than {MAX_CELLS} cells");
                let problem =
                    Diagnostic::error(&problem::SWEEP_TOO_LARGE, message).at(when.place.clone(), "with these axes");
                self.problems.push(problem.help("take values out, or cut the sweep into several experiments"));
                return false;
            }
        }
        self.points = points;
        if !matched {
            let problem = Diagnostic::error(
                &problem::NEVER_HOLDS,
                "this `[[sweep.when]]` holds in no cell, so its axes never exist",
            );
            self.problems.push(self.nothing_matches(problem, &when.place, &when.condition));
        }
        true
    }

    fn excludes(&mut self) {
        let excludes = &self.experiment.sweep.excludes;
        let tests: Vec<Test<'_>> = excludes.iter().map(|e| Test::new(self.experiment, &e.matches)).collect();
        let (mut matched, mut taken) = (vec![0; tests.len()], vec![0; tests.len()]);
        let before = self.points.clone();
        self.points.retain(|point| {
            let hits: Vec<usize> = (0..tests.len()).filter(|&i| tests[i].holds(point)).collect();
            hits.iter().for_each(|&i| matched[i] += 1);
            hits.first().inspect(|i| taken[**i] += 1).is_none()
        });
        let kept = std::mem::replace(&mut self.points, before);
        for (exclude, _) in excludes.iter().zip(&matched).filter(|(_, matched)| **matched == 0) {
            let problem = Diagnostic::error(&problem::EXCLUDES_NOTHING, "this `[[sweep.exclude]]` matches no cell");
            self.problems.push(self.nothing_matches(problem, &exclude.place, &exclude.matches));
        }
        if kept.is_empty() && self.experiment.sweep.includes.is_empty() {
            self.problems.push(nothing_left(excludes));
        }
        self.points = kept;
        let because = excludes.iter().map(|exclude| exclude.because.clone());
        self.tally.excludes = taken.into_iter().zip(because).collect();
    }

    fn includes(&mut self) {
        let includes = &self.experiment.sweep.includes;
        let axes = &self.experiment.axes;
        let index = |key: &str, value: &Value| {
            let axis = axes.iter().position(|axis| axis.key.name == key)?;
            Some((axis, axes[axis].index_of(value)?))
        };
        let mut seen: BTreeSet<Point> = BTreeSet::new();
        let all = self.points.len() + includes.len();
        self.points.retain(|point| seen.insert(point.clone()));
        for include in includes {
            let row = include.row.iter().filter_map(|(key, setting)| index(key.name, &setting.value));
            let point = row.fold(Point::nowhere(axes.len()), |point, (axis, index)| point.with(axis, index));
            if seen.insert(point.clone()) {
                self.points.push(point);
            } else {
                let problem = Diagnostic::warning(
                    &problem::INCLUDES_NOTHING,
                    "this `[[sweep.include]]` adds nothing: the sweep has the cell already",
                );
                self.problems.push(problem.at(include.place.clone(), "this row").help("take it out"));
            }
        }
        self.tally.includes = (!includes.is_empty()).then_some(includes.len());
        self.tally.duplicates = all - self.points.len();
    }

    /// Keys that exclude each other may both vary, but nowhere together.
    fn check_rivals(&mut self) {
        let axes = &self.experiment.axes;
        let pairs = keys::EXCLUSIVE.iter().flat_map(|group| {
            group.iter().enumerate().flat_map(|(i, first)| group[i + 1..].iter().map(move |second| (*first, *second)))
        });
        for (first, second) in pairs {
            let at = |name: &str| axes.iter().position(|axis| axis.key.name == name);
            let (Some(a), Some(b)) = (at(first), at(second)) else { continue };
            if self.points.iter().any(|point| point.get(a).is_some() && point.get(b).is_some()) {
                let problem = Diagnostic::error(
                    &problem::EXCLUSIVE_KEYS,
                    format!("`{first}` and `{second}` exclude each other, and cells have both"),
                );
                let problem = problem.at(axes[a].place.clone(), "this axis").at(axes[b].place.clone(), "and this one");
                self.problems.push(problem.help("let their conditions exclude each other, or take one of them out"));
            }
        }
    }

    fn contradiction(&self, axis: usize, when: &When, point: &Point) -> Diagnostic {
        let key = self.experiment.axes[axis].key.name;
        let gives = |other: &&When| other.grid.iter().any(|column| column.key.name == key);
        let holds = |other: &&When| Test::new(self.experiment, &other.condition).holds(point);
        let others = self.experiment.sweep.whens.iter().filter(|other| !std::ptr::eq(*other, when));
        let problem = Diagnostic::error(
            &problem::TWO_CONDITIONS,
            format!("two `[[sweep.when]]` give `{key}` values in one cell"),
        );
        let problem = others
            .filter(gives)
            .filter(holds)
            .fold(problem, |problem, other| problem.at(other.place.clone(), "this condition holds there"));
        let others = self.experiment.values(point).filter(|(axis, _)| axis.key.name != key);
        let cell: Vec<String> = others.map(|(axis, value)| format!("{} = {}", axis.key.name, value.value)).collect();
        problem.at(when.place.clone(), "and so does this one").help(format!(
            "they contradict each other where {}: let their conditions exclude each other",
            cell.join(", ")
        ))
    }

    /// Points at the terms that no cell agrees with, or at all of them where each alone is met.
    fn nothing_matches(&self, problem: Diagnostic, place: &crate::experiment::Place, terms: &[Term]) -> Diagnostic {
        let is_met = |term: &&Term| {
            let test = Test::new(self.experiment, std::slice::from_ref(*term));
            self.points.iter().any(|point| test.holds(point))
        };
        let unmet: Vec<&Term> = terms.iter().filter(|term| !is_met(term)).collect();
        if unmet.is_empty() {
            let help = "each of its values occurs, but nowhere together with the others";
            return problem.at(place.clone(), "all of this").help(help);
        }
        let has = |term: &&Term| match self.experiment.axes.iter().find(|axis| axis.key.name == term.key.name) {
            Some(axis) => {
                let values: Vec<String> = axis.values.iter().map(|setting| setting.value.to_string()).collect();
                format!("the axis has {}", values.join(", "))
            }
            None => match self.points.first().map(|point| self.experiment.settings(point)) {
                Some(cell) if cell.get(term.key.name).is_some() => {
                    let value = cell.get(term.key.name).map(|setting| setting.value.to_string());
                    format!("`{}` is no axis, and is {} here", term.key.name, value.unwrap_or_default())
                }
                _ => format!("`{}` is no axis, and has no value here", term.key.name),
            },
        };
        let help: Vec<String> = unmet.iter().map(has).collect();
        let problem = unmet
            .iter()
            .fold(problem, |problem, term| problem.at(term.place.clone(), format!("never {}", term.describe())));
        problem.help(help.join("; "))
    }

    fn too_many_in_product(&self) -> Diagnostic {
        let Tally { grid, zips, random, .. } = &self.tally;
        let counts: Vec<String> = grid.iter().chain(zips).chain(random).map(usize::to_string).collect();
        let message = format!("the sweep has {} cells, more than {MAX_CELLS}", counts.join(" x "));
        let problem = Diagnostic::error(&problem::SWEEP_TOO_LARGE, message)
            .help("take values out, or cut the sweep into several experiments");
        self.experiment
            .sweep
            .always()
            .fold(problem, |problem, axis| problem.at(axis.place.clone(), format!("{} values", axis.values.len())))
    }
}

/// Every point with every choice: the points vary slowest.
fn times(points: &[Point], choices: &Choices) -> Vec<Point> {
    let with = |point: &Point, row: &Vec<(usize, usize)>| {
        row.iter().fold(point.clone(), |point, (axis, index)| point.with(*axis, *index))
    };
    points.iter().flat_map(|point| choices.iter().map(move |row| with(point, row))).collect()
}

fn circular(whens: &[&When]) -> Diagnostic {
    let problem = Diagnostic::error(
        &problem::CONDITIONS_WAIT,
        "these `[[sweep.when]]` wait for each other: each asks for an axis that another gives",
    );
    let problem = whens.iter().fold(problem, |problem, when| problem.at(when.place.clone(), "this condition"));
    problem.help("let one of them ask for axes of [sweep.grid] or [[sweep.zip]] alone")
}

fn nothing_left(excludes: &[Exclude]) -> Diagnostic {
    let problem = Diagnostic::error(&problem::NO_CELLS, "the plan has no runs: every cell is excluded");
    let problem = excludes.iter().fold(problem, |problem, exclude| problem.at(exclude.place.clone(), "by this"));
    problem.help("let the exclusions match fewer cells")
}

/// Terms made ready to be asked at many points.
struct Test<'e> {
    experiment: &'e Experiment,
    terms: Vec<(Option<usize>, Vec<bool>, &'e Term)>,
}

impl<'e> Test<'e> {
    fn new(experiment: &'e Experiment, terms: &'e [Term]) -> Self {
        let ready = |term: &'e Term| {
            let axis = experiment.axes.iter().position(|axis| axis.key.name == term.key.name);
            let values = axis.map_or(&[][..], |axis| &experiment.axes[axis].values);
            (axis, values.iter().map(|setting| term.any_of.contains(&setting.value)).collect(), term)
        };
        Self { experiment, terms: terms.iter().map(ready).collect() }
    }

    fn holds(&self, point: &Point) -> bool {
        self.terms.iter().all(|(axis, allowed, term)| match axis {
            Some(axis) => point.get(*axis).is_some_and(|index| allowed[index]),
            None => {
                let cell = self.experiment.settings(point);
                cell.get(term.key.name).is_some_and(|setting| term.any_of.contains(&setting.value))
            }
        })
    }
}
