//! Plot: numbers become figures that can be printed in a paper.
//!
//! [`charts`] turns a comparison into a [`Figure`], which is plain data in the units of the measurement; [`layout`]
//! turns it into a scene of shapes in points, with measured text; [`render`] turns that into SVG or PNG bytes and is the
//! only place that knows a drawing library. Colours are roles until a [`theme`] gives them values, and the role of an
//! axis value is the same in every figure. A mark may say whose it is, so that a page can link figures and tables.

pub mod charts;
mod figure;
mod inline;
mod labels;
mod layout;
mod palette;
mod render;
mod text;
mod theme;
pub mod ticks;

pub use figure::{Colour, Dash, Figure, Ink, Label, Mark, Owned, Owner, Panel, PlotAxis, Scale, Since, Stroke, Tick};
pub use inline::{Inline, render_inline};
pub use palette::Palette;
pub use render::{MissingGlyphs, Png, RenderError, render_png, render_svg};
pub use text::{ExtraFont, InvalidFont};
pub use theme::Theme;
