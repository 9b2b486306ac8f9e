//! `meta.yaml`: what MLflow says of an experiment, a run or a data set, kept as the text that it is.
//!
//! A field that is changed is changed in the text, so that everything else stays as it was written, byte for byte: also what
//! this program knows nothing of.

use crate::exchange::yaml::{self, Node};

/// The fields of a `meta.yaml` and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    text: String,
    fields: Vec<(String, Node)>,
}

impl Meta {
    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let fields = yaml::read(&text)?;
        Ok(Self { text, fields })
    }

    /// One that MLflow would write of these fields.
    pub fn of(fields: Vec<(String, Node)>) -> Self {
        Self { text: yaml::write(&fields), fields }
    }

    /// The file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A field, if it is there.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.fields.iter().find(|(its, _)| its == key).map(|(_, node)| node)
    }

    /// The text of a field that says something.
    pub fn said(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text().filter(|text| !text.is_empty())
    }

    /// The whole number of a field.
    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_int()
    }

    /// Gives a field another value. One that says the same, quoted or not, stays as it is written.
    pub fn set(&mut self, key: &str, value: Node) {
        let same = |known: &Node| *known == value || known.as_text().is_some_and(|text| Some(text) == value.as_text());
        if self.get(key).is_some_and(same) {
            return;
        }
        let mut fields = self.fields.clone();
        match fields.iter_mut().find(|(its, _)| its == key) {
            Some((_, known)) => *known = value.clone(),
            None => fields.push((key.to_owned(), value.clone())),
        }
        let text = with_entry(&self.text, key, &yaml::entry(key, &value));
        // Of a spelling that lines do not show, all is written anew.
        let reads_back = yaml::read(&text).is_ok_and(|read| sorted(read) == sorted(fields.clone()));
        self.text = if reads_back { text } else { yaml::write(&fields) };
        self.fields = fields;
    }
}

/// Fields by key, and what each says.
fn sorted(fields: Vec<(String, Node)>) -> Vec<(String, Node)> {
    fn said(node: Node) -> Node {
        match node {
            Node::Plain(text) => Node::Text(text),
            Node::List(items) => Node::List(items.into_iter().map(said).collect()),
            Node::Map(fields) => Node::Map(sorted(fields)),
            other => other,
        }
    }
    let mut fields: Vec<(String, Node)> = fields.into_iter().map(|(key, value)| (key, said(value))).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

/// A text with the lines of one key in place of those that it had, or in its place in the order of keys.
fn with_entry(text: &str, key: &str, entry: &str) -> String {
    // A key begins where a line begins with anything but a space or the dash of a list.
    let mut entries: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match entries.last_mut() {
            Some(last) if line.starts_with([' ', '-', '\n', '\r', '#']) => last.push_str(line),
            _ => entries.push(line.to_owned()),
        }
    }
    if let Some(last) = entries.last_mut().filter(|last| !last.ends_with('\n')) {
        last.push('\n');
    }
    let begins = format!("{key}:");
    match entries.iter_mut().find(|known| known.starts_with(&begins)) {
        Some(known) => entry.clone_into(known),
        None => {
            let place = entries.iter().position(|known| known.as_str() > begins.as_str()).unwrap_or(entries.len());
            entries.insert(place, entry.to_owned());
        }
    }
    entries.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_field_leaves_the_rest_as_it_is_written() {
        let text = "artifact_uri: ./mlruns/1\nend_time: null\nexperiment_id: '1'\nname: \"a\\\n  \\ b\"\nodd:   0x10\ntags:\n- a\n";
        let mut meta = Meta::parse(text).unwrap();
        meta.set("end_time", Node::Null);
        meta.set("experiment_id", Node::int(1));
        assert_eq!(meta.text(), text);
        meta.set("artifact_uri", Node::text("file:///x y"));
        meta.set("end_time", Node::int(5));
        meta.set("deleted_time", Node::int(7));
        meta.set("zone", Node::text("0"));
        assert_eq!(
            meta.text(),
            "artifact_uri: file:///x y\ndeleted_time: 7\nend_time: 5\nexperiment_id: '1'\nname: \"a\\\n  \\ b\"\nodd:   \
             0x10\ntags:\n- a\nzone: '0'\n"
        );
        assert_eq!(Meta::parse(meta.text()).unwrap().get("end_time"), Some(&Node::Plain("5".to_owned())));
    }

    #[test]
    fn a_spelling_without_lines_is_written_anew() {
        let mut meta = Meta::parse("{b: 1, a: x}").unwrap();
        meta.set("a", Node::text("z"));
        assert_eq!(meta.text(), "a: z\nb: 1\n");
    }
}
