//! Reads `[sweep.derive]`: formulas, each checked at its place in the file, in the order in which they can be computed.

use super::{Node, Reader, describe, place_of};
use crate::experiment::expression::{Expression, number_key};
use crate::experiment::keys::{self, Key};
use crate::experiment::sweep::{Derive, Term};
use crate::experiment::{Diagnostic, Part, problem};

impl Reader {
    /// Reads a formula of `[sweep.derive]`.
    pub(super) fn take_derive(&mut self, key: &'static Key, node: &Node<'_, '_>) {
        let place = node.place(node.value);
        let whole = |message: String, help: String| {
            Diagnostic::error(&problem::BAD_FORMULA, message).at(place.clone(), "this value").help(help)
        };
        if let Err(mistake) = number_key(key.name, &(0..0)) {
            let message = format!("`{}` cannot be computed: {}", key.name, mistake.message);
            let help = mistake.help.unwrap_or_default();
            self.problems
                .push(Diagnostic::error(&problem::BAD_FORMULA, message).at(node.at.clone(), "this key").help(help));
            return;
        }
        let Some(text) = node.value.get_ref().as_str() else {
            let found = describe(node.value.get_ref());
            let help = format!("write for example `\"{}\" = \"2 * {}\"`", key.name, key.name);
            self.problems.push(whole(format!("a computed key takes a formula in quotes, not {found}"), help));
            return;
        };
        // Behind the quote, unless escapes make the text other than it stands in the file.
        let start = node.value.span().start + 1;
        let is_plain = node.argument.is_none() && self.text.get(start..start + text.len()) == Some(text);
        let start = is_plain.then_some(start);
        match Expression::read(text) {
            Ok(formula) => {
                self.say(key, Part::Derive, text.to_owned(), &place);
                self.sweep.derives.retain(|derive| node.argument.is_none() || derive.key.name != key.name);
                self.sweep.derives.push(Derive { key, place, start, formula });
            }
            Err(mistake) => {
                self.broken.insert(key.name);
                let span = &mistake.span;
                let place = start.map_or(place.clone(), |start| place.elsewhere(start + span.start..start + span.end));
                let message = format!("`{}` is computed by no formula: {}", key.name, mistake.message);
                let problem = Diagnostic::error(&problem::BAD_FORMULA, message).at(place, "here");
                self.problems.push(Diagnostic { help: mistake.help, ..problem });
            }
        }
    }

    /// A computed key has no other source, no condition asks for it, and formulas do not go in circles. Puts them in
    /// the order in which they can be computed.
    pub(super) fn check_derives(&mut self) {
        let derives = std::mem::take(&mut self.sweep.derives);
        let mut problems = Vec::new();
        let conditions = self.sweep.whens.iter().flat_map(|when| &when.condition);
        let conditions: Vec<&Term> =
            conditions.chain(self.sweep.excludes.iter().flat_map(|exclude| &exclude.matches)).collect();
        for (i, derive) in derives.iter().enumerate() {
            let name = derive.key.name;
            let names: Vec<&str> = std::iter::once(name).chain(keys::rivals(name)).collect();
            let given = names.iter().find_map(|name| self.given.get(name)).map(place_of);
            let swept = self.axes.iter().find(|axis| names.contains(&axis.key.name));
            let again = derives[..i].iter().find(|other| other.key.name == name).map(|other| other.place.clone());
            if let Some(other) = given.or(swept.map(|axis| axis.place.clone())).or(again) {
                let problem = Diagnostic::error(
                    &problem::COMPUTED_KEY,
                    format!("`{name}` is computed, so it can have no other value"),
                );
                let problem = problem.at(other, "this value").at(derive.place.clone(), "computed here");
                problems.push(problem.help("take one of them out"));
            }
            if let Some(term) = conditions.iter().find(|term| term.key.name == name) {
                let problem = Diagnostic::error(
                    &problem::COMPUTED_KEY,
                    format!("a condition asks for `{name}`, which is computed"),
                );
                let problem =
                    problem.at(term.place.clone(), "this condition").at(derive.place.clone(), "computed here");
                problems.push(problem.help("ask for the keys that it is computed from"));
            }
        }
        self.sweep.derives = in_order(derives, &mut problems);
        self.problems.append(&mut problems);
    }
}

/// Formulas, each after those that it needs; those that wait for each other are a mistake, and left out.
fn in_order(mut left: Vec<Derive>, problems: &mut Vec<Diagnostic>) -> Vec<Derive> {
    left.sort_by_key(|derive| derive.key.position());
    let mut ordered = Vec::new();
    loop {
        let waits = |derive: &Derive| {
            derive.formula.keys().iter().any(|(key, _)| left.iter().any(|other| other.key.name == key.name))
        };
        let Some(i) = left.iter().position(|derive| !waits(derive)) else { break };
        ordered.push(left.remove(i));
    }
    let needs = |derive: &Derive| {
        let needed =
            derive.formula.keys().into_iter().find(|(key, _)| left.iter().any(|other| other.key.name == key.name));
        needed.map(|(key, span)| (derive.part(&span), format!("`{}` needs `{}`", derive.key.name, key.name)))
    };
    let circle: Vec<_> = left.iter().filter_map(needs).collect();
    if !circle.is_empty() {
        let problem =
            Diagnostic::error(&problem::COMPUTED_CIRCLE, "computed keys need each other, so none can be computed");
        let problem = circle.into_iter().fold(problem, |problem, (place, text)| problem.at(place, text));
        problems.push(problem.help("compute one of them from other keys"));
    }
    ordered
}
