//! The design of a sweep's luck, and what it says of a contrast: a mean, an interval and a p that hold.
//!
//! A run's luck is its seed. Cells that share a seed share what its draws do to them, so their outcomes vary together, in a
//! way that nobody knows: nearly alike where the draws are the same (two schedules), hardly where they are not (two masks).
//! Cells that share no seed, directly or through others, are independent. Such a group of cells is a *whole plot* of a
//! split-plot design (Yates 1935): [`Design`] finds the plots from the seeds alone. Where every cell ran with the same
//! seeds, there is one plot; where a sweep gives each combination of the settings that re-draw luck seeds of its own, each
//! combination is a plot, and the axes that share luck vary within it.
//!
//! A contrast is a weighted sum of cell means. Within a plot it has one value for each seed, whose scatter holds all that
//! the seed does to those cells, whatever it is; plots add up independently:
//!
//! ```text
//! estimate = sum over plots of mean over seeds of L[plot, seed],    variance = sum over plots of v[plot] / seeds
//! ```
//!
//! With one plot that is Student's t over the seeds' means: right whatever the luck is, and blind with few seeds. With P
//! plots of S seeds there are P (S - 1) degrees of freedom. The same sum in other plots has the same luck, and so those
//! plots' scatter is pooled into v. Where plots scatter differently, pooling misleads: a contrast over many plots therefore
//! has its own variance with Welch and Satterthwaite's degrees (1946), or somewhat more where the plots look alike. One over
//! few plots has the pooled variance, or, where the plots' may differ, one that is moderated between its own and the pooled
//! one (Smyth 2004), if that is more.
//!
//! The interval of a single cell of common seeds has a floor: see [`Design::interval_of_cell`].

use std::collections::{BTreeMap, BTreeSet};

use statrs::function::gamma::digamma;

use super::comparison::{CellKey, Comparison};
use super::statistics::{Interval, mean, sample_variance, t_quantile, t_two_sided_p, trigamma};
use crate::types::Seed;

/// From so many plots on, a contrast's own variances tell its degrees of freedom well enough.
const MANY_PLOTS: usize = 4;

/// The 97.5 % quantile of the normal distribution.
const NORMAL_975: f64 = 1.959_963_984_540_054;

/// Cells with a weight each: a group counts as a whole, such as a treated cell (1) and its partner (-1).
pub(super) type Group = Vec<(usize, f64)>;

/// The finished outcomes of a comparison, laid out by who shares luck with whom.
#[derive(Debug)]
pub(super) struct Design {
    pub keys: Vec<CellKey>,
    pub outcomes: Vec<BTreeMap<Seed, f64>>,
    /// For each cell its whole plot, and its place within it.
    place: Vec<(usize, usize)>,
    /// For each plot its cells by place.
    plots: Vec<BTreeMap<usize, usize>>,
    /// What sums of outcomes may be off by.
    rounding: f64,
}

/// Of the largest outcome: what sums of outcomes may be off by.
const ROUNDING: f64 = 1e-12;

/// What a contrast comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub mean: f64,
    /// Of the mean; with the degrees of freedom that it is known with.
    pub standard_error: f64,
    pub degrees: f64,
}

impl Measured {
    /// The 95 % interval of the mean; absent where nothing scatters.
    pub fn interval(&self) -> Option<Interval> {
        let half = t_quantile(0.975, self.degrees) * self.standard_error;
        (half > 0.0).then_some(Interval { low: self.mean - half, high: self.mean + half })
    }

    /// Two-sided p of "the truth is 0"; absent where nothing scatters, as with a metric of few values.
    pub fn p(&self) -> Option<f64> {
        (self.standard_error > 0.0).then(|| t_two_sided_p(self.mean / self.standard_error, self.degrees))
    }

    /// The least true difference that four of five such sweeps find at this level.
    pub fn detectable(&self, level: f64) -> f64 {
        (t_quantile(1.0 - level / 2.0, self.degrees) + t_quantile(0.8, self.degrees)) * self.standard_error
    }
}

/// A contrast's mean over what finished, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub mean: f64,
    /// The groups of cells that it rests on.
    pub groups: usize,
    /// Absent where no plot has two seeds.
    pub measured: Option<Measured>,
}

impl Difference {
    /// Two-sided p of "the truth is 0".
    pub fn p(&self) -> Option<f64> {
        self.measured?.p()
    }
}

impl Design {
    pub fn of(comparison: &Comparison) -> Self {
        let cells = comparison.cells();
        let seeds = cells.iter().map(|cell| cell.runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>());
        let plot_of = components(&seeds.collect::<Vec<_>>());
        let keys = cells.iter().map(|cell| cell.key.clone()).collect::<Vec<_>>();
        let is_within = |axis: &str| {
            (0..keys.len()).any(|i| plot_of[i] != i && keys[plot_of[i]].value(axis) != keys[i].value(axis))
        };
        let within = comparison.axes.iter().map(|axis| axis.name.as_str()).filter(|axis| is_within(axis));
        let within = within.collect::<Vec<_>>();
        let (mut names, mut plots) = (BTreeMap::new(), BTreeMap::<usize, BTreeMap<usize, usize>>::new());
        let mut place = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let name = within.iter().map(|axis| key.value(axis)).collect::<Vec<_>>();
            let next = names.len();
            let sub = *names.entry(name).or_insert(next);
            let next = plots.len();
            plots.entry(plot_of[i]).or_insert_with(BTreeMap::new).insert(sub, i);
            place.push((plots.keys().position(|&first| first == plot_of[i]).unwrap_or(next), sub));
        }
        let outcomes = cells.iter().map(|cell| cell.outcomes(&comparison.metric)).collect::<Vec<_>>();
        let largest = outcomes.iter().flat_map(values).fold(0.0, |largest: f64, value| largest.max(value.abs()));
        Self { outcomes, place, plots: plots.into_values().collect(), keys, rounding: ROUNDING * largest }
    }

    /// The groups of cells that are independent of each other.
    pub fn plots(&self) -> usize {
        self.plots.len()
    }

    /// Whether all cells ran with the same seeds, so that only whole seeds are independent.
    pub fn is_common(&self) -> bool {
        self.plots.len() == 1 && self.keys.len() > 1
    }

    /// The most seeds that a cell has finished with.
    pub fn most_seeds(&self) -> usize {
        self.outcomes.iter().map(BTreeMap::len).max().unwrap_or(0)
    }

    /// For each plot the most seeds that one of its cells has finished with.
    pub fn seeds_by_plot(&self) -> impl Iterator<Item = usize> {
        self.plots.iter().map(|cells| cells.values().map(|cell| self.outcomes[*cell].len()).max().unwrap_or(0))
    }

    /// The mean over `groups` of their weighted sums, each counted where all of its cells have an outcome. Absent where
    /// none has.
    pub fn measure(&self, groups: &[Group]) -> Option<Difference> {
        let mut kept = groups.iter().collect::<Vec<_>>();
        kept.retain(|group| !group.is_empty() && group.iter().all(|(cell, _)| !self.outcomes[*cell].is_empty()));
        loop {
            let count = kept.len();
            if count == 0 {
                return None;
            }
            let parts = self.parts(&kept);
            let Some(empty) = parts.iter().find(|part| part.values.is_empty()) else {
                let mean = parts.iter().filter_map(|part| mean(&part.values)).sum();
                return Some(Difference { mean, groups: count, measured: self.scatter(&parts, mean) });
            };
            // No seed of this plot has finished in all of its cells: what hangs on it is left out.
            kept.retain(|group| group.iter().all(|(cell, _)| self.place[*cell].0 != empty.plot));
        }
    }

    /// The 95 % interval of a cell's mean.
    ///
    /// Where all cells share their seeds, it is Student's t over the cell's own values, and never narrower than if the
    /// variance pooled over the cells was the cell's own, and known: where luck has two peaks, a few seeds of one cell often
    /// lie all on one of them, and their own scatter says nothing of the other.
    pub fn interval_of_cell(&self, cell: usize) -> Option<Interval> {
        let Measured { mean: centre, standard_error, degrees } = self.measure(&[vec![(cell, 1.0)]])?.measured?;
        let half = t_quantile(0.975, degrees) * standard_error;
        let variances = self.outcomes.iter().filter_map(|cell| sample_variance(&values(cell)));
        let pooled = mean(&variances.collect::<Vec<_>>()).filter(|_| self.is_common()).unwrap_or(0.0);
        let half = half.max(NORMAL_975 * (pooled / self.outcomes[cell].len() as f64).sqrt());
        (half > 0.0).then_some(Interval { low: centre - half, high: centre + half })
    }

    /// The groups that `measure` takes of these.
    pub fn finished(&self, groups: &[Group]) -> Vec<Group> {
        let is_there = |group: &&Group| group.iter().all(|(cell, _)| !self.outcomes[*cell].is_empty());
        groups.iter().filter(is_there).cloned().collect()
    }

    /// What each plot adds to the mean over `groups`.
    fn parts(&self, groups: &[&Group]) -> Vec<Part> {
        let mut by_plot = BTreeMap::<usize, Vec<&Group>>::new();
        for group in groups {
            let plots = group.iter().map(|(cell, _)| self.place[*cell].0).collect::<BTreeSet<_>>();
            plots.into_iter().for_each(|plot| by_plot.entry(plot).or_default().push(group));
        }
        let scale = 1.0 / groups.len() as f64;
        let part = |(plot, its): (usize, Vec<&Group>)| {
            let mut form = BTreeMap::<usize, f64>::new();
            let inside = |cell: &usize| self.place[*cell].0 == plot;
            for (cell, weight) in its.iter().copied().flatten().filter(|(cell, _)| inside(cell)) {
                *form.entry(self.place[*cell].1).or_default() += weight * scale;
            }
            form.retain(|_, weight| weight.abs() > 1e-12);
            let is_whole = its.iter().copied().flatten().all(|(cell, _)| inside(cell));
            let values =
                if is_whole && its.len() > 1 { self.values_by_group(&its, scale) } else { self.values(plot, &form) };
            Part { plot, form, values }
        };
        by_plot.into_iter().map(part).collect()
    }

    /// The value of a sum in each seed that has all of its cells.
    fn values(&self, plot: usize, form: &BTreeMap<usize, f64>) -> Vec<f64> {
        let cells = form.iter().map(|(sub, weight)| Some((*self.plots[plot].get(sub)?, *weight)));
        let Some(cells) = cells.collect::<Option<Vec<_>>>().filter(|cells| !cells.is_empty()) else {
            return Vec::new();
        };
        let sum =
            |seed: &Seed| cells.iter().map(|(cell, w)| Some(w * self.outcomes[*cell].get(seed)?)).sum::<Option<f64>>();
        self.outcomes[cells[0].0].keys().filter_map(sum).collect()
    }

    /// The same where each group is whole in the plot: a seed that lacks some groups counts with the others.
    fn values_by_group(&self, groups: &[&Group], scale: f64) -> Vec<f64> {
        let seeds = groups.iter().copied().flatten().flat_map(|(cell, _)| self.outcomes[*cell].keys());
        let sum = |seed: &Seed, group: &Group| {
            group.iter().map(|(cell, w)| Some(w * self.outcomes[*cell].get(seed)?)).sum::<Option<f64>>()
        };
        let value = |seed| mean(&groups.iter().filter_map(|group| sum(seed, group)).collect::<Vec<_>>());
        let values = seeds.collect::<BTreeSet<_>>().into_iter().filter_map(value);
        values.map(|value| value * scale * groups.len() as f64).collect()
    }

    fn scatter(&self, parts: &[Part], mean: f64) -> Option<Measured> {
        // Plots that add the same sum share what is known of its scatter; sums of other cells have scatter of their own.
        let mut alike = Vec::<(Shape, Vec<(&Part, f64)>)>::new();
        for part in parts {
            let (size, shape) = part.shape();
            match alike.iter_mut().find(|(known, _)| known.same(&shape)) {
                Some((_, its)) => its.push((part, size)),
                None => alike.push((shape, vec![(part, size)])),
            }
        }
        // So many plots tell their own scatter, whatever they add.
        if alike.len() > 1 && parts.len() >= MANY_PLOTS {
            let own = alike.iter().flat_map(|(_, its)| own_variances(its)).collect::<Vec<_>>();
            let known = own.iter().map(|(variance, n, _)| Some(((*variance)?, *n as f64 - 1.0)));
            if let Some(known) = known.collect::<Option<Vec<_>>>() {
                let (variance, degrees) = Spread::of(known)?.of_sum(&own);
                return Some(self.beyond_rounding(Measured { mean, standard_error: variance.sqrt(), degrees }));
            }
        }
        let sums = alike.iter().map(|(shape, its)| self.scatter_of(shape, its));
        let sums = sums.collect::<Option<Vec<_>>>()?;
        let variance = sums.iter().map(|(variance, _)| variance).sum::<f64>();
        let standard_error = variance.sqrt();
        Some(self.beyond_rounding(Measured { mean, standard_error, degrees: degrees_of_sums(&sums) }))
    }

    /// What scatters no more than sums are rounded does not scatter: equal differences of every seed are known to no interval.
    fn beyond_rounding(&self, measured: Measured) -> Measured {
        let is_rounding = measured.standard_error <= self.rounding;
        Measured { standard_error: if is_rounding { 0.0 } else { measured.standard_error }, ..measured }
    }

    /// The variance of the plots that add the same sum, each at its size, with its degrees of freedom: from these plots
    /// and all others that have the sum's cells.
    fn scatter_of(&self, shape: &Shape, parts: &[(&Part, f64)]) -> Option<(f64, f64)> {
        let own = own_variances(parts);
        let form = shape.0.iter().copied().collect::<BTreeMap<_, _>>();
        let values = (0..self.plots.len()).map(|plot| match parts.iter().position(|(part, _)| part.plot == plot) {
            Some(i) => (own[i].0, own[i].1),
            None => {
                let values = self.values(plot, &form);
                (sample_variance(&values), values.len())
            }
        });
        let known = values.filter_map(|(variance, n)| Some((variance?, n as f64 - 1.0))).collect::<Vec<_>>();
        Some(Spread::of(known)?.of_sum(&own))
    }
}

/// Whose luck is independent of whose, and what that is worth: the error of every verdict, in a sentence or two.
pub fn luck_in_words(comparison: &Comparison) -> String {
    let unknown = comparison.unknown.as_ref().map_or(String::new(), |sentence| format!(" {sentence}"));
    of_design(comparison) + &unknown
}

fn of_design(comparison: &Comparison) -> String {
    let design = Design::of(comparison);
    let (plots, seeds) = (design.plots(), design.most_seeds());
    match seeds {
        0 => return "No run has finished: of luck nothing is known yet.".to_owned(),
        1 => return "One seed: a difference cannot be told from luck.".to_owned(),
        _ => {}
    }
    if !design.is_common() {
        let degrees = design.seeds_by_plot().map(|seeds| seeds.saturating_sub(1)).sum::<usize>();
        return format!(
            "Luck: {plots} groups of cells with seeds of their own, {seeds} each at most; errors are pooled over them \
             ({degrees} degrees of freedom)."
        );
    }
    let text = format!(
        "Luck: all cells share {seeds} seeds, so that only whole seeds are independent ({} {} of freedom).",
        seeds - 1,
        if seeds == 2 { "degree" } else { "degrees" }
    );
    let redrawn = |key: &CellKey| {
        let axes = comparison.axes.iter().filter(|axis| axis.redraws_luck);
        axes.map(|axis| key.value(&axis.name).map(str::to_owned)).collect::<Vec<_>>()
    };
    let groups = design.keys.iter().map(redrawn).collect::<BTreeSet<_>>().len();
    if groups < 2 {
        return text;
    }
    let factor = |degrees: f64| t_quantile(0.975, degrees) + t_quantile(0.8, degrees);
    let gain = factor((seeds - 1) as f64) / factor((groups * (seeds - 1)) as f64);
    text + &format!(
        " The same number of runs with `[sweep.replicates] seeds = {seeds}`, a count, has {} degrees, and sees effects \
         {gain:.1} times smaller where seeds act on each cell anew.",
        groups * (seeds - 1)
    )
}

/// What one plot adds to a contrast.
struct Part {
    plot: usize,
    /// The weight of each place in the plot.
    form: BTreeMap<usize, f64>,
    /// One for each seed.
    values: Vec<f64>,
}

/// For each plot its variance at size 1 (if it has one), its seeds and its squared size.
fn own_variances(parts: &[(&Part, f64)]) -> Vec<(Option<f64>, usize, f64)> {
    let of = |(part, size): &(&Part, f64)| {
        (sample_variance(&part.values).map(|v| v / size.powi(2)), part.values.len(), size.powi(2))
    };
    parts.iter().map(of).collect()
}

/// The degrees of freedom of a sum of variances that are each known with degrees of their own: Satterthwaite's (1946), and no
/// more than the best known of them has. His formula takes the estimates for independent; those of cells that share luck
/// rise and fall together, and two of them say no more than one.
fn degrees_of_sums(sums: &[(f64, f64)]) -> f64 {
    let (least, most) = sums.iter().fold((f64::MAX, 0.0_f64), |(least, most), (_, f)| (f.min(least), f.max(most)));
    let variance = sums.iter().map(|(v, _)| v).sum::<f64>();
    let fourth = sums.iter().map(|(v, f)| v * v / f).sum::<f64>();
    if variance > 0.0 { (variance * variance / fourth).clamp(least, most) } else { least }
}

/// Weights whose largest is 1.
struct Shape(Vec<(usize, f64)>);

impl Part {
    /// The size of the weights, and the weights by it.
    fn shape(&self) -> (f64, Shape) {
        let size = self.form.values().fold(0.0, |most: f64, w| most.max(w.abs())).max(1e-300);
        let sign = self.form.values().next().map_or(1.0, |w| w.signum());
        (size, Shape(self.form.iter().map(|(sub, w)| (*sub, sign * w / size)).collect()))
    }
}

impl Shape {
    fn same(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.into_iter().all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-9)
    }
}

/// How the scatter of one sum differs from plot to plot.
struct Spread {
    pooled: f64,
    /// Of the pooled variance.
    degrees: f64,
    /// The plots' variances with their degrees.
    known: Vec<(f64, f64)>,
}

impl Spread {
    /// From variances with their degrees; absent where there is none.
    fn of(known: Vec<(f64, f64)>) -> Option<Self> {
        let degrees = known.iter().map(|(_, f)| f).sum::<f64>();
        if degrees < 1.0 {
            return None;
        }
        let pooled = known.iter().map(|(v, f)| v * f).sum::<f64>() / degrees;
        Some(Self { pooled, degrees, known })
    }

    /// By how much the logarithms of the plots' variances scatter more than those of chi-squared ones, which scatter by
    /// trigamma(f / 2), and that chance. Absent for few plots.
    fn excess(&self) -> Option<(f64, f64)> {
        if self.known.len() < MANY_PLOTS || self.known.iter().any(|(v, _)| *v <= 0.0) {
            return None;
        }
        let chance = mean(&self.known.iter().map(|(_, f)| trigamma(f / 2.0)).collect::<Vec<_>>())?;
        Some((sample_variance(&self.logs())? - chance, chance))
    }

    /// The logarithms of the plots' variances, without the bias of chi-squared ones.
    fn logs(&self) -> Vec<f64> {
        self.known.iter().map(|(v, f)| v.ln() - digamma(f / 2.0) + (f / 2.0).ln()).collect()
    }

    /// What the plots' variances vary about, with the degrees that this is worth: Smyth's s0 squared and d0, by his moments.
    /// A handful of variances does not show that the true ones are alike, so that one standard error of their scatter is
    /// added to it; absent where even then there is nothing beyond chance.
    fn prior(&self) -> Option<(f64, f64)> {
        let (excess, chance) = self.excess()?;
        let excess = excess + chance * (2.0 / (self.known.len() as f64 - 1.0)).sqrt();
        if excess <= 0.0 {
            return None;
        }
        let worth = 2.0 * inverse_trigamma(excess);
        let centre = (mean(&self.logs())? + digamma(worth / 2.0) - (worth / 2.0).ln()).exp();
        Some((centre, worth))
    }

    /// The variance of a sum of plots' means, each with its own variance (if it has one), its seeds and its squared
    /// weight, and the degrees of freedom.
    fn of_sum(&self, plots: &[(Option<f64>, usize, f64)]) -> (f64, f64) {
        let per_seed = |(_, n, square): &(Option<f64>, usize, f64)| square / (*n as f64);
        let own = plots.iter().map(|plot| Some((plot.0? * per_seed(plot), plot.1 as f64 - 1.0)));
        if let Some(own) = own.collect::<Option<Vec<_>>>().filter(|own| own.len() >= MANY_PLOTS) {
            let variance = own.iter().map(|(v, _)| v).sum::<f64>();
            if variance > 0.0 {
                return (variance, self.degrees_of_own(&own, variance));
            }
        }
        let Some((centre, worth)) = self.prior() else {
            return (plots.iter().map(|plot| self.pooled * per_seed(plot)).sum(), self.degrees);
        };
        // Never below the pooled one: a plot that scatters little in two seeds is mostly lucky.
        let moderated = plots.iter().map(|plot| {
            let f = plot.1 as f64 - 1.0;
            let variance = (worth * centre + f * plot.0.unwrap_or(0.0)) / (worth + f);
            (variance.max(self.pooled) * per_seed(plot), worth + f)
        });
        let moderated = moderated.collect::<Vec<_>>();
        let least = moderated.iter().fold(f64::MAX, |least, (_, f)| f.min(least));
        (moderated.iter().map(|(v, _)| v).sum(), least.min(self.degrees))
    }

    /// The degrees of a sum of plots' own variances.
    ///
    /// Satterthwaite's formula takes the variances for the true ones. v^2 overestimates sigma^4 by (f + 2) / f, and the
    /// squared sum by its own variance: without both, two seeds would be worth a third of their degrees. With both, the
    /// number is right on the average and too bold where plots do scatter differently. What holds the level in simulated
    /// sweeps of equal and of very unequal plots lies between the two, the nearer to Satterthwaite's the less the plots
    /// are known and the more they differ.
    fn degrees_of_own(&self, own: &[(f64, f64)], variance: f64) -> f64 {
        let (least, all) = own.iter().fold((f64::MAX, 0.0), |(least, all), (_, f)| (f.min(least), all + f));
        let fourth = own.iter().map(|(v, f)| v * v / (f + 2.0)).sum::<f64>();
        let bold = (variance * variance / fourth - 2.0).clamp(least, all);
        let timid = (variance * variance / own.iter().map(|(v, f)| v * v / f).sum::<f64>()).max(1.0);
        let differ = self.excess().is_some_and(|(excess, _)| excess > 0.0);
        let share = match (least < 2.0, differ) {
            (true, true) => return timid,
            (true, false) => 0.25,
            (false, true) => 0.5,
            (false, false) => return bold,
        };
        bold.powf(1.0 - share) * timid.powf(share)
    }
}

fn values(outcomes: &BTreeMap<Seed, f64>) -> Vec<f64> {
    outcomes.values().copied().collect()
}

fn inverse_trigamma(y: f64) -> f64 {
    let (mut low, mut high) = (1e-4_f64, 1e8_f64);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if trigamma(middle) > y { low = middle } else { high = middle }
    }
    (low * high).sqrt()
}

/// For each cell the first cell that it is connected with by shared seeds.
fn components(seeds: &[BTreeSet<Seed>]) -> Vec<usize> {
    let mut root = (0..seeds.len()).collect::<Vec<_>>();
    fn find(root: &mut [usize], mut i: usize) -> usize {
        while root[i] != i {
            root[i] = root[root[i]];
            i = root[i];
        }
        i
    }
    let mut first = BTreeMap::new();
    for (i, its) in seeds.iter().enumerate() {
        for seed in its {
            let (a, b) = (find(&mut root, *first.entry(*seed).or_insert(i)), find(&mut root, i));
            root[a.max(b)] = a.min(b);
        }
    }
    (0..seeds.len()).map(|i| find(&mut root, i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::AxisKind;
    use crate::analysis::fixture::{self, Noise};

    /// size x schedule with two seeds a plot, each size a plot of its own; outcomes from `noise`.
    fn split_plot(seeds: u64) -> Comparison {
        let axes = vec![
            fixture::axis("size", &["a", "b", "c"], AxisKind::Category),
            fixture::axis("schedule", &["x", "y"], AxisKind::Category),
        ];
        let mut noise = Noise::new(3);
        let mut comparison = fixture::sweep_over("plots", axes, seeds);
        fixture::own_luck(&mut comparison, &["size"]);
        fixture::fill(&mut comparison, |_| noise.normal());
        comparison
    }

    #[test]
    fn plots_are_what_shares_seeds() {
        let comparison = split_plot(2);
        let design = Design::of(&comparison);
        assert_eq!(design.plots(), 3);
        assert_eq!(design.place, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
        assert!(Design::of(&fixture::sweep()).is_common());
    }

    /// By hand: two plots' means over schedules, with the variance pooled over three plots.
    #[test]
    fn a_whole_plot_contrast_pools_the_plots() {
        let comparison = split_plot(2);
        let design = Design::of(&comparison);
        let y = |cell: usize| design.outcomes[cell].values().copied().collect::<Vec<_>>();
        let plot = |p: usize| [0, 1].map(|s| (y(2 * p)[s] + y(2 * p + 1)[s]) / 2.0);
        let groups = [vec![(2, 1.0), (0, -1.0)], vec![(3, 1.0), (1, -1.0)]];
        let found = design.measure(&groups).unwrap();
        let by_hand = mean(&plot(1)).unwrap() - mean(&plot(0)).unwrap();
        let pooled = (0..3).map(|p| sample_variance(&plot(p)).unwrap()).sum::<f64>() / 3.0;
        let measured = found.measured.unwrap();
        assert!((found.mean - by_hand).abs() < 1e-12 && measured.degrees == 3.0);
        assert!((measured.standard_error - (2.0 * pooled / 2.0).sqrt()).abs() < 1e-12);
    }

    /// By hand: the difference of schedules within each plot and seed.
    #[test]
    fn a_contrast_within_plots_is_paired() {
        let design = Design::of(&split_plot(3));
        let y = |cell: usize| design.outcomes[cell].values().copied().collect::<Vec<_>>();
        let differences = |p: usize| (0..3).map(|s| y(2 * p + 1)[s] - y(2 * p)[s]).collect::<Vec<_>>();
        let groups = (0..3).map(|p| vec![(2 * p + 1, 1.0), (2 * p, -1.0)]).collect::<Vec<_>>();
        let measured = design.measure(&groups).unwrap().measured.unwrap();
        let pooled = (0..3).map(|p| sample_variance(&differences(p)).unwrap()).sum::<f64>() / 3.0;
        assert!((measured.standard_error - (pooled / 9.0).sqrt()).abs() < 1e-12 && measured.degrees == 6.0);
        // One plot alone: its own mean, the scatter of all.
        let alone = design.measure(&groups[..1]).unwrap().measured.unwrap();
        assert!((alone.standard_error - (pooled / 3.0).sqrt()).abs() < 1e-12 && alone.degrees == 6.0);
    }

    /// Where each seed has the same difference, what the sums are rounded by is no scatter.
    #[test]
    fn rounding_is_no_scatter() {
        let mut comparison = split_plot(3);
        // What is added is rounded otherwise for each.
        let of_seed = [0.3, 5.7, 1234.5];
        assert!(of_seed.map(|value: f64| value + 0.1 - value).windows(2).all(|pair| pair[0] != pair[1]));
        let mut count = 0;
        fixture::fill(&mut comparison, |_| {
            count += 1;
            of_seed[(count - 1) % 3]
        });
        for run in &mut comparison.runs {
            let is_y = run.axes.iter().any(|(_, value)| value == "y");
            for points in run.series.values_mut().filter(|_| is_y) {
                points.iter_mut().for_each(|point| point.value += 0.1);
            }
        }
        let design = Design::of(&comparison);
        let groups = (0..3).map(|p| vec![(2 * p + 1, 1.0), (2 * p, -1.0)]).collect::<Vec<_>>();
        let measured = design.measure(&groups).unwrap().measured.unwrap();
        assert!((measured.mean - 0.1).abs() < 1e-9, "{measured:?}");
        assert_eq!((measured.standard_error, measured.interval(), measured.p()), (0.0, None, None));
    }

    #[test]
    fn common_seeds_are_a_t_test_over_their_means() {
        let axes = vec![
            fixture::axis("size", &["a", "b"], AxisKind::Category),
            fixture::axis("nsp", &["x", "y"], AxisKind::Category),
        ];
        let mut comparison = fixture::sweep_over("common", axes, 4);
        let mut noise = Noise::new(9);
        fixture::fill(&mut comparison, |_| noise.normal());
        let design = Design::of(&comparison);
        let y = |cell: usize| design.outcomes[cell].values().copied().collect::<Vec<_>>();
        let by_seed = (0..4).map(|s| (y(2)[s] - y(0)[s] + y(3)[s] - y(1)[s]) / 2.0).collect::<Vec<_>>();
        let measured =
            design.measure(&[vec![(2, 1.0), (0, -1.0)], vec![(3, 1.0), (1, -1.0)]]).unwrap().measured.unwrap();
        assert_eq!(measured.degrees, 3.0);
        assert!((measured.mean - mean(&by_seed).unwrap()).abs() < 1e-12);
        assert!((measured.standard_error - (sample_variance(&by_seed).unwrap() / 4.0).sqrt()).abs() < 1e-12);
    }

    /// By hand: one cell's seeds agree, and the interval is as wide as the other cells' scatter says.
    #[test]
    fn a_cell_of_common_seeds_is_not_surer_than_the_others_are() {
        let axes = vec![fixture::axis("size", &["a", "b", "c"], AxisKind::Category)];
        let mut comparison = fixture::sweep_over("floor", axes, 3);
        let values = [[1.0, 1.01, 0.99], [2.0, 4.0, 3.0], [5.0, 7.0, 9.0]];
        fixture::fill(&mut comparison, |run| {
            let cell = ["a", "b", "c"].iter().position(|value| run.axis("size") == Some(value)).unwrap();
            values[cell][run.seed.0 as usize - 1]
        });
        let design = Design::of(&comparison);
        let pooled = (0.0001 + 1.0 + 4.0) / 3.0;
        let half = |cell: usize| design.interval_of_cell(cell).unwrap().half_width();
        assert!((half(0) - NORMAL_975 * (pooled / 3.0_f64).sqrt()).abs() < 1e-9);
        assert!((half(2) - t_quantile(0.975, 2.0) * (4.0 / 3.0_f64).sqrt()).abs() < 1e-9, "its own is wider");
        // Seeds of their own pool their scatter anyway.
        fixture::own_luck(&mut comparison, &["size"]);
        let design = Design::of(&comparison);
        let measured = design.measure(&[vec![(0, 1.0)]]).unwrap().measured.unwrap();
        assert_eq!(design.interval_of_cell(0), measured.interval());
    }

    #[test]
    fn unequal_plots_have_fewer_degrees() {
        let degrees = |variances: &[f64], f: f64| {
            let known = variances.iter().map(|v| (*v, f)).collect::<Vec<_>>();
            let own = variances.iter().map(|v| (Some(*v), f as usize + 1, 1.0)).collect::<Vec<_>>();
            Spread::of(known).unwrap().of_sum(&own).1
        };
        // Alike: all of them count. One alone matters: its own count.
        assert_eq!(degrees(&[1.0; 8], 2.0), 16.0);
        let one = degrees(&[1e6, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2.0);
        assert!((2.0..2.01).contains(&one), "{one}");
        let one = degrees(&[1e6, 1.0, 2.0, 1e-3, 1.0, 3.0, 1.0, 1e-4], 1.0);
        assert!((1.0..1.01).contains(&one), "{one}");
        assert!(degrees(&[1.0, 2.0, 3.0, 4.0], 4.0) > degrees(&[1.0, 20.0, 30.0, 4.0], 4.0));
    }

    #[test]
    fn sums_have_satterthwaites_degrees_and_no_more_than_the_best_known() {
        assert_eq!(degrees_of_sums(&[(1.0, 5.0)]), 5.0);
        // By hand: (1 + 3)^2 / (1 / 2 + 9 / 8); a sum of equals would have 8, of which one alone has 4.
        assert!((degrees_of_sums(&[(1.0, 2.0), (3.0, 8.0)]) - 8.0).abs() < 1e-12);
        assert!((degrees_of_sums(&[(3.0, 2.0), (1.0, 8.0)]) - 16.0 / (4.5 + 0.125)).abs() < 1e-12);
        assert_eq!(degrees_of_sums(&[(1.0, 4.0), (1.0, 4.0)]), 4.0);
        assert_eq!(degrees_of_sums(&[(0.0, 3.0), (0.0, 4.0)]), 3.0);
    }

    /// By hand: cells are missing in some plots, so that plots add different sums; four of them tell their own scatter.
    #[test]
    fn many_plots_of_different_sums_have_their_own_variances() {
        let axes = vec![
            fixture::axis("size", &["a", "b"], AxisKind::Category),
            fixture::axis("mask", &["l", "m"], AxisKind::Category),
            fixture::axis("schedule", &["x", "y"], AxisKind::Category),
        ];
        let mut noise = Noise::new(5);
        let mut comparison = fixture::sweep_over("holes", axes, 4);
        fixture::own_luck(&mut comparison, &["size", "mask"]);
        fixture::fill(&mut comparison, |_| noise.normal());
        comparison.runs.retain(|run| run.axis("mask") == Some("l") || run.axis("schedule") == Some("x"));
        let design = Design::of(&comparison);
        let y = |cell: usize| design.outcomes[cell].values().copied().collect::<Vec<_>>();
        // Cells: size a: (l, x) (l, y) (m, x); size b the same.
        let groups = (0..3).map(|cell| vec![(cell + 3, 1.0), (cell, -1.0)]).collect::<Vec<_>>();
        let sums = [vec![0, 1], vec![2], vec![3, 4], vec![5]];
        let variances = sums.map(|cells| {
            let of_seed = |s: usize| cells.iter().map(|&cell| y(cell)[s] / 3.0).sum::<f64>();
            sample_variance(&(0..4).map(of_seed).collect::<Vec<_>>()).unwrap() / 4.0
        });
        let measured = design.measure(&groups).unwrap().measured.unwrap();
        assert!((measured.standard_error - variances.iter().sum::<f64>().sqrt()).abs() < 1e-12);
    }

    #[test]
    fn trigamma_is_inverted() {
        for x in [0.3, 1.0, 7.0, 300.0] {
            assert!((inverse_trigamma(trigamma(x)) / x - 1.0).abs() < 1e-6);
        }
        assert!((trigamma(1.0) - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-10);
    }
}
