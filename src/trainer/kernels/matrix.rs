//! Strided matrix views and their product: the one place that calls the `gemm` crate.
//!
//! Products are serial: parallelism is over fixed parts of the work ([`super::shards`]), so the order of every sum is the
//! same at any number of threads.

use std::marker::PhantomData;

use gemm::Parallelism;

#[cfg(target_arch = "x86_64")]
use super::isa::InstructionSet;

/// A read-only matrix inside a slice.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    shape: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// The first `rows * columns` of `values`, row-major.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that start `stride` apart.
    ///
    /// # Panics
    /// When the last element lies outside `values`.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(values.len(), [rows, columns], stride), "invariant: the matrix lies within its slice");
        Self { values, shape: [rows, columns], strides: [stride, 1] }
    }

    /// The number of columns.
    pub fn width(self) -> usize {
        self.shape[1]
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        let ([rows, columns], [down, right]) = (self.shape, self.strides);
        Self { values: self.values, shape: [columns, rows], strides: [right, down] }
    }

    /// Rows `first..first + count`.
    pub fn rows(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.shape[0], "invariant: the rows exist");
        let start = (first * self.strides[0]).min(self.values.len());
        Self { values: &self.values[start..], shape: [count, self.shape[1]], strides: self.strides }
    }

    /// Columns `first..first + count`.
    pub fn columns(self, first: usize, count: usize) -> Self {
        self.t().rows(first, count).t()
    }
}

/// A matrix to write, row-major inside a slice that it alone may touch.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    start: *mut f32,
    shape: [usize; 2],
    /// Elements from one row to the next.
    stride: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `MatrixMut` is a mutable borrow of the elements that it covers, and `&mut [f32]` may be sent.
unsafe impl Send for MatrixMut<'_> {}

impl<'a> MatrixMut<'a> {
    /// The first `rows * columns` of `values`, row-major.
    pub fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that start `stride` apart.
    ///
    /// # Panics
    /// When the last element lies outside `values`.
    pub fn strided(values: &'a mut [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(values.len(), [rows, columns], stride), "invariant: the matrix lies within its slice");
        Self { start: values.as_mut_ptr(), shape: [rows, columns], stride, owner: PhantomData }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Cuts the matrix into tiles of at most `tile` rows and columns, with the place of each tile's first element.
    pub fn tiles(self, tile: [usize; 2]) -> Vec<([usize; 2], Self)> {
        let mut tiles = Vec::new();
        for row in (0..self.shape[0]).step_by(tile[0].max(1)) {
            for column in (0..self.shape[1]).step_by(tile[1].max(1)) {
                let shape = [tile[0].min(self.shape[0] - row), tile[1].min(self.shape[1] - column)];
                // SAFETY: row and column lie within the matrix, which lies within one slice.
                let start = unsafe { self.start.add(row * self.stride + column) };
                tiles.push(([row, column], Self { start, shape, stride: self.stride, owner: PhantomData }));
            }
        }
        tiles
    }

    /// `self = a b`, or `self += a b`.
    ///
    /// # Panics
    /// When the shapes do not fit together.
    pub fn product(&mut self, a: Matrix, b: Matrix, accumulate: bool) {
        let ([m, n], k) = (self.shape, a.shape[1]);
        assert!(a.shape == [m, k] && b.shape == [k, n], "invariant: {:?} x {:?} is not {m} x {n}", a.shape, b.shape);
        if m == 0 || n == 0 {
            return;
        }
        let stride = |stride: usize| stride as isize;
        // `gemm` prefers its destination column-major: (a b)^T = b^T a^T, and a transpose exchanges the strides.
        let arguments = Arguments {
            shape: [n, m, k],
            destination: self.start,
            destination_stride: stride(self.stride),
            accumulate,
            left: b.values.as_ptr(),
            left_strides: b.strides.map(stride),
            right: a.values.as_ptr(),
            right_strides: a.strides.map(stride),
        };
        // SAFETY: the constructors hold every element of the three matrices inside live slices, `self` alone may touch
        // its own, and `a` and `b` are borrowed for reading.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if InstructionSet::in_use() < InstructionSet::Avx512
                && InstructionSet::of_this_cpu() == InstructionSet::Avx512
            {
                return arguments.multiply_by_avx2();
            }
            arguments.multiply();
        }
    }
}

/// What `gemm` is called with: `destination = left right`, columns of the destination one after the other.
struct Arguments {
    /// Rows and columns of the destination, and the length of the sums.
    shape: [usize; 3],
    destination: *mut f32,
    destination_stride: isize,
    accumulate: bool,
    left: *const f32,
    /// From one column to the next, and from one row to the next.
    left_strides: [isize; 2],
    right: *const f32,
    right_strides: [isize; 2],
}

impl Arguments {
    /// With the widest kernels of this CPU, as `gemm` chooses them.
    ///
    /// # Safety
    /// The matrices lie in live memory, the destination's in no other use.
    unsafe fn multiply(self) {
        let [m, n, k] = self.shape;
        // SAFETY: as the caller promises.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                self.destination,
                self.destination_stride,
                1,
                self.accumulate,
                self.left,
                self.left_strides[0],
                self.left_strides[1],
                self.right,
                self.right_strides[0],
                self.right_strides[1],
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }

    /// With the AVX2 kernels, exactly as `gemm` calls them on a CPU without AVX-512.
    ///
    /// # Safety
    /// As [`multiply`](Self::multiply), and the CPU has AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    unsafe fn multiply_by_avx2(self) {
        use gemm_common::simd::{MixedSimd, V3};
        use gemm_f32::microkernel::fma::f32::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
        /// Numbers in a register.
        const N: usize = 8;
        let [m, n, k] = self.shape;
        let simd = <V3 as MixedSimd<f32, f32, f32, f32>>::try_new();
        // SAFETY: as the caller promises.
        unsafe {
            gemm_common::gemm::gemm_basic_generic::<V3, f32, N, { MR_DIV_N * N }, NR, MR_DIV_N, H_M, H_N>(
                simd.expect("invariant: a CPU with AVX-512 has AVX2"),
                m,
                n,
                k,
                self.destination,
                self.destination_stride,
                1,
                self.accumulate,
                self.left,
                self.left_strides[0],
                self.left_strides[1],
                self.right,
                self.right_strides[0],
                self.right_strides[1],
                1.0,
                1.0,
                false,
                false,
                false,
                |a, b, c| a * b + c,
                &UKR,
                &H_UKR,
                false,
                Parallelism::None,
            );
        }
    }
}

/// Whether a row-major matrix ends within `len` elements.
fn fits(len: usize, [rows, columns]: [usize; 2], stride: usize) -> bool {
    rows == 0 || columns == 0 || ((rows - 1) * stride + columns <= len && (columns <= stride || rows == 1))
}

#[cfg(test)]
mod tests {
    use super::super::isa::{InstructionSet, limited};
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 13) % 101) as f32 / 50.0 - 1.0).collect()
    }

    /// Products of views against three plain loops, over many shapes.
    #[test]
    fn products_agree_with_plain_loops() {
        check_products();
        limited(InstructionSet::Avx2, check_products);
    }

    fn check_products() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 2), (17, 33, 9), (64, 40, 130), (5, 0, 3), (4, 4, 0)] {
            let (a, b) = (numbers(m * (k + 2)), numbers(n * k));
            let mut out = vec![1.0; m * (n + 1)];
            let left = Matrix::strided(&a, m, k, k + 2);
            MatrixMut::strided(&mut out, m, n, n + 1).product(left, Matrix::new(&b, n, k).t(), true);
            for i in 0..m {
                for j in 0..n {
                    let sum: f64 = (0..k).map(|l| f64::from(a[i * (k + 2) + l]) * f64::from(b[j * k + l])).sum();
                    let got = f64::from(out[i * (n + 1) + j]);
                    assert!((got - sum - 1.0).abs() < 1e-4, "{m} {n} {k}: {got}, not {}", sum + 1.0);
                }
            }
            assert!((0..m).all(|i| out[i * (n + 1) + n] == 1.0), "the gap between rows was written");
        }
    }

    #[test]
    fn tiles_cover_the_product() {
        let (a, b) = (numbers(10 * 6), numbers(6 * 9));
        let (left, right) = (Matrix::new(&a, 10, 6), Matrix::new(&b, 6, 9));
        let (mut whole, mut tiled) = (vec![0.0; 90], vec![0.0; 90]);
        MatrixMut::new(&mut whole, 10, 9).product(left, right, false);
        for ([row, column], mut tile) in MatrixMut::new(&mut tiled, 10, 9).tiles([4, 5]) {
            let [rows, columns] = tile.shape;
            tile.product(left.rows(row, rows), right.columns(column, columns), false);
        }
        for (x, y) in whole.iter().zip(&tiled) {
            assert!((x - y).abs() < 1e-5, "{x} and {y}");
        }
    }
}
