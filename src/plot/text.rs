//! Text: how wide it is, and its glyphs. DejaVu Sans is embedded, so that no font of the system is needed.
//!
//! DejaVu has no Hangul and no Chinese characters. An [`ExtraFont`] from the caller fills in; what no font has is drawn
//! as one question mark for each run of such characters, never as empty boxes, and is reported.

use std::collections::BTreeSet;

use ab_glyph::{Font, FontRef, FontVec, Glyph, GlyphId, OutlinedGlyph, PxScale, point};

/// What an SVG asks for: the same font where it is installed, then what looks like it, then any with Hangul.
pub const FONT_FAMILY: &str = "DejaVu Sans, Helvetica, Arial, Noto Sans KR, sans-serif";

/// A font for the characters that DejaVu Sans does not have.
pub struct ExtraFont(FontVec);

/// The bytes are not a font that can be read.
#[derive(Debug, thiserror::Error)]
#[error("these bytes are not a TrueType or OpenType font: give the path of a .ttf, .otf or .ttc file")]
pub struct InvalidFont;

impl ExtraFont {
    /// Reads the contents of a font file; of a collection, its first font.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidFont> {
        FontVec::try_from_vec_and_index(bytes, 0).map(Self).map_err(|_| InvalidFont)
    }
}

/// The fonts that text is set in.
pub struct Fonts<'a> {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
    extra: Option<&'a ExtraFont>,
}

/// A glyph outline in place, and which pixels it covers.
pub struct PlacedGlyph(OutlinedGlyph);

impl PlacedGlyph {
    /// Calls `draw` with x, y and coverage in [0, 1] of each pixel, relative to the start of the baseline.
    pub fn draw(&self, mut draw: impl FnMut(i64, i64, f32)) {
        let bounds = self.0.px_bounds();
        let (left, top) = (bounds.min.x as i64, bounds.min.y as i64);
        self.0.draw(|x, y, coverage| draw(left + i64::from(x), top + i64::from(y), coverage.min(1.0)));
    }
}

impl<'a> Fonts<'a> {
    /// The embedded fonts, and `extra` behind them.
    pub fn new(extra: Option<&'a ExtraFont>) -> Self {
        let read = |bytes| FontRef::try_from_slice(bytes).expect("invariant: the embedded font is a font");
        Self { regular: read(dejavu::sans::regular()), bold: read(dejavu::sans::bold()), extra }
    }

    /// The width of `text` in the unit of `size`, the height of the em square.
    ///
    /// A character that no font has counts as a full em, as wide as a Hangul syllable will be in an SVG viewer.
    pub fn width(&self, text: &str, size: f64, bold: bool) -> f64 {
        let em = |c: char| match self.find(c, bold) {
            Some(found) => found.advance(),
            None => 1.0,
        };
        text.chars().map(em).sum::<f64>() * size
    }

    /// The outlines of `text` set from x = 0 on the baseline y = 0, at `em` pixels to the em, and its width.
    pub fn outlines(&self, text: &str, em: f64, bold: bool, missing: &mut BTreeSet<char>) -> (Vec<PlacedGlyph>, f64) {
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        for c in self.drawable(text, bold, missing).chars() {
            let Some(found) = self.find(c, bold) else { continue };
            glyphs.extend(found.outline(em, x).map(PlacedGlyph));
            x += found.advance() * em;
        }
        (glyphs, x)
    }

    /// `text`, cut off with an ellipsis where it is wider than `width`.
    pub fn fit(&self, text: &str, size: f64, bold: bool, width: f64) -> String {
        if self.width(text, size, bold) <= width {
            return text.to_owned();
        }
        let mut kept = text.to_owned();
        while kept.pop().is_some() && self.width(&kept, size, bold) + self.width("\u{2026}", size, bold) > width {}
        kept + "\u{2026}"
    }

    /// `text` with one question mark for each run of characters that no font has, spaces between them included.
    fn drawable(&self, text: &str, bold: bool, missing: &mut BTreeSet<char>) -> String {
        let mut drawable = String::new();
        let mut in_run = false;
        for c in text.chars() {
            let is_missing = self.find(c, bold).is_none();
            if !is_missing {
                drawable.push(c);
            } else {
                missing.insert(c);
                if in_run {
                    drawable.truncate(drawable.trim_end().len());
                } else {
                    drawable.push('?');
                }
            }
            in_run = is_missing || (in_run && c.is_whitespace());
        }
        drawable
    }

    fn find(&self, c: char, bold: bool) -> Option<Found<'_>> {
        let embedded = if bold { &self.bold } else { &self.regular };
        let id = embedded.glyph_id(c);
        if id.0 != 0 {
            return Some(Found::Embedded(embedded, id));
        }
        let extra = &self.extra?.0;
        let id = extra.glyph_id(c);
        (id.0 != 0).then_some(Found::Extra(extra, id))
    }
}

/// A glyph in the font that has it.
enum Found<'a> {
    Embedded(&'a FontRef<'static>, GlyphId),
    Extra(&'a FontVec, GlyphId),
}

impl Found<'_> {
    /// In ems.
    fn advance(&self) -> f64 {
        fn of(font: &impl Font, id: GlyphId) -> f64 {
            f64::from(font.h_advance_unscaled(id)) / f64::from(font.units_per_em().unwrap_or(1000.0))
        }
        match self {
            Self::Embedded(font, id) => of(*font, *id),
            Self::Extra(font, id) => of(*font, *id),
        }
    }

    fn outline(&self, em: f64, x: f64) -> Option<OutlinedGlyph> {
        fn of(font: &impl Font, id: GlyphId, em: f64, x: f64) -> Option<OutlinedGlyph> {
            // ab_glyph scales by the height of the font, not by its em square.
            let scale = em as f32 * font.height_unscaled() / font.units_per_em().unwrap_or(1000.0);
            let glyph = Glyph { id, scale: PxScale::from(scale), position: point(x as f32, 0.0) };
            font.outline_glyph(glyph)
        }
        match self {
            Self::Embedded(font, id) => of(*font, *id, em, x),
            Self::Extra(font, id) => of(*font, *id, em, x),
        }
    }
}

/// Breaks `text` between words so that no line is wider than `width`; a word that is wider has a line of its own.
pub fn wrap(fonts: &Fonts<'_>, text: &str, size: f64, bold: bool, width: f64) -> Vec<String> {
    let mut lines = Vec::<String>::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if fonts.width(&format!("{line} {word}"), size, bold) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        let fonts = Fonts::new(None);
        // DejaVu Sans: digits are 1303 of 2048 units wide, the space 651.
        assert!((fonts.width("12", 10.0, false) - 20.0 * 1303.0 / 2048.0).abs() < 1e-6);
        assert!((fonts.width(" ", 2048.0, false) - 651.0).abs() < 1e-6);
        assert!((fonts.width("마스크", 10.0, false) - 30.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_without_glyphs_is_one_question_mark() {
        let mut missing = BTreeSet::new();
        assert_eq!(Fonts::new(None).drawable("마스크 비율 mask", false, &mut missing), "? mask");
        assert_eq!(missing, "마스크비율".chars().collect());
    }

    #[test]
    fn another_font_fills_in_and_rubbish_is_refused() {
        assert!(ExtraFont::new(b"no font".to_vec()).is_err());
        let extra = ExtraFont::new(dejavu::sans_mono::regular().to_vec()).unwrap();
        assert!(Fonts::new(Some(&extra)).find('a', true).is_some());
    }

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        let fonts = Fonts::new(None);
        assert_eq!(fonts.fit("short", 8.0, false, 40.0), "short");
        let cut = fonts.fit("configs/very/long/name.toml", 8.0, false, 60.0);
        assert!(cut.ends_with('\u{2026}') && fonts.width(&cut, 8.0, false) <= 60.0, "{cut}");
    }

    #[test]
    fn lines_are_wrapped_between_words() {
        let fonts = Fonts::new(None);
        let text = "Points are seeds; bars are 95 % intervals by Student's t.";
        let lines = wrap(&fonts, text, 8.0, false, 120.0);
        assert_eq!(lines.join(" "), text);
        assert!(lines.len() > 1 && lines.iter().all(|line| fonts.width(line, 8.0, false) <= 120.0));
    }
}
