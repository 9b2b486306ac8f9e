//! Reads `[sweep.random]`: how many rows are drawn, and what from.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Node, Reader, describe, explain};
use crate::experiment::decimal::Decimal;
use crate::experiment::keys::{self, Key};
use crate::experiment::random::{Distribution, Drawn, Sampler, draw};
use crate::experiment::value::{Kind, Value};
use crate::experiment::{Diagnostic, Part, Place, range};
use crate::suggest;

const WORDS: [&str; 4] = ["uniform", "log_uniform", "integer", "choice"];

const OWN: [&str; 3] = ["sweep.random.n", "sweep.random.seed", "sweep.random.sampler"];

/// The word of `[sweep.random]` itself that was probably meant by a name without a section.
pub(super) fn meant(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix("sweep.random.")?;
    let words = OWN.map(|own| own.rsplit('.').next().unwrap_or(own));
    let word = suggest::nearest(name, words)?;
    OWN.into_iter().find(|own| own.ends_with(&format!(".{word}")))
}

/// Whether a table is meant as what values are drawn from.
pub(super) fn is_drawn(table: &DeTable<'_>) -> bool {
    table.iter().any(|(name, _)| WORDS.contains(&name.get_ref().as_ref()))
}

impl Reader {
    /// Reads what a key is drawn from.
    pub(super) fn take_drawn(&mut self, key: &'static Key, node: &Node<'_, '_>) {
        if !self.may_vary(key, node) {
            return;
        }
        let place = node.place(node.value);
        let Some((word, value)) = self.word_of(key, node) else {
            self.broken.insert(key.name);
            return;
        };
        let Some(distribution) = self.distribution(key, node, &word, value) else {
            self.broken.insert(key.name);
            return;
        };
        let values = describe(value.get_ref()).replace("the list ", "").replace("the text ", "");
        let text = format!("{word} {values}");
        self.say(key, Part::Random, text, &place);
        if node.argument.is_some() {
            self.forget_file(key);
            self.drawn.retain(|drawn| drawn.key.name != key.name);
        } else if let Some(first) = self.drawn.iter().find(|drawn| drawn.key.name == key.name) {
            let problem = Diagnostic::error(format!("`{}` is given twice", key.name));
            self.problems.push(problem.at(node.at.clone(), "again here").at(first.at.clone(), "first here"));
            return;
        }
        self.drawn.push(Drawn { key, at: node.at.clone(), place, distribution });
    }

    /// The one word of the table, and what stands behind it.
    fn word_of<'a, 'i>(
        &mut self,
        key: &'static Key,
        node: &Node<'a, 'i>,
    ) -> Option<(String, &'a Spanned<DeValue<'i>>)> {
        let example = "write { uniform = [FROM, TO] }, { log_uniform = [FROM, TO] }, { integer = [FROM, TO] } or \
                       { choice = [VALUES] }";
        let problem = match node.value.get_ref() {
            DeValue::Table(table) => match table.iter().find(|(name, _)| !WORDS.contains(&name.get_ref().as_ref())) {
                Some((name, value)) => {
                    let help = suggest::nearest(name.get_ref(), WORDS).map(|word| format!("did you mean `{word}`?"));
                    let problem = Diagnostic::error(format!("nothing is drawn by `{}`", name.get_ref()));
                    problem.at(node.child(name, value).at, "this word").help(help.unwrap_or(example.to_owned()))
                }
                None if table.len() == 1 => {
                    return table.iter().next().map(|(name, value)| (name.get_ref().to_string(), value));
                }
                None => {
                    let message = format!("`{}` is drawn from one range or list, not {}", key.name, table.len());
                    Diagnostic::error(message).at(node.place(node.value), "this value").help(example)
                }
            },
            other => {
                let message = format!("`[sweep.random]` draws `{}` from a range, not {}", key.name, describe(other));
                Diagnostic::error(message).at(node.place(node.value), "this value").help(example)
            }
        };
        self.problems.push(problem);
        None
    }

    fn distribution(
        &mut self,
        key: &'static Key,
        node: &Node<'_, '_>,
        word: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Distribution> {
        if word == "choice" {
            let values = self.list_of_choices(key, node, value);
            return (!values.is_empty()).then_some(Distribution::Choice(values));
        }
        let place = node.place(value);
        let problem =
            |message: String, help: &str| Diagnostic::error(message).at(place.clone(), "this value").help(help);
        let is_whole = matches!(key.kind, Kind::Integer { .. });
        if !is_whole && !matches!(key.kind, Kind::Float(_) | Kind::FloatOrOff(_)) {
            let message = format!("`{}` is not a number, and has no range", key.name);
            self.problems.push(problem(message, "draw it by { choice = [VALUES] }"));
            return None;
        }
        if is_whole && word == "uniform" {
            let message = format!("`{}` takes whole numbers, which `uniform` does not draw", key.name);
            self.problems.push(problem(message, "write `integer` for equal chances, or `log_uniform`"));
            return None;
        }
        let (low, high) = match ends(key, node, word, value) {
            Ok(ends) => ends,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        Some(match word {
            "uniform" => Distribution::Uniform(low, high),
            "integer" => Distribution::Integer(low, high),
            _ => Distribution::LogUniform(low, high),
        })
    }

    /// Draws the rows, once all that is said of them is known.
    pub(super) fn draw(&mut self) {
        self.drawn.sort_by_key(|drawn| drawn.key.position());
        let own = OWN.iter().find_map(|name| Some((*name, self.given.get(*name)?.place.clone()?)));
        let Some(first) = self.drawn.first() else {
            if let Some((name, place)) = own.filter(|_| self.broken.is_empty()) {
                let problem =
                    Diagnostic::error(format!("`{name}` is given, but `[sweep.random]` names no keys to draw"));
                let help = "name one, as in `\"optimizer.lr\" = { log_uniform = [1e-4, 1e-2] }`";
                self.problems.push(problem.at(place, "this value").help(help));
            }
            return;
        };
        let Some(n) = self.number("sweep.random.n") else {
            if !self.broken.contains("sweep.random.n") {
                let problem = Diagnostic::error("`sweep.random.n` is missing: how many rows are drawn");
                let help = "write for example `n = 64` under [sweep.random]";
                self.problems.push(problem.at(first.at.clone(), "drawn here").help(help));
            }
            return;
        };
        let sampler = if self.text("sweep.random.sampler") == "uniform" { Sampler::Uniform } else { Sampler::Sobol };
        if let Some(beyond) = self.drawn.get(sampler.dimensions()) {
            let message =
                format!("Sobol points have at most {} keys, and these are {}", sampler.dimensions(), self.drawn.len());
            let problem = Diagnostic::error(message).at(beyond.at.clone(), "the first that is too many");
            self.problems.push(problem.help("write `sampler = \"uniform\"`, or draw fewer keys"));
            return;
        }
        let seed = self.number("sweep.random.seed").unwrap_or(0);
        self.sweep.random = Some(draw(&self.drawn, n as usize, seed, sampler));
    }

    /// The value of a whole-number key, given or its default.
    fn number(&self, name: &str) -> Option<u64> {
        let default = || keys::find(name).and_then(Key::default_value);
        match self.given.get(name).map(|setting| setting.value.clone()).or_else(default)? {
            Value::Integer(number) => Some(number.unsigned_abs()),
            _ => None,
        }
    }
}

/// The two ends of a range, each a value of the key.
fn ends(
    key: &'static Key,
    node: &Node<'_, '_>,
    word: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<(Decimal, Decimal), Diagnostic> {
    let place = node.place(value);
    let problem =
        |message: String, place: Place, help: &str| Diagnostic::error(message).at(place, "this value").help(help);
    let numbers = value.get_ref().as_array().filter(|items| items.len() == 2).and_then(|items| {
        let [low, high] = [0, 1].map(|i| range::decimal(items[i].get_ref()));
        Some((low?, high?, items))
    });
    let Some((low, high, items)) = numbers else {
        let message = format!("`{word}` takes two numbers, not {}", describe(value.get_ref()));
        return Err(problem(message, place, "the least and the largest, as in [1, 4]"));
    };
    for item in items.iter() {
        key.kind
            .read(item.get_ref())
            .map_err(|rejection| explain(key, rejection, item.get_ref()).at(node.place(item), "this end"))?;
    }
    if low >= high {
        let message = format!("`{word}` goes from a number to a larger one, not from {low} to {high}");
        return Err(problem(message, place, "write the smaller one first"));
    }
    if word == "log_uniform" && low <= Decimal::ZERO {
        return Err(problem("`log_uniform` is between numbers above 0".to_owned(), place, "`uniform` may begin at 0"));
    }
    let is_whole = |number: &Decimal| number.as_integer().is_some();
    if word == "integer" && !(is_whole(&low) && is_whole(&high)) {
        let message = format!("`integer` is between whole numbers, not {low} and {high}");
        return Err(problem(message, place, "`uniform` draws any number"));
    }
    Ok((low, high))
}
