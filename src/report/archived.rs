//! The page that an archive of runs begins with: what is in it, what came out, how to hold it against its certificate and take
//! it in.
//!
//! It is read without this program, a server or a network, years later and elsewhere: it refers to nothing, and says nothing of
//! the day that it was made, so that the same runs make the same page.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, PreEscaped, html};

use super::format;
use super::listing::ListedRun;
use super::page::STYLE;
use super::spelling::{axis_value, minute, setting};
use crate::types::{ContentHash, RunId};

/// What the page of an archive is made of.
#[derive(Debug)]
pub struct ArchivePage<'a> {
    /// Those that were asked for before those that they stand on.
    pub runs: &'a [ArchivedRun],
    pub reports: &'a [ArchivedReport],
    pub files: usize,
    pub bytes: u64,
    pub with_checkpoints: bool,
    /// What wrote it.
    pub program: &'a str,
    /// HTML for the place of the root hash.
    pub root_place: &'a str,
}

/// A run of an archive.
#[derive(Debug)]
pub struct ArchivedRun {
    pub listed: ListedRun,
    pub settings: BTreeMap<String, String>,
    /// The runs that stand on it, where it is only there for them.
    pub because_of: Vec<RunId>,
    /// The data that it names, and their hashes.
    pub corpora: Vec<(String, ContentHash)>,
}

/// A report of an archive.
#[derive(Debug)]
pub struct ArchivedReport {
    pub experiment: String,
    /// The answer in a sentence, and how many runs it speaks of.
    pub answer: Option<(String, usize)>,
    /// Where it is in the archive.
    pub path: String,
    /// The whole page.
    pub html: String,
}

/// Runs that are shown with all their settings.
const DETAILED: usize = 100;
const NOTHING: &str = "\u{2013}";

impl ArchivePage<'_> {
    /// HTML from `<html>` on, with the body left open.
    pub fn html(&self) -> String {
        let title = self.title();
        let head = html! {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " \u{2013} ablate archive" }
            style { (PreEscaped(STYLE)) (PreEscaped(ALONE)) }
        };
        let main = html! {
            header {
                p.kind { "Archive of runs" }
                h1 { (title) }
                p.question { (self.summary()) }
            }
            @for report in self.reports { (report.section()) }
            (self.table())
            (self.details())
            (self.certificate())
        };
        format!("<html lang=\"en\"><head>{}</head><body><main>{}</main>", head.into_string(), main.into_string())
    }

    /// The experiments of the runs that were asked for.
    fn title(&self) -> String {
        let asked = self.runs.iter().filter(|run| run.because_of.is_empty());
        let names: BTreeSet<&str> = asked.filter_map(|run| run.listed.experiment.as_deref()).collect();
        match names.len() {
            0 => format::plural(self.runs.len(), "run"),
            1..=3 => names.into_iter().collect::<Vec<_>>().join(", "),
            count => format!("{} and {} more experiments", names.first().copied().unwrap_or_default(), count - 1),
        }
    }

    fn summary(&self) -> String {
        let beside = self.runs.iter().filter(|run| !run.because_of.is_empty()).count();
        let asked = format::plural(self.runs.len() - beside, "run");
        let beside = match beside {
            0 => String::new(),
            1 => ", 1 run that they stand on".to_owned(),
            count => format!(", {count} runs that they stand on"),
        };
        let (files, bytes) = (format::plural(self.files, "file"), format::si(self.bytes as f64));
        let without = if self.with_checkpoints { "" } else { ", without checkpoints" };
        format!("{asked}{beside}: {files}, {bytes}B{without}")
    }

    fn table(&self) -> Markup {
        let axes: BTreeSet<&String> = self.runs.iter().flat_map(|run| run.listed.axes.keys()).collect();
        let has_many = self.runs.iter().map(|run| &run.listed.experiment).collect::<BTreeSet<_>>().len() > 1;
        html! {
            section id="runs" {
                h2 id="runs-title" { "Runs" }
                div.wide role="region" aria-labelledby="runs-title" tabindex="0" {
                    table {
                        thead { tr {
                            th scope="col" { "run" } th scope="col" { "state" }
                            @if has_many { th scope="col" { "experiment" } }
                            th.number scope="col" { "result" } th scope="col" { "metric" }
                            @for axis in &axes { th scope="col" { (axis) } }
                            @for name in ["seed", "steps", "parameters"] { th.number scope="col" { (name) } }
                            th scope="col" { "started" } th scope="col" { "here because" }
                        } }
                        tbody { @for run in self.runs { (run.row(&axes, has_many)) } }
                    }
                }
            }
        }
    }

    fn details(&self) -> Markup {
        html! {
            section id="settings" {
                h2 { "Settings and measurements" }
                @for run in self.runs.iter().take(DETAILED) { (run.details()) }
                @if self.runs.len() > DETAILED {
                    p.note { "Of the other " (self.runs.len() - DETAILED) " runs, " code { "runs/ID/spec.toml" } " in this archive has them." }
                }
            }
        }
    }

    fn certificate(&self) -> Markup {
        html! {
            section id="certificate" {
                h2 { "Certificate" }
                dl.record {
                    dt { "root hash" } dd { (PreEscaped(self.root_place)) }
                    dt { "written by" } dd { (self.program) }
                    @for (name, hash) in self.runs.iter().flat_map(|run| &run.corpora).collect::<BTreeSet<_>>() {
                        dt { "data" } dd { (name) " " code { (hash) } span.open { " \u{2013} not in the archive" } }
                    }
                }
                p {
                    "This file is a page and a ZIP in one. Its first entry, " code { "certificate.json" } ", has the hash of every "
                    "other, and the root hash is over all of them and this page: who knows the root knows what the archive was."
                }
                pre tabindex="0" aria-label="Commands" {
                    "ablate verify FILE            # names every bit that was changed; needs nothing but the program\n"
                    "ablate import archive FILE    # takes the runs into a store, ids and every byte as they were\n"
                    "unzip FILE                    # or any other program for ZIP files"
                }
            }
        }
    }
}

/// What this page has beside the style of reports.
const ALONE: &str = "body{display:block;max-width:76rem}\
iframe{display:block;width:100%;height:85vh;border:1px solid var(--line);border-radius:6px;margin-top:.6rem}\
#runs td{white-space:nowrap}#runs .reason{display:inline-block;white-space:normal;min-width:12rem}\
#settings details{border-top:1px solid var(--line);padding:.5rem 0}#settings .record{margin-top:.6rem}\
.record code{overflow-wrap:anywhere}";

impl ArchivedRun {
    fn row(&self, axes: &BTreeSet<&String>, has_many: bool) -> Markup {
        let run = &self.listed;
        let result = run.result();
        let steps = match run.total_steps {
            Some(total) if total != run.steps_done.0 => format!("{}/{total}", run.steps_done),
            _ => run.steps_done.to_string(),
        };
        html! {
            tr {
                th scope="row" { code { (run.id) } @if let Some(name) = &run.labels.name { " " (name) } }
                td { (run.state) @if let Some(reason) = &run.reason { ": " span.reason { (reason) } } }
                @if has_many { td { (run.experiment.as_deref().unwrap_or(NOTHING)) } }
                td.number { (result.map_or_else(|| NOTHING.to_owned(), |(_, value)| format::metric(Some(value)))) }
                td { (result.map_or_else(|| NOTHING.to_owned(), |(name, _)| name.to_string())) }
                @for axis in axes { td { (run.axes.get(*axis).map_or_else(|| NOTHING.to_owned(), axis_value)) } }
                td.number { (run.seed.map_or_else(|| NOTHING.to_owned(), |seed| seed.to_string())) }
                td.number { (steps) }
                td.number { (run.parameters.map_or_else(|| NOTHING.to_owned(), |count| format::si(count as f64))) }
                td { (run.started_at.map_or_else(|| NOTHING.to_owned(), minute)) }
                td {
                    @match self.because_of.first() {
                        None => "it was asked for",
                        Some(heir) => {
                            code { (heir) } " stands on it"
                            @if self.because_of.len() > 1 { ", and " (self.because_of.len() - 1) " more" }
                        },
                    }
                }
            }
        }
    }

    fn details(&self) -> Markup {
        let run = &self.listed;
        html! {
            details {
                summary { code { (run.id) } " " span.open { (run.experiment.as_deref().unwrap_or_default()) } }
                dl.record {
                    @if let Some(spec) = run.spec_hash { dt { "specification" } dd { code { (spec) } } }
                    @if let Some(by) = &run.logged_by { dt { "logged by" } dd { (by) } }
                    @if !run.labels.tags.is_empty() { dt { "tags" } dd { (run.labels.tags.iter().map(String::as_str).collect::<Vec<_>>().join(", ")) } }
                    @if let Some(note) = &run.labels.note { dt { "note" } dd { (note) } }
                    @for (name, value) in &run.metrics { dt { (name) } dd { (format::metric(Some(*value))) } }
                    @for (key, value) in &self.settings { dt { (key) } dd { (setting(value)) } }
                }
            }
        }
    }
}

impl ArchivedReport {
    fn section(&self) -> Markup {
        let title = format!("Report of {}", self.experiment);
        html! {
            section {
                h2 { (title) }
                @if let Some((answer, runs)) = &self.answer {
                    p { (answer) span.open { " \u{2013} of " (format::plural(*runs, "run")) } }
                }
                details open {
                    summary { "The whole report, " code { (self.path) } " in this archive" }
                    iframe title=(title) sandbox="allow-scripts" srcdoc=(self.html) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{create, new_store, spec};
    use crate::store::{Index, RunQuery};
    use crate::types::Timestamp;

    /// Whatever people name is text, and nothing outside is referred to.
    #[test]
    fn what_is_said_of_runs_is_text_in_the_page() {
        let (_folder, store) = new_store();
        let provenance = serde_json::json!({ "experiment": { "name": "<b>rates</b>", "axes": { "lr": "</table>" } } });
        let run = create(&store, &spec(1, 0.15), &provenance, Timestamp::from_unix_millis(0)).unwrap();
        run.relabel(|labels| labels.note = Some("</plaintext><script>alert(1)</script>".to_owned())).unwrap();
        let mut index = Index::open(&store).unwrap();
        let rows = index.query(&RunQuery::default()).unwrap();
        let facts = index.facts(rows).unwrap().remove(0);
        let settings = facts.settings.clone();
        let listed = super::super::listing::Listing::of(vec![facts], &RunQuery::default()).runs.remove(0);
        let runs = [ArchivedRun {
            listed,
            settings,
            because_of: Vec::new(),
            corpora: vec![("<i>".to_owned(), ContentHash::of(b"x"))],
        }];
        let report = ArchivedReport {
            experiment: "<b>rates</b>".to_owned(),
            answer: Some(("a < b".to_owned(), 2)),
            path: "reports/x".to_owned(),
            html: "<p title=\"x\">\"&amp;".to_owned(),
        };
        let place = "<code id=\"root\">0</code>";
        let page = ArchivePage {
            runs: &runs,
            reports: &[report],
            files: 3,
            bytes: 2_000,
            with_checkpoints: false,
            program: "ablate 0",
            root_place: place,
        };
        let html = page.html();
        assert_eq!(html.matches(place).count(), 1);
        for raw in ["<b>rates", "</plaintext>", "<script", "</table></td>", "<i>"] {
            assert!(!html.contains(raw), "{raw}");
        }
        assert!(html.contains("&lt;b&gt;rates") && html.contains("1 run: 3 files, 2.00kB, without checkpoints"));
        assert!(html.contains("srcdoc=\"&lt;p title=&quot;x&quot;&gt;&quot;&amp;amp;\""));
        for outside in ["src=", "url(", "@import", "<link", "http:", "https:"] {
            assert!(!html.contains(outside), "the page has {outside}");
        }
        assert_eq!(html, page.html());
    }
}
