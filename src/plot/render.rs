//! Rendering: a figure on its page becomes the bytes of an SVG, a PNG or a PDF, all of one scene. The same figure gives the
//! same bytes on every machine.
//!
//! plotters draws on whole units, so an SVG is drawn at ten units to the point and scaled by its view box, and a PNG at
//! three times its size and averaged down, which also smooths every edge. Text in an SVG stays text. In a PNG it is drawn
//! from the outlines of the embedded font at the final size, because plotters' own text ignores side bearings. A PDF is written
//! without plotters (`pdf`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use plotters::prelude::{BitMapBackend, Color, DrawingBackend, RGBColor, SVGBackend, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontStyle, FontTransform, IntoFont, TextStyle};

use super::figure::{Colour, Figure, Ink};
use super::layout::{Anchor, Scene, Shape, Text, lay_out};
use super::page::Page;
use super::pdf::{NotEmbedded, pdf};
use super::text::{FONT_FAMILY, Fonts};
use super::theme::Theme;

/// SVG units a point.
pub(super) const SVG_UNITS: f64 = 10.0;
/// PNG pixels a point: twice the 96 to the inch of a screen.
const PNG_PIXELS: f64 = 2.0 * 96.0 / 72.0;
/// A PNG is drawn so many times larger in each direction, then averaged.
const OVERSAMPLING: usize = 3;
/// The ratio that plotters divides font sizes by when it writes them to an SVG.
const PLOTTERS_FONT_RATIO: f64 = 1.24;
/// How far below its anchor plotters puts the baseline of text anchored at the top, in ems.
const PLOTTERS_BASELINE: f64 = 0.76;

/// A figure as a PNG.
pub struct Png {
    pub bytes: Vec<u8>,
    pub missing: Option<MissingGlyphs>,
}

/// Characters of a figure that no font has; each run of them is drawn as one question mark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the embedded fonts lack {} of the characters in `{figure}` (such as `{}`): they are `?` in PNG and PDF. The SVG has \
     them; for the others, give a font file that has them",
    characters.len(),
    characters.iter().take(6).collect::<String>()
)]
pub struct MissingGlyphs {
    pub figure: String,
    pub characters: BTreeSet<char>,
}

/// Drawing failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("cannot draw the figure `{figure}`: {reason}")]
    Draw { figure: String, reason: String },
    #[error("cannot encode the figure `{figure}` as PNG: {source}")]
    Encode { figure: String, source: png::EncodingError },
    #[error("cannot write the figure `{figure}` as PDF: {source}")]
    Embed { figure: String, source: NotEmbedded },
}

/// The figure of a report as an SVG document: see [`Picture::svg`].
pub fn render_svg(figure: &Figure) -> Result<String, RenderError> {
    Picture::new(figure, &Page::REPORT, &Fonts::new(None)).svg()
}

/// A figure laid out on its page, to be written in any format.
pub struct Picture<'a> {
    figure: &'a Figure,
    scene: Scene,
    fonts: &'a Fonts<'a>,
}

impl<'a> Picture<'a> {
    pub fn new(figure: &'a Figure, page: &Page, fonts: &'a Fonts<'a>) -> Self {
        Self { figure, scene: lay_out(figure, page, fonts), fonts }
    }

    /// An SVG document in light colours, which turn dark where the reader's screen prefers that.
    pub fn svg(&self) -> Result<String, RenderError> {
        let Self { figure, scene, .. } = self;
        let units = |points: f64| (points * SVG_UNITS).round() as u32;
        let mut drawn = String::new();
        let mut backend = SVGBackend::with_string(&mut drawn, (units(scene.width), units(scene.height)));
        let mut pen = Pen { backend: &mut backend, theme: &Theme::LIGHT, scale: SVG_UNITS, joins: Joins::Native };
        let failed = |reason: String| RenderError::Draw { figure: figure.name.clone(), reason };
        pen.background(scene).map_err(failed)?;
        for shape in &scene.shapes {
            match shape {
                Shape::Text(text) => pen.svg_text(text).map_err(failed)?,
                other => pen.shape(other).map_err(failed)?,
            }
        }
        backend.present().map_err(|error| failed(error.to_string()))?;
        drop(backend);
        let body = drawn.split_once('\n').map_or("", |(_, body)| body);
        Ok(svg_head(figure, scene) + body)
    }

    /// A PNG in `theme`.
    pub fn png(&self, theme: &Theme) -> Result<Png, RenderError> {
        let Self { figure, scene, fonts } = self;
        let size = |points: f64| (points * PNG_PIXELS).round() as usize;
        let (width, height) = (size(scene.width), size(scene.height));
        let mut canvas = Canvas { width, height, pixels: draw_shapes(scene, theme, width, height, &figure.name)? };
        let mut characters = BTreeSet::new();
        for shape in &scene.shapes {
            if let Shape::Text(text) = shape {
                canvas.text(text, fonts, theme, &mut characters);
            }
        }
        let bytes = canvas.encode().map_err(|source| RenderError::Encode { figure: figure.name.clone(), source })?;
        let missing = (!characters.is_empty()).then(|| MissingGlyphs { figure: figure.name.clone(), characters });
        Ok(Png { bytes, missing })
    }

    /// A PDF of one page in light colours, with its fonts inside.
    pub fn pdf(&self) -> Result<Vec<u8>, RenderError> {
        let Self { figure, scene, fonts } = self;
        pdf(scene, &figure.title, fonts).map_err(|source| RenderError::Embed { figure: figure.name.clone(), source })
    }
}

/// Our own opening tag: a physical size, round joins, a title for screen readers, and the dark theme as a style sheet.
fn svg_head(figure: &Figure, scene: &Scene) -> String {
    let (width, height) = (scene.width / 72.0, scene.height / 72.0);
    let (units_x, units_y) = ((scene.width * SVG_UNITS).round(), (scene.height * SVG_UNITS).round());
    let (id, title) = (escape(&figure.name), escape(&figure.title));
    let mut head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" id=\"{id}\" width=\"{width:.3}in\" height=\"{height:.3}in\" \
         viewBox=\"0 0 {units_x} {units_y}\" role=\"img\" aria-label=\"{title}\" stroke-linejoin=\"round\" \
         stroke-linecap=\"butt\">\n<title>{title}</title>\n<style>@media screen and (prefers-color-scheme:dark){{"
    );
    for (light, dark) in theme_map(scene) {
        let _ = write!(head, "#{id} [fill=\"{light}\"]{{fill:{dark}}}#{id} [stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    head.push_str("}</style>\n");
    head
}

/// The dark value of each light value in the scene, as plotters writes them.
pub(super) fn theme_map(scene: &Scene) -> BTreeMap<String, String> {
    let colours = scene.shapes.iter().map(|shape| match shape {
        Shape::Path { colour, .. } | Shape::Area { colour, .. } | Shape::Disc { colour, .. } => *colour,
        Shape::Text(text) => text.colour,
    });
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02X}{g:02X}{b:02X}");
    let colours = colours.chain([Colour::full(Ink::Background)]);
    colours.map(|colour| (hex(Theme::LIGHT.rgb(colour)), hex(Theme::DARK.rgb(colour)))).collect()
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Some shapes of a figure as elements of an SVG in light colours.
pub(super) fn svg_elements(figure: &Figure, shapes: &[Shape]) -> Result<String, RenderError> {
    let mut drawn = String::new();
    let mut backend = SVGBackend::with_string(&mut drawn, (1, 1));
    let mut pen = Pen { backend: &mut backend, theme: &Theme::LIGHT, scale: SVG_UNITS, joins: Joins::Native };
    let failed = |reason: String| RenderError::Draw { figure: figure.name.clone(), reason };
    for shape in shapes {
        match shape {
            Shape::Text(text) => pen.svg_text(text).map_err(failed)?,
            other => pen.shape(other).map_err(failed)?,
        }
    }
    backend.present().map_err(|error| failed(error.to_string()))?;
    drop(backend);
    Ok(drawn.split_once('\n').map_or("", |(_, body)| body).replace("</svg>", ""))
}

/// Everything but text, drawn large and averaged down.
fn draw_shapes(scene: &Scene, theme: &Theme, width: usize, height: usize, name: &str) -> Result<Vec<u8>, RenderError> {
    let (wide, high) = (width * OVERSAMPLING, height * OVERSAMPLING);
    let mut large = vec![0; wide * high * 3];
    {
        let mut backend = BitMapBackend::with_buffer(&mut large, (wide as u32, high as u32));
        let scale = PNG_PIXELS * OVERSAMPLING as f64;
        let mut pen = Pen { backend: &mut backend, theme, scale, joins: Joins::Discs };
        let failed = |reason: String| RenderError::Draw { figure: name.to_owned(), reason };
        pen.background(scene).map_err(failed)?;
        for shape in scene.shapes.iter().filter(|shape| !matches!(shape, Shape::Text(_))) {
            pen.shape(shape).map_err(failed)?;
        }
    }
    Ok(average_down(&large, width, height))
}

fn average_down(large: &[u8], width: usize, height: usize) -> Vec<u8> {
    const SAMPLES: u32 = (OVERSAMPLING * OVERSAMPLING) as u32;
    let mut small = vec![0; width * height * 3];
    for (y, row) in small.chunks_exact_mut(width * 3).enumerate() {
        for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
            let mut sums = [0u32; 3];
            for sub_row in 0..OVERSAMPLING {
                let start = ((y * OVERSAMPLING + sub_row) * width + x) * OVERSAMPLING * 3;
                for sample in large[start..start + OVERSAMPLING * 3].chunks_exact(3) {
                    sums = [0, 1, 2].map(|c| sums[c] + u32::from(sample[c]));
                }
            }
            pixel.copy_from_slice(&sums.map(|sum| ((sum + SAMPLES / 2) / SAMPLES) as u8));
        }
    }
    small
}

/// Who rounds the corners of a thick line.
#[derive(Clone, Copy, PartialEq)]
enum Joins {
    /// The format itself.
    Native,
    /// A disc on each corner.
    Discs,
}

/// Draws shapes on a plotters backend.
struct Pen<'a, B: DrawingBackend> {
    backend: &'a mut B,
    theme: &'a Theme,
    /// Backend units a point.
    scale: f64,
    joins: Joins,
}

impl<B: DrawingBackend> Pen<'_, B> {
    fn background(&mut self, scene: &Scene) -> Result<(), String> {
        let style = self.style(Colour::full(Ink::Background), 1.0, 1.0);
        // A point beyond the page, so that rounding leaves no bare edge.
        let corner = self.units((scene.width + 1.0, scene.height + 1.0));
        self.backend.draw_rect((0, 0), corner, &style, true).map_err(|error| error.to_string())
    }

    fn shape(&mut self, shape: &Shape) -> Result<(), String> {
        match shape {
            Shape::Path { points, width, colour } => {
                let style = self.style(*colour, *width, 1.0);
                self.path(points, &style)
            }
            Shape::Area { points, colour, opacity } => {
                let style = self.style(*colour, 1.0, *opacity);
                let points = points.iter().map(|&point| self.units(point)).collect::<Vec<_>>();
                self.backend.fill_polygon(points, &style).map_err(|error| error.to_string())
            }
            Shape::Disc { centre, radius, colour } => {
                let style = self.style(*colour, 1.0, 1.0);
                let radius = (radius * self.scale).round() as u32;
                self.backend.draw_circle(self.units(*centre), radius, &style, true).map_err(|error| error.to_string())
            }
            Shape::Text(_) => Ok(()),
        }
    }

    fn path(&mut self, points: &[(f64, f64)], style: &ShapeStyle) -> Result<(), String> {
        let mut points = points.iter().map(|&point| self.units(point)).collect::<Vec<_>>();
        points.dedup();
        if self.joins == Joins::Native {
            return self.backend.draw_path(points, style).map_err(|error| error.to_string());
        }
        for pair in points.windows(2) {
            self.backend.draw_line(pair[0], pair[1], style).map_err(|error| error.to_string())?;
        }
        for corner in points.iter().skip(1).take(points.len().saturating_sub(2)) {
            self.backend
                .draw_circle(*corner, style.stroke_width / 2, style, true)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Text as text, for an SVG.
    fn svg_text(&mut self, text: &Text) -> Result<(), String> {
        let (x, y) = text.at;
        let above = PLOTTERS_BASELINE * text.size;
        let (at, transform) = if text.upright {
            ((x - above, y), FontTransform::Rotate270)
        } else {
            ((x, y - above), FontTransform::None)
        };
        let anchor = match text.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if text.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FontFamily::Name(FONT_FAMILY), text.size * self.scale * PLOTTERS_FONT_RATIO, weight).into_font();
        let colour = self.rgb(text.colour);
        let style = TextStyle::from(font.transform(transform)).color(&colour).pos(Pos::new(anchor, VPos::Top));
        self.backend.draw_text(&text.text, &style, self.units(at)).map_err(|error| error.to_string())
    }

    fn style(&self, colour: Colour, width: f64, opacity: f64) -> ShapeStyle {
        let stroke_width = (width * self.scale).round().max(1.0) as u32;
        ShapeStyle { color: self.rgb(colour).mix(opacity), filled: true, stroke_width }
    }

    fn rgb(&self, colour: Colour) -> RGBColor {
        let [r, g, b] = self.theme.rgb(colour);
        RGBColor(r, g, b)
    }

    fn units(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }
}

/// A picture of 8-bit RGB.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn text(&mut self, text: &Text, fonts: &Fonts<'_>, theme: &Theme, missing: &mut BTreeSet<char>) {
        let (glyphs, width) = fonts.outlines(&text.text, text.size * PNG_PIXELS, text.bold, missing);
        let before = match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let (x, y) = (text.at.0 * PNG_PIXELS, text.at.1 * PNG_PIXELS);
        let rgb = theme.rgb(text.colour);
        for glyph in glyphs {
            glyph.draw(|dx, dy, coverage| {
                if text.upright {
                    self.blend(x.round() as i64 + dy, (y + before).round() as i64 - dx - 1, rgb, coverage);
                } else {
                    self.blend((x - before).round() as i64 + dx, y.round() as i64 + dy, rgb, coverage);
                }
            });
        }
    }

    fn blend(&mut self, x: i64, y: i64, rgb: [u8; 3], coverage: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let start = (y * self.width + x) * 3;
        for (channel, ink) in self.pixels[start..start + 3].iter_mut().zip(rgb) {
            let ground = f32::from(*channel);
            *channel = (ground + coverage * (f32::from(ink) - ground)).round() as u8;
        }
    }

    fn encode(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let metre = (PNG_PIXELS * 72.0 / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: metre, yppu: metre, unit: png::Unit::Meter }));
        encoder.write_header()?.write_image_data(&self.pixels)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::charts::tests::every_figure;

    /// Every tag is closed in order and every attribute quoted: enough of XML for what is written here.
    fn check_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>'), "a stray > before {}", &rest[start..rest.len().min(start + 40)]);
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            assert!(tag.matches('"').count().is_multiple_of(2), "quotes in <{tag}>");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closing order");
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }

    #[test]
    fn every_figure_is_a_well_formed_svg_without_references() {
        for figure in every_figure() {
            let svg = render_svg(&figure).unwrap();
            check_well_formed(&svg);
            assert!(svg.starts_with("<svg ") && svg.contains("width=\"6.500in\""));
            assert!(!svg.contains("href") && !svg.contains("url("), "a figure stands alone");
            assert_eq!(svg, render_svg(&figure).unwrap(), "the same figure gives the same bytes");
        }
    }

    #[test]
    fn a_png_decodes_and_says_what_it_could_not_draw() {
        let mut figure = every_figure().remove(0);
        figure.title += " 漢字";
        let fonts = Fonts::new(None);
        let picture = Picture::new(&figure, &Page::REPORT, &fonts);
        let png = picture.png(&Theme::LIGHT).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(&png.bytes));
        let reader = decoder.read_info().unwrap();
        assert_eq!(reader.info().width, 1248);
        assert_eq!(
            png.missing.as_ref().unwrap().characters,
            "漢字".chars().collect(),
            "the rest of the title is Korean"
        );
        let again = picture.png(&Theme::LIGHT).unwrap();
        assert!(png.bytes == again.bytes, "the same figure gives the same bytes");
    }

    #[test]
    fn the_notice_says_what_to_do() {
        let notice = MissingGlyphs { figure: "forest".to_owned(), characters: "마스크".chars().collect() };
        insta::assert_snapshot!(notice, @"the embedded fonts lack 3 of the characters in `forest` (such as `마스크`): they are `?` in PNG and PDF. The SVG has them; for the others, give a font file that has them");
    }

    #[test]
    fn averaging_keeps_flat_colours() {
        let large = [7u8, 8, 9].repeat(4 * 2 * OVERSAMPLING * OVERSAMPLING);
        assert_eq!(average_down(&large, 4, 2), [7u8, 8, 9].repeat(8));
    }
}
