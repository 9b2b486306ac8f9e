//! Which axis is colour, which is dash, which is a panel: the grouping that all charts share.

use crate::analysis::{Axis, AxisKind, Cell, CellKey, Comparison};
use crate::plot::figure::{Colour, Dash, Ink, Panel, PlotAxis};
use crate::plot::palette::Palette;
use crate::types::MetricName;
use crate::types::metrics;

/// What the experiment file asks for in `[report]`; absent is chosen here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub colour: Option<String>,
    pub panel: Option<String>,
}

/// The axes in their parts. Only axes with two values or more take part.
#[derive(Clone, Debug)]
pub(super) struct Encoding<'a> {
    pub colour: Option<&'a Axis>,
    pub dash: Option<&'a Axis>,
    /// One panel for each combination of their values; at most two, the first slowest.
    pub panels: Vec<&'a Axis>,
    /// What is averaged over because no part is left.
    pub rest: Vec<&'a Axis>,
}

/// The cells that are drawn alike.
pub(super) struct Group<'a> {
    pub cells: Vec<&'a Cell<'a>>,
    pub ink: Ink,
    pub dash: Dash,
    /// Place among the values of the dash axis.
    pub dash_index: usize,
    /// The direct label: the values of colour and dash.
    pub label: String,
}

impl<'a> Encoding<'a> {
    /// The parts for `comparison` without the axes that `taken` names: those are on an axis of the chart already.
    pub fn new(comparison: &'a Comparison, choice: &Choice, taken: &[&str]) -> Self {
        let mut free =
            comparison.axes.iter().filter(|axis| axis.values.len() > 1 && !taken.contains(&axis.name.as_str()));
        let mut free = free.by_ref().collect::<Vec<_>>();
        let mut take =
            |wanted: &dyn Fn(&Axis) -> bool| free.iter().position(|axis| wanted(axis)).map(|place| free.remove(place));
        let named = |name: &Option<String>| {
            let name = name.clone();
            move |axis: &Axis| name.as_ref() == Some(&axis.name)
        };
        let chosen_panel = take(&named(&choice.panel));
        let colour = take(&named(&choice.colour))
            .or_else(|| take(&|axis| axis.kind == AxisKind::Numeric && !axis.is_continuous()))
            .or_else(|| take(&|axis| !axis.is_continuous()))
            .or_else(|| take(&|_| true));
        let is_short = |axis: &Axis| axis.values.len() <= 3;
        let dash = take(&|axis| is_short(axis) && axis.kind == AxisKind::Category).or_else(|| take(&is_short));
        let mut panels = chosen_panel.into_iter().collect::<Vec<_>>();
        while panels.len() < 2 {
            let Some(axis) = take(&|axis| !axis.is_continuous()) else { break };
            panels.push(axis);
        }
        Self { colour, dash, panels, rest: free }
    }

    /// `Colour: mask_ratio. Solid: nsp off, dashed: nsp random. Panels: size.`
    pub fn explanation(&self) -> String {
        let mut parts = Vec::new();
        if let Some(axis) = self.colour {
            let scale = if axis.is_continuous() { " (dark: the last values)" } else { "" };
            parts.push(format!("Colour: {}{scale}.", axis.name_in_full()));
        }
        if let Some(axis) = self.dash {
            let words = axis.values.iter().enumerate().map(|(i, value)| format!("{value} {}", Dash::nth(i).word()));
            parts.push(format!("Line: {} ({}).", axis.name, words.collect::<Vec<_>>().join(", ")));
        }
        if !self.panels.is_empty() {
            let names = self.panels.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>();
            parts.push(format!("Panels: {}.", names.join(", ")));
        }
        if !self.rest.is_empty() {
            parts.push(format!("Averaged over {}.", names(&self.rest)));
        }
        parts.join(" ")
    }

    /// Titles of the panels, and the axis values that each of them shows.
    pub fn panel_keys(&self) -> Vec<(String, Vec<(String, String)>)> {
        let keys = self.panels.iter().fold(vec![Vec::new()], |keys: Vec<Vec<(String, String)>>, axis| {
            let with = |key: &Vec<(String, String)>, value: &String| {
                key.iter().cloned().chain([(axis.name.clone(), value.clone())]).collect::<Vec<_>>()
            };
            keys.iter().flat_map(|key| axis.values.iter().map(move |value| with(key, value))).collect()
        });
        keys.into_iter().map(|key| (title_of(&key), key)).collect()
    }

    /// The columns of the grid of panels.
    pub fn columns(&self) -> usize {
        match self.panels[..] {
            [] => 1,
            [only] => only.values.len().min(3),
            [_, .., last] => last.values.len().min(3),
        }
    }

    /// The groups of those `cells` that have the values of a panel, in the order of the axis values.
    pub fn groups(&self, cells: &'a [Cell<'a>], panel: &[(String, String)], palette: &Palette) -> Vec<Group<'a>> {
        let place = |axis: Option<&Axis>, key: &CellKey| match axis {
            Some(axis) => {
                axis.values.iter().position(|value| Some(value.as_str()) == key.value(&axis.name)).unwrap_or(0)
            }
            None => 0,
        };
        let mut groups = std::collections::BTreeMap::<(usize, usize), Group<'a>>::new();
        for cell in cells.iter().filter(|cell| cell.key.matches(panel)) {
            let (colour, dash) = (place(self.colour, &cell.key), place(self.dash, &cell.key));
            let group = groups.entry((colour, dash)).or_insert_with(|| {
                let value = |axis: Option<&Axis>, index: usize| axis.map(|axis| axis.values[index].clone());
                let ink = self.colour.map_or(Ink::Text, |axis| palette.ink(&axis.name, &axis.values[colour]));
                let listed = self.colour.filter(|axis| !axis.is_continuous());
                let label = value(listed, colour).into_iter().chain(value(self.dash, dash));
                let label = label.collect::<Vec<_>>().join(", ");
                Group { cells: Vec::new(), ink, dash: Dash::nth(dash), dash_index: dash, label }
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

fn title_of(key: &[(String, String)]) -> String {
    key.iter().map(|(axis, value)| format!("{axis} {value}")).collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{axis, metric, sweep_over};

    fn parts(axes: &[(&str, usize, AxisKind)]) -> String {
        let values = ["a", "b", "c", "d"];
        let axes = axes.iter().map(|(name, count, kind)| axis(name, &values[..*count], *kind)).collect();
        let comparison = sweep_over("parts", axes, 1);
        Encoding::new(&comparison, &Choice::default(), &[]).explanation()
    }

    #[test]
    fn numbers_are_colour_and_short_categories_are_dash() {
        use AxisKind::{Category, Numeric, Ordered};
        assert_eq!(parts(&[("size", 3, Ordered)]), "Colour: size.");
        assert_eq!(
            parts(&[("size", 2, Ordered), ("ratio", 4, Numeric), ("nsp", 2, Category)]),
            "Colour: ratio. Line: nsp (a solid, b dashed). Panels: size."
        );
        assert_eq!(
            parts(&[("p", 2, Ordered), ("q", 4, Category), ("r", 4, Category), ("s", 4, Category), ("t", 1, Category)]),
            "Colour: p. Panels: q, r. Averaged over s."
        );
    }

    #[test]
    fn metrics_are_named_with_their_units() {
        assert_eq!(metric_label(&metric("valid/mlm_loss")), "validation MLM loss (nats/token)");
        assert_eq!(metric_label(&metric("time/tokens_per_s")), "speed (tokens/s)");
        assert_eq!(metric_label(&metric("probe/ner_f1")), "probe ner f1");
    }
}
