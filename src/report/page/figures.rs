//! The figures of the page: drawings with their words as text, and the switches that show a part of all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::Section;
use crate::analysis::Comparison;
use crate::plot::{Colour, Figure, Inline, Palette, RenderError, Theme, render_inline};

/// Values of an axis that have a switch each, at most.
const MOST_SWITCHES: usize = 8;

/// All figures, drawn.
pub(super) struct Drawn<'a> {
    comparison: &'a Comparison,
    figures: Vec<(&'a Figure, Inline)>,
}

impl<'a> Drawn<'a> {
    pub fn of(comparison: &'a Comparison, figures: &'a [Figure]) -> Result<Self, RenderError> {
        let figures = figures.iter().map(|figure| Ok((figure, render_inline(figure)?))).collect::<Result<_, _>>()?;
        Ok(Self { comparison, figures })
    }

    /// The dark value of every light colour, for all figures at once.
    pub fn style(&self) -> String {
        let colours = self.figures.iter().flat_map(|(_, inline)| &inline.dark).collect::<BTreeMap<_, _>>();
        let mut style = String::new();
        for (light, dark) in colours {
            for property in ["fill", "stroke"] {
                let _ = write!(style, ".plot [{property}=\"{light}\"]{{{property}:light-dark({light},{dark})}}");
            }
        }
        style
    }

    pub fn section(&self) -> Option<Section> {
        let parts = self.figures.iter().map(|(figure, _)| (anchor(figure), short(self.comparison, figure)));
        let body = html! {
            (switches(self.comparison))
            @for (i, (figure, inline)) in self.figures.iter().enumerate() { (self.figure(i, figure, inline)) }
        };
        let section = Section { id: "figures", title: "Figures", parts: parts.collect(), body };
        (!self.figures.is_empty()).then_some(section)
    }

    fn figure(&self, i: usize, figure: &Figure, inline: &Inline) -> Markup {
        let id = anchor(figure);
        html! {
            figure id=(id) {
                h3 { (short(self.comparison, figure)) }
                @if !figure.subtitle.is_empty() { p.legend { (figure.subtitle) } }
                div.plot { (PreEscaped(&inline.svg)) }
                figcaption {
                    b { "Figure " (i + 1) ". " } (figure.caption)
                    span.files {
                        @for format in ["svg", "png", "pdf"] { a href={ (figure.name) "." (format) } { (format.to_uppercase()) } " " }
                        button.enlarge type="button" hidden { "Enlarge" }
                    }
                }
            }
        }
    }
}

fn anchor(figure: &Figure) -> String {
    let plain = |c: char| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    format!("figure-{}", figure.name.chars().map(plain).collect::<String>())
}

/// The title without the name of the experiment, which the page has above it.
fn short(comparison: &Comparison, figure: &Figure) -> String {
    let title = figure.title.strip_prefix(&comparison.experiment).unwrap_or(&figure.title);
    let title = title.trim_start_matches([':', ' ']);
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A box to tick for each value of each axis. The script shows them; without it, everything is shown.
fn switches(comparison: &Comparison) -> Markup {
    let palette = Palette::of(&comparison.axes);
    let axes = comparison.axes.iter().filter(|axis| (2..=MOST_SWITCHES).contains(&axis.values.len()));
    html! {
        form.switches aria-label="Shown settings" hidden {
            @for axis in axes {
                fieldset {
                    legend { (axis.name) }
                    @for value in &axis.values {
                        label {
                            input type="checkbox" checked data-axis=(axis.name) value=(value);
                            (swatch(&palette, &axis.name, value)) (value)
                        }
                    }
                }
            }
            output {}
        }
    }
}

/// A small square in the colour that the value has in the figures.
pub(super) fn swatch(palette: &Palette, axis: &str, value: &str) -> Markup {
    let colour = Colour::full(palette.ink(axis, value));
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02X}{g:02X}{b:02X}");
    let (light, dark) = (hex(Theme::LIGHT.rgb(colour)), hex(Theme::DARK.rgb(colour)));
    html! { span.swatch style={ "background:" (light) ";background:light-dark(" (light) "," (dark) ")" } {} }
}
