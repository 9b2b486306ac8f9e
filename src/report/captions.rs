//! The captions of all figures as text, for whoever sets them in a paper.

use std::fmt::Write as _;

use crate::analysis::Comparison;
use crate::plot::Figure;

/// A Markdown document with a section for each figure: its title, how to read it, what its marks mean.
pub fn captions(comparison: &Comparison, figures: &[Figure]) -> String {
    let mut text = format!("# Figures of {}\n", one_line(&comparison.experiment));
    for Figure { name, title, subtitle, caption, .. } in figures {
        let _ = write!(text, "\n## {name}\n\n**{}.**", one_line(title).trim_end_matches('.'));
        for part in [subtitle, caption].map(|part| one_line(part)).iter().filter(|part| !part.is_empty()) {
            let _ = write!(text, " {part}");
        }
        text.push('\n');
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::charts::{Choice, standard_figures};

    #[test]
    fn every_figure_has_its_caption() {
        let comparison = fixture::sweep();
        let mut figures = standard_figures(&comparison, &Choice::default());
        let text = captions(&comparison, &figures);
        assert!(figures.iter().all(|figure| text.contains(&figure.caption) && text.contains(&figure.name)));
        figures.truncate(1);
        insta::assert_snapshot!(captions(&comparison, &figures), @r"
        # Figures of 마스크 비율 mask-ratio

        ## effects

        **마스크 비율 mask-ratio: what each axis does to validation MLM loss.** Each row: mean difference between two values of an axis, over the settings of all others. Bars: 95 % interval of the difference (Student's t, by the design of the seeds). Verdicts at 5 % over the whole report.
        ");
    }
}
