//! People: arguments, tables, progress and error reports.
