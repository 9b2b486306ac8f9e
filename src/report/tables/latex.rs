//! A table as LaTeX, ruled by the package booktabs: a `tabular` to put into a `table` of one's own.

use std::fmt::Write as _;

use super::{Entry, Reader, Table};

/// The table for people.
pub fn latex(table: &Table) -> String {
    let places = table.columns_for(Reader::Person);
    let columns = places.iter().map(|&i| if table.columns[i].is_number { 'r' } else { 'l' }).collect::<String>();
    let names = places.iter().map(|&i| escape(&table.columns[i].name)).collect::<Vec<_>>();
    let title = table.title.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text =
        format!("% {title}. Needs \\usepackage{{booktabs}}.\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule\n");
    let _ = writeln!(text, "{} \\\\\n\\midrule", names.join(" & "));
    for row in &table.rows {
        let fields = places.iter().map(|&i| match &row[i] {
            Entry::Text(text) | Entry::Number(_, text) => escape(text),
            Entry::Missing => "--".to_owned(),
        });
        let _ = writeln!(text, "{} \\\\", fields.collect::<Vec<_>>().join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

/// Text without what LaTeX would take for a command. A bracket or a star at the beginning of a row would belong to the line
/// break before it.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            '\\' => escaped.push_str("\\textbackslash{}"),
            '~' => escaped.push_str("\\textasciitilde{}"),
            '^' => escaped.push_str("\\textasciicircum{}"),
            '<' => escaped.push_str("$<$"),
            '>' => escaped.push_str("$>$"),
            '[' => escaped.push_str("{[}"),
            '*' => escaped.push_str("{*}"),
            '\u{2212}' => escaped.push_str("$-$"),
            '\u{b1}' => escaped.push_str("$\\pm$"),
            '\u{d7}' => escaped.push_str("$\\times$"),
            '\u{2013}' => escaped.push_str("--"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::fixture;
    use crate::report::tables::tables;

    proptest! {
        /// Without what the escapes are made of, nothing special is left; and what they stand for is what was there.
        #[test]
        fn nothing_special_is_left(text in "[a-c &%$#_{}\\\\~^<>\\[*−±×–]{0,12}") {
            let escaped = escape(&text);
            let known = [
                ("\\textbackslash{}", "\u{1}"), ("\\textasciitilde{}", "\u{2}"), ("\\textasciicircum{}", "\u{3}"),
                ("$<$", "<"), ("$>$", ">"), ("{[}", "["), ("{*}", "*"), ("$-$", "−"), ("$\\pm$", "±"), ("$\\times$", "×"),
                ("\\&", "\u{4}"), ("\\%", "\u{5}"), ("\\$", "\u{6}"), ("\\#", "\u{7}"), ("\\_", "\u{8}"),
                ("\\{", "\u{e}"), ("\\}", "\u{f}"),
            ];
            // From the left, one escape at a time.
            let (mut rest, mut read) = (escaped.as_str(), String::new());
            while let Some(c) = rest.chars().next() {
                if let Some((escape, plain)) = known.iter().find(|(escape, _)| rest.starts_with(escape)) {
                    read.push_str(plain);
                    rest = &rest[escape.len()..];
                } else {
                    prop_assert!(!"&%$#_{}\\~^<>[*".contains(c), "{} in {}", c, escaped);
                    read.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
            for (mark, plain) in "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{e}\u{f}".chars().zip("\\~^&%$#_{}".chars()) {
                read = read.replace(mark, &plain.to_string());
            }
            prop_assert_eq!(read, text.replace('–', "--"));
        }
    }

    #[test]
    fn effects_as_latex() {
        let tables = tables(&fixture::sweep());
        let table = tables.iter().find(|table| table.name == "effects").unwrap();
        insta::assert_snapshot!(latex(table), @r"
        % Difference between two values of an axis, over the settings of the others. Needs \usepackage{booktabs}.
        \begin{tabular}{@{}lrrrl@{}}
        \toprule
        effect & difference $\pm$ 95 \% & settings & p (corrected) & verdict \\
        \midrule
        size: mini $-$ tiny & $-$0.217 $\pm$ 0.023 & 4 & 0.002 & better \\
        mask\_ratio: 0.30 $-$ 0.15 & $-$0.092 $\pm$ 0.031 & 4 & 0.014 & better \\
        nsp: random $-$ off & +0.012 $\pm$ 0.030 & 4 & 0.253 & inconclusive \\
        \bottomrule
        \end{tabular}
        ");
    }
}
