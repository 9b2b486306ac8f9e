//! A word that is no command: the one that is probably meant, by its letters or by what other programs call it.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, Error};

use super::commands::Arguments;
use super::visible::visible;
use crate::suggest::nearest;

/// What other programs call our commands.
const ALSO: [(&str, &str); 18] = [
    ("train", "run"),
    ("fit", "run"),
    ("continue", "resume"),
    ("kill", "stop"),
    ("cancel", "stop"),
    ("ls", "list"),
    ("info", "show"),
    ("describe", "show"),
    ("report", "compare"),
    ("plot", "compare"),
    ("prove", "reproduce"),
    ("copy", "cp"),
    ("move", "mv"),
    ("rm", "delete"),
    ("repeat", "reproduce"),
    ("memorization", "memorisation"),
    ("check", "doctor"),
    ("benchmark", "bench"),
];

/// Puts our suggestion into clap's error in place of its own, which likes any word with the same beginning.
pub fn suggest(mut error: Error) -> Error {
    let typed: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, escaped(value)?))).collect();
    typed.into_iter().for_each(|(kind, value)| drop(error.insert(kind, value)));
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    let command = meant_by(word);
    error.remove(ContextKind::SuggestedSubcommand);
    if let Some(command) = command {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![command]));
    }
    error
}

/// What the error repeats of a command line, where a terminal would obey a part of it.
fn escaped(value: &ContextValue) -> Option<ContextValue> {
    match value {
        ContextValue::String(word) => Some(visible(word)).filter(|shown| shown != word).map(ContextValue::String),
        _ => None,
    }
}

/// The command that `word` probably means.
fn meant_by(word: &str) -> Option<String> {
    let program = Arguments::command();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let name = nearest(word, commands.chain(ALSO.map(|(name, _)| name)))?;
    let command = ALSO.iter().find(|(also, _)| *also == name).map_or(name, |(_, command)| command);
    Some(command.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_command_is_known_by_its_letters_and_by_other_names() {
        let check = |word: &str, expected: Option<&str>| assert_eq!(meant_by(word).as_deref(), expected, "{word}");
        check("lst", Some("list"));
        check("comapre", Some("compare"));
        check("train", Some("run"));
        check("trian", Some("run"));
        check("ls", Some("list"));
        check("completions", None);
        check("wrker", None);
    }

    #[test]
    fn every_other_name_leads_to_a_command_and_is_none_itself() {
        let program = Arguments::command();
        let is_command = |name: &str| program.get_subcommands().any(|command| command.get_name() == name);
        for (also, command) in ALSO {
            assert!(is_command(command) && !is_command(also), "{also} -> {command}");
        }
    }

    #[test]
    fn the_error_says_what_is_meant() {
        let said = |word: &str| suggest(Arguments::try_parse_from(["ablate", word]).unwrap_err()).to_string();
        assert!(said("trian").contains("'run'"), "{}", said("trian"));
        assert!(!said("completions").contains("similar"), "{}", said("completions"));
        assert!(said("\u{1b}[31mlist").contains("'\\u{1b}[31mlist'"), "{:?}", said("\u{1b}[31mlist"));
    }
}
