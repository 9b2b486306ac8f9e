//! A line of the table of everything that can be asked: an address, who may ask, what is read of the body, and what answers.

use hyper::Method;

use super::App;
use super::fault::Fault;
use super::http::{Reply, Request};
use super::wire::decoded;
use super::writer::Entries;
use crate::types::RunId;

/// A line of the table.
#[derive(Debug)]
pub struct Route {
    pub method: Method,
    /// `/runs/{id}/series`; a last `{path*}` is any number of parts.
    pub pattern: &'static str,
    pub access: Access,
    pub takes: Takes,
    pub handler: Handler,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What can be asked in the address, and what it means; told of our own interface alone.
    pub asks: &'static [(&'static str, &'static str)],
}

/// What answers.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// On a thread that may wait for the disk.
    Waits(Waiting),
    /// Says what is to be recorded, and needs no disk for that: the writer is waited for by nobody's thread.
    Logs(Logging),
}

pub type Waiting = fn(&App, Request) -> Result<Reply, Fault>;
pub type Logging = fn(&Request) -> Result<(RunId, Entries), Fault>;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody who reaches the server: it says nothing about runs.
    Open,
    Read,
    /// Changes something: not in a server that only shows.
    Write,
    /// Starts or stops programs: only in a server that was told to.
    Execute,
    /// A page, which may be opened from elsewhere.
    Page,
}

/// What is read of the body before the handler is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Json,
    /// The handler reads the body as it arrives.
    Pieces,
}

impl Route {
    /// A line that reads.
    pub const fn get(pattern: &'static str, handler: Waiting, about: &'static str) -> Self {
        let handler = Handler::Waits(handler);
        Self { method: Method::GET, pattern, access: Access::Read, takes: Takes::Nothing, handler, about, asks: &[] }
    }

    /// A line that reads what the address asks for.
    pub const fn asked(
        pattern: &'static str,
        handler: Waiting,
        about: &'static str,
        asks: &'static [(&'static str, &'static str)],
    ) -> Self {
        let handler = Handler::Waits(handler);
        Self { method: Method::GET, pattern, access: Access::Read, takes: Takes::Nothing, handler, about, asks }
    }

    /// A line that is told in JSON what to look for.
    pub const fn search(pattern: &'static str, handler: Waiting, about: &'static str) -> Self {
        let handler = Handler::Waits(handler);
        Self { method: Method::POST, pattern, access: Access::Read, takes: Takes::Json, handler, about, asks: &[] }
    }

    /// A line that is told in JSON what to change.
    pub const fn post(pattern: &'static str, handler: Waiting, about: &'static str) -> Self {
        Self::change(pattern, Handler::Waits(handler), about)
    }

    /// A line that is told in JSON what to record of a run.
    pub const fn log(pattern: &'static str, handler: Logging, about: &'static str) -> Self {
        Self::change(pattern, Handler::Logs(handler), about)
    }

    const fn change(pattern: &'static str, handler: Handler, about: &'static str) -> Self {
        Self { method: Method::POST, pattern, access: Access::Write, takes: Takes::Json, handler, about, asks: &[] }
    }

    /// What the names of the pattern stand for in a path; `None` where the path is another.
    pub fn names(&self, path: &str) -> Option<Result<Vec<String>, Fault>> {
        let mut names = Vec::new();
        let mut rest = path.strip_prefix('/');
        for part in self.pattern.strip_prefix('/')?.split('/') {
            let whole = rest?;
            if part.ends_with("*}") {
                names.push(whole);
                rest = None;
                continue;
            }
            let (here, after) = whole.split_once('/').map_or((whole, None), |(here, after)| (here, Some(after)));
            match part.starts_with('{') {
                true if here.is_empty() => return None,
                true => names.push(here),
                false if part != here => return None,
                false => {}
            }
            rest = after;
        }
        rest.is_none().then(|| names.into_iter().map(|name| decoded(name, false)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fault::Code;

    #[test]
    fn a_path_finds_its_line() {
        let names = |pattern: &'static str, path: &str| {
            let route = Route::get(pattern, |_, _| Ok(Reply::empty()), "");
            route.names(path).map(|names| names.map_err(|fault| fault.code))
        };
        let some = |names: &[&str]| Some(Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
        assert_eq!(names("/a/b", "/a/b"), some(&[]));
        assert_eq!(names("/runs/{id}/x", "/runs/q%20r/x"), some(&["q r"]));
        assert_eq!(names("/f/{path*}", "/f/a/b%2Fc"), some(&["a/b/c"]));
        assert_eq!(names("/f/{path*}", "/f/"), some(&[""]));
        assert_eq!(names("/f/{id}", "/f/%ff"), Some(Err(Code::BadRequest)));
        for other in ["/a", "/a/b/", "/a/b/c", "a/b", "", "//a/b"] {
            assert_eq!(names("/a/b", other), None, "{other}");
        }
        assert_eq!(names("/f/{path*}", "/f"), None);
        assert_eq!(names("/runs/{id}", "/runs/"), None);
    }
}
