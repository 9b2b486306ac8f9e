//! When which run was worked on: bars over time, in as many lanes as ran side by side.

use super::encoding::empty_panel;
use super::parts::line;
use crate::analysis::{Comparison, RunData, RunState};
use crate::plot::figure::{Colour, Dash, Figure, Ink, LegendItem, Mark, Owner, PlotAxis, Sample, Scale, Stroke, Tick};
use crate::plot::ticks::linear_axis;
use crate::types::Timestamp;

/// A pause in which nothing ran is cut out from this share of the working time on.
const PAUSE: f64 = 0.05;
/// What is left of a pause that is cut out.
const CUT: f64 = 0.01;
const LANE_PT: f64 = 17.0;
const BAR_PT: f64 = 9.0;
/// Another lane is free when its last piece ended this long after the next begins: clocks are written to the millisecond.
const SLACK_SECS: f64 = 0.5;

/// A piece of work on a run: it began, and it ended, came to a rung, was stopped, or failed.
struct Piece<'a> {
    run: &'a RunData,
    /// The how many-th of its run.
    number: usize,
    is_last: bool,
    from: f64,
    to: f64,
    lane: usize,
}

/// The sweep over time. Absent where times are not known, and where one run simply followed the other.
pub fn timeline(comparison: &Comparison) -> Option<Figure> {
    let start = comparison.runs.iter().filter_map(|run| Some(run.sessions.first()?.0)).min()?;
    let mut pieces = pieces(comparison, start);
    let pauses = cut_pauses(&mut pieces);
    let lanes = assign_lanes(&mut pieces);
    let most = pieces.iter().map(|piece| piece.number + 1).max()?;
    let is_dull = lanes < 2 && most < 2 && pieces.iter().all(|piece| piece.run.state == RunState::Finished);
    if pieces.len() < 4 || is_dull {
        return None;
    }
    let end = pieces.iter().map(|piece| piece.to).fold(0.0, f64::max);
    let (unit, name) = match end {
        secs if secs < 300.0 => (1.0, "seconds"),
        secs if secs < 3.0 * 3600.0 => (60.0, "minutes"),
        _ => (3600.0, "hours"),
    };
    let mut x = linear_axis(format!("time since the sweep began ({name})"), 0.0, 1.01 * end / unit, 6);
    x.grid = true;
    let mut panel = empty_panel(String::new(), x, lane_axis(lanes));
    for piece in &pieces {
        let y = -(piece.lane as f64);
        let colour = colour_of(piece, most);
        let since = panel.so_far();
        panel.marks.push(line(vec![(piece.from / unit, y), (piece.to / unit, y)], colour, BAR_PT, Dash::Solid));
        // A thin gap tells neighbours apart.
        let edge =
            Mark::Interval { x: piece.from / unit, low: y - 0.3, high: y + 0.3, colour: Colour::full(Ink::Background) };
        panel.marks.push(edge);
        let is_dead = piece.is_last && !matches!(piece.run.state, RunState::Finished | RunState::Running);
        if is_dead {
            panel.marks.push(Mark::Cross { at: (piece.to / unit, y), colour: Colour::full(Ink::Text) });
        }
        panel.give(since, Owner::run(piece.run));
    }
    for &at in &pauses {
        panel.marks.push(Mark::Zero { x: at / unit });
    }
    let busy = pieces.iter().map(|piece| piece.to - piece.from).sum::<f64>() / (end * lanes as f64);
    Some(Figure {
        kind: "timeline",
        legend: legend(&pieces, most),
        name: "timeline".to_owned(),
        title: format!("{}: the sweep over time", comparison.experiment),
        subtitle: format!(
            "{} runs in {lanes} {}, busy for {:.0} % of the time.",
            comparison.runs.len(),
            if lanes == 1 { "lane" } else { "lanes" },
            100.0 * busy
        ),
        caption: caption(&pieces, most, pauses.len()),
        height: 110.0 + LANE_PT * lanes as f64,
        columns: 1,
        panels: vec![panel],
    })
}

fn pieces(comparison: &Comparison, start: Timestamp) -> Vec<Piece<'_>> {
    let of_run = |run: &'_ RunData| {
        let last = run.sessions.len();
        let piece = move |(number, (from, to)): (usize, &(Timestamp, Timestamp))| {
            (number, number + 1 == last, from.secs_since(start), to.secs_since(start))
        };
        run.sessions.iter().enumerate().map(piece).collect::<Vec<_>>()
    };
    let pieces = comparison.runs.iter().flat_map(|run| of_run(run).into_iter().map(move |found| (run, found)));
    let pieces = pieces.map(|(run, (number, is_last, from, to))| Piece { run, number, is_last, from, to, lane: 0 });
    let mut pieces = pieces.filter(|piece| piece.to >= piece.from && piece.from >= 0.0).collect::<Vec<_>>();
    pieces.sort_by(|a, b| a.from.total_cmp(&b.from));
    pieces
}

/// Takes out the times in which nothing ran, and returns where they were.
fn cut_pauses(pieces: &mut [Piece<'_>]) -> Vec<f64> {
    let (mut until, mut pauses) = (0.0_f64, Vec::new());
    for piece in pieces.iter() {
        if piece.from > until {
            pauses.push((until, piece.from));
        }
        until = until.max(piece.to);
    }
    let worked = until - pauses.iter().map(|(from, to)| to - from).sum::<f64>();
    pauses.retain(|(from, to)| to - from > PAUSE * worked);
    let left = CUT * worked;
    for piece in pieces.iter_mut() {
        let before = pauses.iter().filter(|(_, to)| *to <= piece.from + 1e-9);
        let taken = before.map(|(from, to)| to - from - left).sum::<f64>();
        piece.from -= taken;
        piece.to -= taken;
    }
    let mut taken = 0.0;
    pauses
        .iter()
        .map(|(from, to)| {
            let at = from - taken + left / 2.0;
            taken += to - from - left;
            at
        })
        .collect()
}

/// Gives each piece the first lane that is free; returns how many there are.
fn assign_lanes(pieces: &mut [Piece<'_>]) -> usize {
    let mut ends = Vec::<f64>::new();
    for piece in pieces {
        let free = ends.iter().position(|&end| end <= piece.from + SLACK_SECS);
        piece.lane = free.unwrap_or(ends.len());
        match free {
            Some(lane) => ends[lane] = piece.to,
            None => ends.push(piece.to),
        }
    }
    ends.len()
}

fn colour_of(piece: &Piece<'_>, most: usize) -> Colour {
    let is_dead = piece.is_last && !matches!(piece.run.state, RunState::Finished | RunState::Running);
    match most {
        1 if is_dead => Colour::full(Ink::Category(1)),
        1 => Colour::full(Ink::Category(0)),
        _ => Colour::full(rung_ink(piece.number, most)),
    }
}

fn rung_ink(number: usize, most: usize) -> Ink {
    let of = most.min(6) as u8;
    Ink::Ramp { ramp: 0, index: (number as u8).min(of - 1), of }
}

fn legend(pieces: &[Piece<'_>], most: usize) -> Vec<LegendItem> {
    let shown = most.min(6);
    let entry = |(colour, text): (Colour, String)| LegendItem::Entry {
        sample: Sample::Line(Stroke { colour, width: 5.0, dash: Dash::Solid }),
        text,
    };
    if most < 2 {
        let words = [(Ink::Category(0), "finished, or running"), (Ink::Category(1), "ended early")];
        let is_there = |ink: Ink| pieces.iter().any(|piece| colour_of(piece, most) == Colour::full(ink));
        let found = words.into_iter().filter(|(ink, _)| is_there(*ink));
        return found.map(|(ink, words)| entry((Colour::full(ink), words.to_owned()))).collect();
    }
    let name = |i: usize| match i {
        0 => "first piece".to_owned(),
        i if i + 1 == shown && most > shown => format!("{}th and later", i + 1),
        i => ["second", "third", "fourth", "fifth", "sixth"][i - 1].to_owned(),
    };
    (0..shown).map(|i| entry((Colour::full(rung_ink(i, most)), name(i)))).collect()
}

fn lane_axis(lanes: usize) -> PlotAxis {
    let ticks = (0..lanes).map(|lane| Tick { at: -(lane as f64), text: (lane + 1).to_string() }).collect();
    let low = 0.4 - lanes as f64;
    PlotAxis { label: "lane".to_owned(), scale: Scale::Linear, low, high: 0.6, ticks, grid: false }
}

fn caption(pieces: &[Piece<'_>], most: usize, pauses: usize) -> String {
    let mut caption =
        "Bars: work on a run. Lanes are found from the times: a run takes the first one that is free.".to_owned();
    if most > 1 {
        caption += " Colour: the how many-th piece of its run; a run is taken up again where it was sent to the next rung of \
                    a halving, or had been stopped.";
    }
    let dead = |piece: &&Piece<'_>| piece.is_last && !matches!(piece.run.state, RunState::Finished | RunState::Running);
    let ended = pieces.iter().filter(dead).count();
    if ended > 0 {
        caption += &format!(" A cross: the run ended there without finishing ({ended}).");
    }
    if pauses > 0 {
        caption += &format!(" A line over all lanes: a pause in which nothing ran is cut out ({pauses}).");
    }
    caption
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    /// No two pieces of a lane overlap, and there are as many lanes as ran side by side at most.
    #[test]
    fn lanes_are_as_few_as_can_be() {
        let comparison = fixture::sweep();
        let start = comparison.runs[0].sessions[0].0;
        let mut pieces = pieces(&comparison, start);
        assert_eq!((assign_lanes(&mut pieces), pieces.len()), (2, 24));
        for (i, a) in pieces.iter().enumerate() {
            let overlap = |b: &Piece<'_>| a.lane == b.lane && a.from.max(b.from) + SLACK_SECS < a.to.min(b.to);
            assert!(!pieces[i + 1..].iter().any(overlap));
        }
        let figure = timeline(&comparison).unwrap();
        let crosses = figure.panels[0].marks.iter().filter(|mark| matches!(mark, Mark::Cross { .. })).count();
        assert_eq!(crosses, 1, "{}", figure.caption);
    }

    #[test]
    fn a_pause_is_cut_out_and_told() {
        let mut comparison = fixture::sweep();
        let late = |at: Timestamp| Timestamp::from_unix_millis(at.unix_millis() + 86_400_000);
        for run in comparison.runs.iter_mut().skip(12) {
            run.sessions.iter_mut().for_each(|(from, to)| (*from, *to) = (late(*from), late(*to)));
        }
        let figure = timeline(&comparison).unwrap();
        assert!(figure.caption.ends_with("a pause in which nothing ran is cut out (1)."), "{}", figure.caption);
        assert!(figure.panels[0].x.high < 40.0, "minutes: {}", figure.panels[0].x.high);
    }

    #[test]
    fn one_after_the_other_needs_no_picture() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.state == RunState::Finished);
        let mut at = 0;
        for run in &mut comparison.runs {
            run.sessions = vec![(Timestamp::from_unix_millis(at), Timestamp::from_unix_millis(at + 60_000))];
            at += 60_000;
        }
        assert_eq!(timeline(&comparison), None);
        comparison.runs.iter_mut().for_each(|run| run.sessions.clear());
        assert_eq!(timeline(&comparison), None);
    }
}
