//! The pieces of a query: words, quoted texts and signs. A word is whatever stands together without being a sign, so that
//! `7h2kq9xw`, `2026-01-31`, `-1e-3`, `valid/mlm_loss.min` and `quick-start` are one each, in any script.

use crate::syntax::{Kind, Language, Lexer, Mistake, Span};

/// Signs of queries; what else stands between letters is part of a word.
const SIGNS: &[&str] = &["<=", ">=", "!=", "<>", "==", "<", ">", "=", "(", ")", ","];

const LANGUAGE: Language = Language { signs: SIGNS, in_names: "./-_:%" };

/// A piece of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    pub kind: PieceKind,
    /// Without the quotes of a quoted text.
    pub text: &'t str,
    pub span: Span,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    Word,
    Quoted,
    Sign,
    End,
}

impl Piece<'_> {
    /// Whether it is this sign.
    pub fn is(&self, sign: &str) -> bool {
        self.kind == PieceKind::Sign && self.text == sign
    }

    /// Whether it is this word of the language, in either case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == PieceKind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Cuts a query, one piece at a time, with a look ahead.
#[derive(Clone, Debug)]
pub struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    /// Begins at the start of `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next piece, which stays where it is.
    ///
    /// # Errors
    /// When it is a quoted text without its second quote.
    pub fn peek(&self) -> Result<Piece<'t>, Mistake> {
        self.clone().take()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is a quoted text without its second quote.
    pub fn take(&mut self) -> Result<Piece<'t>, Mistake> {
        let rest = &self.text[self.at..];
        let mut lexer = Lexer::new(LANGUAGE, rest);
        let first = lexer.take();
        let start = self.at + first.span.start;
        let (kind, text, end) = match first.kind {
            Kind::End => (PieceKind::End, "", start),
            Kind::Sign => (PieceKind::Sign, first.text, self.at + first.span.end),
            Kind::Quoted => match first.unquoted() {
                Some(text) => (PieceKind::Quoted, text, self.at + first.span.end),
                None => return Err(Mistake::new(start..self.text.len(), "the second quote is missing")),
            },
            Kind::Unknown if first.text == "`" => self.in_backticks(start)?,
            Kind::Name | Kind::Number | Kind::Unknown => {
                let mut end = first.span.end;
                let is_part = |kind| matches!(kind, Kind::Name | Kind::Number | Kind::Unknown);
                while lexer.peek().span.start == end && is_part(lexer.peek().kind) && lexer.peek().text != "`" {
                    end = lexer.take().span.end;
                }
                (PieceKind::Word, &rest[first.span.start..end], self.at + end)
            }
        };
        self.at = end;
        Ok(Piece { kind, text, span: start..end })
    }

    /// A text between backticks, which one grammar has for names.
    fn in_backticks(&self, start: usize) -> Result<(PieceKind, &'t str, usize), Mistake> {
        let inner = &self.text[start + 1..];
        match inner.find('`') {
            Some(length) => Ok((PieceKind::Quoted, &inner[..length], start + length + 2)),
            None => Err(Mistake::new(start..self.text.len(), "the second backtick is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str) -> Vec<Piece<'_>> {
        let mut words = Words::new(text);
        std::iter::from_fn(|| words.take().ok().filter(|piece| piece.kind != PieceKind::End)).collect()
    }

    #[test]
    fn words_are_what_stands_together() {
        let text = "7h2kq9xw valid/mlm_loss.min<=-1e-3 (한국어-실험, 'two words') `a b`>=2026-01-31 x!=100%";
        let found: Vec<_> = pieces(text).iter().map(|piece| piece.text).collect();
        let expected = [
            "7h2kq9xw",
            "valid/mlm_loss.min",
            "<=",
            "-1e-3",
            "(",
            "한국어-실험",
            ",",
            "two words",
            ")",
            "a b",
            ">=",
            "2026-01-31",
            "x",
            "!=",
            "100%",
        ];
        assert_eq!(found, expected);
        for open in ["'open", "a = \"open", "`open"] {
            let mut words = Words::new(open);
            assert!((0..3).any(|_| words.take().is_err()), "{open}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// The pieces stand one after another, each is not empty, and nothing but space is left between them.
        #[test]
        fn pieces_cover_the_text(text in "[-+<>=!(), '\"`0-9a-e._%가é\u{3000}\u{0}]{0,24}") {
            let mut end = 0;
            for piece in pieces(&text) {
                prop_assert!(piece.span.start < piece.span.end && text[piece.span.clone()].contains(piece.text));
                prop_assert_eq!(text[end..piece.span.start].trim(), "");
                end = piece.span.end;
            }
        }
    }
}
