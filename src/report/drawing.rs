//! A comparison as files: every figure as SVG, PNG and PDF, its captions and its tables as text, and the page that holds all.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::captions::captions;
use super::page::{Page, Record, Served};
use super::tables::{csv, latex, tables};
use super::{ReportError, Wanted};
use crate::analysis::Comparison;
use crate::plot::charts::standard_figures;
use crate::plot::{ExtraFont, Figure, Fonts, Picture, Theme};
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

/// A comparison whose files are drawn one by one, when somebody asks for them.
#[derive(Debug)]
pub struct Album<'a> {
    comparison: &'a Comparison,
    figures: Vec<Figure>,
}

/// How a single figure is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Svg,
    Png,
    Pdf,
}

impl Format {
    pub const ALL: [(Self, &'static str); 3] = [(Self::Svg, "svg"), (Self::Png, "png"), (Self::Pdf, "pdf")];
}

impl<'a> Album<'a> {
    /// Everything that [`draw`] draws where nobody says what is wanted.
    pub fn of(comparison: &'a Comparison) -> Self {
        Self { comparison, figures: standard_figures(comparison, &Wanted::everything().choice) }
    }

    /// The names of the figures, in reading order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.figures.iter().map(|figure| figure.name.as_str())
    }

    /// A figure as [`draw`] writes it; absent where none has this name.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn figure(&self, name: &str, format: Format) -> Result<Option<Vec<u8>>, ReportError> {
        let Some(figure) = self.figures.iter().find(|figure| figure.name == name) else { return Ok(None) };
        let (fonts, page) = (Fonts::new(None), Wanted::everything().page);
        let picture = Picture::new(figure, &page, &fonts);
        Ok(Some(match format {
            Format::Svg => picture.svg()?.into_bytes(),
            Format::Png => picture.png(&Theme::LIGHT)?.bytes,
            Format::Pdf => picture.pdf()?,
        }))
    }

    /// The page alone, as a server sends it.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn page(&self, record: &Record, served: &Served<'_>) -> Result<String, ReportError> {
        Ok(Page { comparison: self.comparison, figures: &self.figures, record }.html_served(served)?)
    }
}

fn read_font(path: &Path) -> Result<ExtraFont, ReportError> {
    let bytes = fs::read(path).map_err(|source| ReportError::FontFile { path: path.to_owned(), source })?;
    ExtraFont::new(bytes).map_err(|source| ReportError::Font { path: path.to_owned(), source })
}
