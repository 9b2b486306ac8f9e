//! Which figures are drawn, and how: `[report]` of an experiment file.

use crate::experiment::{Experiment, Key};
use crate::plot::charts::Choice;
use crate::plot::{Figure, Page};

/// What a comparison draws.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Kinds of figures; absent: all.
    figures: Option<Vec<String>>,
    /// The axes that are told by colour, and that alone have a figure of final values.
    pub choice: Choice,
    /// What the figures are drawn for; the report itself is always as wide as a page.
    pub page: Page,
}

impl Wanted {
    /// What an experiment file asks for.
    pub fn of(experiment: &Experiment) -> Self {
        let label = |key: Option<&Key>| Some(experiment.axis(key?.name)?.label.clone());
        let report = &experiment.report;
        Self {
            figures: Some(report.figures.clone()),
            choice: Choice { colour: label(report.colour_by), panel: None, x: label(report.x) },
            page: Page { has_words: report.has_words, ..if report.is_column { Page::COLUMN } else { Page::REPORT } },
        }
    }

    /// All figures, for runs that no file speaks of.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether this figure is drawn.
    pub fn has(&self, figure: &Figure) -> bool {
        let is_asked = self.figures.as_ref().is_none_or(|asked| asked.iter().any(|kind| kind == figure.kind));
        let axis = figure.name.strip_prefix("final-by-");
        is_asked && axis.zip(self.choice.x.as_deref()).is_none_or(|(axis, x)| axis == x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, fixture};
    use crate::experiment::keys;
    use crate::plan;
    use crate::plot::charts::standard_figures;

    const FILE: &str = r#"
        [experiment]
        name = "figures"
        [data]
        corpus = "demo"
        [sweep.grid]
        "objective.mask_ratio" = [0.15, 0.3]
        "objective.nsp" = ["off", "random"]
        [report]
    "#;

    fn wanted(report: &str) -> Wanted {
        Wanted::of(
            &plan::read(&format!("{FILE}{report}"), "figures.toml", &[], &mut |_, _| Err("no base".to_owned()))
                .unwrap(),
        )
    }

    /// All figures of a sweep over four axes.
    fn figures() -> Vec<Figure> {
        let axes = ["mask_ratio", "nsp", "size", "schedule"];
        let axes = axes.map(|name| fixture::axis(name, &["a", "b"], AxisKind::Category)).to_vec();
        standard_figures(&fixture::sweep_over("all", axes, 2), &Choice::default())
    }

    #[test]
    fn every_figure_is_of_a_kind_and_every_kind_has_a_figure() {
        let mut figures = figures();
        // What only other sweeps have: drawn cells, more values, models of many sizes, answers in detail.
        figures.extend(standard_figures(&fixture::drawn(24), &Choice::default()));
        figures.extend(standard_figures(&fixture::sized(5), &Choice::default()));
        figures.extend(standard_figures(&fixture::answered(), &Choice::default()));
        let kinds = figures.iter().map(|figure| figure.kind).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(kinds, keys::FIGURES.iter().copied().collect());
        assert!(figures.iter().all(|figure| wanted("").has(figure) && Wanted::everything().has(figure)));
    }

    #[test]
    fn a_file_says_which_figures_it_wants() {
        let drawn = |report: &str| {
            let wanted = wanted(report);
            let names = figures().into_iter().filter(|figure| wanted.has(figure)).map(|figure| figure.name);
            names.collect::<Vec<_>>().join(" ")
        };
        let texts = [
            drawn("figures = ['axes', 'effects']"),
            drawn("figures = ['axes']\nx = 'objective.nsp'"),
            drawn("figures = ['importance', 'pareto', 'means', 'parallel']\nx = 'objective.nsp'"),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        effects final-by-mask_ratio against-baseline final-by-nsp final-by-schedule final-by-size
        final-by-nsp
        importance marginal-means interactions pareto-parameters pareto-compute pareto-time parallel-coordinates
        ");
    }

    #[test]
    fn a_file_says_what_its_figures_are_for() {
        assert_eq!(wanted("").page, Page::REPORT);
        assert_eq!(wanted("width = 'column'").page, Page::COLUMN);
        assert_eq!(wanted("width = 'column'\ntitle = false").page, Page { has_words: false, ..Page::COLUMN });
    }

    #[test]
    fn the_colour_is_the_axis_that_the_file_names() {
        assert_eq!(wanted("colour_by = 'objective.nsp'").choice.colour.as_deref(), Some("nsp"));
        assert_eq!(wanted("").choice, Choice::default());
    }
}
