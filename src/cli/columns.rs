//! Texts as wide as a terminal shows them: measured, cut, broken into lines.

use std::borrow::Cow;

/// The text, cut to so many visible characters. What is coloured is short, and left alone.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if visible_width(text) <= width || text.contains('\u{1b}') {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if visible_width(&kept) + 1 > width {
            kept.pop();
            break;
        }
    }
    Cow::Owned(format!("{kept}…"))
}

/// The text in lines of so many columns, broken between words; a longer word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && visible_width(&line) + 1 + visible_width(word) > width {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Columns that a text takes on a terminal, its colours left out.
pub fn visible_width(text: &str) -> usize {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.chars().map(width_of).sum()
}

/// Hangul, Han and kana take two columns (Unicode's East Asian wide and fullwidth).
fn width_of(c: char) -> usize {
    const WIDE: [(u32, u32); 8] = [
        (0x1100, 0x115f),
        (0x2e80, 0xa4cf),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe6f),
        (0xff00, 0xff60),
        (0x1f300, 0x1faff),
        (0x20000, 0x3fffd),
    ];
    if WIDE.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c))) { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words() {
        assert_eq!(wrapped("one two  three\nfour", 8), "one two \nthree\nfour");
        assert_eq!(wrapped("마스크 비율 값", 11), "마스크 비율\n값");
        assert_eq!(wrapped("\u{1b}[1mone two\u{1b}[0m three", 13), "\u{1b}[1mone two\u{1b}[0m three");
        assert_eq!(wrapped("a/very/long/path here", 8), "a/very/long/path\nhere");
    }

    #[test]
    fn text_is_cut_by_what_is_seen() {
        let check = |text: &str, width, expected: &str| {
            assert_eq!(cut(text, width), expected);
            assert!(visible_width(&cut(text, width)) <= width);
        };
        check("mask_ratio=0.3", 14, "mask_ratio=0.3");
        check("mask_ratio=0.3", 9, "mask_rat…");
        check("마스크 비율", 8, "마스크 …");
        check("마스크 비율", 11, "마스크 비율");
        assert_eq!(visible_width("\u{1b}[1;32mfinished\u{1b}[0m"), 8);
    }
}
