//! Text: how wide it is, and its glyphs. Every font that is needed is embedded, so that none of the system is asked for.
//!
//! DejaVu Sans speaks first, in the weight of the text. What it has not, such as Hangul, comes from an [`ExtraFont`] of the
//! caller where there is one, and from the embedded Hangul glyphs otherwise. What no font has is drawn as one question mark
//! for each run of such characters, never as empty boxes, and is reported.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, OutlinedGlyph, PxScale, point};

/// What an SVG asks for: the same font where it is installed, then what looks like it, then any with Hangul.
pub const FONT_FAMILY: &str =
    "DejaVu Sans, Helvetica, Arial, NanumGothic, Noto Sans KR, Apple SD Gothic Neo, Malgun Gothic, sans-serif";

/// How far the second stroke of a letter stands beside the first where a text is bold and its font has one weight, in ems.
pub const EMBOLDENING: f64 = 0.035;

/// The Hangul glyphs in both weights, unpacked when first asked for: see `assets/README.md`.
static HANGUL: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let unpack = |packed: &[u8]| {
        let mut bytes = Vec::new();
        let read = flate2::read::ZlibDecoder::new(packed).read_to_end(&mut bytes);
        read.expect("invariant: the embedded font is whole");
        bytes
    };
    [
        unpack(include_bytes!("../../assets/hangul-regular.ttf.z")),
        unpack(include_bytes!("../../assets/hangul-bold.ttf.z")),
    ]
});

/// A font for the characters that DejaVu Sans does not have.
pub struct ExtraFont(Vec<u8>);

/// The bytes are not a font that can be read.
#[derive(Debug, thiserror::Error)]
#[error("these bytes are not a TrueType or OpenType font: give the path of a .ttf, .otf or .ttc file")]
pub struct InvalidFont;

impl ExtraFont {
    /// Reads the contents of a font file; of a collection, its first font.
    pub fn new(bytes: Vec<u8>) -> Result<Self, InvalidFont> {
        FontRef::try_from_slice(&bytes).map_err(|_| InvalidFont)?;
        Ok(Self(bytes))
    }
}

/// One font in one weight.
pub struct Face<'a> {
    font: FontRef<'a>,
    /// The file, for whoever embeds it.
    pub bytes: &'a [u8],
    /// A PostScript name.
    pub name: &'static str,
}

/// The fonts that text is set in.
pub struct Fonts<'a> {
    faces: Vec<Face<'a>>,
    /// Places in `faces` for regular and for bold text, in the order in which they are asked.
    order: [Vec<usize>; 2],
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

/// The glyph of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place of its face in [`Fonts::face`].
    pub face: usize,
    id: GlyphId,
    /// Whether the text is bold and the face is not.
    pub is_emboldened: bool,
}

impl Found {
    /// The number of the glyph in its font file.
    pub fn id(self) -> u16 {
        self.id.0
    }
}

impl<'a> Fonts<'a> {
    /// The embedded fonts, and `extra` before their Hangul.
    pub fn new(extra: Option<&'a ExtraFont>) -> Self {
        let embedded = |bytes: &'static [u8], name| Face {
            font: FontRef::try_from_slice(bytes).expect("invariant: the embedded font is a font"),
            bytes,
            name,
        };
        let mut faces = vec![
            embedded(dejavu::sans::regular(), "DejaVuSans"),
            embedded(dejavu::sans::bold(), "DejaVuSans-Bold"),
            embedded(&HANGUL[0], "AblateHangul-Regular"),
            embedded(&HANGUL[1], "AblateHangul-Bold"),
        ];
        let mut order = [vec![0, 2], vec![1, 3]];
        if let Some(ExtraFont(bytes)) = extra {
            let font = FontRef::try_from_slice(bytes).expect("invariant: checked when it was read");
            order.iter_mut().for_each(|faces_of_weight| faces_of_weight.insert(1, faces.len()));
            faces.push(Face { font, bytes, name: "ExtraFont" });
        }
        Self { faces, order }
    }

    /// The face of a glyph.
    pub fn face(&self, place: usize) -> &Face<'a> {
        &self.faces[place]
    }

    /// The width of `text` in the unit of `size`, the height of the em square.
    ///
    /// A character that no font has counts as a full em, as wide as an SVG viewer's Hangul may be.
    pub fn width(&self, text: &str, size: f64, bold: bool) -> f64 {
        let em = |c: char| self.find(c, bold).map_or(1.0, |found| self.advance(found));
        text.chars().map(em).sum::<f64>() * size
    }

    /// The outlines of `text` set from x = 0 on the baseline y = 0, at `em` pixels to the em, and its width.
    pub fn outlines(&self, text: &str, em: f64, bold: bool, missing: &mut BTreeSet<char>) -> (Vec<PlacedGlyph>, f64) {
        let (mut glyphs, mut x) = (Vec::new(), 0.0);
        for c in self.drawable(text, bold, missing).chars() {
            let Some(found) = self.find(c, bold) else { continue };
            glyphs.extend(self.outline(found, em, x).map(PlacedGlyph));
            if found.is_emboldened {
                glyphs.extend(self.outline(found, em, x + EMBOLDENING * em).map(PlacedGlyph));
            }
            x += self.advance(found) * em;
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
    pub fn drawable(&self, text: &str, bold: bool, missing: &mut BTreeSet<char>) -> String {
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

    /// The glyph of `c` in the first face that has one.
    pub fn find(&self, c: char, bold: bool) -> Option<Found> {
        let glyph = |&face: &usize| {
            let id = self.faces[face].font.glyph_id(c);
            let is_emboldened = bold && face >= EMBEDDED;
            (id.0 != 0).then_some(Found { face, id, is_emboldened })
        };
        self.order[usize::from(bold)].iter().find_map(glyph)
    }

    /// How far the next glyph stands from this one, in ems.
    pub fn advance(&self, found: Found) -> f64 {
        let font = &self.faces[found.face].font;
        f64::from(font.h_advance_unscaled(found.id)) / units(font)
    }

    fn outline(&self, found: Found, em: f64, x: f64) -> Option<OutlinedGlyph> {
        let font = &self.faces[found.face].font;
        // ab_glyph scales by the height of the font, not by its em square.
        let scale = em as f32 * font.height_unscaled() / units(font) as f32;
        font.outline_glyph(Glyph { id: found.id, scale: PxScale::from(scale), position: point(x as f32, 0.0) })
    }
}

/// The faces that are always there: both weights of DejaVu Sans, both of the Hangul.
const EMBEDDED: usize = 4;

impl Face<'_> {
    /// How far letters reach above and below the baseline, in thousandths of an em; the latter is negative.
    pub fn ascent_and_descent(&self) -> [f64; 2] {
        [self.font.ascent_unscaled(), self.font.descent_unscaled()].map(|v| 1000.0 * f64::from(v) / units(&self.font))
    }

    /// Left, bottom, right, top of a glyph in thousandths of an em; absent for a space.
    pub fn bounds(&self, id: u16) -> Option<[f64; 4]> {
        let bounds = self.font.outline(GlyphId(id))?.bounds;
        let (x, y) = ([bounds.min.x, bounds.max.x], [bounds.min.y, bounds.max.y]);
        let edges = [x[0].min(x[1]), y[0].min(y[1]), x[0].max(x[1]), y[0].max(y[1])];
        Some(edges.map(|edge| 1000.0 * f64::from(edge) / units(&self.font)))
    }

    /// Whether its outlines are PostScript's (CFF) and not TrueType's.
    pub fn is_postscript(&self) -> bool {
        self.bytes.starts_with(b"OTTO")
    }
}

fn units(font: &FontRef<'_>) -> f64 {
    f64::from(font.units_per_em().unwrap_or(1000.0))
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
        // The Hangul glyphs: 940 of 1000 in either weight; a character that no font has counts as an em.
        assert!((fonts.width("마스크", 10.0, true) - 28.2).abs() < 1e-6);
        assert!((fonts.width("漢", 10.0, false) - 10.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_without_glyphs_is_one_question_mark() {
        let mut missing = BTreeSet::new();
        assert_eq!(Fonts::new(None).drawable("假面 比率 mask", false, &mut missing), "? mask");
        assert_eq!(missing, "假面比率".chars().collect());
    }

    #[test]
    fn another_font_fills_in_and_rubbish_is_refused() {
        assert!(ExtraFont::new(b"no font".to_vec()).is_err());
        let extra = ExtraFont::new(dejavu::sans_mono::regular().to_vec()).unwrap();
        assert!(Fonts::new(Some(&extra)).find('a', true).is_some());
    }

    /// KS X 1001 has its syllables in rows 16 to 40, of 94 cells each; Unicode has them among 11,172.
    #[test]
    fn hangul_is_there_in_both_weights() {
        let fonts = Fonts::new(None);
        let has = |c: char| [false, true].map(|bold| fonts.find(c, bold).is_some_and(|found| !found.is_emboldened));
        let syllables = ('가'..='힣').filter(|&c| has(c) == [true, true]).count();
        assert_eq!(syllables, 2350);
        assert!(('ㄱ'..='ㅣ').chain("「」『』、。《》·％".chars()).all(|c| has(c) == [true, true]));
    }

    /// A font that somebody gives is taken before the embedded Hangul, and is made bold where the text is.
    #[test]
    fn a_given_font_wins_over_the_embedded_hangul() {
        let extra = ExtraFont::new(HANGUL[0].clone()).unwrap();
        let fonts = Fonts::new(Some(&extra));
        let found = fonts.find('가', true).unwrap();
        assert_eq!((fonts.face(found.face).name, found.is_emboldened), ("ExtraFont", true));
        assert!(!fonts.find('가', false).unwrap().is_emboldened);
        let count = |bold| fonts.outlines("가", 40.0, bold, &mut BTreeSet::new()).0.len();
        assert_eq!((count(false), count(true)), (1, 2));
        assert_eq!(fonts.face(fonts.find('a', true).unwrap().face).name, "DejaVuSans-Bold");
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
