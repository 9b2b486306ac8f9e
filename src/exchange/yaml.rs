//! The YAML of others: what PyYAML's `safe_dump` writes, of any spelling, and no more.
//!
//! The scanner is `saphyr-parser`, which gives events and builds nothing. So the limits stand here, before anything grows:
//! bytes, depth, nodes, and no anchors, aliases or tags at all, which `safe_dump` has no use for and with which a small file
//! describes a large one.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Value;

/// Nodes of a document at most, and how deep they may lie in one another.
const MOST_NODES: usize = 100_000;
const DEEPEST: usize = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Null,
    /// A number, a boolean or a text: what stands there without quotes.
    Plain(String),
    /// A text in quotes.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The text of a scalar, quoted or not.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number, quoted or not: ids were numbers once.
    pub fn as_int(&self) -> Option<i64> {
        self.as_text()?.parse().ok()
    }

    /// The value as JSON: what stands without quotes is what YAML 1.1 takes it for, as PyYAML does.
    pub fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Plain(text) => plain_json(text),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Map(fields) => fields.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
        }
    }

    /// A text as the node that is written in quotes where it would mean something else without them.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    pub fn int(number: i64) -> Self {
        Self::Plain(number.to_string())
    }
}

/// Reads the one mapping of a document.
///
/// # Errors
/// What is wrong and where, or which limit it is beyond.
pub fn read(text: &str) -> Result<Vec<(String, Node)>, String> {
    let mut parser = Parser::new_from_str(text);
    // The containers that are open, and of a mapping the key whose value is to come.
    let mut open: Vec<(Node, Option<String>)> = Vec::new();
    let (mut root, mut nodes) = (None, 0);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let wrong = |what: &str| format!("line {}: {what}", span.start.line());
        let done = match event {
            Event::Alias(_) => return Err(wrong("an alias, which is not read")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(wrong("an anchor, which is not read"));
            }
            Event::Scalar(.., Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                return Err(wrong("a tag, which is not read"));
            }
            Event::Scalar(text, style, ..) => match (style, text.as_ref()) {
                (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Node::Null,
                (ScalarStyle::Plain, text) => Node::Plain(text.to_owned()),
                (_, text) => Node::Text(text.to_owned()),
            },
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                return Err(wrong(&format!("more than {DEEPEST} values in one another")));
            }
            Event::SequenceStart(..) => {
                open.push((Node::List(Vec::new()), None));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((Node::Map(Vec::new()), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some((node, _)) => node,
                None => return Err(wrong("an end without a beginning")),
            },
            Event::DocumentStart(_) if root.is_some() => return Err(wrong("a second document")),
            _ => continue,
        };
        nodes += 1;
        if nodes > MOST_NODES {
            return Err(wrong(&format!("more than {MOST_NODES} values")));
        }
        match open.last_mut() {
            None => root = Some(done),
            Some((Node::List(items), _)) => items.push(done),
            Some((Node::Map(fields), key)) => match key.take() {
                Some(key) if fields.iter().any(|(known, _)| *known == key) && fields.len() < 1_000 => {
                    return Err(wrong(&format!("`{}` for the second time", super::findings::shown(&key))));
                }
                Some(its) => fields.push((its, done)),
                None => match done.as_text() {
                    Some(text) => *key = Some(text.to_owned()),
                    None => return Err(wrong("a key that is no text")),
                },
            },
            Some(_) => return Err(wrong("a value within a scalar")),
        }
    }
    match root {
        Some(Node::Map(fields)) => Ok(fields),
        None | Some(Node::Null) => Err("empty".to_owned()),
        Some(_) => Err("no mapping of keys to values".to_owned()),
    }
}

/// What stands without quotes: a boolean, an integer, a float (which has a point in YAML 1.1), or a text. JSON has no number for
/// what is not finite, nor for integers beyond 64 bits: these are texts.
fn plain_json(text: &str) -> Value {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_decimal = digits == "0" || digits.starts_with(|c: char| ('1'..='9').contains(&c));
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return Value::Bool(true),
        "false" | "no" | "off" => return Value::Bool(false),
        ".nan" => return Value::from("NaN"),
        ".inf" | "+.inf" => return Value::from("inf"),
        "-.inf" => return Value::from("-inf"),
        _ => {}
    }
    if is_decimal && let Ok(integer) = text.parse::<i64>() {
        return Value::from(integer);
    }
    let is_float = digits.contains('.') && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(float) if is_float && float.is_finite() => Value::from(float),
        _ => Value::from(text),
    }
}

/// Writes a mapping as `safe_dump` does, in the order of its keys; long texts are not broken.
pub fn write(fields: &[(String, Node)]) -> String {
    let mut sorted: Vec<&(String, Node)> = fields.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.into_iter().map(|(key, value)| entry(key, value)).collect()
}

/// A key and its value, with the end of the line.
pub fn entry(key: &str, value: &Node) -> String {
    let inner = |fields: &[(String, Node)]| -> String {
        fields.iter().map(|(key, value)| format!("  {}: {}\n", quoted(key), flow(value))).collect()
    };
    match value {
        Node::Map(fields) if !fields.is_empty() => format!("{}:\n{}", quoted(key), inner(fields)),
        value => format!("{}: {}\n", quoted(key), flow(value)),
    }
}

/// A value on one line.
fn flow(value: &Node) -> String {
    match value {
        Node::Null => "null".to_owned(),
        Node::Plain(text) => text.clone(),
        Node::Text(text) => quoted(text),
        Node::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Node::Map(fields) => {
            let field = |(key, value): &(String, Node)| format!("{}: {}", quoted(key), flow(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text, in quotes unless every reader takes it for itself without them.
fn quoted(text: &str) -> String {
    // Of the letters beyond the first plane PyYAML writes the numbers.
    let is_printable =
        |c: char| matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}';
    let breaks = ['\u{2028}', '\u{2029}', '\u{85}'];
    if !text.chars().all(|c| is_printable(c) && !breaks.contains(&c)) {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn is_plain(text: &str) -> bool {
    let starts_a_word = text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '/');
    let ends = !text.ends_with([' ', ':']);
    let is_split = text.contains(": ") || text.contains(" #") || text.contains(['[', ']', '{', '}', ',']);
    let is_a_word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"]
        .contains(&text.to_ascii_lowercase().as_str());
    starts_a_word && ends && !is_split && !is_a_word
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_pyyaml_writes_is_read() {
        let text = "artifact_uri: ./mlruns/1\nend_time: null\nexperiment_id: '0'\nname: ''\nrun_name: \"emoji \\U0001F389 x: \
                    \\\"y\\\" 'z'\"\nsource: '{\"tags\": {\"mlflow.source.type\":\n  \"LOCAL\"}}'\nstatus: 3\ntags: []\nlong: \
                    \"a b\\\n  \\ c\"\nof:\n  mlflow.data.context: training\n";
        let found = read(text).unwrap();
        let get = |key: &str| found.iter().find(|(its, _)| its == key).map(|(_, node)| node.clone()).unwrap();
        assert_eq!(get("end_time"), Node::Null);
        assert_eq!(get("experiment_id").as_int(), Some(0));
        assert_eq!(get("name"), Node::text(""));
        assert_eq!(get("run_name"), Node::text("emoji 🎉 x: \"y\" 'z'"));
        assert_eq!(get("source"), Node::text("{\"tags\": {\"mlflow.source.type\": \"LOCAL\"}}"));
        assert_eq!((get("status").as_int(), get("tags")), (Some(3), Node::List(Vec::new())));
        assert_eq!(get("long"), Node::text("a b c"));
        assert_eq!(get("of"), Node::Map(vec![("mlflow.data.context".to_owned(), Node::Plain("training".to_owned()))]));
    }

    /// The right side is what `yaml.safe_load` of PyYAML 6 says.
    #[test]
    fn plain_values_are_what_pyyaml_takes_them_for() {
        for (text, expected) in [
            ("3", json!(3)),
            ("-5", json!(-5)),
            ("0.1", json!(0.1)),
            ("1.0e-05", json!(1e-5)),
            ("1e-4", json!("1e-4")),
            ("true", json!(true)),
            ("No", json!(false)),
            ("null", json!(null)),
            (".nan", json!("NaN")),
            ("-.inf", json!("-inf")),
            ("'3'", json!("3")),
            ("adam", json!("adam")),
            ("1.2.3", json!("1.2.3")),
            ("[1, a, {b: 2.5}]", json!([1, "a", { "b": 2.5 }])),
        ] {
            assert_eq!(read(&format!("k: {text}")).unwrap()[0].1.json(), expected, "{text}");
        }
    }

    #[test]
    fn what_safe_dump_does_not_write_is_refused() {
        let nested = format!("a: {}{}", "[".repeat(17), "]".repeat(17));
        for (text, expected) in [
            ("", "empty"),
            ("null", "empty"),
            ("- a", "no mapping of keys to values"),
            ("a: &x [1]\nb: *x", "line 1: an anchor, which is not read"),
            ("a: !!python/object:os.system x", "line 1: a tag, which is not read"),
            ("a: 1\na: 2", "line 2: `a` for the second time"),
            ("a: 1\n---\nb: 2", "line 2: a second document"),
            (&nested, "line 1: more than 16 values in one another"),
            ("a: 'b", ""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn texts_are_quoted_where_they_must_be() {
        for (text, expected) in [
            ("gone", "gone"),
            ("file:///tmp/a b/1", "file:///tmp/a b/1"),
            ("실험 1", "실험 1"),
            ("", "''"),
            ("0", "'0'"),
            ("it's: 1", "'it''s: 1'"),
            ("yes", "'yes'"),
            ("🎉", "\"\\U0001F389\""),
            ("a\nb", "\"a\\nb\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf =
            prop_oneof![Just(Node::Null), any::<i64>().prop_map(Node::int), any::<String>().prop_map(Node::Text)];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
                prop::collection::btree_map("[a-z ]{1,4}", inner, 0..4)
                    .prop_map(|fields| Node::Map(fields.into_iter().collect())),
            ]
        })
    }

    /// Quoted or not, what a scalar says.
    fn said(node: &Node) -> Node {
        match node {
            Node::Plain(text) => Node::Text(text.clone()),
            Node::List(items) => Node::List(items.iter().map(said).collect()),
            Node::Map(fields) => Node::Map(fields.iter().map(|(key, value)| (key.clone(), said(value))).collect()),
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(fields in prop::collection::btree_map("\\PC{1,8}", any_node(), 1..5)) {
            let fields: Vec<(String, Node)> = fields.into_iter().collect();
            let written = write(&fields);
            let read = read(&written).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
            prop_assert_eq!(said(&Node::Map(read)), said(&Node::Map(fields)), "{}", written);
        }

        #[test]
        fn any_text_is_read_or_refused(text in r#"[a\-:\n '"\[\]{}&*!|>#%\\,0-9]{0,40}"#) {
            let _ = read(&text);
        }
    }
}
