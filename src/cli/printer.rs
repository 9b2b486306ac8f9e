//! The one place that prints: results to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::args::{Colour, Global};
use super::columns::{cut, wrapped};
use super::visible::{visible, visible_but_colours};
use crate::report::json::Exact;

/// Columns before the text of a status line.
const INDENT: usize = 13;

/// Where words go, and how they look.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Whether anything but results and errors is said.
    pub quiet: bool,
    /// Whether standard output and standard error are coloured.
    colour: [bool; 2],
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Good,
    Bad,
    Caution,
    Hint,
    Id,
    Strong,
    Faint,
}

/// A stream to print on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

impl Printer {
    /// Decides once, from the options and the terminal, what is coloured.
    pub fn new(global: &Global) -> Self {
        let colour = |terminal: bool| match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !no_colour(),
        };
        Self { quiet: global.quiet, colour: [colour(io::stdout().is_terminal()), colour(io::stderr().is_terminal())] }
    }

    /// One that says nothing, for tests.
    #[cfg(test)]
    pub fn silent() -> Self {
        Self { quiet: true, colour: [false; 2] }
    }

    /// Prints a result. A reader that went away ends the printing without a fuss.
    pub fn data(&self, text: impl Display) {
        let _ = writeln!(io::stdout().lock(), "{}", visible_but_colours(&text.to_string()));
    }

    /// Prints a result that has its own line ends.
    pub fn raw(&self, text: &str) {
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// Prints sentences as a result, broken between words where they are wider than the terminal.
    pub fn prose(&self, text: &str) {
        self.data(terminal_width().map_or_else(|| text.to_owned(), |width| wrapped(text, width)));
    }

    /// Prints lines as a result, each cut where it is wider than the terminal.
    pub fn lines(&self, text: &str) {
        let Some(width) = terminal_width() else { return self.data(text) };
        self.data(text.lines().map(|line| cut(line, width)).collect::<Vec<_>>().join("\n"));
    }

    /// Prints a JSON document; numbers that are not finite as [`Exact`] spells them.
    pub fn json(&self, value: &impl Serialize) {
        // What is in memory can be written.
        let _ = self.json_as_read(value);
    }

    /// Prints a JSON document that is read while it is printed.
    ///
    /// # Errors
    /// What keeps it from being read to its end; what was printed by then stops there.
    pub fn json_as_read(&self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        match serde_json::to_writer_pretty(&mut out, &Exact(value)) {
            Err(error) if !error.is_io() => return Err(error),
            _ => drop(writeln!(out)),
        }
        Ok(())
    }

    /// Says something that is not the result.
    pub fn say(&self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Says what went wrong, quiet or not.
    pub fn complain(&self, text: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A line with a verb in front, as cargo has it: `    Finished 3 runs`.
    pub fn status(&self, style: Style, verb: &str, text: impl Display) {
        // What is said may repeat what a run or a file says of itself.
        let text = visible(&text.to_string());
        let text = match width_of(Stream::Err) {
            Some(width) if width > INDENT => wrapped(&text, width - INDENT).replace('\n', &format!("\n{:INDENT$}", "")),
            _ => text,
        };
        self.say(format!("{} {text}", self.paint(Stream::Err, style, &format!("{verb:>12}"))));
    }

    /// `text` in a colour, if the stream is coloured.
    pub fn paint(&self, stream: Stream, style: Style, text: &str) -> String {
        let code = match style {
            Style::Good => "1;32",
            Style::Bad => "1;31",
            Style::Caution => "1;33",
            Style::Hint => "36",
            Style::Id => "1;35",
            Style::Strong => "1",
            Style::Faint => "2",
        };
        if self.is_coloured(stream) { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Whether the stream is coloured.
    pub fn is_coloured(&self, stream: Stream) -> bool {
        self.colour[usize::from(stream == Stream::Err)]
    }

    /// Whether progress bars can be drawn.
    pub fn draws_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}

/// The columns of the terminal that results are printed on, or those that `COLUMNS` names; none where results go elsewhere.
pub fn terminal_width() -> Option<usize> {
    width_of(Stream::Out)
}

fn width_of(stream: Stream) -> Option<usize> {
    let terminal = match stream {
        Stream::Out => terminal_size::terminal_size_of(io::stdout()),
        Stream::Err => terminal_size::terminal_size_of(io::stderr()),
    };
    terminal.map(|(columns, _)| usize::from(columns.0)).or_else(named_width)
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn named_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|&columns| columns > 0)
}

#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
