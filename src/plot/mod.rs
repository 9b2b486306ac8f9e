//! Plot: numbers become figures that can be printed in a paper.
//!
//! [`charts`] turns a comparison into a [`Figure`], which is plain data in the units of the measurement; [`layout`]
//! turns it into a scene of shapes in points, with measured text, on a [`Page`]; [`render`] and [`pdf`] turn that into
//! SVG, PNG or PDF bytes and are the only places that know a drawing library. Colours are roles until a [`theme`] gives
//! them values, and the role of an axis value is the same in every figure. A mark may say whose it is, so that a page can
//! link figures and tables.

pub mod charts;
mod figure;
mod inline;
mod labels;
mod layout;
mod narrow;
mod page;
mod palette;
mod pdf;
mod render;
mod text;
mod theme;
pub mod ticks;

pub use figure::{Colour, Dash, Figure, Ink, Label, Mark, Owned, Owner, Panel, PlotAxis, Scale, Since, Stroke, Tick};
pub use inline::{Inline, render_inline};
pub use page::Page;
pub use palette::Palette;
pub use render::{MissingGlyphs, Picture, Png, RenderError, render_svg};
pub use text::{ExtraFont, Fonts, InvalidFont};
pub use theme::Theme;
