//! Diagnostics: what is wrong with an experiment file, where, and what would be right.
//!
//! Plain data. The command line draws it with the source beside it; [`Diagnostics`] as text is one line a mistake,
//! `file:line:column: error: message`, for logs and tests. Lines and columns count from 1, and columns count
//! characters, so that a Korean comment does not shift them.

use std::fmt;
use std::ops::Range;

use super::problem::Problem;

/// A text and the name that people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    /// The line and column of the byte at `offset`, both from 1; an offset past the end is the end.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = match self.text.char_indices().map(|(i, _)| i).find(|&i| i >= offset) {
            Some(end) => &self.text[..end],
            None => &self.text[..],
        };
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// The files of an experiment: itself, then the one that it builds on, then that one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// An experiment that builds on nothing yet.
    pub fn new(file: Source) -> Self {
        Self(vec![file])
    }

    /// Adds the file that the last one builds on.
    pub fn push(&mut self, base: Source) {
        self.0.push(base);
    }

    /// The file of this number; the experiment itself is 0.
    pub fn get(&self, file: usize) -> &Source {
        &self.0[file.min(self.0.len() - 1)]
    }

    /// All files, the experiment itself first.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The number of the last file.
    pub fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// `file:line:column`, or the argument as typed.
    pub fn describe(&self, place: &Place) -> String {
        match place {
            Place::File { file, start, .. } => {
                let source = self.get(*file);
                let (line, column) = source.position(*start);
                format!("{}:{line}:{column}", source.name)
            }
            Place::Argument(argument) => argument.clone(),
        }
    }
}

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Bytes of a file, by its number in [`Sources`].
    File { file: usize, start: usize, end: usize },
    /// An argument of the command line, as typed: `--set train.steps=10`.
    Argument(String),
}

impl Place {
    /// Bytes of a file.
    pub fn new(file: usize, span: Range<usize>) -> Self {
        Self::File { file, start: span.start, end: span.end }
    }

    /// Other bytes of the same file; an argument stays whole.
    pub fn elsewhere(&self, span: Range<usize>) -> Self {
        match self {
            Self::File { file, .. } => Self::new(*file, span),
            Self::Argument(_) => self.clone(),
        }
    }
}

/// Bytes of the experiment file itself.
impl From<Range<usize>> for Place {
    fn from(span: Range<usize>) -> Self {
        Self::new(0, span)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing can be run.
    Error,
    /// It can be run, but perhaps it is not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One place that takes part in a mistake, and the part that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub place: Place,
    pub text: String,
}

/// One mistake. The first label is where to look first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of mistake, which `ablate explain` explains.
    pub problem: &'static Problem,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<Label>,
    /// What would be right.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(problem: &'static Problem, message: impl Into<String>) -> Self {
        Self { problem, severity: Severity::Error, message: message.into(), labels: Vec::new(), help: None }
    }

    /// A warning without a place yet.
    pub fn warning(problem: &'static Problem, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(problem, message) }
    }

    /// Points at one more place.
    pub fn at(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push(Label { place, text: text.into() });
        self
    }

    /// Says what would be right.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// One line: place, severity, message, help.
    pub fn line(&self, source: &Sources) -> String {
        let place = self.labels.first().map(|label| source.describe(&label.place));
        let place = place.unwrap_or_else(|| source.get(0).name.clone());
        let help = self.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{place}: {}: {}{help}", self.severity, self.message)
    }
}

/// Every mistake of an experiment and its command line: in the order of the file, then of those that it builds on, then
/// the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    pub source: Sources,
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Sorts the mistakes by place, arguments as typed; one that was found on several ways is kept once.
    pub fn new(source: Sources, mut list: Vec<Diagnostic>) -> Self {
        let order = |diagnostic: &Diagnostic| match diagnostic.labels.first().map(|label| &label.place) {
            None => (0, 0),
            Some(Place::File { file, start, .. }) => (*file, *start),
            Some(Place::Argument(_)) => (usize::MAX, 0),
        };
        list.sort_by_key(order);
        let mut kept: Vec<Diagnostic> = Vec::new();
        for diagnostic in list {
            if !kept.contains(&diagnostic) {
                kept.push(diagnostic);
            }
        }
        Self { source, list: kept }
    }

    /// Whether anything stands in the way of running.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.list.iter().map(|diagnostic| diagnostic.line(&self.source)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::problem;

    #[test]
    fn columns_count_characters() {
        let source = Source { name: "a.toml".into(), text: "하나\n# 둘 x\n".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position("하나".len()), (1, 3));
        assert_eq!(source.position("하나\n# 둘 ".len()), (2, 5));
        assert_eq!(source.position(1), (1, 2), "inside a character: the next one");
        assert_eq!(source.position(1000), (3, 1));
    }

    #[test]
    fn mistakes_are_sorted_and_kept_once() {
        let mut source = Sources::new(Source { name: "a.toml".into(), text: "x = 1\ny = 2\n".into() });
        source.push(Source { name: "b.toml".into(), text: "\nz = 3\n".into() });
        let base = Diagnostic::error(&problem::WRONG_VALUE, "of the base").at(Place::new(1, 1..2), "");
        let late = Diagnostic::error(&problem::WRONG_VALUE, "late").at((6..7).into(), "");
        let early = Diagnostic::error(&problem::WRONG_VALUE, "early").at((0..1).into(), "").help("fix it");
        let argument = Diagnostic::warning(&problem::WRONG_VALUE, "typed").at(Place::Argument("--set x=1".into()), "");
        let all = Diagnostics::new(source, vec![argument, late.clone(), base, early, late]);
        insta::assert_snapshot!(all, @r"
        a.toml:1:1: error: early (fix it)
        a.toml:2:1: error: late
        b.toml:2:1: error: of the base
        --set x=1: warning: typed
        ");
    }
}
