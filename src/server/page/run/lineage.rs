//! Which runs a run stands on and which stand on it, near and far: as a picture of boxes and lines, and as a list.
//!
//! Each run is right of all that it stands on. The ancestors are walked up and the descendants down; what else stands on an
//! ancestor is shown on that one's own page.

use std::collections::{BTreeMap, VecDeque};

use maud::{Markup, html};

use super::super::typed;
use super::ends::outcome;
use crate::server::App;
use crate::server::fault::Fault;
use crate::store::{Dependent, Index, Role, RunState, StoreError, StoredRun};
use crate::types::RunId;

/// Runs of a picture at most.
const MOST: usize = 40;

/// Characters of a name that have room in a box.
const NAME: usize = 17;

/// Pixels from the left and from the top.
type Place = (i32, i32);

/// How large a box is, and how far from one to the next.
const BOX: Place = (150, 46);
const PITCH: Place = (290, 62);

/// A run and its kin.
pub struct Family {
    runs: BTreeMap<RunId, Member>,
    edges: Vec<Edge>,
    /// Whether there are more than are shown.
    is_cut: bool,
}

#[derive(Default)]
struct Member {
    /// `None` where the run is not there any more.
    known: Option<(Option<String>, RunState)>,
    /// Generations from the run that is looked at: negative before it.
    generation: i32,
}

/// `run` stands on `other`, in one role or several.
struct Edge {
    run: RunId,
    other: RunId,
    roles: Vec<Role>,
}

impl Family {
    /// Everybody up and down from a run.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn of(index: &Index, id: &RunId) -> Result<Self, StoreError> {
        let mut family = Self { runs: BTreeMap::new(), edges: Vec::new(), is_cut: false };
        family.take_in(index, id)?;
        let up = |run: &RunId| {
            let facts = index.version(run)?.map(|version| index.facts_of(run, &version)).transpose()?.flatten();
            let edges = facts.map(|facts| facts.edges).unwrap_or_default().into_iter();
            Ok(edges.map(|(role, other)| (run.clone(), other, role)).collect())
        };
        let down = |run: &RunId| {
            let edges = index.dependents(run)?.into_iter();
            Ok(edges.map(|Dependent { run: later, role }| (later, run.clone(), role)).collect())
        };
        family.walk(index, id, up)?;
        family.settle(id, |edge| (&edge.other, &edge.run, -1));
        let before = family.edges.len();
        family.walk(index, id, down)?;
        let ancestors: Vec<Edge> = family.edges.drain(..before).collect();
        family.settle(id, |edge| (&edge.run, &edge.other, 1));
        family.edges.splice(0..0, ancestors);
        Ok(family)
    }

    fn take_in(&mut self, index: &Index, id: &RunId) -> Result<(), StoreError> {
        let facts = index.version(id)?.map(|version| index.facts_of(id, &version)).transpose()?.flatten();
        let known = facts.map(|facts| (facts.row.labels.name, facts.row.state));
        self.runs.insert(id.clone(), Member { known, generation: 0 });
        Ok(())
    }

    /// Follows edges from run to run, as far as there is room.
    fn walk(
        &mut self,
        index: &Index,
        from: &RunId,
        edges_of: impl Fn(&RunId) -> Result<Vec<(RunId, RunId, Role)>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut to_visit = VecDeque::from([from.clone()]);
        while let Some(at) = to_visit.pop_front() {
            for (run, other, role) in edges_of(&at)? {
                let next = if run == at { other.clone() } else { run.clone() };
                if !self.runs.contains_key(&next) {
                    if self.runs.len() >= MOST {
                        self.is_cut = true;
                        continue;
                    }
                    self.take_in(index, &next)?;
                    to_visit.push_back(next);
                }
                match self.edges.iter_mut().find(|edge| (&edge.run, &edge.other) == (&run, &other)) {
                    Some(known) if !known.roles.contains(&role) => known.roles.push(role),
                    Some(_) => {}
                    None => self.edges.push(Edge { run, other, roles: vec![role] }),
                }
            }
        }
        Ok(())
    }

    /// Puts each run a generation beyond all that it is reached from. Rounds are as many as runs, and in a circle, which only
    /// damage makes, it ends there.
    fn settle(&mut self, start: &RunId, step: impl Fn(&Edge) -> (&RunId, &RunId, i32)) {
        for _ in 0..self.runs.len() {
            for edge in &self.edges {
                let (far, near, by) = step(edge);
                let beyond = self.runs.get(near).map_or(0, |member| member.generation) + by;
                if let Some(member) = self.runs.get_mut(far).filter(|_| far != start)
                    && member.generation * by < beyond * by
                {
                    member.generation = beyond;
                }
            }
        }
    }

    /// Where the words of a line stand: at the end that it has to itself, and else in its middle.
    fn label(&self, edge: &Edge, from: Place, to: Place) -> (i32, i32, &'static str) {
        let is_alone =
            |end: fn(&Edge) -> &RunId| self.edges.iter().filter(|other| end(other) == end(edge)).count() == 1;
        let (left, right) = (from.0 + BOX.0, to.0);
        match (is_alone(|edge| &edge.run), is_alone(|edge| &edge.other)) {
            (true, false) => (right - 8, to.1 + BOX.1 / 2 - 4, "end"),
            (false, true) => (left + 8, from.1 + BOX.1 / 2 - 4, "start"),
            _ => ((left + right) / 2, (from.1 + to.1 + BOX.1) / 2 + 4, "middle"),
        }
    }

    /// Where each run is drawn, and how large the picture is.
    fn places(&self) -> (BTreeMap<&RunId, Place>, Place) {
        let mut generations = BTreeMap::<i32, Vec<&RunId>>::new();
        for (id, member) in &self.runs {
            generations.entry(member.generation).or_default().push(id);
        }
        let tallest = generations.values().map(Vec::len).max().unwrap_or_default() as i32;
        let mut places = BTreeMap::new();
        for (column, runs) in (0..).zip(generations.values()) {
            let top = (tallest - runs.len() as i32) * PITCH.1 / 2;
            for (row, id) in (0..).zip(runs) {
                places.insert(*id, (column * PITCH.0 + 1, top + row * PITCH.1 + 1));
            }
        }
        let columns = generations.len() as i32;
        (places, ((columns - 1) * PITCH.0 + BOX.0 + 2, (tallest - 1) * PITCH.1 + BOX.1 + 2))
    }
}

/// The kin of a run, where it has any.
pub fn lineage(app: &App, run: &StoredRun) -> Result<Markup, Fault> {
    let family = app.reader.ask(|index| Family::of(index, &run.id))?;
    let link = |id: &RunId| html! { a.id href={ (app.root_path) "/runs/" (id) } { (id) } };
    let before: Vec<_> = run.lineage.edges().collect();
    let after = family.edges.iter().filter(|edge| edge.other == run.id);
    let after: Vec<_> = after.flat_map(|edge| edge.roles.iter().map(move |role| (*role, &edge.run))).collect();
    Ok(html! {
        @if !family.edges.is_empty() {
            section {
                h2 { "Lineage" }
                div.scroll.kin tabindex="0" role="region" aria-label="Lineage" { (picture(app, run, &family)) }
                @if family.is_cut { p.quiet { "More runs than are drawn: their own pages go on." } }
                ul {
                    @for (role, id) in &before { li { "this run " (in_words(*role)) " " (link(id)) } }
                    @for (role, id) in &after { li { (link(id)) " " (in_words(*role)) " this run" } }
                }
            }
        }
    })
}

fn in_words(role: Role) -> String {
    role.name().replace('_', " ")
}

/// The runs that executed this one again, and whether each came out the same.
///
/// # Errors
/// When the index cannot be read.
pub fn reproductions(app: &App, run: &StoredRun) -> Result<Vec<Markup>, Fault> {
    let dependents = app.reader.ask(|index| index.dependents(&run.id))?.into_iter();
    let again = dependents.filter(|dependent| dependent.role == Role::Reproduces).take(MOST);
    let said = again.filter_map(|Dependent { run: again, .. }| {
        let outcome = outcome(run, &app.store().overview(&again).ok()?.run)?;
        Some(html! { a.id href={ (app.root_path) "/runs/" (run.id) "/diff/" (again) } { (again) } " " (outcome) })
    });
    Ok(said.collect())
}

fn picture(app: &App, run: &StoredRun, family: &Family) -> Markup {
    let (places, (width, height)) = family.places();
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) }
            role="group" aria-label={ "Lineage of " (run.id) } {
            @for edge in &family.edges {
                @if let (Some(from), Some(to)) = (places.get(&edge.other), places.get(&edge.run)) {
                    @let (x1, y1, x2, y2) = (from.0 + BOX.0, from.1 + BOX.1 / 2, to.0, to.1 + BOX.1 / 2);
                    @let bend = (x2 - x1) / 2;
                    path d={ "M" (x1) " " (y1) "C" (x1 + bend) " " (y1) " " (x2 - bend) " " (y2) " " (x2) " " (y2) } fill="none" {}
                }
            }
            @for edge in &family.edges {
                @if let (Some(from), Some(to)) = (places.get(&edge.other), places.get(&edge.run)) {
                    @let (x, y, anchor) = family.label(edge, *from, *to);
                    @let first = y - 7 * (edge.roles.len() as i32 - 1);
                    @for (at, role) in (0..).zip(&edge.roles) {
                        text.role x=(x) y=(first + 14 * at) text-anchor=(anchor) { (in_words(*role)) }
                    }
                }
            }
            @for (id, (x, y)) in &places { (member(app, id, family.runs.get(*id), (*x, *y), **id == run.id)) }
        }
    }
}

fn member(app: &App, id: &RunId, member: Option<&Member>, (x, y): Place, is_here: bool) -> Markup {
    let known = member.and_then(|member| member.known.as_ref());
    let name = known.and_then(|(name, _)| name.as_deref());
    let state = known.map_or("not there any more", |(_, state)| state.name());
    let drawn = html! {
        rect class=[is_here.then_some("here")] x=(x) y=(y) width=(BOX.0) height=(BOX.1) rx="5" {}
        text x=(x + 10) y=(y + 19) {
            @match name {
                Some(name) => { title { (typed(name)) } (cut(name)) },
                None => { (id) },
            }
        }
        text class={ "is " (known.map_or("gone", |(_, state)| state.name())) } x=(x + 10) y=(y + 36) {
            @if name.is_some() { (id) " \u{b7} " } (state)
        }
    };
    html! {
        @if known.is_some() { a href={ (app.root_path) "/runs/" (id) } aria-current=[is_here.then_some("true")] { (drawn) } }
        @else { g { (drawn) } }
    }
}

/// As much of a name as there is room for; letters of East Asia take two places.
fn cut(name: &str) -> String {
    let (mut room, mut text) = (NAME, String::new());
    for c in name.chars() {
        let width = if c >= '\u{1100}' { 2 } else { 1 };
        if room < width {
            return text + "\u{2026}";
        }
        room -= width;
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> RunId {
        format!("{number:08}").parse().unwrap()
    }

    fn family(edges: &[(usize, usize)]) -> Family {
        let members = edges.iter().flat_map(|(run, other)| [id(*run), id(*other)]);
        let edge =
            |(run, other): &(usize, usize)| Edge { run: id(*run), other: id(*other), roles: vec![Role::StartsFrom] };
        Family {
            runs: members.map(|id| (id, Member::default())).collect(),
            edges: edges.iter().map(edge).collect(),
            is_cut: false,
        }
    }

    /// By the longest way, so that no line goes back; and a circle ends.
    #[test]
    fn a_run_is_beyond_all_that_it_stands_on() {
        let mut found = family(&[(9, 5), (9, 3), (5, 3), (3, 1)]);
        found.settle(&id(9), |edge| (&edge.other, &edge.run, -1));
        let generations: Vec<i32> = found.runs.values().map(|member| member.generation).collect();
        assert_eq!(generations, [-3, -2, -1, 0], "1, 3, 5, 9");
        let (places, _) = found.places();
        assert!(found.edges.iter().all(|edge| places[&edge.other].0 + BOX.0 < places[&edge.run].0));
        let mut circle = family(&[(2, 1), (1, 2)]);
        circle.settle(&id(1), |edge| (&edge.run, &edge.other, 1));
    }

    #[test]
    fn a_name_is_cut_to_the_box() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut("a name of twenty letters"), "a name of twenty \u{2026}");
        assert_eq!(cut("한국어로된긴이름입니다"), "한국어로된긴이름\u{2026}");
    }
}
