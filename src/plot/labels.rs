//! Placing labels beside the ends of lines: in order, without overlap, as near as possible to what they name.
//!
//! With a common height h, the i-th label from the top may not be above `y[i-1] + h`. In `z[i] = y[i] - i h` that is just
//! `z` not falling, so the least-squares placement is an isotonic regression, which pooling adjacent violators solves
//! exactly (Barlow et al. 1972); clamping its result solves the problem with bounds.

/// The centres of labels of height `height` that want to be at `wanted`, within `[low, high]`; in the order of `wanted`.
///
/// Where the labels need more room than there is, they are spread evenly and overlap: the caller makes room first, as
/// [`room`] says.
pub fn spread(wanted: &[f64], height: f64, low: f64, high: f64) -> Vec<f64> {
    let n = wanted.len();
    let mut order = (0..n).collect::<Vec<_>>();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let height = if n > 1 { height.min((high - low - height).max(0.0) / (n - 1) as f64) } else { height };
    let (first, last) = (low + height / 2.0, high - height / 2.0 - height * n.saturating_sub(1) as f64);
    // Blocks of (sum, count) whose means do not fall.
    let mut blocks = Vec::<(f64, usize)>::new();
    for (rank, &i) in order.iter().enumerate() {
        blocks.push((wanted[i] - rank as f64 * height, 1));
        while let [.., (sum_a, n_a), (sum_b, n_b)] = blocks[..] {
            if sum_a / n_a as f64 <= sum_b / n_b as f64 {
                break;
            }
            blocks.truncate(blocks.len() - 2);
            blocks.push((sum_a + sum_b, n_a + n_b));
        }
    }
    let pooled = blocks.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count));
    let mut placed = vec![0.0; n];
    for (rank, (z, &i)) in pooled.zip(&order).enumerate() {
        placed[i] = z.max(first).min(last.max(first)) + rank as f64 * height;
    }
    placed
}

/// The room that `count` labels of height `height` need.
pub fn room(count: usize, height: f64) -> f64 {
    // One height more than the labels have keeps `spread` from squeezing them.
    (count + 1) as f64 * height
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn labels_never_overlap_and_stay_inside(wanted in prop::collection::vec(-20.0..220.0f64, 0..20)) {
            let (height, low) = (9.0, 10.0);
            let high = low + room(wanted.len(), height).max(120.0);
            let placed = spread(&wanted, height, low, high);
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            prop_assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= height - 1e-9));
            prop_assert!(sorted.iter().all(|y| y - height / 2.0 >= low - 1e-9 && y + height / 2.0 <= high + 1e-9));
            for (a, b) in (0..wanted.len()).flat_map(|a| (0..wanted.len()).map(move |b| (a, b))) {
                prop_assert!(wanted[a] >= wanted[b] || placed[a] < placed[b], "the order of the lines is kept");
            }
        }

        /// No other legal placement is nearer: tried by random legal moves around the solution.
        #[test]
        fn placement_is_the_nearest(wanted in prop::collection::vec(0.0..60.0f64, 2..7), nudges in prop::collection::vec(-2.0..2.0f64, 7)) {
            let (height, low, high) = (9.0, 0.0, 90.0);
            let mut wanted = wanted;
            wanted.sort_by(f64::total_cmp);
            let placed = spread(&wanted, height, low, high);
            let cost = |places: &[f64]| places.iter().zip(&wanted).map(|(p, w)| (p - w).powi(2)).sum::<f64>();
            let moved = placed.iter().zip(&nudges).map(|(p, d)| p + d).collect::<Vec<_>>();
            let legal = moved.windows(2).all(|pair| pair[1] - pair[0] >= height)
                && moved[0] >= low + height / 2.0 && moved[moved.len() - 1] <= high - height / 2.0;
            prop_assert!(!legal || cost(&moved) >= cost(&placed) - 1e-9);
        }
    }

    #[test]
    fn labels_with_room_stay_where_they_want_to_be() {
        assert_eq!(spread(&[50.0, 20.0], 9.0, 0.0, 100.0), [50.0, 20.0]);
        assert_eq!(spread(&[], 9.0, 0.0, 100.0), [0.0; 0]);
    }
}
