//! The orthogonal matrix nearest to a given one, nearly: Newton-Schulz iteration as Muon uses it (Jordan et al. 2024, "Muon: an
//! optimizer for hidden layers in neural networks"; the quintic and its coefficients are from there).
//!
//! With X scaled to a Frobenius norm of 1, `X <- a X + (b A + c A A) X` for `A = X X^T` takes each singular value s to
//! `a s + b s^3 + c s^5`. After five rounds those above some hundredth of the largest lie between 0.68 and 1.13: near enough to 1
//! for a direction, and sooner there than by coefficients that converge.

use super::matrix::{Matrix, MatrixMut};
use super::pool::Buffer;

const ROUNDS: usize = 5;
const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// Replaces `values`, `[rows, columns]`, by U V^T of its singular value decomposition U S V^T, nearly. Serial, so that its bits hang
/// on nothing else; a matrix of zeros stays as it is.
pub fn orthogonalise(values: &mut [f32], [rows, columns]: [usize; 2]) {
    let norm = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if norm == 0.0 {
        return;
    }
    // The smaller side decides what the products cost.
    let (m, n) = (rows.min(columns), rows.max(columns));
    let scale = (1.0 / norm) as f32;
    let mut x: Buffer = Buffer::new(m * n);
    let place = |i: usize| if rows <= columns { i } else { i % columns * rows + i / columns };
    values.iter().enumerate().for_each(|(i, value)| x[place(i)] = value * scale);
    let [a, b, c] = COEFFICIENTS;
    let (mut gram, mut factor, mut next) = (Buffer::new(m * m), Buffer::new(m * m), Buffer::new(m * n));
    for _ in 0..ROUNDS {
        let wide = Matrix::new(&x, m, n);
        MatrixMut::new(&mut gram, m, m).product(wide, wide.t(), false);
        let square = Matrix::new(&gram, m, m);
        MatrixMut::new(&mut factor, m, m).product(square, square, false);
        for (i, (factor, gram)) in factor.iter_mut().zip(gram.iter()).enumerate() {
            let identity = if i % (m + 1) == 0 { a } else { 0.0 };
            *factor = c.mul_add(*factor, b.mul_add(*gram, identity));
        }
        MatrixMut::new(&mut next, m, n).product(Matrix::new(&factor, m, m), wide, false);
        std::mem::swap(&mut x, &mut next);
    }
    values.iter_mut().enumerate().for_each(|(i, value)| *value = x[place(i)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::rng::{Purpose, Stream};
    use crate::types::Seed;

    fn product(a: &[f64], [m, k]: [usize; 2], b: &[f64], n: usize) -> Vec<f64> {
        (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect()
    }

    /// A diagonal matrix between random rotations: what comes out has the same rotations, and all singular values near 1. The
    /// oracle takes the values one by one through the quintic.
    #[test]
    fn singular_values_go_to_one_and_directions_stay() {
        const N: usize = 6;
        let mut draws = Stream::new(Seed(1), Purpose::Init, 0, 0).draws();
        let mut rotation = || {
            // Gram-Schmidt of a random matrix.
            let mut rows: Vec<Vec<f64>> = (0..N).map(|_| (0..N).map(|_| draws.normal()).collect()).collect();
            for i in 0..N {
                for j in 0..i {
                    let dot: f64 = (0..N).map(|k| rows[i][k] * rows[j][k]).sum();
                    (0..N).for_each(|k| rows[i][k] -= dot * rows[j][k]);
                }
                let norm = rows[i].iter().map(|x| x * x).sum::<f64>().sqrt();
                rows[i].iter_mut().for_each(|x| *x /= norm);
            }
            rows.concat()
        };
        let (u, v) = (rotation(), rotation());
        let singular = [5.0, 3.0, 2.0, 1.0, 0.5, 0.1];
        let norm = singular.iter().map(|s| s * s).sum::<f64>().sqrt();
        let between = |values: &[f64]| {
            let scaled: Vec<f64> = (0..N * N).map(|i| u[i] * values[i % N]).collect();
            product(&scaled, [N, N], &v, N)
        };
        let quintic = |s: f64| (0..ROUNDS).fold(s / norm, |s, _| 3.4445 * s - 4.775 * s.powi(3) + 2.0315 * s.powi(5));
        let expected = between(&singular.map(quintic));
        let mut values: Vec<f32> = between(&singular).iter().map(|&x| x as f32).collect();
        orthogonalise(&mut values, [N, N]);
        for (found, expected) in values.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{found}, not {expected}");
        }
        assert!(singular.map(quintic).iter().all(|s| (0.6..1.2).contains(s)), "{:?}", singular.map(quintic));
    }

    /// A tall matrix is the transpose of a wide one, and any scale gives the same.
    #[test]
    fn tall_wide_and_scaled_matrices_agree() {
        let (rows, columns) = (3, 7);
        let mut draws = Stream::new(Seed(2), Purpose::Init, 0, 0).draws();
        let wide: Vec<f32> = (0..rows * columns).map(|_| draws.normal() as f32).collect();
        let mut tall: Vec<f32> = (0..rows * columns).map(|i| 64.0 * wide[i % rows * columns + i / rows]).collect();
        let mut found = wide.clone();
        orthogonalise(&mut found, [rows, columns]);
        orthogonalise(&mut tall, [columns, rows]);
        for i in 0..rows * columns {
            assert!((found[i] - tall[i % columns * rows + i / columns]).abs() < 1e-6);
        }
        let wide: Vec<f64> = found.iter().map(|&x| f64::from(x)).collect();
        let transposed: Vec<f64> = (0..rows * columns).map(|i| wide[i % rows * columns + i / rows]).collect();
        let gram = product(&wide, [rows, columns], &transposed, rows);
        assert!((0..rows).all(|i| (0.4..1.4).contains(&gram[i * rows + i])), "{gram:?}");
        let mut zeros = vec![0.0; 4];
        orthogonalise(&mut zeros, [2, 2]);
        assert_eq!(zeros, [0.0; 4]);
    }
}
