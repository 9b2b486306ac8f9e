//! The grammar of queries, as a person types them.
//!
//! ```text
//! query     = any
//! any       = all { "or" all }
//! all       = one { [ "and" ] one }                    what stands side by side is and
//! one       = "not" one | "(" any ")" | condition
//! condition = name ( sign values | [ "not" ] "in" "(" values ")" | [ "not" ] ( "like" | "ilike" ) value
//!                  | "is" [ "not" ] ( "nan" | "missing" ) )
//!           | "exists" ( name | "(" name ")" ) | "descends" "from" value | "tag:" value | word
//! name      = word, as in "mask_ratio", "valid/mlm_loss.min", "valid/mlm_loss.at(100)"
//! values    = value { "," value }
//! ```
//!
//! Words that stand side by side are names of experiments and beginnings of run ids, of which any may be meant:
//! `quickstart demo state=finished` finds the finished runs of both.

use super::tree::{Condition, Kind, Literal, Name, Order, Test, Tree};
use super::words::{Piece, PieceKind, Words};
use crate::syntax::Mistake;

/// Parentheses and nots within each other. Every reader of the tree follows them by its own stack.
const DEEPEST: usize = 64;
/// Conditions, and values of lists: SQLite takes expressions of a thousand parts.
pub const MOST_TESTS: usize = 400;
/// Bytes of a query.
pub const LONGEST: usize = 1 << 16;

/// The tree of a query.
///
/// # Errors
/// The first mistake, at its place.
pub fn read(text: &str) -> Result<Tree<Condition>, Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::new(0..0, format!("a query of {} bytes is too long: {LONGEST} are taken", text.len())));
    }
    let mut parser = Parser { words: Words::new(text), depth: 0, tests: 0 };
    if parser.peek()?.kind == PieceKind::End {
        return Ok(Tree::all());
    }
    let tree = parser.any()?;
    let rest = parser.take()?;
    match rest.kind {
        PieceKind::End => Ok(tree),
        _ if rest.is(")") => Err(Mistake::new(rest.span, "there is no `(` for this `)`")),
        _ => Err(expected(&rest, "a condition")),
    }
}

struct Parser<'t> {
    words: Words<'t>,
    depth: usize,
    tests: usize,
}

/// A part of an and, and whether it is a word alone that nothing joined to the one before.
struct Part {
    tree: Tree<Condition>,
    is_loose_word: bool,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Result<Piece<'t>, Mistake> {
        self.words.peek()
    }

    fn take(&mut self) -> Result<Piece<'t>, Mistake> {
        self.words.take()
    }

    /// Takes the next piece if it is this word of the language.
    fn take_word(&mut self, word: &str) -> Result<bool, Mistake> {
        let is_it = self.peek()?.is_word(word);
        if is_it {
            self.take()?;
        }
        Ok(is_it)
    }

    fn take_sign(&mut self, sign: &str) -> Result<Piece<'t>, Mistake> {
        let piece = self.take()?;
        if piece.is(sign) { Ok(piece) } else { Err(expected(&piece, &format!("`{sign}`"))) }
    }

    fn any(&mut self) -> Result<Tree<Condition>, Mistake> {
        let mut parts = vec![self.all()?];
        while self.take_word("or")? {
            parts.push(self.all()?);
        }
        Ok(Tree::or(parts))
    }

    fn all(&mut self) -> Result<Tree<Condition>, Mistake> {
        let mut parts = vec![self.part(true)?];
        loop {
            let next = self.peek()?;
            if next.kind == PieceKind::End || next.is(")") || next.is_word("or") {
                break;
            }
            let is_joined = self.take_word("and")?;
            parts.push(self.part(!is_joined)?);
        }
        // Of the words that stand loose, any may be meant.
        let mut loose = Vec::new();
        let mut kept = Vec::new();
        for part in parts {
            if part.is_loose_word { loose.push(part.tree) } else { kept.push(part.tree) }
        }
        if !loose.is_empty() {
            kept.insert(0, Tree::or(loose));
        }
        Ok(Tree::and(kept))
    }

    fn part(&mut self, is_loose: bool) -> Result<Part, Mistake> {
        let tree = self.one()?;
        let is_word = matches!(&tree, Tree::Leaf(Condition { test: Test::Word, .. }));
        Ok(Part { tree, is_loose_word: is_loose && is_word })
    }

    fn one(&mut self) -> Result<Tree<Condition>, Mistake> {
        let first = self.peek()?;
        if first.is_word("not") {
            self.take()?;
            return self.deeper(&first, |parser| Ok(Tree::not(parser.one()?)));
        }
        if first.is("(") {
            self.take()?;
            return self.deeper(&first, |parser| {
                let tree = parser.any()?;
                parser.take_sign(")")?;
                Ok(tree)
            });
        }
        self.condition().map(Tree::Leaf)
    }

    fn deeper<T>(&mut self, at: &Piece<'_>, work: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth == DEEPEST {
            return Err(Mistake::new(at.span.clone(), format!("this is nested deeper than {DEEPEST} times")));
        }
        self.depth += 1;
        let done = work(self);
        self.depth -= 1;
        done
    }

    fn condition(&mut self) -> Result<Condition, Mistake> {
        let first = self.take()?;
        self.count(&first)?;
        if !matches!(first.kind, PieceKind::Word | PieceKind::Quoted) {
            return Err(expected(&first, "a name, as in `mask_ratio >= 0.3`"));
        }
        if first.kind == PieceKind::Word {
            for keyword in ["and", "or", "in", "like", "ilike", "is"] {
                if first.is_word(keyword) {
                    let text = format!("a condition is missing before `{}`", first.text);
                    return Err(Mistake::new(first.span, text).help("a name that is such a word stands in quotes"));
                }
            }
            if let Some(tag) = first.text.strip_prefix("tag:") {
                return self.tag(&first, tag);
            }
            let next = self.peek()?;
            let is_operand = next.kind == PieceKind::Sign && !next.is("(") && !next.is(")");
            if first.is_word("exists") && !is_operand {
                return self.exists();
            }
            if first.is_word("descends") && next.is_word("from") {
                self.take()?;
                let name = Name { text: "descends from".to_owned(), kind: None, at: None, span: first.span };
                return Ok(Condition { name, test: Test::DescendsFrom(self.value()?), is_negated: false });
            }
        }
        let name = self.name(first)?;
        let (test, is_negated) = self.test(&name)?;
        Ok(Condition { name, test, is_negated })
    }

    /// `tag:keep`, or `tag:"two words"`.
    fn tag(&mut self, first: &Piece<'_>, tag: &str) -> Result<Condition, Mistake> {
        let value = match tag {
            "" if self.peek()?.kind == PieceKind::Quoted => self.value()?,
            "" => return Err(expected(&self.take()?, "a tag")),
            _ => Literal { text: tag.to_owned(), is_quoted: true, span: first.span.start + 4..first.span.end },
        };
        let name = Name { text: "tag".to_owned(), kind: None, at: None, span: first.span.clone() };
        Ok(Condition { name, test: Test::Compare(Order::Equal, value), is_negated: false })
    }

    fn exists(&mut self) -> Result<Condition, Mistake> {
        let is_bracketed = self.peek()?.is("(");
        if is_bracketed {
            self.take()?;
        }
        let first = self.take()?;
        if !matches!(first.kind, PieceKind::Word | PieceKind::Quoted) {
            return Err(expected(&first, "the name of what is to be there"));
        }
        let name = self.name(first)?;
        if is_bracketed {
            self.take_sign(")")?;
        }
        Ok(Condition { name, test: Test::Exists, is_negated: false })
    }

    /// The name that begins with `first`: alone, or with the step at which a metric is looked at.
    fn name(&mut self, first: Piece<'_>) -> Result<Name, Mistake> {
        let plain = |text: &str, at, span| Name { text: text.to_owned(), kind: None, at, span };
        let next = self.peek()?;
        let metric = first.text.strip_suffix(".at").filter(|_| first.kind == PieceKind::Word);
        match metric.filter(|_| next.is("(") && next.span.start == first.span.end) {
            None => Ok(plain(first.text, None, first.span)),
            Some(metric) => {
                self.take()?;
                let step = self.take()?;
                let at = step.text.parse::<i64>();
                let at = at.map_err(|_| expected(&step, "a step, as in `valid/mlm_loss.at(100)`"))?;
                let end = self.take_sign(")")?.span.end;
                Ok(plain(metric, Some(at), first.span.start..end))
            }
        }
    }

    /// What follows a name, and whether it is negated.
    fn test(&mut self, name: &Name) -> Result<(Test, bool), Mistake> {
        let next = self.peek()?;
        let order = match next.text {
            _ if next.kind != PieceKind::Sign => None,
            "=" | "==" => Some((Order::Equal, false)),
            "!=" | "<>" => Some((Order::Equal, true)),
            "<" => Some((Order::Less, false)),
            "<=" => Some((Order::LessOrEqual, false)),
            ">" => Some((Order::Greater, false)),
            ">=" => Some((Order::GreaterOrEqual, false)),
            _ => None,
        };
        if let Some((order, is_negated)) = order {
            self.take()?;
            let first = self.value()?;
            if !self.peek()?.is(",") {
                return Ok((Test::Compare(order, first), is_negated));
            }
            if order != Order::Equal {
                let comma = self.take()?;
                let text = format!("`{}` takes one value", order.sign());
                return Err(Mistake::new(comma.span, text));
            }
            return Ok((Test::OneOf(self.values(first)?), is_negated));
        }
        // `not` belongs to the condition only where `in` or `like` follows it.
        let mut ahead = self.words.clone();
        let is_negated = ahead.take()?.is_word("not")
            && ["in", "like", "ilike"].iter().any(|word| ahead.peek().is_ok_and(|piece| piece.is_word(word)));
        if is_negated {
            self.take()?;
        }
        if self.take_word("in")? {
            self.take_sign("(")?;
            let first = self.value()?;
            let values = self.values(first)?;
            self.take_sign(")")?;
            return Ok((Test::OneOf(values), is_negated));
        }
        for (word, ignore_case) in [("like", false), ("ilike", true)] {
            if self.take_word(word)? {
                return Ok((Test::Like { pattern: self.value()?, ignore_case }, is_negated));
            }
        }
        if self.take_word("is")? {
            return self.is();
        }
        match name.at {
            Some(_) => Err(expected(&self.take()?, "a comparison")),
            None => Ok((Test::Word, false)),
        }
    }

    /// What follows `is`.
    fn is(&mut self) -> Result<(Test, bool), Mistake> {
        let is_negated = self.take_word("not")?;
        let what = self.take()?;
        match what.text.to_ascii_lowercase().as_str() {
            "nan" => Ok((Test::IsNan, is_negated)),
            "missing" | "null" => Ok((Test::Exists, !is_negated)),
            _ => Err(expected(&what, "`nan` or `missing`")),
        }
    }

    fn value(&mut self) -> Result<Literal, Mistake> {
        let piece = self.take()?;
        match piece.kind {
            PieceKind::Word | PieceKind::Quoted => {
                let is_quoted = piece.kind == PieceKind::Quoted;
                Ok(Literal { text: piece.text.to_owned(), is_quoted, span: piece.span })
            }
            PieceKind::Sign | PieceKind::End => Err(expected(&piece, "a value")),
        }
    }

    /// A value and those that follow it behind commas.
    fn values(&mut self, first: Literal) -> Result<Vec<Literal>, Mistake> {
        let mut values = vec![first];
        while self.peek()?.is(",") {
            let comma = self.take()?;
            self.count(&comma)?;
            values.push(self.value()?);
        }
        Ok(values)
    }

    fn count(&mut self, at: &Piece<'_>) -> Result<(), Mistake> {
        self.tests += 1;
        if self.tests > MOST_TESTS {
            let text = format!("a query has at most {MOST_TESTS} conditions and values");
            return Err(Mistake::new(at.span.clone(), text));
        }
        Ok(())
    }
}

/// A piece that is not what must stand in its place.
pub(super) fn expected(found: &Piece<'_>, what: &str) -> Mistake {
    let text = match found.kind {
        PieceKind::End => format!("{what} is missing here"),
        _ => format!("{what} belongs here, not `{}`", found.text),
    };
    Mistake::new(found.span.clone(), text)
}

/// A query of one condition, for programs: `name` is this text.
pub fn equal(name: &str, values: &[&str]) -> Tree<Condition> {
    let literal = |text: &&str| Literal { text: (*text).to_owned(), is_quoted: true, span: 0..0 };
    let name = Name { text: name.to_owned(), kind: Some(Kind::Attribute), at: None, span: 0..0 };
    Tree::Leaf(Condition { name, test: Test::OneOf(values.iter().map(literal).collect()), is_negated: false })
}

/// A query of one condition, for programs: the run has no `name`.
pub fn lacking(name: &str) -> Tree<Condition> {
    let name = Name { text: name.to_owned(), kind: Some(Kind::Attribute), at: None, span: 0..0 };
    Tree::Leaf(Condition { name, test: Test::Exists, is_negated: true })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree with all its parentheses.
    fn shown(tree: &Tree<Condition>) -> String {
        let joined = |parts: &[Tree<Condition>], by: &str| parts.iter().map(shown).collect::<Vec<_>>().join(by);
        match tree {
            Tree::And(parts) => format!("({})", joined(parts, " and ")),
            Tree::Or(parts) => format!("({})", joined(parts, " or ")),
            Tree::Not(tree) => format!("not {}", shown(tree)),
            Tree::Leaf(Condition { name, test, is_negated }) => {
                let not = if *is_negated { "!" } else { "" };
                let at = name.at.map(|step| format!("@{step}")).unwrap_or_default();
                let test = match test {
                    Test::Compare(order, value) => format!("{}{}", order.sign(), value.text),
                    Test::OneOf(values) => {
                        format!(" in {}", values.iter().map(|v| v.text.as_str()).collect::<Vec<_>>().join("|"))
                    }
                    Test::Like { pattern, ignore_case } => {
                        format!(" {}like {}", if *ignore_case { "i" } else { "" }, pattern.text)
                    }
                    Test::Exists => " exists".to_owned(),
                    Test::IsNan => " nan".to_owned(),
                    Test::Word => String::new(),
                    Test::DescendsFrom(run) => format!(" {}", run.text),
                };
                format!("{not}{}{at}{test}", name.text)
            }
        }
    }

    fn check(text: &str, expected: &str) {
        match read(text) {
            Ok(tree) => assert_eq!(shown(&tree), expected, "{text}"),
            Err(mistake) => panic!("{text}: {mistake:?}"),
        }
    }

    #[test]
    fn queries_are_read() {
        check("", "()");
        check(
            "state = finished and mask_ratio >= 0.3 and (valid/mlm_loss.min < 5 or tag:keep) and not experiment = pilot",
            "(state=finished and mask_ratio>=0.3 and (valid/mlm_loss.min<5 or tag=keep) and not experiment=pilot)",
        );
        check("a=1 or b=2 and c=3 OR not not d=4", "(a=1 or (b=2 and c=3) or not not d=4)");
        check(
            "quickstart state=finished,lost  mask_ratio=0.15,0.3",
            "(quickstart and state in finished|lost and mask_ratio in 0.15|0.3)",
        );
        check("7h2 bb0 state=finished zz", "((7h2 or bb0 or zz) and state=finished)");
        check("a and b", "(a and b)");
        check(
            "lr not in (1e-4, 1e-3) and cpu like \"%EPYC%\" and host not ilike x_",
            "(!lr in 1e-4|1e-3 and cpu like %EPYC% and !host ilike x_)",
        );
        check(
            "exists(valid/mlm_loss) exists reproduces and tag is missing and l is not nan",
            "(valid/mlm_loss exists and reproduces exists and !tag exists and !l nan)",
        );
        check("descends from 7h2 or valid/mlm_loss.at(100) != 5", "(descends from 7h2 or !valid/mlm_loss@100=5)");
        check(
            "\"valid loss\"<2 started > \"2 days ago\" tag:\"two words\"",
            "(valid loss<2 and started>2 days ago and tag=two words)",
        );
        check("tags_of not started = x", "(tags_of and not started=x)");
        check("exists = 3", "exists=3");
    }

    fn check_mistake(text: &str, at: &str, expected: &str) {
        let mistake = read(text).unwrap_err();
        assert_eq!((&text[mistake.span], mistake.message.as_str()), (at, expected), "{text}");
    }

    #[test]
    fn mistakes_stand_at_their_place() {
        check_mistake("a >= ", "", "a value is missing here");
        check_mistake("(a = 1", "", "`)` is missing here");
        check_mistake("a = 1)", ")", "there is no `(` for this `)`");
        check_mistake("a = 1 and or b", "or", "a condition is missing before `or`");
        check_mistake("a < 1, 2", ",", "`<` takes one value");
        check_mistake("a in 3", "3", "`(` belongs here, not `3`");
        check_mistake("a is big", "big", "`nan` or `missing` belongs here, not `big`");
        check_mistake("a = 'open", "'open", "the second quote is missing");
        check_mistake("loss.at(x) > 1", "x", "a step, as in `valid/mlm_loss.at(100)` belongs here, not `x`");
        check_mistake("= 3", "=", "a name, as in `mask_ratio >= 0.3` belongs here, not `=`");
    }

    #[test]
    fn what_is_too_deep_too_many_or_too_long_is_refused() {
        let deep = |n: usize| format!("{}a=1{}", "(".repeat(n), ")".repeat(n));
        assert!(read(&deep(DEEPEST)).is_ok());
        assert!(read(&deep(DEEPEST + 1)).unwrap_err().message.starts_with("this is nested deeper"));
        assert!(read(&"not ".repeat(100_000 / 4 / 2)).unwrap_err().message.starts_with("this is nested deeper"));
        let many = |n: usize| vec!["a=1"; n].join(" and ");
        assert!(read(&many(MOST_TESTS)).is_ok());
        assert!(read(&many(MOST_TESTS + 1)).unwrap_err().message.starts_with("a query has at most"));
        let list = format!("a in ({})", vec!["1"; MOST_TESTS + 1].join(","));
        assert!(read(&list).unwrap_err().message.starts_with("a query has at most"));
        assert!(read(&"a".repeat(LONGEST + 1)).unwrap_err().message.contains("too long"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever is typed is read or refused at a place in it.
        #[test]
        fn nothing_makes_the_reader_panic(text in prop_oneof![
            any::<String>(),
            "[-+<>=!(), '\"`0-9a-e._%가é\u{0}\n]{0,40}",
            prop::collection::vec(
                prop::sample::select(vec![
                    "and", "or", "not", "in", "like", "is", "nan", "exists", "descends", "from", "(", ")", ",", "=", "<=",
                    "!=", "a", "tag:", "loss.at(", "3", "\"q\"", "'",
                ]),
                0..24,
            ).prop_map(|words| words.join(" ")),
        ]) {
            if let Err(mistake) = read(&text) {
                prop_assert!(text.get(mistake.span).is_some());
                prop_assert!(!mistake.message.is_empty());
            }
        }
    }
}
