//! The runs that a query finds, as a table: sorted by anything, with the columns that are asked for, each run by itself or in
//! groups.

mod asked;
mod groups;
mod sparks;
mod usual;

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use serde_json::json;

pub use sparks::Sparks;

use self::asked::Asked;
use self::groups::Groups;
use super::{View, cell, data, experiment, problem, short, state, sweep, typed, views};
use crate::clock::{self, Stopwatch};
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::{Cell, Facts, RunVersion, StoreError, Trash};

/// Rows of a page.
const ROWS: usize = 100;

/// What stands before a metric among the columns for its curve.
const CURVE: char = '~';

/// What a query found.
struct Found {
    shown: Shown,
    columns: Vec<String>,
    metrics: BTreeSet<String>,
    /// Settings by which it may be of use to group.
    axes: Vec<String>,
    /// Every name that a query may use, for who types one.
    names: BTreeSet<String>,
    /// What they have of some of them.
    values: BTreeMap<String, BTreeSet<String>>,
}

enum Shown {
    Rows(Rows),
    Groups(Groups),
}

/// A page of a table.
struct Rows {
    runs: Vec<(Facts, RunVersion)>,
    cells: Vec<Vec<Option<Cell>>>,
    start: usize,
    has_more: bool,
}

/// The page of runs.
pub fn runs(app: &App, request: Request) -> Result<Reply, Fault> {
    let mut asked = Asked::of(|key| request.asked(key));
    asked.is_trash |= asked.runs().is_ok_and(|query| query.trash == Trash::Only);
    let found = match find(app, &asked) {
        Ok(found) => Ok(found),
        Err(fault) if fault.code.status().is_client_error() => Err(fault.message),
        Err(fault) => return Err(fault),
    };
    let shown = match &found {
        Err(text) => problem(text),
        Ok(found) => {
            let table = match &found.shown {
                Shown::Rows(rows) => table(app, &asked, found, rows),
                Shown::Groups(groups) => groups.table(app, &asked),
            };
            html! { (grouping(&asked, &found.axes)) (table) (for_script(found)) }
        }
    };
    let body = html! {
        div.head {
            h1.quiet { @if asked.is_trash { "Runs in the trash" } @else { "Runs" } }
            (views::links(app))
        }
        (search(&asked))
        div id="found" data-live { (shown) }
    };
    let title = if asked.query.is_empty() { "Runs" } else { &asked.query };
    Ok(View { title, place: "Runs", body }.reply(app))
}

fn find(app: &App, asked: &Asked) -> Result<Found, Fault> {
    let mut query = asked.runs()?;
    let is_grouped = !asked.groups.is_empty();
    if !asked.sort.is_empty() && !is_grouped {
        query = query.sorted_by(&asked.sort);
    }
    app.reader.ask(|index| {
        let after = asked.after.as_ref().filter(|_| !is_grouped).map(|(id, number)| (id, *number));
        let page = index.page(&query, after, ROWS)?;
        let (mut runs, mut versions) = (Vec::new(), Vec::new());
        for (id, version) in page.runs {
            if let Some(facts) = index.facts_of(&id, &version)? {
                runs.push(facts);
                versions.push(version);
            }
        }
        let usual = if is_grouped { usual::metrics } else { usual::columns };
        let columns = if asked.columns.is_empty() { usual(&runs) } else { asked.columns.clone() };
        let plain: Vec<String> = columns.iter().map(|name| name.trim_start_matches(CURVE).to_owned()).collect();
        let (metrics, axes) = (usual::all_metrics(&runs), usual::axes(&runs));
        let (names, values) = (usual::names(&runs), usual::values(&runs));
        let shown = match is_grouped {
            true => Shown::Groups(Groups::of(index, asked, &plain)?),
            false => {
                let cells = index.columns(&plain, &runs)?;
                let runs = runs.into_iter().zip(versions).collect();
                Shown::Rows(Rows { runs, cells, start: page.start, has_more: page.has_more })
            }
        };
        Ok::<_, StoreError>(Found { shown, columns, metrics, axes, names, values })
    })
}

fn search(asked: &Asked) -> Markup {
    html! {
        form.search role="search" method="get" {
            label for="q" { "Query" }
            input id="q" name="q" type="search" value=(asked.query) autocomplete="off" spellcheck="false" dir="auto"
                placeholder="state = finished and mask_ratio >= 0.3 and valid/mlm_loss_mask.min < 6";
            button type="submit" { "Find" }
            details {
                summary { "Columns, groups, order, trash" }
                label for="group" { "Group by" }
                input id="group" name="group" value=(asked.groups.join(",")) placeholder="lr,schedule"
                    autocomplete="off" spellcheck="false" data-names;
                label for="columns" { "Columns" }
                input id="columns" name="columns" value=(asked.columns.join(",")) autocomplete="off" data-names
                    placeholder="id,seed,optimizer.lr,valid/mlm_loss.min,~train/loss" spellcheck="false";
                div id="chooser" hidden {}
                label for="sort" { "Sort by" }
                input id="sort" name="sort" value=(asked.sort) placeholder="-valid/mlm_loss" autocomplete="off" spellcheck="false"
                    data-names;
                label.check { input type="checkbox" name="trash" value="1" checked[asked.is_trash]; " in the trash" }
            }
        }
    }
}

/// The settings by which runs can be grouped, each a link that adds it or takes it away.
fn grouping(asked: &Asked, axes: &[String]) -> Markup {
    // Whoever typed a name may have typed its end.
    let is_of = |group: &String, axis: &str| axis == group || axis.ends_with(&format!(".{group}"));
    let is_taken = |axis: &String| {
        asked
            .groups
            .iter()
            .any(|group| is_of(group, axis) || axis.strip_suffix(".kind").is_some_and(|axis| is_of(group, axis)))
    };
    let others: Vec<&String> = axes.iter().filter(|axis| !is_taken(axis)).collect();
    let without = |name: &String| asked.groups.iter().filter(|group| *group != name).cloned().collect::<Vec<_>>();
    let with = |name: &String| asked.groups.iter().chain([name]).cloned().collect::<Vec<_>>();
    html! {
        @if !asked.groups.is_empty() || !others.is_empty() {
            p.grouping {
                span.quiet { @if asked.groups.is_empty() { "Group by" } @else { "Grouped by" } } " "
                @for name in &asked.groups {
                    a.chip aria-current="true" href=(asked.grouped_by(without(name)).address()) title={ "Do not group by " (name) } {
                        (typed(short(name))) " \u{d7}"
                    } " "
                }
                @for name in others {
                    a.chip href=(asked.grouped_by(with(name)).address()) title={ "Group by " (name) } { (typed(short(name))) } " "
                }
            }
        }
    }
}

fn for_script(found: &Found) -> Markup {
    html! {
        (data("names", &json!(found.names)))
        (data("values", &json!(found.values)))
        (data("table", &json!({ "columns": found.columns, "metrics": found.metrics })))
    }
}

fn table(app: &App, asked: &Asked, found: &Found, rows: &Rows) -> Markup {
    if rows.runs.is_empty() {
        return nothing(app, asked);
    }
    let is_number = |i: usize| {
        !found.columns[i].starts_with(CURVE)
            && rows.cells.iter().all(|row| !matches!(row[i], Some(Cell::Text(_) | Cell::Moment(_))))
            && rows.cells.iter().any(|row| row[i].is_some())
    };
    let are_numbers: Vec<bool> = (0..found.columns.len()).map(is_number).collect();
    let heading = |(name, is_number): (&String, &bool)| {
        let sort = name.trim_start_matches(CURVE);
        let text = if name.contains('/') { name } else { short(name) };
        html! {
            th scope="col" class=[is_number.then_some("number")] aria-sort=[asked.direction(sort).filter(|_| !name.starts_with(CURVE))] data-column=(name) draggable="true" {
                a href=(asked.sorted_by(sort).address()) title=(name) draggable="false" { (typed(text)) }
            }
        }
    };
    let since = Stopwatch::start();
    let (first, last) = (rows.start + 1, rows.start + rows.runs.len());
    let next = rows.runs.last().filter(|_| rows.has_more);
    let next = next.map(|(run, _)| Asked { after: Some((run.row.id.clone(), last)), ..asked.clone() });
    html! {
        form.chosen method="get" action={ (app.root_path) "/compare" } {
            div.actions {
                button type="submit" { "Compare" }
                span.bulk hidden {
                    button type="button" data-do="tag" { "Tag" }
                    button type="button" data-do="untag" { "Untag" }
                    button type="button" data-do="note" { "Note" }
                    @if asked.is_trash { button type="button" data-do="restore" { "Restore" } }
                    @else { button type="button" data-do="trash" { "Delete" } }
                }
                (sweep::run_buttons(None))
                output.count { (first) " to " (last) @if rows.has_more { " of more" } }
            }
            div.scroll tabindex="0" role="region" aria-label="Runs" {
                table.runs {
                    thead {
                        tr {
                            th scope="col" { input type="checkbox" aria-label="Choose all" data-all; }
                            th scope="col" { "run" }
                            @for heading in found.columns.iter().zip(&are_numbers).map(heading) { (heading) }
                        }
                    }
                    tbody {
                        @for (run, cells) in rows.runs.iter().zip(&rows.cells) { (row(app, run, &since, &found.columns, cells, &are_numbers)) }
                    }
                }
            }
            @if let Some(next) = next { p { a.more rel="next" href=(next.address()) { "Next " (ROWS) } } }
        }
    }
}

fn nothing(app: &App, asked: &Asked) -> Markup {
    html! {
        p.empty {
            @if asked.query.is_empty() && !asked.is_trash {
                "No runs yet. " code { "ablate run FILE" } " trains some; MLflow's clients log here with "
                code { "mlflow.set_tracking_uri(\"http://" (app.guard.address) (app.root_path) "\")" } "."
            } @else { "No run matches." }
        }
    }
}

fn row(
    app: &App,
    found: &(Facts, RunVersion),
    since: &Stopwatch,
    columns: &[String],
    cells: &[Option<Cell>],
    are_numbers: &[bool],
) -> Markup {
    let (now, run) = (clock::now(), &found.0);
    let content = |name: &String, value: &Option<Cell>| match name.as_str() {
        "state" => state(run.row.state),
        "experiment" => html! {
            @if let Some(name) = run.row.experiment() { a href=(experiment(app, name)) { (typed(name)) } }
        },
        "tag" => html! {
            @for tag in run.row.labels.tags.iter().filter(|tag| !tag.starts_with("mlflow.")) { span.tag { (typed(tag)) } " " }
        },
        name => match name.strip_prefix(CURVE) {
            Some(metric) => app.sparks.of(app.store(), found, metric, since),
            None => cell(value.as_ref(), now),
        },
    };
    let id = &run.row.id;
    html! {
        tr data-run=(id) {
            td { input type="checkbox" name="run" value=(id) aria-label={ "Choose " (id) }; }
            td { a.id href={ (app.root_path) "/runs/" (id) } { (id) } }
            @for ((name, value), is_number) in columns.iter().zip(cells).zip(are_numbers) {
                td class=[is_number.then_some("number")] { (content(name, value)) }
            }
        }
    }
}
