//! A line of a metric file: `1769851800250 0.25 10`, the milliseconds since 1970, the value as Python writes it and the step.
//!
//! MLflow reads lines without a step, and its version 3 writes the name and the digest of a data set behind it. Whatever the
//! numbers alone do not give back is the line's [form](Form), so that the same bytes can be written again.

use std::io::{self, BufRead};

use crate::exchange::findings::shown;

/// Bytes of a line at most; no client writes a tenth of that.
const LONGEST: usize = 1 << 16;

/// How a line is spelled that is not `T F S`: its fields, of which `T` stands for the milliseconds, `F` for the value as Python
/// writes a float, `I` for the value as a whole number and `S` for the step. A form that begins with `=` is the line itself.
pub type Form = String;

/// The spelling that every version of MLflow has for a point.
pub const USUAL: &str = "T F S";

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub millis: i64,
    pub value: f64,
    pub step: i64,
    /// `None` for the usual one.
    pub form: Option<Form>,
}

impl Line {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.trim().split(' ').collect();
        if !matches!(fields.len(), 2 | 3 | 5) {
            return Err(format!("{} fields, where MLflow writes 3, or 5 with a data set", fields.len()));
        }
        let whole = |text: &str, what: &str| {
            text.parse::<i64>().map_err(|_| format!("`{}` is no {what} of 64 bits", shown(text)))
        };
        let millis = whole(fields[0], "time in milliseconds")?;
        let value = fields[1].parse::<f64>().map_err(|_| format!("`{}` is no number", shown(fields[1])))?;
        let step = fields.get(2).map_or(Ok(0), |step| whole(step, "step"))?;
        let mut spelled: Vec<&str> = fields.clone();
        if millis.to_string() == fields[0] {
            spelled[0] = "T";
        }
        if python(value) == fields[1] {
            spelled[1] = "F";
        } else if is_whole(value) && (value as i64).to_string() == fields[1] {
            spelled[1] = "I";
        }
        if fields.len() > 2 && step.to_string() == fields[2] {
            spelled[2] = "S";
        }
        let form = if line.len() == line.trim().len() { spelled.join(" ") } else { format!("={line}") };
        Ok(Self { millis, value, step, form: Some(form).filter(|form| form != USUAL) })
    }
}

/// Writes the line of a point, with its end.
pub fn write(out: &mut Vec<u8>, form: &str, millis: i64, value: f64, step: i64) {
    if let Some(line) = form.strip_prefix('=') {
        out.extend(line.as_bytes());
    } else {
        for (i, field) in form.split(' ').enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            match (i, field) {
                (0, "T") => out.extend(millis.to_string().bytes()),
                (1, "F") => out.extend(python(value).bytes()),
                (1, "I") => out.extend((value as i64).to_string().bytes()),
                (2, "S") => out.extend(step.to_string().bytes()),
                (_, literal) => out.extend(literal.bytes()),
            }
        }
    }
    out.push(b'\n');
}

/// A number as Python's `repr` writes a float: the fewest digits that give it back, an exponent below 1e-4 and from 1e16 on.
pub fn python(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..16 => {
            let plain = value.to_string();
            if plain.contains('.') { plain } else { plain + ".0" }
        }
        exponent => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// Whether a number is whole, and an `i64` gives it back with its sign.
fn is_whole(value: f64) -> bool {
    value.fract() == 0.0 && value.abs() < 9e15 && !(value == 0.0 && value.is_sign_negative())
}

/// A line of a file.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Line(String),
    /// What cannot be a line, and why.
    Bad(String),
}

/// The next line; `None` at the end. Of a line that is too long only its length is kept, so that no file fills the memory.
pub fn next(source: &mut impl BufRead) -> io::Result<Option<Piece>> {
    let (mut line, mut length, mut is_whole) = (Vec::new(), 0_u64, false);
    loop {
        let chunk = source.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        if line.len() + taken <= LONGEST {
            line.extend_from_slice(&chunk[..taken]);
        }
        length += taken as u64;
        source.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            is_whole = true;
            break;
        }
    }
    if length == 0 && !is_whole {
        return Ok(None);
    }
    Ok(Some(match String::from_utf8(line) {
        _ if length > LONGEST as u64 => Piece::Bad(format!("a line of {length} bytes")),
        _ if !is_whole => Piece::Bad("the end of the last line is missing: it was being written".to_owned()),
        Ok(line) => Piece::Line(line),
        Err(_) => Piece::Bad("not UTF-8".to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_spelled_as_python_spells_them() {
        // Of `repr` in CPython 3.11.
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9999999999999998.0, "9999999999999998.0"),
            (1e16, "1e+16"),
            (-1e100, "-1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(python(value), expected);
        }
    }

    fn check(line: &str, form: Option<&str>) {
        let read = Line::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(read.form.as_deref(), form, "{line}");
        let mut written = Vec::new();
        write(&mut written, form.unwrap_or(USUAL), read.millis, read.value, read.step);
        assert_eq!(String::from_utf8(written).unwrap(), format!("{line}\n"));
    }

    #[test]
    fn every_spelling_is_written_again() {
        check("1769851800250 0.25 10", None);
        check("1769851800250 nan -3", None);
        check("1 1 0", Some("T I S"));
        check("1 -0 0", Some("T -0 S"));
        check("1 1.0e5 0", Some("T 1.0e5 S"));
        check("1 0.5", Some("T F"));
        check("+1 Infinity 007", Some("+1 Infinity 007"));
        check("5 0.5 2 T S", Some("T F S T S"));
        check("5 0.5 2 데이터 300830b9", Some("T F S 데이터 300830b9"));
        check(" 5 0.5 2\r", Some("= 5 0.5 2\r"));
        check("5 99999999999999999999 2", Some("T 99999999999999999999 S"));
    }

    #[test]
    fn what_is_no_point_is_refused_with_the_reason() {
        for (line, expected) in [
            ("", "1 fields, where MLflow writes 3, or 5 with a data set"),
            ("1 2 3 a b c", "6 fields, where MLflow writes 3, or 5 with a data set"),
            ("1 2  3", "4 fields, where MLflow writes 3, or 5 with a data set"),
            ("x 2 3", "`x` is no time in milliseconds of 64 bits"),
            ("1 x 3", "`x` is no number"),
            ("1 2 3.0", "`3.0` is no step of 64 bits"),
            ("1 2 9223372036854775808", "`9223372036854775808` is no step of 64 bits"),
        ] {
            assert_eq!(Line::parse(line).unwrap_err(), expected, "{line}");
        }
    }

    #[test]
    fn lines_are_told_from_what_is_none() {
        let read = |bytes: &[u8]| {
            let mut source = io::BufReader::with_capacity(7, bytes);
            let mut pieces = Vec::new();
            while let Some(piece) = next(&mut source).unwrap() {
                pieces.push(match piece {
                    Piece::Line(line) => line,
                    Piece::Bad(why) => format!("! {why}"),
                });
            }
            pieces
        };
        assert_eq!(read(b""), [""; 0]);
        assert_eq!(read(b"a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(read(b"a\n1 2. 3"), ["a", "! the end of the last line is missing: it was being written"]);
        assert_eq!(read(b"\xff\nb\n"), ["! not UTF-8", "b"]);
        let long = [vec![b'x'; LONGEST + 1], b"\nb\n".to_vec()].concat();
        assert_eq!(read(&long), ["! a line of 65537 bytes", "b"]);
    }

    proptest! {
        #[test]
        fn any_point_is_read_as_it_was_written(millis: i64, bits: u64, step: i64) {
            let (value, mut line) = (f64::from_bits(bits), Vec::new());
            write(&mut line, USUAL, millis, value, step);
            let text = String::from_utf8(line).unwrap();
            let read = Line::parse(text.trim_end_matches('\n')).unwrap();
            prop_assert_eq!((read.millis, read.step, read.form), (millis, step, None));
            prop_assert!(read.value.to_bits() == bits || value.is_nan() && read.value.is_nan());
        }

        /// Whatever is taken for a point gives its line back.
        #[test]
        fn any_line_that_is_taken_is_given_back(line in r"[ +]?[-+0-9]{1,3} [-+.0-9e]{1,5}( [-+0-9]{1,3}( [TFIS=]{1,2} .)?)?[ \r]?") {
            if let Ok(read) = Line::parse(&line) {
                let mut written = Vec::new();
                write(&mut written, read.form.as_deref().unwrap_or(USUAL), read.millis, read.value, read.step);
                prop_assert_eq!(String::from_utf8(written).unwrap(), format!("{line}\n"));
            }
        }
    }
}
