//! What an evaluation leaves to burn, as a CPU with narrower registers computes it: products with the weights of a dense layer,
//! and the means of rows.
//!
//! burn takes the widest registers of the CPU, and both operations round by their width: a product by the blocks of `gemm`, a sum
//! by how many partial sums there are. Where this process is held to a narrower instruction set
//! ([`InstructionSet::limit_to`]), they are computed here, in burn's order of additions. There are no gradients: in training, the
//! kernels compute both themselves.
//!
//! Shapes: R rows, K inputs, N outputs.

use burn::tensor::{Tensor, TensorData};

use super::isa::InstructionSet;
use super::matrix::{Matrix, MatrixMut};
use super::operation;

/// Whether burn would compute on `tensor` with wider registers than this process is held to.
pub fn is_asked_for<const D: usize>(tensor: &Tensor<D>) -> bool {
    InstructionSet::in_use() < InstructionSet::of_this_cpu() && operation::is_untracked_on_flex(tensor)
}

/// `x W^T`. Inputs: x `[R, K]`, weight `[N, K]`; output `[R, N]`.
pub fn product(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let ([rows, k], [n, _], device) = (x.dims(), weight.dims(), x.device());
    let (x, weight) = (values(x), values(weight));
    let mut output = vec![0.0; rows * n];
    MatrixMut::new(&mut output, rows, n).product(Matrix::new(&x, rows, k), Matrix::new(&weight, n, k).t(), false);
    Tensor::from_data(TensorData::new(output, [rows, n]), &device)
}

/// The mean of each row: `[R, K]` to `[R, 1]`.
pub fn means_of_rows(x: Tensor<2>) -> Tensor<2> {
    let ([rows, k], device) = (x.dims(), x.device());
    let sum = match InstructionSet::in_use() {
        InstructionSet::Avx512 => sum_in_registers_of::<16>,
        InstructionSet::Avx2 => sum_in_registers_of::<8>,
        InstructionSet::Baseline => sum_in_registers_of::<4>,
    };
    let means: Vec<f32> = values(x).chunks(k.max(1)).map(|row| sum(row) / k as f32).collect();
    Tensor::from_data(TensorData::new(means, [rows, 1]), &device)
}

/// The sum of `values` as burn-flex 0.22 orders it on registers of `L` numbers: eight registers of partial sums, then whole
/// registers, then halves of the last one, then what is left over.
fn sum_in_registers_of<const L: usize>(values: &[f32]) -> f32 {
    let add = |mut a: [f32; L], b: &[f32]| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let mut partial = [[0.0; L]; 8];
    let blocks = values.chunks_exact(8 * L);
    let rest = blocks.remainder();
    for block in blocks {
        partial.iter_mut().zip(block.chunks_exact(L)).for_each(|(sum, values)| *sum = add(*sum, values));
    }
    let [a, b, c, d, e, f, g, h] = partial;
    let mut sum = add(add(add(a, &b), &add(c, &d)), &add(add(e, &f), &add(g, &h)));
    let registers = rest.chunks_exact(L);
    let left_over = registers.remainder();
    for register in registers {
        sum = add(sum, register);
    }
    let mut width = L;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            sum[i] += sum[i + width];
        }
    }
    sum[0] + left_over.iter().sum::<f32>()
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("invariant: kernels are given f32")
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::isa::limited;
    use super::*;

    fn tensor(rows: usize, columns: usize, salt: usize) -> Tensor<2> {
        let value = |i: usize| ((i * 7919 + salt) % 1009) as f32 / 50.0 - 1.0;
        let values: Vec<f32> = (0..rows * columns).map(value).collect();
        Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
    }

    fn bits(tensor: Tensor<2>) -> Vec<u32> {
        values(tensor).into_iter().map(f32::to_bits).collect()
    }

    /// Not held back, it is burn's operation bit for bit, at the width of this CPU; so it is burn's of a narrower one.
    #[test]
    fn both_are_burns_operations_at_the_width_of_the_cpu() {
        for k in [1, 3, 8, 16, 33, 64, 127, 128, 130, 256, 300, 777] {
            assert_eq!(bits(means_of_rows(tensor(5, k, 3))), bits(tensor(5, k, 3).mean_dim(1)), "{k}");
        }
        for [rows, k, n] in [[1, 1, 1], [3, 5, 2], [32, 24, 2], [17, 33, 9], [64, 128, 500], [300, 64, 2000]] {
            let by_burn = tensor(rows, k, 13).matmul(tensor(n, k, 29).transpose());
            assert_eq!(bits(product(tensor(rows, k, 13), tensor(n, k, 29))), bits(by_burn), "{rows} {k} {n}");
        }
    }

    /// Held to AVX2 they agree to rounding, and round otherwise where the CPU has wider registers.
    #[test]
    fn both_heed_the_instruction_set() {
        let all = || {
            let products = [300, 1000, 3000].map(|k| product(tensor(64, k, 1), tensor(50, k, 2)));
            products.into_iter().chain([means_of_rows(tensor(64, 300, 3))]).flat_map(values).collect::<Vec<f32>>()
        };
        let (wide, narrow) = (all(), limited(InstructionSet::Avx2, all));
        let is_close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * a.abs().max(1.0);
        assert!(wide.iter().zip(&narrow).all(is_close));
        let is_wider = InstructionSet::of_this_cpu() > InstructionSet::Avx2;
        assert_eq!(wide != narrow, is_wider);
        assert_eq!(limited(InstructionSet::Avx2, || is_asked_for(&tensor(1, 1, 0))), is_wider);
        assert!(!is_asked_for(&tensor(1, 1, 0)));
    }
}
