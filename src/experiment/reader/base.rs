//! Reads an experiment file and those that it builds on: `base = "other.toml"`, and what that one builds on in turn.
//!
//! Each file is read alone, so that a mistake is told in the file that makes it, and then put over the one below. What a
//! nearer file says of a key, be it a value, an axis or a formula, wins over all that a farther one says of it. The lists
//! of tables below `[sweep]` are taken whole, from the nearest file that has them. Reading from a disk is the caller's.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::sweep::List;
use super::{Node, Reader, describe};
use crate::experiment::diagnostic::{Diagnostic, Diagnostics, Place, Source, Sources};
use crate::experiment::{Setting, keys};
use crate::suggest;

/// Gives the file that another one builds on, from the path as written and the name of the file that names it. One file
/// has one name, on whatever way it is reached; the name says where its own base is looked up.
pub type LoadBase<'l> = &'l mut dyn FnMut(&str, &str) -> Result<Source, String>;

/// The key that names the file to build on.
pub(super) const KEY: &str = "base";

/// Whether a key that there is not was probably meant to be `base`.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    suggest::nearest(name, [KEY]).map(|_| KEY)
}

/// Reads the file and, one after another, what it builds on.
///
/// # Errors
/// When one of them is not TOML at all.
pub(super) fn read_files(sources: &mut Sources, load: LoadBase<'_>) -> Result<Reader, Diagnostics> {
    let mut files: Option<Reader> = None;
    loop {
        let (mut file, base) = match read_file(sources) {
            Ok(read) => read,
            Err(mut errors) => {
                errors.extend(files.into_iter().flat_map(|files| files.problems));
                return Err(Diagnostics::new(sources.clone(), errors));
            }
        };
        let next = base.map(|(path, place)| find(&path, place, sources, load));
        let next = next.transpose().map_err(|problem| file.problems.push(problem));
        match &mut files {
            Some(nearer) => nearer.inherit(file),
            None => files = Some(file),
        }
        let Ok(Some(source)) = next else { return Ok(files.unwrap_or_default()) };
        sources.push(source);
    }
}

/// The path of a base, and where it is named.
type Named = (String, Place);

/// Reads the last of the files alone; also says what it builds on.
fn read_file(sources: &Sources) -> Result<(Reader, Option<Named>), Vec<Diagnostic>> {
    let file = sources.last();
    let text = &sources.get(file).text;
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |error: &toml::de::Error| {
            let place = Place::new(file, error.span().unwrap_or(0..0));
            Diagnostic::error(format!("this is not TOML: {}", error.message())).at(place, "here")
        };
        return Err(errors.iter().map(problem).collect());
    }
    let mut reader = Reader { text: text.clone(), file, ..Reader::default() };
    let mut base = None;
    for (name, value) in table.get_ref().iter() {
        if name.get_ref() == KEY {
            base = reader.base_path(value);
        } else {
            reader.walk(&Node::of_file(file, name, "", value));
        }
    }
    Ok((reader, base))
}

/// The next file, unless it is not there or has been read already.
fn find(path: &str, place: Place, sources: &Sources, load: LoadBase<'_>) -> Result<Source, Diagnostic> {
    let by = sources.get(sources.last());
    let source = load(path, &by.name).map_err(|message| {
        Diagnostic::error(format!("the base is not there: {message}")).at(place.clone(), "this file")
    })?;
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let Some(first) = names.iter().position(|name| *name == source.name) else { return Ok(source) };
    let circle = [&names[first..], &[source.name.as_str()]].concat().join(" -> ");
    let problem = Diagnostic::error(format!("a file cannot build on itself: {circle}"));
    Err(problem.at(place, "this leads back").help("take `base` out of one of them"))
}

impl Reader {
    fn base_path(&mut self, value: &Spanned<DeValue<'_>>) -> Option<(String, Place)> {
        let place = Place::new(self.file, value.span());
        match value.get_ref().as_str() {
            Some(path) if !path.trim().is_empty() => Some((path.to_owned(), place)),
            _ => {
                let message =
                    format!("`base` must be the path of an experiment file, not {}", describe(value.get_ref()));
                let help = "write `base = \"other.toml\"`: the path is taken from this file's folder";
                self.problems.push(Diagnostic::error(message).at(place, "this value").help(help));
                None
            }
        }
    }

    /// Puts what has been read over a file that it builds on.
    fn inherit(&mut self, mut base: Self) {
        let given: Vec<(&str, Setting)> =
            base.given.into_iter().filter(|(name, value)| !self.says(name) && !self.has_fixed(name, value)).collect();
        let grid: Vec<_> = base.sweep.grid.into_iter().filter(|axis| !self.says(axis.key.name)).collect();
        let drawn: Vec<_> = base.drawn.into_iter().filter(|drawn| !self.says(drawn.key.name)).collect();
        let derives: Vec<_> = base.sweep.derives.into_iter().filter(|derive| !self.says(derive.key.name)).collect();
        let is_open =
            |name: &str| !self.given.contains_key(name) && self.baseline.iter().all(|(other, _)| other.name != name);
        let baseline: Vec<_> = base.baseline.into_iter().filter(|(key, _)| is_open(key.name)).collect();
        self.given.extend(given);
        self.sweep.grid.extend(grid);
        self.drawn.extend(drawn);
        self.sweep.derives.extend(derives);
        self.baseline.extend(baseline);
        for list in base.lists {
            if !self.lists.insert(list) {
                continue;
            }
            match list {
                List::Zip => self.sweep.zips = std::mem::take(&mut base.sweep.zips),
                List::When => self.sweep.whens = std::mem::take(&mut base.sweep.whens),
                List::Exclude => self.sweep.excludes = std::mem::take(&mut base.sweep.excludes),
                List::Include => self.sweep.includes = std::mem::take(&mut base.sweep.includes),
            }
        }
        self.broken.extend(base.broken);
        self.baseline_is_broken |= base.baseline_is_broken;
        self.said.extend(base.said);
        self.problems.extend(base.problems);
    }

    /// Whether something is said of a key, or of the one that it excludes, that is said for every cell.
    fn says(&self, name: &str) -> bool {
        let says = |name: &str| {
            self.given.contains_key(name)
                || self.broken.contains(name)
                || self.sweep.always().any(|axis| axis.key.name == name)
                || self.drawn.iter().any(|drawn| drawn.key.name == name)
                || self.sweep.derives.iter().any(|derive| derive.key.name == name)
        };
        says(name) || keys::rivals(name).any(says)
    }

    /// Whether a farther file's choice of an axis for the figures means one that is an axis no more.
    fn has_fixed(&self, name: &str, axis: &Setting) -> bool {
        let axis = axis.value.to_string();
        let mut fixed = self.given.keys().filter(|key| keys::is_setting(key));
        matches!(name, "report.colour_by" | "report.x") && fixed.any(|key| *key == axis || keys::split(key).1 == axis)
    }
}
