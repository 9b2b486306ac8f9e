//! A table as LaTeX, ruled by the package booktabs: a `tabular` to put into a `table` of one's own, or a `longtable`.

use std::fmt::Write as _;

use super::{Entry, Reader, Table};

/// A text longer than so many letters is broken into lines of that length.
const LINE: usize = 30;
/// The longest table that stands on one page; a longer one goes on over several.
const PAGE_ROWS: usize = 40;
/// What fits between the margins of an article, in letters and gaps between columns: at the size of its text, and in two
/// smaller ones with narrow gaps.
const SIZES: [(usize, &str); 3] = [
    (66, ""),
    (84, "\\footnotesize\\setlength{\\tabcolsep}{4pt}"),
    (usize::MAX, "\\scriptsize\\setlength{\\tabcolsep}{3pt}"),
];

/// What is wider than this stands out even so.
const WIDEST: usize = 100;

/// The table for people: within the margins of an article as far as letters can be counted, and over several pages where it
/// is long.
pub fn latex(table: &Table) -> String {
    let places = table.columns_for(Reader::Person);
    let longest = |&i: &usize| {
        let entries = table.rows.iter().map(|row| words(&row[i]).chars().count());
        entries.chain([table.columns[i].name.chars().count()]).max().unwrap_or(0)
    };
    let longest = places.iter().map(longest).collect::<Vec<_>>();
    let is_broken = |column: usize| longest[column] > LINE && !table.columns[places[column]].is_number;
    let column = |column: usize| match (table.columns[places[column]].is_number, is_broken(column)) {
        (true, _) => "r".to_owned(),
        (false, false) => "l".to_owned(),
        // A letter is about half as wide as an em.
        (false, true) => format!(">{{\\raggedright\\arraybackslash}}p{{{}em}}", LINE / 2),
    };
    let columns = (0..places.len()).map(column).collect::<String>();
    let letters = longest.iter().map(|&letters| letters.min(LINE) + 2).sum::<usize>();
    let size = SIZES.iter().find(|(most, _)| letters <= *most).map_or("", |(_, size)| size);
    let (is_long, has_lines) = (table.rows.len() > PAGE_ROWS, (0..places.len()).any(is_broken));
    let environment = if is_long { "longtable" } else { "tabular" };
    let packages = [("booktabs", true), ("array", has_lines), ("longtable", is_long)];
    let packages = packages.iter().filter(|(_, is_needed)| *is_needed).map(|(name, _)| *name).collect::<Vec<_>>();
    let names = places.iter().map(|&i| escape(&table.columns[i].name)).collect::<Vec<_>>();
    let title = table.title.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = format!("% {title}. Needs \\usepackage{{{}}}.\n", packages.join(","));
    if is_long {
        text += "% It breaks over pages, and so stands in no float.\n";
    }
    let cells = places.iter().flat_map(|&i| table.rows.iter().map(move |row| words(&row[i])));
    let is_hangul = |c: char| matches!(c, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7a3}');
    if cells.flat_map(str::chars).any(is_hangul) {
        text += "% Has Hangul: XeLaTeX or LuaLaTeX, with a font that has it.\n";
    }
    if letters > WIDEST {
        text += "% Wider than the text of an article: turn it, or narrow the margins.\n";
    }
    if !size.is_empty() {
        let _ = writeln!(text, "\\begingroup{size}");
    }
    let _ = writeln!(text, "\\begin{{{environment}}}{{@{{}}{columns}@{{}}}}\n\\toprule");
    let _ = writeln!(text, "{} \\\\\n\\midrule", names.join(" & "));
    if is_long {
        text += "\\endhead\n\\bottomrule\n\\endfoot\n";
    }
    for row in &table.rows {
        let fields = places.iter().map(|&i| match &row[i] {
            Entry::Text(text) | Entry::Number(_, text) => escape(text),
            Entry::Missing => "--".to_owned(),
        });
        let _ = writeln!(text, "{} \\\\", fields.collect::<Vec<_>>().join(" & "));
    }
    if !is_long {
        text += "\\bottomrule\n";
    }
    let _ = writeln!(text, "\\end{{{environment}}}");
    if !size.is_empty() {
        text += "\\endgroup\n";
    }
    text
}

/// What an entry shows.
fn words(entry: &Entry) -> &str {
    match entry {
        Entry::Text(text) | Entry::Number(_, text) => text,
        Entry::Missing => "--",
    }
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

    /// What is wide is set smaller or broken, what is long goes on over pages, and Hangul asks for its engine.
    #[test]
    fn a_table_fits_its_page() {
        let mut tables = tables(&fixture::sweep());
        let baseline = tables.iter().position(|table| table.name == "against-baseline").unwrap();
        let text = latex(&tables[baseline]);
        assert!(text.contains("p{15em}rrrl") && text.contains("{booktabs,array}"), "{text}");
        assert!(!text.contains("longtable") && !text.contains("Hangul"));
        let runs = tables.iter().position(|table| table.name == "runs").unwrap();
        assert!(latex(&tables[runs]).contains("\\begingroup\\"), "{}", latex(&tables[runs]));
        let rows = tables[runs].rows.clone();
        tables[runs].rows.extend(rows);
        tables[runs].rows[0][1] = Entry::text("끝남");
        let text = latex(&tables[runs]);
        let count = |part: &str| text.matches(part).count();
        assert_eq!(
            (count("longtable}"), count("\\endhead"), count("XeLaTeX"), count("\\bottomrule")),
            (3, 1, 1, 1),
            "{text}"
        );
        assert_eq!((count("\\begingroup"), count("\\endgroup")), (1, 1));
    }

    #[test]
    fn effects_as_latex() {
        let tables = tables(&fixture::sweep());
        let table = tables.iter().find(|table| table.name == "effects").unwrap();
        insta::assert_snapshot!(latex(table), @r"
        % Difference between two values of an axis, over the settings of the others. Needs \usepackage{booktabs}.
        \begingroup\footnotesize\setlength{\tabcolsep}{4pt}
        \begin{tabular}{@{}lrrrl@{}}
        \toprule
        effect & difference $\pm$ 95 \% & settings & p (corrected) & verdict \\
        \midrule
        size: mini $-$ tiny & $-$0.217 $\pm$ 0.023 & 4 & 0.002 & better \\
        mask\_ratio: 0.30 $-$ 0.15 & $-$0.092 $\pm$ 0.031 & 4 & 0.014 & better \\
        nsp: random $-$ off & +0.012 $\pm$ 0.030 & 4 & 0.253 & inconclusive \\
        \bottomrule
        \end{tabular}
        \endgroup
        ");
    }
}
