//! MLflow's filter strings, as a second grammar to the same tree: `metrics.loss < 1 and params.lr = '0.1'`.
//!
//! Conditions are joined by `and` alone; an identifier is `metrics.`, `params.`, `tags.` or `attributes.` and a key (in
//! quotes or backticks where it is not plain), or an attribute alone. What MLflow would refuse is refused.

use super::read::{LONGEST, MOST_TESTS, expected};
use super::tree::{Condition, Kind, Literal, Name, Order, Test, Tree};
use super::words::{Piece, PieceKind, Words};
use crate::syntax::Mistake;

/// Where the provenance of a guest has the user that its client named.
const USER: &str = "client.user";

/// The tree of a filter string.
///
/// # Errors
/// The first mistake, at its place.
pub fn read(text: &str) -> Result<Tree<Condition>, Mistake> {
    read_with(text, of_run)
}

/// What an attribute is called here, where there is such a one.
pub type Attributes = fn(&str) -> Option<&'static str>;

/// [`read`] with other attributes.
pub fn read_with(text: &str, attributes: Attributes) -> Result<Tree<Condition>, Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::new(0..0, format!("a filter of {} bytes is too long: {LONGEST} are taken", text.len())));
    }
    let mut words = Words::new(text);
    let mut parts = Vec::new();
    if words.peek()?.kind == PieceKind::End {
        return Ok(Tree::all());
    }
    loop {
        parts.push(Tree::Leaf(condition(&mut words, attributes)?));
        let next = words.take()?;
        match next.kind {
            PieceKind::End => return Ok(Tree::and(parts)),
            _ if next.is_word("and") && parts.len() < MOST_TESTS => {}
            _ if next.is_word("and") => {
                return Err(Mistake::new(next.span, format!("a filter has at most {MOST_TESTS} conditions")));
            }
            _ if next.is_word("or") || next.is("(") => {
                let mistake = Mistake::new(next.span, "filters are joined by `and` alone");
                return Err(mistake.help("`ablate list` takes `or`, `not` and parentheses"));
            }
            _ => return Err(expected(&next, "`and`")),
        }
    }
}

/// What runs are sorted by: an identifier, then perhaps `ASC` or `DESC`. Whether the largest is the first.
///
/// # Errors
/// The first mistake, at its place.
pub fn read_order(text: &str) -> Result<(Name, bool), Mistake> {
    read_order_with(text, of_run)
}

/// [`read_order`] with other attributes.
pub fn read_order_with(text: &str, attributes: Attributes) -> Result<(Name, bool), Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::new(0..0, format!("a key of {} bytes is too long: {LONGEST} are taken", text.len())));
    }
    let mut words = Words::new(text);
    let name = name(&mut words, attributes)?;
    if name.kind == Some(Kind::Tag) {
        return Err(Mistake::new(name.span, "runs are not sorted by tags here"));
    }
    let next = words.take()?;
    let is_reversed = match next.kind {
        PieceKind::End => return Ok((name, false)),
        _ if next.is_word("desc") => true,
        _ if next.is_word("asc") => false,
        _ => return Err(expected(&next, "`ASC` or `DESC`")),
    };
    let end = words.take()?;
    if end.kind == PieceKind::End { Ok((name, is_reversed)) } else { Err(expected(&end, "nothing more")) }
}

fn condition(words: &mut Words<'_>, attributes: Attributes) -> Result<Condition, Mistake> {
    let name = name(words, attributes)?;
    let next = words.take()?;
    let (test, is_negated) = match next.text {
        _ if next.kind != PieceKind::Sign => worded(words, &next)?,
        "=" | "==" => (Test::Compare(Order::Equal, value(words)?), false),
        "!=" | "<>" => (Test::Compare(Order::Equal, value(words)?), true),
        "<" => (Test::Compare(Order::Less, value(words)?), false),
        "<=" => (Test::Compare(Order::LessOrEqual, value(words)?), false),
        ">" => (Test::Compare(Order::Greater, value(words)?), false),
        ">=" => (Test::Compare(Order::GreaterOrEqual, value(words)?), false),
        _ => worded(words, &next)?,
    };
    let test = in_our_words(&name, test);
    Ok(Condition { name, test, is_negated })
}

/// A test that begins with a word.
fn worded(words: &mut Words<'_>, first: &Piece<'_>) -> Result<(Test, bool), Mistake> {
    if first.is_word("is") {
        let is_there = words.peek()?.is_word("not");
        if is_there {
            words.take()?;
        }
        let null = words.take()?;
        return if null.is_word("null") { Ok((Test::Exists, !is_there)) } else { Err(expected(&null, "`null`")) };
    }
    let is_negated = first.is_word("not");
    let word = if is_negated { words.take()? } else { first.clone() };
    if word.is_word("in") {
        let open = words.take()?;
        if !open.is("(") {
            return Err(expected(&open, "`(`"));
        }
        let mut values = vec![value(words)?];
        loop {
            let next = words.take()?;
            match next.text {
                ")" if next.is(")") => return Ok((Test::OneOf(values), is_negated)),
                "," if next.is(",") && values.len() < MOST_TESTS => values.push(value(words)?),
                _ => return Err(expected(&next, "`)`")),
            }
        }
    }
    for (name, ignore_case) in [("like", false), ("ilike", true)] {
        if word.is_word(name) && !is_negated {
            return Ok((Test::Like { pattern: value(words)?, ignore_case }, false));
        }
    }
    Err(expected(&word, "a comparison"))
}

fn value(words: &mut Words<'_>) -> Result<Literal, Mistake> {
    let piece = words.take()?;
    let is_quoted = piece.kind == PieceKind::Quoted;
    let is_number = piece.kind == PieceKind::Word && piece.text.parse::<f64>().is_ok();
    if is_quoted || is_number {
        return Ok(Literal { text: piece.text.to_owned(), is_quoted, span: piece.span });
    }
    Err(expected(&piece, "a number, or a text in quotes"))
}

/// An identifier.
fn name(words: &mut Words<'_>, attributes: Attributes) -> Result<Name, Mistake> {
    let first = words.take()?;
    if first.kind != PieceKind::Word {
        return Err(expected(&first, "an identifier, as in `metrics.loss`"));
    }
    let Some((group, key)) = first.text.split_once('.') else {
        return attribute(first.text, &first, attributes);
    };
    let kind = match group {
        "metrics" | "metric" => Kind::Metric,
        "params" | "param" | "parameters" => Kind::Setting,
        "tags" | "tag" => Kind::Tag,
        "attributes" | "attribute" | "attr" | "run" => Kind::Attribute,
        _ => {
            let mistake = Mistake::new(first.span, format!("`{group}` is no group of identifiers"));
            return Err(mistake.help("they are metrics, params, tags and attributes"));
        }
    };
    // A key in quotes stands behind the point.
    let (key, end) = match key {
        "" => {
            let quoted = words.take()?;
            if quoted.kind != PieceKind::Quoted || quoted.span.start != first.span.end {
                return Err(expected(&quoted, "a key"));
            }
            (quoted.text.to_owned(), quoted.span.end)
        }
        _ => (key.to_owned(), first.span.end),
    };
    let span = first.span.start..end;
    match (kind, key.as_str()) {
        (Kind::Attribute, _) => attribute(&key, &Piece { span, ..first }, attributes),
        // What the tracking client keeps as tags and this store as labels.
        (Kind::Tag, "mlflow.runName") if attributes("run_id").is_some() => Ok(of_ours("name", span)),
        (Kind::Tag, "mlflow.note.content") if attributes("run_id").is_some() => Ok(of_ours("note", span)),
        _ => Ok(Name { text: key, kind: Some(kind), at: None, span }),
    }
}

fn of_ours(name: &str, span: crate::syntax::Span) -> Name {
    Name { text: name.to_owned(), kind: Some(Kind::Attribute), at: None, span }
}

/// MLflow's attributes of runs under our names.
fn of_run(text: &str) -> Option<&'static str> {
    Some(match text {
        "run_id" => "id",
        "run_name" | "run name" => "name",
        "user_id" => USER,
        "status" => "state",
        "start_time" | "created" | "Created" => "started",
        "end_time" => "ended",
        _ => return None,
    })
}

fn attribute(text: &str, at: &Piece<'_>, attributes: Attributes) -> Result<Name, Mistake> {
    let Some(ours) = attributes(text) else {
        let mistake = Mistake::new(at.span.clone(), format!("there is no attribute `{text}` here"));
        return Err(mistake.help(
            "runs have run_id, run_name, user_id, status, start_time and end_time; experiments name, experiment_id, \
             creation_time and last_update_time",
        ));
    };
    let name = of_ours(ours, at.span.clone());
    Ok(if ours == USER { Name { kind: Some(Kind::Provenance), ..name } } else { name })
}

/// The words that MLflow has for states, in ours.
fn in_our_words(name: &Name, test: Test) -> Test {
    let ours = |literal: Literal| {
        let names: &[&str] = match literal.text.as_str() {
            "FINISHED" => &["finished"],
            "FAILED" => &["failed"],
            "RUNNING" => &["running"],
            "SCHEDULED" => &["planned"],
            "KILLED" => &["interrupted", "stopped", "lost"],
            _ => return vec![literal],
        };
        names.iter().map(|name| Literal { text: (*name).to_owned(), ..literal.clone() }).collect()
    };
    match test {
        _ if name.text != "state" || name.kind != Some(Kind::Attribute) => test,
        Test::Compare(Order::Equal, literal) => match &ours(literal)[..] {
            [one] => Test::Compare(Order::Equal, one.clone()),
            several => Test::OneOf(several.to_vec()),
        },
        Test::OneOf(literals) => Test::OneOf(literals.into_iter().flat_map(ours).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(text: &str) -> Vec<Condition> {
        let tree = read(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
        tree.leaves().into_iter().cloned().collect()
    }

    #[test]
    fn filters_of_the_tracking_client_are_read() {
        let found = leaves(
            "metrics.loss < 1.5 AND params.\"learning rate\" = '0.1' and tags.`a b` ILIKE '%x%' and attributes.status != 'FINISHED' \
             and run_id in ('a', 'b') and params.lr IS NOT NULL and tags.mlflow.runName LIKE 'x%'",
        );
        let names: Vec<_> = found.iter().map(|c| (c.name.kind.unwrap(), c.name.text.as_str(), c.is_negated)).collect();
        let expected = [
            (Kind::Metric, "loss", false),
            (Kind::Setting, "learning rate", false),
            (Kind::Tag, "a b", false),
            (Kind::Attribute, "state", true),
            (Kind::Attribute, "id", false),
            (Kind::Setting, "lr", false),
            (Kind::Attribute, "name", false),
        ];
        assert_eq!(names, expected);
        assert!(matches!(&found[3].test, Test::Compare(Order::Equal, state) if state.text == "finished"));
        assert!(matches!((&found[4].test, &found[5].test), (Test::OneOf(ids), Test::Exists) if ids.len() == 2));
        assert_eq!(read(" ").unwrap(), Tree::all());
    }

    #[test]
    fn what_the_grammar_lacks_is_refused_at_its_place() {
        for (text, at) in [
            ("metrics.a = 1 or metrics.b = 2", "or"),
            ("metrics.a = 1 metrics.b", "metrics.b"),
            ("metrics.a '<' 1", "'<'"),
            ("params.a = unquoted", "unquoted"),
            ("nothing.a = 1", "nothing.a"),
            ("artifact_uri = 'x'", "artifact_uri"),
            ("metrics. a = 1", "a"),
            ("tags.a is 3", "3"),
            ("(metrics.a = 1)", "("),
        ] {
            assert_eq!(&text[read(text).unwrap_err().span], at, "{text}");
        }
    }

    #[test]
    fn keys_to_sort_by_are_read() {
        let read = |text: &str| read_order(text).map(|(name, is_reversed)| (name.text, is_reversed));
        assert_eq!(read("metrics.`val loss` DESC"), Ok(("val loss".to_owned(), true)));
        assert_eq!(read("attributes.start_time asc"), Ok(("started".to_owned(), false)));
        assert_eq!(read("params.lr"), Ok(("lr".to_owned(), false)));
        for wrong in ["", "metrics.a up", "metrics.a DESC b", "tags.a", "nothing.a"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn nothing_makes_the_reader_panic(
            text in prop_oneof![any::<String>(), "(metrics|params|tags)?[.`'\" =<>!(),a-z0-9]{0,40}"],
        ) {
            if let Err(mistake) = read(&text) {
                prop_assert!(text.get(mistake.span).is_some());
            }
        }
    }
}
