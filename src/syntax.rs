//! Small languages: text cut into pieces that know where they stand, and what is wrong with it.
//!
//! Formulas of an experiment file and queries over runs are read with the same pieces: names, numbers, quoted text and
//! signs. A language says which signs it has and what its names are made of; what the pieces mean is for its own parser.

use std::ops::Range;

/// A place in a text, in bytes.
pub type Span = Range<usize>;

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake at a place.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// The same with what would be right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// How a language is cut.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// Operators and punctuation. Where several fit, the first is taken: a long sign stands before its beginning.
    pub signs: &'static [&'static str],
    /// What names may hold after their first letter, beside ASCII letters, digits and `_`.
    pub in_names: &'static str,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    pub kind: Kind,
    /// As it is written.
    pub text: &'t str,
    pub span: Span,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Begins with a letter.
    Name,
    /// Begins with a digit or a point; whether it is a number is for whoever reads it.
    Number,
    /// Between quotes of either kind, or up to the end of the text where the second one is missing.
    Quoted,
    /// One of the language's.
    Sign,
    /// A character that the language has no use for.
    Unknown,
    /// The end of the text: an empty piece.
    End,
}

impl<'t> Token<'t> {
    /// Whether it is this sign.
    pub fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    /// What stands between the quotes; nothing where the second one is missing.
    pub fn unquoted(&self) -> Option<&'t str> {
        let quote = self.text.chars().next().filter(|_| self.kind == Kind::Quoted)?;
        self.text[1..].strip_suffix(quote)
    }
}

/// Cuts a text, one piece at a time, with a look at the next one.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    language: Language,
    text: &'t str,
    next: Token<'t>,
}

impl<'t> Lexer<'t> {
    /// Begins at the start of `text`.
    pub fn new(language: Language, text: &'t str) -> Self {
        Self { language, text, next: cut(language, text, 0) }
    }

    /// The next piece, which stays where it is.
    pub fn peek(&self) -> &Token<'t> {
        &self.next
    }

    /// Takes the next piece.
    pub fn take(&mut self) -> Token<'t> {
        let after = cut(self.language, self.text, self.next.span.end);
        std::mem::replace(&mut self.next, after)
    }

    /// Takes the next piece if it is this sign.
    pub fn take_sign(&mut self, sign: &str) -> Option<Token<'t>> {
        self.next.is(sign).then(|| self.take())
    }
}

/// The first piece of `text` from `at` on.
fn cut(language: Language, text: &str, at: usize) -> Token<'_> {
    let rest = text[at..].trim_start();
    let start = text.len() - rest.len();
    let (kind, length) = match rest.chars().next() {
        None => (Kind::End, 0),
        Some(c) if c.is_ascii_alphabetic() => {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || language.in_names.contains(c);
            (Kind::Name, rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
        }
        Some(c) if c.is_ascii_digit() || c == '.' => (Kind::Number, length_of_number(rest)),
        Some(quote @ ('"' | '\'')) => (Kind::Quoted, rest[1..].find(quote).map_or(rest.len(), |end| end + 2)),
        Some(c) => match language.signs.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => (Kind::Sign, sign.len()),
            None => (Kind::Unknown, c.len_utf8()),
        },
    };
    Token { kind, text: &rest[..length], span: start..start + length }
}

/// Digits, points, `_` between them, and an exponent with its sign.
fn length_of_number(text: &str) -> usize {
    let mut previous = ' ';
    let is_end = |c: char| {
        let is_sign_of_exponent = "+-".contains(c) && "eE".contains(previous);
        previous = c;
        !(c.is_ascii_digit() || ".eE_".contains(c) || is_sign_of_exponent)
    };
    text.find(is_end).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUERY: Language = Language { signs: &["<=", ">=", "!=", "<", ">", "=", "(", ")", ","], in_names: "./-" };

    fn pieces(text: &str) -> Vec<Token<'_>> {
        let mut lexer = Lexer::new(QUERY, text);
        std::iter::from_fn(|| Some(lexer.take()).filter(|token| token.kind != Kind::End)).collect()
    }

    #[test]
    fn a_text_is_cut_into_its_pieces() {
        let text = "valid/mlm_loss <= 1.5e-3 and name = 'two words' (x!=_) \"open";
        let shown: Vec<String> = pieces(text).iter().map(|token| format!("{:?} {}", token.kind, token.text)).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        Name valid/mlm_loss
        Sign <=
        Number 1.5e-3
        Name and
        Name name
        Sign =
        Quoted 'two words'
        Sign (
        Name x
        Sign !=
        Unknown _
        Sign )
        Quoted "open
        "#);
        let quoted = |text| pieces(text)[0].unquoted().map(str::to_owned);
        assert_eq!((quoted("'two words'"), quoted("\"open"), quoted("name")), (Some("two words".into()), None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The pieces stand one after another at their places, with nothing but space between them.
        #[test]
        fn pieces_cover_the_text(text in "[-+<>=!(), '\"0-9a-e._가\u{3000}]{0,24}") {
            let mut end = 0;
            for token in pieces(&text) {
                prop_assert!(!token.span.is_empty());
                prop_assert_eq!(&text[token.span.clone()], token.text);
                prop_assert_eq!(text[end..token.span.start].trim(), "");
                end = token.span.end;
            }
            prop_assert_eq!(text[end..].trim(), "");
        }
    }
}
