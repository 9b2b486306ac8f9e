//! Which axis is colour, which is dash, which is a panel: the grouping that all charts share.

use crate::analysis::{Axis, AxisKind, Cell, CellKey, Comparison, Goal, axis_strengths};
use crate::plot::figure::{Colour, Dash, Ink, LegendItem, Panel, PlotAxis, Sample, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::short;
use crate::types::MetricName;
use crate::types::metrics;

/// What the experiment file asks for in `[report]`; absent is chosen here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub colour: Option<String>,
    pub panel: Option<String>,
    /// The axis of the figures of final values.
    pub x: Option<String>,
}

/// The axes in their parts. Only axes with two values or more take part; the strongest are told in the clearest way.
#[derive(Clone, Debug)]
pub(super) struct Encoding<'a> {
    pub colour: Option<&'a Axis>,
    pub dash: Option<&'a Axis>,
    /// One panel for each of its values, side by side.
    pub panel: Option<&'a Axis>,
    /// What is averaged over because no part is left, or, where values were drawn, what varies from run to run.
    pub rest: Vec<&'a Axis>,
    /// Whether some axis is a scale, so that a cell is a draw and no mean is over like with like.
    pub is_drawn: bool,
}

/// The cells that are drawn alike.
pub(super) struct Group<'a> {
    pub cells: Vec<&'a Cell<'a>>,
    pub ink: Ink,
    pub dash: Dash,
    /// Place among the values of the dash axis.
    pub dash_index: usize,
}

/// What a chart draws its groups as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    Lines,
    LinesAndDots,
    Dots,
}

/// An axis with less than this share of the variance is averaged over.
const WEAK: f64 = 0.01;
/// The most values that an axis of dashes has, and one of panels.
const MOST_DASHES: usize = 3;
const MOST_PANELS: usize = 6;
/// The most values whose colours are listed one by one.
const MOST_COLOURS: usize = 8;

impl<'a> Encoding<'a> {
    /// The parts for `comparison` without the axes that `taken` names: those are on an axis of the chart already.
    pub fn new(comparison: &'a Comparison, choice: &Choice, taken: &[&str]) -> Self {
        let is_drawn = comparison.axes.iter().any(Axis::is_continuous);
        let strengths = axis_strengths(comparison);
        let is_weak = |axis: &Axis| strengths.iter().any(|(other, share)| other.name == axis.name && *share < WEAK);
        let mut free = strengths.iter().map(|(axis, _)| *axis).collect::<Vec<_>>();
        free.retain(|axis| !taken.contains(&axis.name.as_str()));
        let mut take =
            |wanted: &dyn Fn(&Axis) -> bool| free.iter().position(|axis| wanted(axis)).map(|place| free.remove(place));
        let named = |name: &Option<String>| {
            let name = name.clone();
            move |axis: &Axis| name.as_ref().is_some_and(|name| axis.is_called(name))
        };
        let colour = take(&named(&choice.colour)).or_else(|| take(&|_| true));
        if is_drawn {
            return Self { colour, dash: None, panel: None, rest: free, is_drawn };
        }
        let is_short = |axis: &Axis| axis.values.len() <= MOST_DASHES;
        let chosen = take(&named(&choice.panel));
        // An axis that does next to nothing takes the eye off the others.
        let (mut free, weak) = free.into_iter().partition::<Vec<_>, _>(|axis| !is_weak(axis));
        // One panel shows two axes; with more, the next strongest has panels.
        let is_enough = matches!(&free[..], [only] if is_short(only)) || free.is_empty();
        let next = |free: &mut Vec<&'a Axis>, most: usize| {
            free.iter().position(|axis| axis.values.len() <= most).map(|place| free.remove(place))
        };
        let panel = chosen.or_else(|| if is_enough { None } else { next(&mut free, MOST_PANELS) });
        let dash = next(&mut free, MOST_DASHES);
        Self { colour, dash, panel, rest: [free, weak].concat(), is_drawn }
    }

    /// What is not in the legend: `Averaged over schedule.`
    pub fn explanation(&self) -> String {
        match (&self.rest[..], self.is_drawn) {
            ([], _) => String::new(),
            (rest, false) => format!("Averaged over {}.", names(rest)),
            (rest, true) => format!("{} vary from run to run.", names(rest)),
        }
    }

    /// Colours and dashes, by samples of what is drawn.
    pub fn legend(&self, palette: &Palette, drawn: Samples) -> Vec<LegendItem> {
        let mut items = self.colour.map_or(Vec::new(), |axis| colours_of(axis, palette));
        if let Some(axis) = self.dash {
            items.push(LegendItem::Heading(axis.name_in_full()));
            items.extend(axis.values.iter().enumerate().map(|(i, value)| {
                let stroke = Stroke { colour: Colour::full(Ink::Text), width: 1.3, dash: Dash::nth(i) };
                let sample = match drawn {
                    Samples::Lines => Sample::Line(stroke),
                    Samples::LinesAndDots => Sample::LineAndDot { stroke, filled: i == 0 },
                    Samples::Dots => Sample::Dot { colour: stroke.colour, filled: i == 0 },
                };
                LegendItem::Entry { sample, text: short(value) }
            }));
        }
        items
    }

    /// Titles of the panels, and the axis values that each of them shows.
    pub fn panel_keys(&self) -> Vec<(String, Vec<(String, String)>)> {
        let Some(axis) = self.panel else { return vec![(String::new(), Vec::new())] };
        let key =
            |value: &String| (format!("{} {}", axis.name, short(value)), vec![(axis.name.clone(), value.clone())]);
        axis.values.iter().map(key).collect()
    }

    /// The columns of the grid of panels: one row, as far as panels stay legible.
    pub fn columns(&self) -> usize {
        match self.panel.map_or(1, |axis| axis.values.len()) {
            few @ ..=4 => few,
            _ => 3,
        }
    }

    /// The groups of those `cells` that have the values of a panel, in the order of the axis values. Where values were
    /// drawn, each cell is a group.
    pub fn groups(&self, cells: &'a [Cell<'a>], panel: &[(String, String)], palette: &Palette) -> Vec<Group<'a>> {
        let place = |axis: Option<&Axis>, key: &CellKey| match axis {
            Some(axis) => {
                axis.values.iter().position(|value| Some(value.as_str()) == key.value(&axis.name)).unwrap_or(0)
            }
            None => 0,
        };
        let mut groups = std::collections::BTreeMap::<(usize, usize, usize), Group<'a>>::new();
        for (i, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.key.matches(panel)) {
            let (colour, dash) = (place(self.colour, &cell.key), place(self.dash, &cell.key));
            let own = if self.is_drawn { i } else { 0 };
            let group = groups.entry((colour, dash, own)).or_insert_with(|| {
                let ink = self.colour.map_or(Ink::Category(0), |axis| palette.ink(&axis.name, &axis.values[colour]));
                Group { cells: Vec::new(), ink, dash: Dash::nth(dash), dash_index: dash }
            });
            group.cells.push(cell);
        }
        groups.into_values().collect()
    }
}

impl Group<'_> {
    /// The colour of the mean.
    pub fn colour(&self) -> Colour {
        Colour::full(self.ink)
    }

    /// The colour of single seeds.
    pub fn pale(&self) -> Colour {
        Colour::pale(self.ink)
    }

    /// Whether the dots of this group are full; those of the second and third dash value are open.
    pub fn filled(&self) -> bool {
        self.dash_index == 0
    }
}

/// `size, nsp`.
pub(super) fn names(axes: &[&Axis]) -> String {
    axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The colours of an axis: one by one, or as a scale with its ends where they are many.
pub(super) fn colours_of(axis: &Axis, palette: &Palette) -> Vec<LegendItem> {
    let ink = |value: &String| Colour::full(palette.ink(&axis.name, value));
    let mut items = vec![LegendItem::Heading(axis.name_in_full())];
    if axis.kind == AxisKind::Numeric && axis.values.len() > MOST_COLOURS {
        let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
        let mut values = axis.values.iter().filter(|value| number(value).is_finite()).collect::<Vec<_>>();
        values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        let ends = values.first().zip(values.last());
        let text = ends.map_or(String::new(), |(low, high)| format!("{} to {}", short(low), short(high)));
        let colours = (0..MOST_COLOURS).map(|i| ink(values[i * (values.len() - 1) / (MOST_COLOURS - 1)]));
        items.push(LegendItem::Entry { sample: Sample::Scale(colours.collect()), text });
        return items;
    }
    let entry = |value: &String| LegendItem::Entry {
        sample: Sample::Line(Stroke { colour: ink(value), width: 2.4, dash: Dash::Solid }),
        text: short(value),
    };
    items.extend(axis.values.iter().map(entry));
    items
}

/// A panel without content yet.
pub(super) fn empty_panel(title: String, x: PlotAxis, y: PlotAxis) -> Panel {
    Panel { title, x, y, marks: Vec::new(), labels: Vec::new(), owned: Vec::new() }
}

/// `n = 3 seeds`, or `n = 2 to 3 seeds` where runs are missing.
pub(super) fn seed_count(counts: &[usize]) -> String {
    let (Some(&low), Some(&high)) = (counts.iter().min(), counts.iter().max()) else {
        return "no finished run".to_owned();
    };
    match (low, high) {
        (1, 1) => "n = 1 seed".to_owned(),
        (low, high) if low == high => format!("n = {high} seeds"),
        (low, high) => format!("n = {low} to {high} seeds"),
    }
}

/// The quantity and unit of a metric, for an axis: `validation MLM loss (nats/token)`. One of another program has its name.
pub fn metric_label(metric: &MetricName) -> String {
    match metrics::find(metric.as_str()) {
        Some(known) => known.to_string(),
        None => metric.as_str().replace(['/', '_'], " "),
    }
}

/// The same for the outcome of a comparison, with its better side on a second line: `lower is better`.
pub(super) fn outcome_label(comparison: &Comparison) -> String {
    let better = if comparison.goal == Goal::Minimize { "lower" } else { "higher" };
    format!("{}\n{better} is better", metric_label(&comparison.metric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{axis, metric, sweep_over};

    fn parts(axes: &[(&str, usize, AxisKind)]) -> String {
        let values = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"];
        let axes = axes.iter().map(|(name, count, kind)| axis(name, &values[..*count], *kind)).collect();
        let comparison = sweep_over("parts", axes, 1);
        let Encoding { colour, dash, panel, rest, .. } = Encoding::new(&comparison, &Choice::default(), &[]);
        let name = |axis: Option<&Axis>| axis.map_or("-", |axis| axis.name.as_str()).to_owned();
        format!("{} | {} | {} | {}", name(colour), name(panel), name(dash), names(&rest))
    }

    /// The first axis of the made-up sweep is the strongest, then the second.
    #[test]
    fn the_strongest_axis_is_colour_and_the_next_has_panels() {
        use AxisKind::{Category, Numeric, Ordered};
        assert_eq!(parts(&[("size", 3, Ordered)]), "size | - | - | ");
        assert_eq!(parts(&[("size", 2, Ordered), ("nsp", 2, Category)]), "size | - | nsp | ");
        assert_eq!(parts(&[("size", 2, Ordered), ("ratio", 4, Numeric)]), "size | ratio | - | ");
        assert_eq!(
            parts(&[("size", 2, Ordered), ("ratio", 4, Numeric), ("nsp", 2, Category)]),
            "size | ratio | - | nsp"
        );
        assert_eq!(
            parts(&[("p", 2, Ordered), ("q", 2, Category), ("r", 2, Category), ("s", 2, Category)]),
            "p | q | s | r"
        );
        assert_eq!(parts(&[("lr", 9, Numeric), ("nsp", 2, Category)]), "lr | - | - | nsp");
    }

    #[test]
    fn metrics_are_named_with_their_units() {
        assert_eq!(metric_label(&metric("valid/mlm_loss")), "validation MLM loss (nats/token)");
        assert_eq!(metric_label(&metric("time/tokens_per_s")), "speed (tokens/s)");
        assert_eq!(metric_label(&metric("probe/ner_f1")), "probe ner f1");
    }
}
