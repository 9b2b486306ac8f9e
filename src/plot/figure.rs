//! A figure as plain data: what is drawn and in which role, in the units of the measurement; nothing about pixels.

use std::ops::Range;

use serde::Serialize;

/// The width of every figure: the text width of a journal page, 6.5 inches.
pub const WIDTH_PT: f64 = 468.0;
/// The height of a figure that has no reason for another: 4 inches.
pub const HEIGHT_PT: f64 = 288.0;

/// One figure: a grid of panels with a title above and a caption below.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Which of the kinds that `report.figures` names it is: `curves`.
    pub kind: &'static str,
    /// The stem of its file name, unique in a report: `curves-valid-mlm_loss`.
    pub name: String,
    pub title: String,
    /// What is shown, or averaged over.
    pub subtitle: String,
    /// How to read colours, dashes and dots, below the subtitle. The floors of the panels follow by themselves.
    pub legend: Vec<LegendItem>,
    /// What the error bars mean, how many seeds there are, what is left out.
    pub caption: String,
    /// In points; grows where labels need more room.
    pub height: f64,
    /// Panels a row.
    pub columns: usize,
    pub panels: Vec<Panel>,
}

/// One coordinate system with what is drawn in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    pub title: String,
    pub x: PlotAxis,
    pub y: PlotAxis,
    pub marks: Vec<Mark>,
    /// Texts on the right of the panel, each as near as it can be to the height of what it names.
    pub labels: Vec<Label>,
    /// Whose some of the marks and labels are.
    pub owned: Vec<Owned>,
}

/// How many marks and labels a panel had: what is drawn since can be given to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    marks: usize,
    labels: usize,
}

impl Panel {
    /// What there is so far.
    pub fn so_far(&self) -> Since {
        Since { marks: self.marks.len(), labels: self.labels.len() }
    }

    /// Says whose everything is that was drawn since.
    pub fn give(&mut self, since: Since, owner: Owner) {
        let (marks, labels) = (since.marks..self.marks.len(), since.labels..self.labels.len());
        self.owned.push(Owned { marks, labels, owner });
    }

    /// Whose the mark at this place is.
    pub(super) fn owner_of_mark(&self, place: usize) -> Option<&Owner> {
        self.owned.iter().find(|owned| owned.marks.contains(&place)).map(|owned| &owned.owner)
    }

    /// Whose the label at this place is.
    pub(super) fn owner_of_label(&self, place: usize) -> Option<&Owner> {
        self.owned.iter().find(|owned| owned.labels.contains(&place)).map(|owned| &owned.owner)
    }
}

/// Marks and labels of one owner, by their places in the panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Owned {
    pub marks: Range<usize>,
    pub labels: Range<usize>,
    pub owner: Owner,
}

/// Whose a mark is: by this a page finds the same run, or the same value of an axis, in another figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Owner {
    /// A run, by its id.
    Run(String),
    /// Runs that have these values of axes in common.
    Settings(Vec<(String, String)>),
}

/// A part of the legend, which runs on like text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum LegendItem {
    /// What the entries after it are values of.
    Heading(String),
    Entry {
        sample: Sample,
        text: String,
    },
}

/// What an entry of a legend explains.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Sample {
    Line(Stroke),
    Dot {
        colour: Colour,
        filled: bool,
    },
    /// A line with dots on it.
    LineAndDot {
        stroke: Stroke,
        filled: bool,
    },
    Cross(Colour),
    /// Colours of a scale, from its low end to its high one.
    Scale(Vec<Colour>),
    Floor,
}

/// An axis of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlotAxis {
    /// Quantity and unit: `validation MLM loss (nats/token)`.
    pub label: String,
    pub scale: Scale,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<Tick>,
    /// Whether the ticks have grid lines.
    pub grid: bool,
}

/// How values map to lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Scale {
    Linear,
    Log10,
}

/// A labelled place on an axis; the text may have several lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tick {
    pub at: f64,
    pub text: String,
}

/// Something drawn; coordinates are those of the panel's axes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Mark {
    Line {
        points: Vec<(f64, f64)>,
        stroke: Stroke,
    },
    /// A filled region between two edges over the same x.
    Band {
        low: Vec<(f64, f64)>,
        high: Vec<(f64, f64)>,
        colour: Colour,
    },
    Dot {
        at: (f64, f64),
        radius: f64,
        colour: Colour,
        filled: bool,
    },
    /// The place where a run ended before its time.
    Cross {
        at: (f64, f64),
        colour: Colour,
    },
    /// A vertical interval.
    Interval {
        x: f64,
        low: f64,
        high: f64,
        colour: Colour,
    },
    /// Text on a patch of background, just right of its place.
    Note {
        at: (f64, f64),
        text: String,
        colour: Colour,
    },
    /// Text left of its place, and below or above it, where nothing is drawn: outside a front.
    Tag {
        at: (f64, f64),
        text: String,
        colour: Colour,
        below: bool,
    },
    /// A horizontal interval.
    Span {
        y: f64,
        low: f64,
        high: f64,
        colour: Colour,
    },
    /// A reference line over the whole width that nothing else looks like; its name is in the legend.
    Floor {
        y: f64,
        text: String,
    },
    /// A reference line over the whole height.
    Zero {
        x: f64,
    },
    /// A filled rectangle with lines of words in its middle, in an ink that stands out from it.
    Tile {
        centre: (f64, f64),
        width: f64,
        height: f64,
        colour: Colour,
        text: String,
        ink: Ink,
    },
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stroke {
    pub colour: Colour,
    /// In points.
    pub width: f64,
    pub dash: Dash,
}

/// The pattern of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
}

impl Dash {
    /// The pattern for the value at `index` of an axis; patterns repeat after the third.
    pub fn nth(index: usize) -> Self {
        [Self::Solid, Self::Dashed, Self::Dotted][index % 3]
    }

    /// Lengths of ink and gap in points, at a line width of one point; absent for a solid line.
    pub fn pattern(self) -> Option<[f64; 2]> {
        match self {
            Self::Solid => None,
            Self::Dashed => Some([2.8, 1.5]),
            Self::Dotted => Some([1.0, 1.5]),
        }
    }

    /// How a reader would call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
            Self::Dotted => "dotted",
        }
    }
}

/// A role with its strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Colour {
    pub ink: Ink,
    /// Mixed with the background: for replicates behind their mean.
    pub pale: bool,
}

impl Colour {
    /// The role at full strength.
    pub const fn full(ink: Ink) -> Self {
        Self { ink, pale: false }
    }

    /// The role mixed with the background.
    pub const fn pale(ink: Ink) -> Self {
        Self { ink, pale: true }
    }
}

/// What a colour stands for; a theme knows its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Ink {
    Background,
    Text,
    /// Secondary text, and whatever is not conclusive.
    Muted,
    Grid,
    /// The k-th unordered value.
    Category(u8),
    /// Place `index` of `of` on a sequential ramp.
    Ramp {
        ramp: u8,
        index: u8,
        of: u8,
    },
}

/// Text at the right edge of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// What it names, such as the end of a line.
    pub at: (f64, f64),
    pub text: String,
    pub colour: Colour,
}
