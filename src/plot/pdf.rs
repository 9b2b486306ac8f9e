//! A scene as a PDF: vectors, and text that can be searched and copied, set in subsets of the fonts that it was measured with.
//!
//! Every font is a composite one whose codes are the numbers of the subset's glyphs, with a table back to characters
//! (ISO 32000-1, 9.7 and 9.10.3). There is no date and nothing random in the file: the same figure gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::types::{CidFontType, FontFlags, LineJoinStyle, SystemInfo, TextRenderingMode, UnicodeCmap};
use pdf_writer::{Content, Filter, Finish as _, Name, Pdf, Rect, Ref, Str, TextStr};
use subsetter::GlyphRemapper;

use super::figure::Colour;
use super::layout::{Anchor, Scene, Shape, Text};
use super::text::{EMBOLDENING, Face, Fonts, Found};
use super::theme::Theme;

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
/// The first of the numbers that are given out as they are needed.
const FIRST_FREE: i32 = 6;

/// The control points of a quarter circle, as a share of its radius.
const QUARTER: f64 = 0.552_284_75;

const IDENTITY: SystemInfo = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// A font cannot be taken apart.
#[derive(Debug, thiserror::Error)]
#[error("the font {font} cannot be embedded in a PDF: {source}")]
pub struct NotEmbedded {
    font: &'static str,
    source: subsetter::Error,
}

/// The bytes of a PDF of one page, as large as the scene, in light colours.
///
/// # Errors
/// When a font that somebody gave can be drawn, but not embedded.
pub fn pdf(scene: &Scene, title: &str, fonts: &Fonts<'_>) -> Result<Vec<u8>, NotEmbedded> {
    let mut ink =
        Ink { content: Content::new(), height: scene.height, fonts, used: BTreeMap::new(), opacities: Vec::new() };
    ink.content.set_line_join(LineJoinStyle::RoundJoin);
    for shape in &scene.shapes {
        ink.shape(shape);
    }
    let (content, used, opacities) = (ink.content.finish(), ink.used, ink.opacities);
    let mut pdf = Pdf::new();
    let mut next = FIRST_FREE;
    let mut states = BTreeMap::new();
    for (i, &opacity) in opacities.iter().enumerate() {
        let id = Ref::new(next);
        next += 1;
        pdf.ext_graphics(id).non_stroking_alpha(opacity as f32);
        states.insert(format!("O{i}"), id);
    }
    let mut faces = BTreeMap::new();
    for (place, glyphs) in &used {
        faces.insert(format!("F{place}"), embed(&mut pdf, &mut next, fonts.face(*place), glyphs)?);
    }
    pdf.catalog(CATALOG).pages(PAGES);
    pdf.document_info(INFO).title(TextStr(title)).producer(TextStr("ablate"));
    pdf.pages(PAGES).kids([PAGE]).count(1);
    let mut page = pdf.page(PAGE);
    page.media_box(Rect::new(0.0, 0.0, scene.width as f32, scene.height as f32)).parent(PAGES).contents(CONTENT);
    let mut resources = page.resources();
    let mut dictionary = resources.fonts();
    for (name, id) in &faces {
        dictionary.pair(Name(name.as_bytes()), *id);
    }
    dictionary.finish();
    let mut dictionary = resources.ext_g_states();
    for (name, id) in &states {
        dictionary.pair(Name(name.as_bytes()), *id);
    }
    dictionary.finish();
    resources.finish();
    page.finish();
    pdf.stream(CONTENT, &deflated(content.as_slice())).filter(Filter::FlateDecode);
    Ok(pdf.finish())
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("invariant: memory takes what is written")
}

/// The glyphs that a page uses of one face.
#[derive(Default)]
struct Glyphs {
    remapper: GlyphRemapper,
    /// By number in the subset: the character, and the advance in thousandths of an em.
    subset: BTreeMap<u16, (char, f64)>,
    /// In the font file.
    originals: BTreeSet<u16>,
}

/// What draws on the page. A PDF's y points up.
struct Ink<'a> {
    content: Content,
    height: f64,
    fonts: &'a Fonts<'a>,
    used: BTreeMap<usize, Glyphs>,
    opacities: Vec<f64>,
}

impl Ink<'_> {
    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Path { points, width, colour } => {
                let [r, g, b] = rgb(*colour);
                self.content.set_stroke_rgb(r, g, b).set_line_width(*width as f32);
                self.outline(points);
                self.content.stroke();
            }
            Shape::Area { points, colour, opacity } => {
                self.content.save_state();
                self.set_opacity(*opacity);
                self.set_fill(*colour);
                self.outline(points);
                self.content.close_path().fill_nonzero().restore_state();
            }
            Shape::Disc { centre, radius, colour } => {
                self.set_fill(*colour);
                self.circle(*centre, *radius);
                self.content.fill_nonzero();
            }
            Shape::Text(text) => self.text(text),
        }
    }

    fn set_fill(&mut self, colour: Colour) {
        let [r, g, b] = rgb(colour);
        self.content.set_fill_rgb(r, g, b);
    }

    fn set_opacity(&mut self, opacity: f64) {
        let known = self.opacities.iter().position(|&other| other == opacity);
        let place = known.unwrap_or_else(|| {
            self.opacities.push(opacity);
            self.opacities.len() - 1
        });
        self.content.set_parameters(Name(format!("O{place}").as_bytes()));
    }

    fn outline(&mut self, points: &[(f64, f64)]) {
        for (i, &(x, y)) in points.iter().enumerate() {
            let (x, y) = (x as f32, (self.height - y) as f32);
            if i == 0 {
                self.content.move_to(x, y)
            } else {
                self.content.line_to(x, y)
            };
        }
    }

    /// Four cubic curves.
    fn circle(&mut self, (x, y): (f64, f64), radius: f64) {
        let at = |dx: f64, dy: f64| ((x + radius * dx) as f32, (self.height - y + radius * dy) as f32);
        let quarters = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)];
        let curves = (0..4).map(|i| {
            let ((ax, ay), (bx, by)) = (quarters[i], quarters[(i + 1) % 4]);
            [at(ax + QUARTER * bx, ay + QUARTER * by), at(bx + QUARTER * ax, by + QUARTER * ay), at(bx, by)]
        });
        let (start, curves) = (at(1.0, 0.0), curves.collect::<Vec<_>>());
        self.content.move_to(start.0, start.1);
        for [(ax, ay), (bx, by), (cx, cy)] in curves {
            self.content.cubic_to(ax, ay, bx, by, cx, cy);
        }
        self.content.close_path();
    }

    fn text(&mut self, text: &Text) {
        let shown = self.fonts.drawable(&text.text, text.bold, &mut BTreeSet::new());
        let width = self.fonts.width(&shown, text.size, text.bold);
        let before = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (x, y) = (text.at.0, self.height - text.at.1);
        let matrix = if text.upright {
            [0.0, 1.0, -1.0, 0.0, x as f32, (y - before) as f32]
        } else {
            [1.0, 0.0, 0.0, 1.0, (x - before) as f32, y as f32]
        };
        self.content.save_state().begin_text().set_text_matrix(matrix);
        self.set_fill(text.colour);
        let mut current = None;
        let mut codes = Vec::new();
        for c in shown.chars() {
            let Some(found) = self.fonts.find(c, text.bold) else { continue };
            if current.is_some_and(|face| face != found.face) {
                self.content.show(Str(&std::mem::take(&mut codes)));
            }
            if current != Some(found.face) {
                self.set_face(found, text);
                current = Some(found.face);
            }
            codes.extend(self.code(found, c).to_be_bytes());
        }
        self.content.show(Str(&codes)).end_text().restore_state();
    }

    fn set_face(&mut self, found: Found, text: &Text) {
        self.content.set_font(Name(format!("F{}", found.face).as_bytes()), text.size as f32);
        let mode = if found.is_emboldened { TextRenderingMode::FillStroke } else { TextRenderingMode::Fill };
        self.content.set_text_rendering_mode(mode);
        if found.is_emboldened {
            let [r, g, b] = rgb(text.colour);
            self.content.set_stroke_rgb(r, g, b).set_line_width((EMBOLDENING * text.size) as f32);
        }
    }

    /// The number of the glyph in the subset.
    fn code(&mut self, found: Found, c: char) -> u16 {
        let glyphs = self.used.entry(found.face).or_default();
        let code = glyphs.remapper.remap(found.id());
        glyphs.subset.entry(code).or_insert((c, 1000.0 * self.fonts.advance(found)));
        glyphs.originals.insert(found.id());
        code
    }
}

fn rgb(colour: Colour) -> [f32; 3] {
    Theme::LIGHT.rgb(colour).map(|channel| f32::from(channel) / 255.0)
}

/// Writes the used part of a font, and returns its number.
fn embed(pdf: &mut Pdf, next: &mut i32, face: &Face<'_>, glyphs: &Glyphs) -> Result<Ref, NotEmbedded> {
    let [font, descendant, descriptor, file, characters] = std::array::from_fn(|i| Ref::new(*next + i as i32));
    *next += 5;
    let subset = subsetter::subset(face.bytes, 0, &glyphs.remapper);
    let subset = subset.map_err(|source| NotEmbedded { font: face.name, source })?;
    let name = format!("{}+{}", tag(&glyphs.originals), face.name);
    let name = Name(name.as_bytes());
    pdf.type0_font(font)
        .base_font(name)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(descendant)
        .to_unicode(characters);
    let mut cid = pdf.cid_font(descendant);
    cid.subtype(if face.is_postscript() { CidFontType::Type0 } else { CidFontType::Type2 });
    cid.base_font(name).system_info(IDENTITY).font_descriptor(descriptor).default_width(1000.0);
    if !face.is_postscript() {
        cid.cid_to_gid_map_predefined(Name(b"Identity"));
    }
    let mut widths = cid.widths();
    for (code, (_, advance)) in &glyphs.subset {
        widths.consecutive(*code, [*advance as f32]);
    }
    widths.finish();
    cid.finish();
    let bounds = glyphs.originals.iter().filter_map(|&id| face.bounds(id));
    let [left, bottom, right, top] = bounds.fold([0.0; 4], |all: [f64; 4], one| {
        [all[0].min(one[0]), all[1].min(one[1]), all[2].max(one[2]), all[3].max(one[3])]
    });
    let [ascent, descent] = face.ascent_and_descent();
    let mut about = pdf.font_descriptor(descriptor);
    about
        .name(name)
        .flags(FontFlags::SYMBOLIC)
        .bbox(Rect::new(left as f32, bottom as f32, right as f32, top as f32))
        .italic_angle(0.0)
        .ascent(ascent as f32)
        .descent(descent as f32)
        .cap_height(ascent as f32)
        .stem_v(80.0);
    if face.is_postscript() {
        about.font_file3(file)
    } else {
        about.font_file2(file)
    };
    about.finish();
    let packed = deflated(&subset);
    let mut stream = pdf.stream(file, &packed);
    stream.filter(Filter::FlateDecode);
    if face.is_postscript() {
        stream.pair(Name(b"Subtype"), Name(b"OpenType"));
    }
    stream.finish();
    let mut back = UnicodeCmap::<u16>::new(Name(b"Characters"), IDENTITY);
    glyphs.subset.iter().for_each(|(code, (c, _))| back.pair(*code, *c));
    pdf.cmap(characters, back.finish().as_slice());
    Ok(font)
}

/// Six letters that tell subsets of one font apart (ISO 32000-1, 9.6.4): a hash of the glyphs (FNV-1a).
fn tag(glyphs: &BTreeSet<u16>) -> String {
    let bytes = glyphs.iter().flat_map(|id| id.to_be_bytes());
    let mut hash = bytes
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    let mut tag = String::new();
    for _ in 0..6 {
        tag.push(char::from(b'A' + (hash % 26) as u8));
        hash /= 26;
    }
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::charts::tests::every_figure;
    use crate::plot::layout::lay_out;
    use crate::plot::page::Page;
    use crate::plot::text::ExtraFont;

    fn count(bytes: &[u8], wanted: &str) -> usize {
        bytes.windows(wanted.len()).filter(|window| *window == wanted.as_bytes()).count()
    }

    #[test]
    fn every_figure_is_a_pdf_as_large_as_its_scene() {
        let fonts = Fonts::new(None);
        for figure in every_figure() {
            for page in [Page::REPORT, Page::COLUMN] {
                let scene = lay_out(&figure, &page, &fonts);
                let bytes = pdf(&scene, &figure.title, &fonts).unwrap();
                assert!(bytes.starts_with(b"%PDF-1.7") && bytes.ends_with(b"%%EOF"), "{}", figure.name);
                let size = format!("/MediaBox [0 0 {} {}]", scene.width as f32, scene.height as f32);
                assert_eq!(count(&bytes, &size), 1, "{size}");
                assert_eq!(count(&bytes, "/FontFile2"), count(&bytes, "/ToUnicode"));
                assert!(bytes == pdf(&scene, &figure.title, &fonts).unwrap(), "the same figure gives the same bytes");
            }
        }
    }

    /// Each face that a figure uses is in the file once, as a subset that is small.
    #[test]
    fn fonts_are_embedded_as_subsets() {
        let mut figure = every_figure().remove(0);
        figure.title = "마스크 비율".to_owned();
        let check = |fonts: &Fonts<'_>, names: &[&str]| {
            let bytes = pdf(&lay_out(&figure, &Page::REPORT, fonts), "", fonts).unwrap();
            for name in names {
                assert!(count(&bytes, &format!("+{name}\n")) + count(&bytes, &format!("+{name} ")) >= 1, "{name}");
            }
            assert_eq!(count(&bytes, "/FontFile2"), names.len());
            assert!(bytes.len() < 60_000, "{}", bytes.len());
        };
        check(&Fonts::new(None), &["DejaVuSans", "DejaVuSans-Bold", "AblateHangul-Bold"]);
        let extra = ExtraFont::new(Fonts::new(None).face(2).bytes.to_vec()).unwrap();
        check(&Fonts::new(Some(&extra)), &["DejaVuSans", "DejaVuSans-Bold", "ExtraFont"]);
    }

    #[test]
    fn subsets_of_other_glyphs_have_other_tags() {
        let tags = [vec![1, 2], vec![1, 3], vec![]].map(|glyphs| tag(&glyphs.into_iter().collect()));
        assert!(tags.iter().all(|tag| tag.len() == 6 && tag.bytes().all(|b| b.is_ascii_uppercase())));
        assert!(tags[0] != tags[1] && tags[1] != tags[2]);
    }
}
