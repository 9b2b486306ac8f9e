//! A comparison as files: every figure as SVG, PNG and PDF, its captions and its tables as text, and the page that holds all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use maud::Markup;

use super::captions::captions;
use super::page::{Page, Record};
use super::tables::{csv, latex, tables};
use super::{ReportError, Wanted};
use crate::analysis::Comparison;
use crate::plot::charts::{Choice, standard_figures};
use crate::plot::{ExtraFont, Fonts, Picture, Theme};
use crate::store::write_atomic;

/// Where and how a comparison is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    pub folder: &'a Path,
    /// A font for what the built-in ones lack, and for Hangul in place of theirs.
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
    /// Characters that PNG and PDF files could not show.
    pub missing: BTreeSet<char>,
}

/// Writes figures, captions, tables and page.
///
/// # Errors
/// When the font cannot be used or the folder cannot be written.
pub fn draw(comparison: &Comparison, drawing: &Drawing) -> Result<Drawn, ReportError> {
    let folder = drawing.folder;
    let tables_folder = folder.join("tables");
    fs::create_dir_all(&tables_folder).map_err(|source| ReportError::Folder { folder: tables_folder, source })?;
    let font = drawing.font.map(read_font).transpose()?;
    let mut figures = standard_figures(comparison, &drawing.wanted.choice);
    figures.retain(|figure| drawing.wanted.has(figure));
    let put = |name: String, bytes: &[u8]| -> Result<(), ReportError> {
        Ok(write_atomic(&folder.join(name), |file| file.write_all(bytes))?)
    };
    let fonts = Fonts::new(font.as_ref());
    let mut missing = BTreeSet::new();
    for figure in &figures {
        let picture = Picture::new(figure, &drawing.wanted.page, &fonts);
        let png = picture.png(&Theme::LIGHT)?;
        put(format!("{}.svg", figure.name), picture.svg()?.as_bytes())?;
        put(format!("{}.png", figure.name), &png.bytes)?;
        put(format!("{}.pdf", figure.name), &picture.pdf()?)?;
        missing.extend(png.missing.into_iter().flat_map(|missing| missing.characters));
    }
    put("captions.md".into(), captions(comparison, &figures).as_bytes())?;
    for table in &tables(comparison) {
        put(format!("tables/{}.csv", table.name), csv(table).as_bytes())?;
        put(format!("tables/{}.tex", table.name), latex(table).as_bytes())?;
    }
    let html = Page { comparison, figures: &figures, record: drawing.record }.html()?;
    put("report.html".into(), html.as_bytes())?;
    Ok(Drawn { report: folder.join("report.html"), missing })
}

/// The page of a comparison alone, as a server sends it: `script` brings its script, and `home` is where all runs are.
///
/// # Errors
/// When a figure cannot be drawn.
pub fn served(comparison: &Comparison, record: &Record, script: &Markup, home: &str) -> Result<String, ReportError> {
    let figures = standard_figures(comparison, &Choice::default());
    Ok(Page { comparison, figures: &figures, record }.html_served(script, home)?)
}

fn read_font(path: &Path) -> Result<ExtraFont, ReportError> {
    let bytes = fs::read(path).map_err(|source| ReportError::FontFile { path: path.to_owned(), source })?;
    ExtraFont::new(bytes).map_err(|source| ReportError::Font { path: path.to_owned(), source })
}
