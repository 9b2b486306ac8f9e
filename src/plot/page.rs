//! The page that a figure is drawn for: how wide it is, and whether the figure carries its own words.

use super::figure::WIDTH_PT;

/// The width of one of two columns: 3.3 inches.
const COLUMN_PT: f64 = 237.6;

/// Where a figure will stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Page {
    /// In points.
    pub width: f64,
    /// Whether title, explanation and caption are drawn; a paper sets them itself.
    pub has_words: bool,
}

impl Page {
    /// The text width of a page, with all words: what a report shows.
    pub const REPORT: Self = Self { width: WIDTH_PT, has_words: true };

    /// One of two columns, with all words.
    pub const COLUMN: Self = Self { width: COLUMN_PT, has_words: true };

    /// Whether figures made for the page have to be arranged anew.
    pub fn is_narrow(&self) -> bool {
        self.width < WIDTH_PT
    }

    /// The widest tick text, as a share of the page; what is wider ends in an ellipsis.
    pub fn widest_tick(&self) -> f64 {
        if self.is_narrow() { 0.5 } else { 0.36 }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::REPORT
    }
}
