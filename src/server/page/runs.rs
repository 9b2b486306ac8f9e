//! The runs that a query finds, as a table: sorted by anything, with the columns that are asked for.

use std::collections::BTreeSet;

use maud::{Markup, html};
use serde_json::json;

use super::{View, cell, data, encoded, experiment, problem, short, state, sweep, typed};
use crate::clock;
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::{Cell, Facts, RunQuery, StoreError, Trash};
use crate::types::RunId;

/// Rows of a page.
const ROWS: usize = 100;

/// Axes and metrics that are shown unasked, at most.
const MOST_AXES: usize = 8;

/// What an address asks for.
struct Asked {
    query: String,
    sort: String,
    columns: Vec<String>,
    trash: bool,
    after: Option<(RunId, usize)>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let text = |key: &str| request.asked(key).unwrap_or_default().trim().to_owned();
        let columns =
            text("columns").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let after = request.asked("after").and_then(|after| {
            let (id, number) = after.split_once('.')?;
            Some((id.parse().ok()?, number.parse().ok()?))
        });
        Self { query: text("q"), sort: text("sort"), columns, trash: request.asked("trash").is_some(), after }
    }

    /// The address with something else in it.
    fn address(&self, sort: &str, after: Option<(&RunId, usize)>) -> String {
        let mut parts = Vec::new();
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                parts.push(format!("{key}={}", encoded(value)));
            }
        };
        put("q", &self.query);
        put("sort", sort);
        put("columns", &self.columns.join(","));
        put("trash", if self.trash { "1" } else { "" });
        put("after", &after.map(|(id, number)| format!("{id}.{number}")).unwrap_or_default());
        format!("?{}", parts.join("&"))
    }
}

/// A page of a table.
struct Found {
    columns: Vec<String>,
    runs: Vec<Facts>,
    rows: Vec<Vec<Option<Cell>>>,
    start: usize,
    has_more: bool,
    /// Every name that a query may use, for who types one.
    names: BTreeSet<String>,
}

/// The page of runs.
pub fn runs(app: &App, request: Request) -> Result<Reply, Fault> {
    let asked = Asked::of(&request);
    let found = match find(app, &asked) {
        Ok(found) => Ok(found),
        Err(fault) if fault.code.status().is_client_error() => Err(fault.message),
        Err(fault) => return Err(fault),
    };
    let body = html! {
        h1.quiet { @if asked.trash { "Runs in the trash" } @else { "Runs" } }
        (search(&asked))
        div id="found" data-live {
            @match &found {
                Err(text) => (problem(text)),
                Ok(found) => (table(app, &asked, found)),
            }
        }
    };
    let title = if asked.query.is_empty() { "Runs" } else { &asked.query };
    Ok(View { title, place: "Runs", body }.reply(app))
}

fn find(app: &App, asked: &Asked) -> Result<Found, Fault> {
    let mut query = RunQuery::parse(&asked.query, clock::now())?;
    if !asked.sort.is_empty() {
        query = query.sorted_by(&asked.sort);
    }
    if asked.trash {
        query = query.from_trash(Trash::Only);
    }
    app.reader.ask(|index| {
        let after = asked.after.as_ref().map(|(id, number)| (id, *number));
        let page = index.page(&query, after, ROWS)?;
        let facts = page.runs.iter().map(|(id, version)| index.facts_of(id, version));
        let runs: Vec<Facts> = facts.collect::<Result<Vec<_>, StoreError>>()?.into_iter().flatten().collect();
        let columns = if asked.columns.is_empty() { usual(&runs) } else { asked.columns.clone() };
        let rows = index.columns(&columns, &runs)?;
        let names = names(&runs);
        Ok(Found { columns, runs, rows, start: page.start, has_more: page.has_more, names })
    })
}

/// The columns that say most about these runs: what they are, how far they are, in what they differ, what came out.
fn usual(runs: &[Facts]) -> Vec<String> {
    let mut names: Vec<String> = ["state", "started", "took"].map(str::to_owned).to_vec();
    if runs.iter().any(|run| run.row.labels.name.is_some()) {
        names.insert(0, "name".to_owned());
    }
    // What clients say by themselves is no word of a person.
    if runs.iter().any(|run| run.row.labels.tags.iter().any(|tag| !tag.starts_with("mlflow."))) {
        names.push("tag".to_owned());
    }
    let deciding = |run: &Facts| {
        let declared = run.provenance.get("experiment.metric").cloned();
        declared.filter(|name| run.row.metrics.keys().any(|known| known.as_str() == name))
    };
    let decided: BTreeSet<String> = runs.iter().filter_map(deciding).collect();
    match decided.is_empty() {
        false => names.extend(decided.into_iter().take(MOST_AXES)),
        true => {
            let metrics: BTreeSet<_> = runs.iter().flat_map(|run| run.row.metrics.keys()).collect();
            names.extend(metrics.into_iter().take(4).map(ToString::to_string));
        }
    }
    let experiments: BTreeSet<_> = runs.iter().map(|run| run.row.experiment()).collect();
    if experiments.len() > 1 {
        names.push("experiment".to_owned());
    }
    let axes: BTreeSet<&String> =
        runs.iter().flat_map(|run| run.row.experiments.iter().flat_map(|group| group.axes.keys())).collect();
    names.extend(axes.into_iter().take(MOST_AXES).cloned());
    // A guest's seed and that of a run which was trained here are two settings.
    let seeds =
        ["seed", "train.seed"].into_iter().filter(|name| runs.iter().any(|run| run.settings.contains_key(*name)));
    names.extend(seeds.map(str::to_owned));
    names
}

fn names(runs: &[Facts]) -> BTreeSet<String> {
    let words =
        ["id", "state", "experiment", "name", "tag", "note", "started", "ended", "took", "steps_done", "parameters"];
    let settings = runs.iter().flat_map(|run| run.settings.keys().cloned());
    let metrics = runs.iter().flat_map(|run| run.row.metrics.keys().map(ToString::to_string));
    words.map(str::to_owned).into_iter().chain(settings).chain(metrics).collect()
}

fn search(asked: &Asked) -> Markup {
    html! {
        form.search role="search" method="get" {
            label for="q" { "Query" }
            input id="q" name="q" type="search" value=(asked.query) autocomplete="off" spellcheck="false" dir="auto"
                placeholder="state = finished and mask_ratio >= 0.3 and valid/mlm_loss_mask.min < 6";
            button type="submit" { "Find" }
            details {
                summary { "Columns, order, trash" }
                label for="columns" { "Columns" }
                input id="columns" name="columns" value=(asked.columns.join(",")) placeholder="id,seed,optimizer.lr,valid/mlm_loss.min"
                    spellcheck="false";
                label for="sort" { "Sort by" }
                input id="sort" name="sort" value=(asked.sort) placeholder="-valid/mlm_loss" spellcheck="false";
                label.check { input type="checkbox" name="trash" value="1" checked[asked.trash]; " in the trash" }
            }
        }
    }
}

fn table(app: &App, asked: &Asked, found: &Found) -> Markup {
    if found.runs.is_empty() {
        return html! {
            p.empty {
                @if asked.query.is_empty() && !asked.trash {
                    "No runs yet. " code { "ablate run FILE" } " trains some; MLflow's clients log here with "
                    code { "mlflow.set_tracking_uri(\"http://" (app.guard.address) (app.root_path) "\")" } "."
                } @else { "No run matches." }
            }
        };
    }
    let now = clock::now();
    let is_number = |i: usize| {
        found.rows.iter().all(|row| !matches!(row[i], Some(Cell::Text(_) | Cell::Moment(_))))
            && found.rows.iter().any(|row| row[i].is_some())
    };
    let heading = |(i, name): (usize, &String)| {
        let (is_sorted, is_reversed) = (asked.sort == *name, asked.sort.strip_prefix('-') == Some(name));
        let next = if is_sorted { format!("-{name}") } else { name.clone() };
        let sort = if is_sorted { "ascending" } else { "descending" };
        html! {
            th scope="col" class=[is_number(i).then_some("number")] aria-sort=[(is_sorted || is_reversed).then_some(sort)] {
                a href=(asked.address(&next, None)) title=(name) { (typed(if name.contains('/') { name } else { short(name) })) }
            }
        }
    };
    let (first, last) = (found.start + 1, found.start + found.runs.len());
    html! {
        form.chosen method="get" action={ (app.root_path) "/compare" } {
            div.actions {
                button type="submit" { "Compare" }
                span.bulk hidden {
                    button type="button" data-do="tag" { "Tag" }
                    button type="button" data-do="untag" { "Untag" }
                    @if asked.trash { button type="button" data-do="restore" { "Restore" } }
                    @else { button type="button" data-do="trash" { "Delete" } }
                }
                (sweep::run_buttons(None))
                output.count { (first) " to " (last) @if found.has_more { " of more" } }
            }
            div.scroll tabindex="0" role="region" aria-label="Runs" {
                table.runs {
                    thead {
                        tr {
                            th scope="col" { input type="checkbox" aria-label="Choose all" data-all; }
                            th scope="col" { "run" }
                            @for heading in found.columns.iter().enumerate().map(heading) { (heading) }
                        }
                    }
                    tbody {
                        @for (run, row) in found.runs.iter().zip(&found.rows) {
                            tr data-run=(run.row.id) {
                                td { input type="checkbox" name="run" value=(run.row.id) aria-label={ "Choose " (run.row.id) }; }
                                td { a.id href={ (app.root_path) "/runs/" (run.row.id) } { (run.row.id) } }
                                @for (i, (name, value)) in found.columns.iter().zip(row).enumerate() {
                                    td class=[is_number(i).then_some("number")] {
                                        @match name.as_str() {
                                            "state" => (state(run.row.state)),
                                            "experiment" => @if let Some(name) = run.row.experiment() {
                                                a href=(experiment(app, name)) { (typed(name)) }
                                            },
                                            "tag" => @for tag in run.row.labels.tags.iter().filter(|tag| !tag.starts_with("mlflow.")) { span.tag { (typed(tag)) } " " },
                                            _ => (cell(value.as_ref(), now)),
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if let (true, Some(run)) = (found.has_more, found.runs.last()) {
                p { a.more rel="next" href=(asked.address(&asked.sort, Some((&run.row.id, last)))) { "Next " (ROWS) } }
            }
        }
        (data("names", &json!(found.names)))
    }
}
