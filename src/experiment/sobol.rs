//! Sobol points: they fill a space more evenly than independent random numbers do.
//!
//! The first 2^k points have exactly one in each of 2^k equal intervals, in every dimension, and pairs of dimensions are
//! spread nearly as well. Direction numbers: Joe and Kuo 2008, "Constructing Sobol sequences with better two-dimensional
//! projections", SIAM J. Sci. Comput. 30; the first rows of their table new-joe-kuo-6.21201. Points come in Gray code
//! order, as their own program gives them (Antonov and Saleev 1979).

/// How many dimensions there are.
pub(super) const DIMENSIONS: usize = TABLE.len() + 1;

const BITS: usize = 32;

/// For each dimension from the second on: the degree of its primitive polynomial, the polynomial's inner coefficients as
/// bits, and the first direction numbers.
const TABLE: [(usize, u32, &[u32]); 31] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
    (6, 19, &[1, 1, 1, 15, 7, 5]),
    (6, 22, &[1, 3, 1, 15, 13, 25]),
    (6, 25, &[1, 1, 5, 5, 19, 61]),
    (7, 1, &[1, 3, 7, 11, 23, 15, 103]),
    (7, 4, &[1, 3, 7, 13, 13, 15, 69]),
    (7, 7, &[1, 1, 3, 13, 7, 35, 63]),
    (7, 8, &[1, 3, 5, 9, 1, 25, 53]),
    (7, 14, &[1, 3, 1, 13, 9, 35, 107]),
    (7, 19, &[1, 3, 1, 5, 27, 61, 31]),
    (7, 21, &[1, 1, 5, 11, 19, 41, 61]),
    (7, 28, &[1, 3, 5, 3, 3, 13, 69]),
    (7, 31, &[1, 1, 7, 13, 1, 19, 1]),
    (7, 32, &[1, 3, 7, 5, 13, 19, 59]),
    (7, 37, &[1, 1, 3, 9, 25, 29, 41]),
    (7, 41, &[1, 3, 5, 13, 23, 1, 55]),
    (7, 42, &[1, 3, 7, 3, 13, 59, 17]),
];

/// One coordinate of the points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dimension {
    /// The direction numbers, each shifted to the top of 32 bits.
    directions: [u32; BITS],
}

impl Dimension {
    /// The dimension of this number, from 0; nothing beyond [`DIMENSIONS`].
    pub(super) fn new(number: usize) -> Option<Self> {
        let mut directions = [0; BITS];
        if number == 0 {
            (0..BITS).for_each(|k| directions[k] = 1 << (BITS - 1 - k));
            return Some(Self { directions });
        }
        let (degree, coefficients, first) = *TABLE.get(number - 1)?;
        for (k, direction) in first.iter().enumerate() {
            directions[k] = direction << (BITS - 1 - k);
        }
        for k in degree..BITS {
            let mut next = directions[k - degree] ^ (directions[k - degree] >> degree);
            for j in (1..degree).filter(|j| coefficients >> (degree - 1 - j) & 1 == 1) {
                next ^= directions[k - j];
            }
            directions[k] = next;
        }
        Some(Self { directions })
    }

    /// The coordinate of a point, in units of 2^-32.
    pub(super) fn at(&self, index: u32) -> u32 {
        let gray = index ^ (index >> 1);
        let is_set = |k: &usize| gray >> k & 1 == 1;
        (0..BITS).filter(is_set).fold(0, |sum, k| sum ^ self.directions[k])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(index: u32, dimension: usize) -> f64 {
        f64::from(Dimension::new(dimension).expect("a dimension").at(index)) / 2f64.powi(32)
    }

    /// The ten points of three dimensions that Joe and Kuo give as an example of their program.
    #[test]
    fn the_first_points_are_the_published_ones() {
        let expected = [
            [0.0, 0.0, 0.0],
            [0.5, 0.5, 0.5],
            [0.75, 0.25, 0.25],
            [0.25, 0.75, 0.75],
            [0.375, 0.375, 0.625],
            [0.875, 0.875, 0.125],
            [0.625, 0.125, 0.875],
            [0.125, 0.625, 0.375],
            [0.1875, 0.3125, 0.9375],
            [0.6875, 0.8125, 0.4375],
        ];
        for (i, expected) in expected.iter().enumerate() {
            assert_eq!([0, 1, 2].map(|dimension| point(i as u32, dimension)), *expected, "point {i}");
        }
    }

    #[test]
    fn each_of_2_to_the_k_intervals_has_one_of_2_to_the_k_points() {
        for dimension in 0..DIMENSIONS {
            let dimension = Dimension::new(dimension).expect("a dimension");
            for k in 1..=12 {
                let mut intervals: Vec<u32> = (0..1u32 << k).map(|i| dimension.at(i) >> (32 - k)).collect();
                intervals.sort_unstable();
                assert!(intervals.into_iter().eq(0..1 << k));
            }
        }
        assert!(Dimension::new(DIMENSIONS).is_none());
    }

    /// Direction numbers are odd and below 2^k, and polynomials are told apart: a digit typed wrong would show.
    #[test]
    fn the_table_is_well_formed() {
        for (i, (degree, coefficients, first)) in TABLE.iter().enumerate() {
            assert_eq!(first.len(), *degree);
            assert!(first.iter().enumerate().all(|(k, m)| m % 2 == 1 && *m < 2 << k), "dimension {}", i + 2);
            assert!(*coefficients < 1 << (degree - 1).max(1));
            let before = &TABLE[..i];
            assert!(before.iter().all(|row| (row.0, row.1) < (*degree, *coefficients)), "dimension {}", i + 2);
        }
    }

    /// Sobol's property A, which the table has: of the first 2^d points, each corner of the d-dimensional cube has one.
    #[test]
    fn the_first_points_are_in_different_halves_of_every_dimension() {
        let of = |dimension: usize| Dimension::new(dimension).expect("a dimension");
        for dimensions in 1..=8 {
            let all: Vec<Dimension> = (0..dimensions).map(of).collect();
            let halves = |i: u32| all.iter().fold(0u32, |bits, dimension| bits << 1 | dimension.at(i) >> 31);
            let mut corners: Vec<u32> = (0..1 << dimensions).map(halves).collect();
            corners.sort_unstable();
            assert!(corners.into_iter().eq(0..1 << dimensions), "property A in {dimensions} dimensions");
        }
    }
}
