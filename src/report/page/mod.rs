//! The report as one page: the answer, then what it rests on, then all that a colleague needs to repeat it.
//!
//! It refers to nothing outside the store: style, script and figures are inside. Without the script everything can be
//! read; the script sorts tables, shows a run or a setting in every figure at once, and enlarges figures.

mod answer;
mod figures;
mod floors;
mod record;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use answer::sentences;
pub use record::encoded;

pub use record::Record;

use super::answer::Answer;
use crate::analysis::{Comparison, against_baseline, importance, marginal_effects, summarize};
use crate::plot::{Figure, RenderError};

/// What the page is made of.
pub struct Page<'a> {
    pub comparison: &'a Comparison,
    /// In reading order.
    pub figures: &'a [Figure],
    pub record: &'a Record,
}

/// What a server adds, which lets no script be within a page and has no files beside it.
pub struct Served<'a> {
    /// Brings [`SCRIPT`] from elsewhere.
    pub script: &'a Markup,
    /// Where all runs are.
    pub home: &'a str,
    /// What stands before the answer.
    pub top: &'a Markup,
}

/// A part of the page with its entry in the list of contents.
struct Section {
    id: &'static str,
    title: &'static str,
    /// Entries below it: anchor and title.
    parts: Vec<(String, String)>,
    body: Markup,
}

impl Section {
    /// A part without parts of its own; none where it would be empty.
    fn new(id: &'static str, title: &'static str, body: Option<Markup>) -> Option<Self> {
        body.map(|body| Self { id, title, parts: Vec::new(), body })
    }
}

impl Page<'_> {
    /// The HTML of the page. The same comparison and record give the same bytes.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn html(&self) -> Result<String, RenderError> {
        self.html_with(&html! { script { (PreEscaped(SCRIPT)) } }, None)
    }

    /// [`html`](Self::html) as a server sends it.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn html_served(&self, served: &Served<'_>) -> Result<String, RenderError> {
        self.html_with(served.script, Some(served))
    }

    fn html_with(&self, script: &Markup, served: Option<&Served<'_>>) -> Result<String, RenderError> {
        let Self { comparison, record, .. } = *self;
        let summary = summarize(comparison);
        let answer = Answer::of(comparison, &summary);
        let drawn = figures::Drawn::of(comparison, self.figures)?;
        let sections = [
            Section::new("floors", "Floors", floors::table(comparison)),
            drawn.section(),
            Section::new("cells", "Cells", Some(tables::cells(comparison, &summary))),
            Section::new("importance", "What matters", tables::importance(&importance(comparison))),
            Section::new(
                "effects",
                "What each axis does",
                tables::effects(&tables::EFFECTS, &marginal_effects(comparison)),
            ),
            Section::new(
                "baseline",
                "Against the baseline",
                tables::effects(&tables::BASELINE, &against_baseline(comparison)),
            ),
            Section::new("rivals", "Against the best", tables::effects(&tables::RIVALS, &summary.rivals)),
            Section::new("runs", "Runs", Some(tables::runs(comparison, record))),
            Section::new("record", "Record", Some(record.section())),
        ];
        let sections = sections.into_iter().flatten().collect::<Vec<_>>();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (comparison.experiment) " \u{2013} ablate" }
                    style { (PreEscaped(STYLE)) (PreEscaped(drawn.style())) }
                }
                body.served[served.is_some()] {
                    a.skip href="#answer" { "Skip to the answer" }
                    (contents(&sections, served.map(|served| served.home)))
                    main {
                        @if let Some(served) = served { (served.top) }
                        (answer::header(comparison, &answer, &summary, record))
                        @for section in &sections {
                            section id=(section.id) {
                                h2 id={ (section.id) "-title" } { (section.title) }
                                (section.body)
                            }
                        }
                    }
                    (script)
                }
            }
        };
        Ok(page.into_string())
    }
}

/// How pages look.
pub(super) const STYLE: &str = include_str!("page.css");
/// Sorts tables, shows a run in every figure at once, enlarges figures.
pub const SCRIPT: &str = include_str!("page.js");

fn contents(sections: &[Section], home: Option<&str>) -> Markup {
    html! {
        nav aria-label="Contents" {
            p.brand { @match home { Some(home) => a href=(home) { "ablate" }, None => "ablate report" } }
            button.theme type="button" hidden { "Dark" }
            ol {
                li { a href="#answer" { "Answer" } }
                @for section in sections {
                    li {
                        a href={ "#" (section.id) } { (section.title) }
                        @if !section.parts.is_empty() {
                            ol { @for (id, title) in &section.parts { li { a href={ "#" (id) } { (title) } } } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::charts::{Choice, standard_figures};

    fn page(comparison: &Comparison) -> String {
        let figures = standard_figures(comparison, &Choice::default());
        Page { comparison, figures: &figures, record: &record::tests::record() }.html().unwrap()
    }

    #[test]
    fn the_page_holds_every_run_and_refers_to_nothing() {
        let comparison = fixture::sweep();
        let html = page(&comparison);
        assert!(html.contains("Variance among all runs: size 84 %") && html.contains("mask_ratio × nsp"));
        for part in ["What matters", "By how much", "What is best", "How sure", "failed after step 600"] {
            assert!(html.contains(part), "{part}");
        }
        assert!(html.contains("23 of 24 runs finished, 1 failed"));
        for figure in ["what matters for", "against parameters", "by pairs of axes"] {
            assert!(html.contains(figure), "{figure}");
        }
        for run in &comparison.runs {
            assert!(html.contains(run.id.as_ref().unwrap().as_str()) && html.contains(&run.spec.unwrap().0.short()));
        }
        assert!(html.contains("the loss was NaN at step 640") && html.contains("unigram entropy"));
        assert!(html.contains(&comparison.experiment) && html.contains("inconclusive"));
        for outside in ["src=", "url(", "@import", "<link", "http:", "https:", "href=\"/", "href=\"file"] {
            assert!(!html.contains(outside), "the page has {outside}");
        }
        assert_eq!(html, page(&comparison), "the same comparison gives the same bytes");
    }

    /// Whatever the contents name is there, once.
    #[test]
    fn every_anchor_has_one_place() {
        let html = page(&fixture::sweep());
        let ids = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect::<Vec<_>>();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{ids:?}");
        let wanted = html.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        wanted.for_each(|anchor| assert!(once.contains(&anchor), "#{anchor}"));
    }

    #[test]
    fn a_sweep_with_holes_says_why_it_has_no_importance() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        let html = page(&comparison);
        assert!(html.contains("of the 8 combinations of the axis values the sweep has 6, and PED-ANOVA takes 8 cells"));
    }

    #[test]
    fn many_axes_are_in_the_report() {
        let axes = ["size", "mask", "nsp", "schedule"];
        let axes = axes.map(|name| fixture::axis(name, &["a", "b"], crate::analysis::AxisKind::Category)).to_vec();
        let html = page(&fixture::sweep_over("four", axes, 2));
        assert!(html.contains("every cell to its"), "parallel coordinates are in the report");
    }

    #[test]
    fn text_from_an_experiment_file_is_escaped() {
        let mut comparison = fixture::sweep();
        comparison.experiment = "<b>&\"bold\"</b>".to_owned();
        let html = page(&comparison);
        assert!(!html.contains("<b>&\"bold") && html.contains("&lt;b&gt;&amp;"));
    }

    /// The marks of a run lead to its row, and the marks of a mean to its cells.
    #[test]
    fn figures_and_tables_speak_of_the_same_runs() {
        let comparison = fixture::sweep();
        let html = page(&comparison);
        for run in comparison.runs.iter().filter(|run| !run.series.is_empty()) {
            let id = run.id.as_ref().unwrap();
            assert!(html.contains(&format!("<g data-run=\"{id}\">")), "{id} is in no figure");
            assert!(html.contains(&format!("<tr data-run=\"{id}\"")), "{id} is in no table");
        }
        assert!(
            html.contains("<g data-set=\"size=mini\t")
                && html.contains("data-set=\"size=tiny\tmask_ratio=0.15\tnsp=off\"")
        );
    }
}
