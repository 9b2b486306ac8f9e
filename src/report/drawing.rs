//! A comparison as files: every figure as SVG, PNG and PDF, its captions and its tables as text, and the page that holds all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::captions::captions;
use super::tables::{csv, latex, tables};
use super::{ReportError, Wanted};
use crate::analysis::Comparison;
use crate::plot::charts::standard_figures;
use crate::plot::{ExtraFont, Fonts, Picture, Report, Theme, report_html};
use crate::store::write_atomic;

/// Where and how a comparison is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    pub folder: &'a Path,
    /// Whether the folder is this comparison's own, so that figures of an earlier one are taken out of it.
    pub owns_folder: bool,
    /// A font for what the built-in ones lack, and for Hangul in place of theirs.
    pub font: Option<&'a Path>,
    pub wanted: &'a Wanted,
    /// Names and values for the foot of the page.
    pub provenance: &'a [(String, String)],
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
    let tables = tables(comparison);
    for table in &tables {
        put(format!("tables/{}.csv", table.name), csv(table).as_bytes())?;
        put(format!("tables/{}.tex", table.name), latex(table).as_bytes())?;
    }
    let html = report_html(&Report { comparison, figures: &figures, provenance: drawing.provenance })?;
    put("report.html".into(), html.as_bytes())?;
    if drawing.owns_folder {
        remove_stale(folder, &["svg", "png", "pdf"], &figures.iter().map(|figure| figure.name.as_str()).collect());
        remove_stale(&folder.join("tables"), &["csv", "tex"], &tables.iter().map(|table| table.name).collect());
    }
    Ok(Drawn { report: folder.join("report.html"), missing })
}

/// Figures and tables of an earlier comparison that this one does not have would be taken for current.
fn remove_stale(folder: &Path, extensions: &[&str], current: &BTreeSet<&str>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_drawn = path.extension().is_some_and(|extension| extensions.iter().any(|known| extension == *known));
        if is_drawn && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| !current.contains(stem)) {
            let _ = fs::remove_file(path);
        }
    }
}

fn read_font(path: &Path) -> Result<ExtraFont, ReportError> {
    let bytes = fs::read(path).map_err(|source| ReportError::FontFile { path: path.to_owned(), source })?;
    ExtraFont::new(bytes).map_err(|source| ReportError::Font { path: path.to_owned(), source })
}
