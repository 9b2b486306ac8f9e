//! A comparison as files: every figure as SVG and PNG, and the page that holds them all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::page::{Page, Record};
use super::{ReportError, Wanted};
use crate::analysis::Comparison;
use crate::plot::charts::standard_figures;
use crate::plot::{ExtraFont, Theme, render_png, render_svg};
use crate::store::write_atomic;

/// Where and how a comparison is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    pub folder: &'a Path,
    /// A font for what the built-in one lacks.
    pub font: Option<&'a Path>,
    pub wanted: &'a Wanted,
    /// Where the comparison comes from, for the foot of the page.
    pub record: &'a Record,
}

/// What was drawn.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The page.
    pub report: PathBuf,
    /// Characters that the PNG files could not show.
    pub missing: BTreeSet<char>,
}

/// Writes figures and page.
///
/// # Errors
/// When the font cannot be used or the folder cannot be written.
pub fn draw(comparison: &Comparison, drawing: &Drawing) -> Result<Drawn, ReportError> {
    let folder = drawing.folder;
    fs::create_dir_all(folder).map_err(|source| ReportError::Folder { folder: folder.to_owned(), source })?;
    let font = drawing.font.map(read_font).transpose()?;
    let mut figures = standard_figures(comparison, &drawing.wanted.choice);
    figures.retain(|figure| drawing.wanted.has(&figure.name));
    let put = |name: String, bytes: &[u8]| -> Result<(), ReportError> {
        Ok(write_atomic(&folder.join(name), |file| file.write_all(bytes))?)
    };
    let mut missing = BTreeSet::new();
    for figure in &figures {
        put(format!("{}.svg", figure.name), render_svg(figure)?.as_bytes())?;
        let png = render_png(figure, &Theme::LIGHT, font.as_ref())?;
        put(format!("{}.png", figure.name), &png.bytes)?;
        missing.extend(png.missing.into_iter().flat_map(|missing| missing.characters));
    }
    let html = Page { comparison, figures: &figures, record: drawing.record }.html()?;
    put("report.html".into(), html.as_bytes())?;
    Ok(Drawn { report: folder.join("report.html"), missing })
}

fn read_font(path: &Path) -> Result<ExtraFont, ReportError> {
    let bytes = fs::read(path).map_err(|source| ReportError::FontFile { path: path.to_owned(), source })?;
    ExtraFont::new(bytes).map_err(|source| ReportError::Font { path: path.to_owned(), source })
}
