//! Errors as people see them, and the exit code that each ends with: 1 the work failed, 2 the request was
//! wrong, 130 the person interrupted it.

use std::fmt::Display;
use std::process::ExitCode;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::columns::visible_width;
use super::printer::{Printer, Stream, Style};
use super::visible::visible;
use crate::experiment::{Diagnostic, Diagnostics, Place, Severity, Sources};
use crate::report::ReportError;
use crate::runner::stop::ENDED_BY_INTERRUPT;
use crate::runner::sweep::SweepError;
use crate::store::StoreError;
use crate::syntax::Mistake;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum CliError {
    /// Mistakes in an experiment file or in what overrides it.
    Experiment(Box<Diagnostics>),
    /// The request was wrong in another way.
    Request(String),
    /// The request was right, but the work failed.
    Work(String),
    /// The person interrupted the work.
    Interrupted(String),
    /// It was said already what is wrong.
    Said,
}

impl CliError {
    /// A wrong request.
    pub fn request(error: impl Display) -> Self {
        Self::Request(error.to_string())
    }

    /// Failed work.
    pub fn work(error: impl Display) -> Self {
        Self::Work(error.to_string())
    }

    /// Prints the error and gives the exit code.
    pub fn report(&self, printer: &Printer) -> ExitCode {
        let simple = |text: &str| {
            let text = visible(text);
            printer.complain(format!("{} {text}", printer.paint(Stream::Err, Style::Bad, "error:")));
        };
        match self {
            Self::Experiment(diagnostics) => {
                print_diagnostics(diagnostics, printer);
                ExitCode::from(2)
            }
            Self::Request(text) => {
                simple(text);
                ExitCode::from(2)
            }
            Self::Work(text) => {
                simple(text);
                ExitCode::FAILURE
            }
            Self::Interrupted(text) => {
                simple(text);
                ExitCode::from(ENDED_BY_INTERRUPT)
            }
            Self::Said => ExitCode::FAILURE,
        }
    }
}

impl From<Diagnostics> for CliError {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Experiment(Box::new(diagnostics))
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Query { text, mistake } => Self::Request(pointed(&text, &mistake)),
            StoreError::UnknownRun { .. }
            | StoreError::AmbiguousRun { .. }
            | StoreError::AmbiguousName { .. }
            | StoreError::NoRuns { .. }
            | StoreError::NotAStore { .. }
            | StoreError::NotPlanned { .. } => Self::request(error),
            _ => Self::work(error),
        }
    }
}

impl From<ReportError> for CliError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Store(error) => error.into(),
            error if error.is_of_request() => Self::request(error),
            error => Self::work(error),
        }
    }
}

impl From<SweepError> for CliError {
    fn from(error: SweepError) -> Self {
        if error.is_of_request() { Self::request(error) } else { Self::work(error) }
    }
}

/// What is wrong with a line that somebody typed, with a mark under the place.
fn pointed(text: &str, mistake: &Mistake) -> String {
    let on_a_line = |text: &str| visible(text).replace(['\n', '\t'], " ");
    let (before, marked) = (on_a_line(&text[..mistake.span.start]), on_a_line(&text[mistake.span.clone()]));
    let mark = "^".repeat(visible_width(&marked).max(1));
    let space = " ".repeat(visible_width(&before));
    let help = mistake.help.as_ref().map(|help| format!("\n  {help}")).unwrap_or_default();
    format!("{}\n\n  {}\n  {space}{mark}{help}", mistake.message, on_a_line(text))
}

/// Prints every diagnostic with the lines it speaks of.
pub fn print_diagnostics(diagnostics: &Diagnostics, printer: &Printer) {
    let theme =
        if printer.is_coloured(Stream::Err) { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(110).with_links(false);
    for diagnostic in &diagnostics.list {
        let file = main_file(diagnostic);
        let source = diagnostics.source.get(file);
        let report = to_miette(diagnostic, file, &diagnostics.source);
        let report = Report::new(report).with_source_code(NamedSource::new(&source.name, source.text.clone()));
        let mut text = String::new();
        if handler.render_report(&mut text, report.as_ref()).is_ok() {
            printer.complain(text.trim_end());
        }
    }
}

/// The file whose lines are shown: the one of the first label.
fn main_file(diagnostic: &Diagnostic) -> usize {
    let file = |place: &Place| match place {
        Place::File { file, .. } => Some(*file),
        Place::Argument(_) => None,
    };
    diagnostic.labels.iter().find_map(|label| file(&label.place)).unwrap_or(0)
}

fn to_miette(diagnostic: &Diagnostic, shown: usize, sources: &Sources) -> MietteDiagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => miette::Severity::Error,
        Severity::Warning => miette::Severity::Warning,
    };
    let mut message = diagnostic.message.clone();
    let mut labels = Vec::new();
    for label in &diagnostic.labels {
        match &label.place {
            Place::File { file, start, end } if *file == shown => {
                labels.push(LabeledSpan::at(*start..*end, &label.text));
            }
            elsewhere => message.push_str(&format!("\n  in `{}`: {}", sources.describe(elsewhere), label.text)),
        }
    }
    // The name that `ablate explain` knows.
    let name = diagnostic.problem.name();
    let mut report = MietteDiagnostic::new(message).with_code(name).with_severity(severity).with_labels(labels);
    report.help.clone_from(&diagnostic.help);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_a_query_is_pointed_at() {
        let mistake = Mistake::new(10..16, "no run has a setting `비율`").help("did you mean `b`?");
        let expected = "no run has a setting `비율`\n\n  마스크 비율 > 3\n         ^^^^\n  did you mean `b`?";
        assert_eq!(pointed("마스크 비율 > 3", &mistake), expected);
        let at_the_end = Mistake::new(4..4, "a value is missing here");
        assert_eq!(pointed("a = ", &at_the_end), "a value is missing here\n\n  a = \n      ^");
    }
}
