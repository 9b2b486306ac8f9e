//! The captions of all figures as text, for whoever sets them in a paper.

use std::fmt::Write as _;

use super::answer::Answer;
use crate::analysis::{Comparison, summarize};
use crate::plot::Figure;

/// A Markdown document: the answer with what has to be known first, and a section for each figure: its title, how to read
/// it, what its marks mean.
pub fn captions(comparison: &Comparison, figures: &[Figure]) -> String {
    let answer = Answer::of(comparison, &summarize(comparison));
    let mut text = format!("# Figures of {}\n\n", one_line(&comparison.experiment));
    for caution in &answer.cautions {
        let _ = writeln!(text, "- {}", one_line(caution));
    }
    if !answer.cautions.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{} {}", one_line(&answer.headline), one_line(&answer.how_sure));
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
        let mut comparison = fixture::sweep();
        let mut figures = standard_figures(&comparison, &Choice::default());
        let text = captions(&comparison, &figures);
        assert!(figures.iter().all(|figure| text.contains(&figure.caption) && text.contains(&figure.name)));
        figures.truncate(1);
        comparison.cautions.push("Read this first.".to_owned());
        insta::assert_snapshot!(captions(&comparison, &figures), @r#"
        # Figures of 마스크 비율 mask-ratio

        - Read this first.

        size matters most: mini instead of tiny lowers valid/mlm_loss by 0.217 ± 0.023; best of 8 cells: size=mini mask_ratio=0.30 nsp=off at 4.655 ± 0.064, not told apart from one other. 23 of 24 runs finished, 1 failed, 8 cells with 2 to 3 seeds each; ± is half of a 95 % interval, and about one report of twenty says better or worse falsely.

        ## effects

        **마스크 비율 mask-ratio: what each axis does to validation MLM loss.** Each row: mean difference between two values of an axis, over the settings of all others. Bars: 95 % interval of the difference (Student's t, by the design of the seeds). Verdicts at 5 % over the whole report.
        "#);
    }
}
