//! Texts whose characters are tagged, in KLUE-NER's format: `character<TAB>tag` a line, a blank line between texts, and lines
//! that begin with `## ` about the file and its texts.
//!
//! Tags are IOB2: `O`, `B-X` at the first character of an entity of type X, `I-X` at the others.

use std::path::Path;

use super::{TaskError, check_label, lines};

/// A text with a tag for each character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedText {
    pub characters: Vec<char>,
    pub tags: Vec<String>,
    /// The line of the first character, counted from 1.
    pub line: usize,
}

/// What is outside of all entities.
pub const OUTSIDE: &str = "O";

/// Reads the tagged texts of `bytes`, the content of `path`.
///
/// # Errors
/// At the first line that is none of the format, at an `I-X` that follows neither `B-X` nor `I-X`, and when there is no text.
pub fn read_tagged(path: &Path, bytes: &[u8]) -> Result<Vec<TaggedText>, TaskError> {
    let mut texts = Vec::new();
    let mut text = TaggedText { characters: Vec::new(), tags: Vec::new(), line: 0 };
    for (number, line) in (1..).zip(lines(path, bytes)?) {
        if line.is_empty() {
            if !text.characters.is_empty() {
                let empty = TaggedText { characters: Vec::new(), tags: Vec::new(), line: 0 };
                texts.push(std::mem::replace(&mut text, empty));
            }
            continue;
        }
        if line.starts_with("## ") && text.characters.is_empty() {
            continue;
        }
        let (character, tag) = character_and_tag(path, number, line)?;
        follows(path, number, text.tags.last().map(String::as_str), tag)?;
        if text.characters.is_empty() {
            text.line = number;
        }
        text.characters.push(character);
        text.tags.push(tag.to_owned());
    }
    if !text.characters.is_empty() {
        texts.push(text);
    }
    if texts.is_empty() {
        return Err(TaskError::of(path, "it has no tagged text; a line is a character, a tab and a tag"));
    }
    Ok(texts)
}

fn character_and_tag<'l>(path: &Path, number: usize, line: &'l str) -> Result<(char, &'l str), TaskError> {
    let error = |problem: String| TaskError::at(path, number, problem);
    let Some((character, tag)) = line.split_once('\t') else {
        return Err(error(format!("`{line}` has no tab; a line is a character, a tab and a tag")));
    };
    if tag.contains('\t') {
        return Err(error("more than one tab; a line is a character, a tab and a tag".to_owned()));
    }
    let mut characters = character.chars();
    let (Some(character), None) = (characters.next(), characters.next()) else {
        return Err(error(format!("`{character}` is not one character; tags are of characters here, not of words")));
    };
    if tag != OUTSIDE && kind(tag).is_none() {
        return Err(error(format!("the tag `{tag}` is none of O, B-X and I-X")));
    }
    Ok((character, tag))
}

/// The type of the entity that a tag is part of.
pub fn kind(tag: &str) -> Option<&str> {
    tag.strip_prefix("B-").or_else(|| tag.strip_prefix("I-")).filter(|kind| !kind.is_empty())
}

/// Whether `tag` may come after `before`.
fn follows(path: &Path, number: usize, before: Option<&str>, tag: &str) -> Result<(), TaskError> {
    let Some(of) = tag.strip_prefix("I-") else { return Ok(()) };
    if before.and_then(kind) == Some(of) {
        return Ok(());
    }
    let before = before.map_or("nothing".to_owned(), |before| format!("`{before}`"));
    let problem = format!("`{tag}` follows {before}; an entity begins with `B-{of}` (IOB2)");
    Err(TaskError::at(path, number, problem))
}

/// All labels: `O`, then `B-X` and `I-X` of each type in the order of letters, whether or not both occur.
///
/// # Errors
/// When there is no entity at all.
pub fn labels_of_tagged(path: &Path, texts: &[TaggedText]) -> Result<Vec<String>, TaskError> {
    let mut kinds: Vec<&str> = texts.iter().flat_map(|text| &text.tags).filter_map(|tag| kind(tag)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        return Err(TaskError::of(path, "every character is tagged O; there is no entity to learn from"));
    }
    let of_kind = |kind: &str| [format!("B-{kind}"), format!("I-{kind}")];
    Ok([OUTSIDE.to_owned()].into_iter().chain(kinds.into_iter().flat_map(of_kind)).collect())
}

/// Whether all tags are known.
///
/// # Errors
/// At the first that is not.
pub fn check_tagged(path: &Path, texts: &[TaggedText], labels: &[String]) -> Result<(), TaskError> {
    let tags = texts.iter().flat_map(|text| (text.line..).zip(&text.tags));
    tags.into_iter().try_for_each(|(line, tag)| check_label(path, line, tag, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<TaggedText>, String> {
        read_tagged(Path::new("a.tsv"), text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn characters_and_tags_are_read() {
        let texts =
            read("## 주석 : ##\n## id\t<경찰:OG>은\n경\tB-OG\n찰\tI-OG\n \tO\n#\tO\n\n\n## id2\n은\tO\n").unwrap();
        assert_eq!(texts.len(), 2);
        assert_eq!((texts[0].characters.as_slice(), texts[0].line), (&['경', '찰', ' ', '#'][..], 3));
        assert_eq!(texts[0].tags, ["B-OG", "I-OG", "O", "O"]);
        assert_eq!(labels_of_tagged(Path::new("a"), &texts).unwrap(), ["O", "B-OG", "I-OG"]);
        assert!(labels_of_tagged(Path::new("a"), &texts[1..]).is_err());
        let labels = ["O".to_owned()];
        let error = check_tagged(Path::new("b.tsv"), &texts, &labels).unwrap_err();
        assert_eq!(error.to_string(), "b.tsv:3: the label `B-OG` is not among those to learn from (O)");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let files = [
            "",
            "가\tI-PS\n",
            "가\tO\n나\tI-PS\n",
            "가\tB-OG\n나\tI-PS\n",
            "가\tB-OG\n\n나\tI-OG\n",
            "가나\tO\n",
            "가 O\n",
            "가\tO\tO\n",
            "가\tX-PS\n",
            "가\tB-\n",
            "\tO\n",
        ];
        let said: Vec<String> = files.iter().map(|text| read(text).unwrap_err()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        a.tsv: it has no tagged text; a line is a character, a tab and a tag
        a.tsv:1: `I-PS` follows nothing; an entity begins with `B-PS` (IOB2)
        a.tsv:2: `I-PS` follows `O`; an entity begins with `B-PS` (IOB2)
        a.tsv:2: `I-PS` follows `B-OG`; an entity begins with `B-PS` (IOB2)
        a.tsv:3: `I-OG` follows nothing; an entity begins with `B-OG` (IOB2)
        a.tsv:1: `가나` is not one character; tags are of characters here, not of words
        a.tsv:1: `가 O` has no tab; a line is a character, a tab and a tag
        a.tsv:1: more than one tab; a line is a character, a tab and a tag
        a.tsv:1: the tag `X-PS` is none of O, B-X and I-X
        a.tsv:1: the tag `B-` is none of O, B-X and I-X
        a.tsv:1: `` is not one character; tags are of characters here, not of words
        ");
    }
}
