//! What costs no learning, with the best run beside it: also where that is the worse of the two.

use maud::{Markup, html};

use crate::analysis::Comparison;
use crate::plot::ticks::number;
use crate::report::floors::reached;

pub(super) fn table(comparison: &Comparison) -> Option<Markup> {
    (!comparison.floors.is_empty()).then(|| {
        html! {
            div.wide role="region" aria-labelledby="floors-title" tabindex="0" {
                table {
                    caption { span { "What costs no learning, and what the best run reached: the mean of the floor over the runs, or its range where they differ much; the best of all runs." } }
                    thead { tr {
                        th scope="col" { "metric" } th scope="col" { "floor" }
                        th.number scope="col" { "value" } th.number scope="col" { "best run" } th scope="col" { "best run is" }
                        th scope="col" { "what it is" }
                    } }
                    tbody {
                        @for reached in reached(comparison) {
                            tr {
                                th scope="row" { code { (reached.floor.metric) } }
                                td { (reached.floor.label) }
                                td.number { (reached.floor.in_words()) }
                                td.number { (reached.best.map_or("\u{2013}".to_owned(), |best| number(best, 4))) }
                                td {
                                    @if reached.is_missed() { span.bad { "no better" } }
                                    @else if reached.best.is_some() { span.good { "better" } }
                                    @else { "\u{2013}" }
                                }
                                td.words { (reached.floor.explanation) }
                            }
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn a_missed_floor_is_said() {
        let mut comparison = fixture::sweep();
        let words = |comparison: &Comparison| table(comparison).unwrap().into_string();
        assert!(words(&comparison).contains("better") && !words(&comparison).contains("no better"));
        comparison.floors[0].value = 4.0;
        assert!(words(&comparison).contains("no better"));
        comparison.floors.clear();
        assert!(table(&comparison).is_none());
    }
}
