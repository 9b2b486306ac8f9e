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

/// A logarithmic axis over positive values, with original values at 1, 2 and 5 of each decade, or at 1 where the
/// decades are many.
pub fn log_axis(label: impl Into<String>, low: f64, high: f64) -> PlotAxis {
    let (low, high) = (low / 1.15, high * 1.15);
    let digits: &[f64] = if (high / low).log10() > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let places = decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
    let inside = places.filter(|at| (low..=high).contains(at));
    let ticks = inside.map(|at| Tick { at, text: si(at) }).collect();
    PlotAxis { label: label.into(), scale: Scale::Log10, low, high, ticks, grid: true }
}

/// One place for each of `names`, at 0, 1, 2, ...
pub fn named_axis(label: impl Into<String>, names: &[String]) -> PlotAxis {
    let ticks = names.iter().enumerate().map(|(i, name)| Tick { at: i as f64, text: name.clone() }).collect();
    let high = names.len().saturating_sub(1) as f64 + 0.5;
    PlotAxis { label: label.into(), scale: Scale::Linear, low: -0.5, high, ticks, grid: false }
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

/// `500`, `20k`, `1M`, `4.6M`: at most two significant digits, for ticks and table cells.
pub fn si(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e18 => (value / 1e18, "E"),
        v if v >= 1e15 => (value / 1e15, "P"),
        v if v >= 1e12 => (value / 1e12, "T"),
        v if v >= 1e9 => (value / 1e9, "G"),
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e3 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = usize::from(scaled.abs() < 10.0 && (scaled - scaled.round()).abs() > 0.05);
    format!("{}{unit}", number(scaled, decimals))
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

    proptest! {
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
