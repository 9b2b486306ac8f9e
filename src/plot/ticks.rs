//! Round numbers for axes, written the way people read them.

use super::figure::{PlotAxis, Scale, Tick};

/// A linear axis from `low` to `high` with at most `count + 1` round ticks.
pub fn linear_axis(label: impl Into<String>, low: f64, high: f64, count: usize) -> PlotAxis {
    let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
    let places = |step: f64| ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    let mut step = round_step((high - low) / (2 * count.max(1)) as f64);
    while places(step).1 - places(step).0 > count as i64 {
        step = round_step(step * 1.5);
    }
    let decimals = (-(step * (1.0 + 1e-9)).log10().floor()).max(0.0) as usize;
    let (first, last) = places(step);
    let ticks = (first..=last).map(|i| i as f64 * step).map(|at| Tick { at, text: number(at, decimals) });
    PlotAxis { label: label.into(), scale: Scale::Linear, low, high, ticks: ticks.collect(), grid: true }
}

/// A logarithmic axis over positive values with three ticks at least: at 1 of each decade, at 1, 2 and 5, or at six
/// places, whichever is the first that gives them, and at even steps where no such place is.
pub fn log_axis(label: impl Into<String>, low: f64, high: f64) -> PlotAxis {
    let (low, high) = (low / 1.15, high * 1.15);
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let at_digits = |digits: &[f64]| {
        let places = decades.clone().flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
        places.filter(|at| (low..=high).contains(at)).collect::<Vec<_>>()
    };
    let choices: [&[f64]; 3] = [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]];
    let places = choices.into_iter().map(at_digits).find(|places| places.len() >= 3);
    let places = places.unwrap_or_else(|| linear_axis("", low, high, 4).ticks.iter().map(|tick| tick.at).collect());
    let ticks = places.iter().zip(distinct_si(&places)).map(|(&at, text)| Tick { at, text }).collect();
    PlotAxis { label: label.into(), scale: Scale::Log10, low, high, ticks, grid: true }
}

/// Each value as by [`si`], with as many digits as tell neighbours apart.
fn distinct_si(values: &[f64]) -> Vec<String> {
    let texts = |least: usize| values.iter().map(|&value| si_with(value, least)).collect::<Vec<_>>();
    let is_told = |texts: &Vec<String>| texts.windows(2).all(|pair| pair[0] != pair[1]);
    (0..4).map(texts).find(is_told).unwrap_or_else(|| texts(4))
}

/// One place for each of `names`, at 0, 1, 2, ..., those at the ends nearer to the frame than to each other.
pub fn named_axis(label: impl Into<String>, names: &[String]) -> PlotAxis {
    let ticks = names.iter().enumerate().map(|(i, name)| Tick { at: i as f64, text: name.clone() }).collect();
    let high = names.len().saturating_sub(1) as f64 + 0.4;
    PlotAxis { label: label.into(), scale: Scale::Linear, low: -0.4, high, ticks, grid: false }
}

/// The round number (1, 2 or 5 times a power of ten) next above `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= raw * (1.0 - 1e-9)).unwrap_or(10.0);
    digit * power
}

/// `-1,234.50`, with a true minus sign.
pub fn number(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = digits.split_once('.').map_or((digits.as_str(), None), |(w, f)| (w, Some(f)));
    let sign = if value < 0.0 && digits.bytes().any(|b| (b'1'..=b'9').contains(&b)) { "\u{2212}" } else { "" };
    let mut text = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A number with an explicit sign: `+0.12`, `−0.12`.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    if value > 0.0 { format!("+{text}") } else { text }
}

/// `500`, `20k`, `1M`, `4.6M`: at most two significant digits, for ticks and table cells. What is below a hundredth is in
/// powers of ten: `2e−4`.
pub fn si(value: f64) -> String {
    si_with(value, 0)
}

/// The same with at least so many decimals.
fn si_with(value: f64, least: usize) -> String {
    if value != 0.0 && value.abs() < 0.01 {
        let text = format!("{:.*e}", least.max(1), value);
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        return format!("{digits}e{power}").replace('-', "\u{2212}");
    }
    let (scaled, unit) = match value.abs() {
        v if v >= 1e18 => (value / 1e18, "E"),
        v if v >= 1e15 => (value / 1e15, "P"),
        v if v >= 1e12 => (value / 1e12, "T"),
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let is_whole = |decimals: i32| (scaled * 10f64.powi(decimals)).fract().abs() < 1e-6;
    let needed = match scaled.abs() {
        v if v < 1.0 => (0..2).find(|&decimals| is_whole(decimals)).unwrap_or(2) as usize,
        v if v < 10.0 => usize::from((scaled - scaled.round()).abs() > 0.05),
        _ => 0,
    };
    format!("{}{unit}", number(scaled, needed.max(least)))
}

/// The value of an axis as short as a label may be: numbers with three digits, words with sixteen letters.
pub fn short(value: &str) -> String {
    const LETTERS: usize = 16;
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() && value.len() > 6 => {
            let exponent = number.abs().max(1e-300).log10().floor() as i32;
            let digits = if (-3..6).contains(&exponent) {
                let text = format!("{number:.*}", (2 - exponent).max(0) as usize);
                let trimmed = text.trim_end_matches('0').trim_end_matches('.');
                if text.contains('.') { trimmed.to_owned() } else { text }
            } else {
                format!("{number:.2e}")
            };
            if digits.len() < value.len() { digits } else { value.to_owned() }
        }
        _ if value.chars().count() > LETTERS => value.chars().take(LETTERS - 1).chain(['\u{2026}']).collect(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(axis: &PlotAxis) -> String {
        axis.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_read_like_a_person_wrote_them() {
        assert_eq!(texts(&linear_axis("", 0.0, 2_000.0, 4)), "0 500 1,000 1,500 2,000");
        assert_eq!(texts(&linear_axis("", 4.62, 5.31, 5)), "4.8 5.0 5.2");
        assert_eq!(texts(&linear_axis("", -0.25, 0.1, 4)), "\u{2212}0.2 \u{2212}0.1 0.0 0.1");
        assert_eq!(texts(&log_axis("", 1_052_256.0, 10_804_736.0)), "1M 2M 5M 10M");
        assert_eq!(number(-0.001, 2), "0.00");
        assert_eq!(signed(0.12, 2), "+0.12");
        assert_eq!((si(4_551_936.0), si(20_000.0), si(500.0)), ("4.6M".to_owned(), "20k".to_owned(), "500".to_owned()));
    }

    #[test]
    fn labels_are_short() {
        let texts = ["0.15", "3.41808e-4", "0.0122265", "0.118883", "aiffel-1m", "1234567.5"].map(short);
        assert_eq!(texts, ["0.15", "3.42e-4", "0.0122", "0.119", "aiffel-1m", "1.23e6"]);
        assert_eq!(short(&"f".repeat(64)).chars().count(), 16);
    }

    #[test]
    fn sizes_that_are_close_are_told_apart() {
        assert_eq!(texts(&log_axis("", 79_888.0, 81_010.0)), "70k 75k 80k 85k 90k");
        assert_eq!(texts(&log_axis("", 5e11, 5.2e11)), "450G 500G 550G");
        assert_eq!(texts(&log_axis("", 1e-4, 3e-2)), "1e\u{2212}4 0.001 0.01".replace("0.001", "1e\u{2212}3"));
    }

    proptest! {
        #[test]
        fn a_log_axis_has_three_ticks_that_differ(low in 1e-5..1e12f64, ratio in 1.0..1e4f64) {
            let axis = log_axis("", low, low * ratio);
            prop_assert!((3..=12).contains(&axis.ticks.len()), "{}", texts(&axis));
            prop_assert!(axis.ticks.windows(2).all(|pair| pair[0].text != pair[1].text), "{}", texts(&axis));
            prop_assert!(axis.ticks.iter().all(|tick| (axis.low..=axis.high).contains(&tick.at)));
        }

        #[test]
        fn linear_ticks_are_inside_even_and_few(low in -1e4..1e4f64, span in 1e-3..1e5f64, count in 2usize..8) {
            let axis = linear_axis("", low, low + span, count);
            let slack = span * 1e-6;
            prop_assert!(!axis.ticks.is_empty() && axis.ticks.len() <= count + 1);
            prop_assert!(axis.ticks.iter().all(|tick| tick.at >= low - slack && tick.at <= low + span + slack));
            let gaps = axis.ticks.windows(2).map(|pair| pair[1].at - pair[0].at).collect::<Vec<_>>();
            prop_assert!(gaps.windows(2).all(|pair| (pair[0] - pair[1]).abs() < slack));
        }
    }
}
