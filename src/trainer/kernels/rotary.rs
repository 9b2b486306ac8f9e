//! Rotary position embeddings (Su et al. 2021, "RoFormer"): queries and keys are turned by angles that grow with the position.
//!
//! Element i of the first half of a head and element i of its second half are a point in a plane, as in `transformers`
//! (`rotate_half`); at position p it is turned by `p theta^(-2i / K)`. A score then knows how far apart two tokens are, and
//! nothing else of where they stand. The gradient is turned back by the same angles.
//!
//! Shapes: S positions, K head width.

use super::isa::vectorised;

/// The sines and cosines of all angles of a head: `[S, K / 2]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotary {
    cosines: Vec<f32>,
    sines: Vec<f32>,
    half: usize,
}

/// Which way vectors are turned: forwards, or back as their gradients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Forth,
    Back,
}

impl Rotary {
    /// The angles of positions below `positions` in heads of `head_width`, which is even; `theta` is the base of their
    /// frequencies.
    pub fn new(positions: usize, head_width: usize, theta: f64) -> Self {
        let half = head_width / 2;
        let frequency = |pair: usize| libm::pow(theta, -2.0 * pair as f64 / head_width as f64);
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let angles = || (0..positions).flat_map(|p| frequencies.iter().map(move |frequency| p as f64 * frequency));
        let table = |of: fn(f64) -> f64| angles().map(|angle| of(angle) as f32).collect();
        Self { cosines: table(libm::cos), sines: table(libm::sin), half }
    }

    /// The cosines and the sines, `[S, K / 2]` each.
    pub fn tables(&self) -> [&[f32]; 2] {
        [&self.cosines, &self.sines]
    }

    /// Turns the first `vectors` heads of each row of one sequence, whose rows are `stride` apart.
    pub(super) fn turn(&self, rows: &mut [f32], vectors: usize, stride: usize, turn: Turn) {
        let sign = match turn {
            Turn::Forth => 1.0,
            Turn::Back => -1.0,
        };
        turn_rows(rows, [stride, 2 * vectors * self.half, self.half], &self.cosines, &self.sines, sign);
    }
}

vectorised! {
    /// `size` is the stride between rows, how much of each is turned, and half a head.
    fn turn_rows(rows: &mut [f32], size: [usize; 3], cosines: &[f32], sines: &[f32], sign: f32) {
        let [stride, turned, half] = size;
        let angles = cosines.chunks_exact(half).zip(sines.chunks_exact(half));
        for (row, (cosines, sines)) in rows.chunks_exact_mut(stride).zip(angles) {
            for head in row[..turned].chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                for (((x, y), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                    let (a, b, sine) = (*x, *y, sign * sine);
                    *x = a.mul_add(*cosine, -(b * sine));
                    *y = b.mul_add(*cosine, a * sine);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turning keeps lengths, is undone by turning back, and leaves scores that know distances alone.
    #[test]
    fn scores_know_distances_alone() {
        const K: usize = 6;
        let rotary = Rotary::new(9, K, 100.0);
        let vector = |seed: usize| (0..K).map(|i| ((i * 7 + seed * 5) % 11) as f32 / 5.0 - 1.0).collect::<Vec<_>>();
        let at = |vector: &[f32], position: usize| {
            let mut rows = vec![0.0; 9 * K];
            rows[position * K..(position + 1) * K].copy_from_slice(vector);
            rotary.turn(&mut rows, 1, K, Turn::Forth);
            rows[position * K..(position + 1) * K].to_vec()
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (query, key) = (vector(1), vector(2));
        for distance in 0..5 {
            let scores: Vec<f64> = (0..4).map(|p| dot(&at(&query, p), &at(&key, p + distance))).collect();
            assert!(scores.iter().all(|score| (score - scores[0]).abs() < 1e-5), "{scores:?}");
        }
        assert!((dot(&at(&query, 8), &at(&query, 8)) - dot(&query, &query)).abs() < 1e-5);
        let mut rows: Vec<f32> = (0..9).flat_map(vector).collect();
        let before = rows.clone();
        rotary.turn(&mut rows, 1, K, Turn::Forth);
        assert_eq!(rows[..K], before[..K], "position 0 is not turned");
        assert!((rows[K] - before[K]).abs() > 1e-3);
        rotary.turn(&mut rows, 1, K, Turn::Back);
        assert!(rows.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
