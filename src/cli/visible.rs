//! What a terminal would obey, made visible: texts that people typed or that files hold are printed with control characters, and
//! those that change the direction of writing, as escapes.

/// Whether a character changes the direction of those after it, so that a text could look like another (Unicode TR 36).
fn is_of_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text that may repeat what somebody typed, with control characters and those of direction as escapes: a terminal does not
/// obey them.
pub fn visible(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() || is_of_direction(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// [`visible`], of a text that may be coloured: colours stay, and nothing else that a terminal would obey.
pub fn visible_but_colours(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (i, part) in text.split('\u{1b}').enumerate() {
        let rest = part.strip_prefix('[').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        if i > 0 {
            shown.push_str(if rest.is_some_and(|rest| rest.starts_with('m')) { "\u{1b}" } else { "\\u{1b}" });
        }
        shown.push_str(&visible(part));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(visible("run `\u{1b}[31mx\u{7}`\n\t한 é"), "run `\\u{1b}[31mx\\u{7}`\n\t한 é");
        assert_eq!(
            visible_but_colours("\u{1b}[1;32mok\u{1b}[0m\u{1b}]0;x\u{7}\u{1b}[2J\u{1b}"),
            "\u{1b}[1;32mok\u{1b}[0m\\u{1b}]0;x\\u{7}\\u{1b}[2J\\u{1b}"
        );
        assert_eq!(visible("a\u{202e}b\u{2066}c\u{200f}"), "a\\u{202e}b\\u{2066}c\\u{200f}");
    }
}
