//! A bidirectional LSTM of one layer (Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005), with PyTorch's formulas,
//! names and initial values.
//!
//! The input's share of the gates is one matrix product for all rows; what goes from one token to the next is a kernel on
//! Flex, and composed of burn's operations elsewhere.
//!
//! Shapes: R rows, D width of the input, H width of each direction.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::parameters::Initializer;
use crate::trainer::kernels::{self, Packing, Path};

/// For each direction the weights from the input `[4 H, D]` and from the state `[4 H, H]`, and two biases `[4 H]`; the gates
/// are input, forget, cell and output.
#[derive(Module, Debug)]
pub struct BiLstm {
    pub weight_ih_l0: Param<Tensor<2>>,
    pub weight_hh_l0: Param<Tensor<2>>,
    pub bias_ih_l0: Param<Tensor<1>>,
    pub bias_hh_l0: Param<Tensor<1>>,
    pub weight_ih_l0_reverse: Param<Tensor<2>>,
    pub weight_hh_l0_reverse: Param<Tensor<2>>,
    pub bias_ih_l0_reverse: Param<Tensor<1>>,
    pub bias_hh_l0_reverse: Param<Tensor<1>>,
}

impl BiLstm {
    /// Fresh weights, uniform in (-1 / sqrt(H), 1 / sqrt(H)).
    pub fn new(init: &Initializer, inputs: usize, width: usize) -> Self {
        let bound = 1.0 / (width as f64).sqrt();
        let matrix = |name: &str, columns: usize| init.uniform(&format!("lstm.{name}"), [4 * width, columns], bound);
        let vector = |name: &str| init.uniform(&format!("lstm.{name}"), [4 * width], bound);
        Self {
            weight_ih_l0: matrix("weight_ih_l0", inputs),
            weight_hh_l0: matrix("weight_hh_l0", width),
            bias_ih_l0: vector("bias_ih_l0"),
            bias_hh_l0: vector("bias_hh_l0"),
            weight_ih_l0_reverse: matrix("weight_ih_l0_reverse", inputs),
            weight_hh_l0_reverse: matrix("weight_hh_l0_reverse", width),
            bias_ih_l0_reverse: vector("bias_ih_l0_reverse"),
            bias_hh_l0_reverse: vector("bias_hh_l0_reverse"),
        }
    }

    /// Both directions over the rows of each of `sequences`, side by side: `[R, D]` to `[R, 2 H]`. Rows of no sequence are 0.
    pub fn forward(&self, hidden: Tensor<2>, sequences: &[Range<usize>], path: Path) -> Tensor<2> {
        let rows = hidden.dims()[0];
        let direction = |ih: &Param<Tensor<2>>, hh: &Param<Tensor<2>>, biases: [&Param<Tensor<1>>; 2], is_reverse| {
            let bias = biases[0].val() + biases[1].val();
            let gates = hidden.clone().matmul(ih.val().transpose()) + bias.unsqueeze::<2>();
            let packing = Packing::new(sequences, rows, is_reverse);
            match path {
                Path::Kernels => kernels::recurrence(gates, hh.val(), packing),
                Path::Composed => composed(gates, hh.val(), &packing),
            }
        };
        let (forth, back) = (
            direction(&self.weight_ih_l0, &self.weight_hh_l0, [&self.bias_ih_l0, &self.bias_hh_l0], false),
            direction(
                &self.weight_ih_l0_reverse,
                &self.weight_hh_l0_reverse,
                [&self.bias_ih_l0_reverse, &self.bias_hh_l0_reverse],
                true,
            ),
        );
        Tensor::cat(vec![forth, back], 1)
    }
}

/// The recurrence by burn's own operations, one step of all sequences at a time: gates `[R, 4 H]` to states `[R, H]`.
pub fn composed(gates: Tensor<2>, weight: Tensor<2>, packing: &Packing) -> Tensor<2> {
    let ([rows, _], [_, h]) = (gates.dims(), weight.dims());
    let device = gates.device();
    let mut out = Tensor::<2>::zeros([rows, h], &device);
    for group in &packing.groups {
        let (mut state, mut cell): (Option<Tensor<2>>, Option<Tensor<2>>) = (None, None);
        let (mut states, mut places) = (Vec::new(), Vec::new());
        for step in &group.steps {
            let its = &group.rows[step.clone()];
            let mut all = gates.clone().select(0, indices(its, &device));
            if let Some(before) = &state {
                all = all + before.clone().slice([0..step.len()]).matmul(weight.clone().transpose());
            }
            let gate = |i: usize| all.clone().slice([0..step.len(), i * h..(i + 1) * h]);
            let (input, forget, output) =
                (activation::sigmoid(gate(0)), activation::sigmoid(gate(1)), activation::sigmoid(gate(3)));
            let fresh = input * gate(2).tanh();
            let now = match &cell {
                Some(before) => forget * before.clone().slice([0..step.len()]) + fresh,
                None => fresh,
            };
            let hidden = output * now.clone().tanh();
            states.push(hidden.clone());
            places.extend_from_slice(its);
            (state, cell) = (Some(hidden), Some(now));
        }
        out = out.select_assign(
            0,
            indices(&places, &device),
            Tensor::cat(states, 0),
            burn::tensor::IndexingUpdateOp::Add,
        );
    }
    out
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let n = rows.len();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Seed;

    const D: usize = 3;
    const H: usize = 4;

    fn input(rows: usize, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = (0..rows * D).map(|i| ((i * 13 % 17) as f32 - 8.0) / 6.0).collect();
        Tensor::from_data(TensorData::new(values, [rows, D]), device)
    }

    fn values<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// One direction over one sequence, in f64, from the formulas.
    fn reference(x: &[f64], ih: &[f32], hh: &[f32], bias: [&[f32]; 2], is_reverse: bool) -> Vec<Vec<f64>> {
        let steps = x.len() / D;
        let (mut h, mut c) = (vec![0.0; H], vec![0.0; H]);
        let mut out = vec![Vec::new(); steps];
        let order: Vec<usize> = if is_reverse { (0..steps).rev().collect() } else { (0..steps).collect() };
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        for t in order {
            let gate = |g: usize| {
                let from_x: f64 = (0..D).map(|d| f64::from(ih[g * D + d]) * x[t * D + d]).sum();
                let from_h: f64 = (0..H).map(|j| f64::from(hh[g * H + j]) * h[j]).sum();
                from_x + from_h + f64::from(bias[0][g]) + f64::from(bias[1][g])
            };
            let gates: Vec<f64> = (0..4 * H).map(gate).collect();
            for j in 0..H {
                c[j] = sigmoid(gates[H + j]) * c[j] + sigmoid(gates[j]) * gates[2 * H + j].tanh();
            }
            h = (0..H).map(|j| sigmoid(gates[3 * H + j]) * c[j].tanh()).collect();
            out[t].clone_from(&h);
        }
        out
    }

    #[test]
    fn both_paths_are_the_formulas() {
        let device = Device::flex().autodiff();
        let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), D, H);
        let sequences = [1..4, 5..6, 6..11];
        let x = input(12, &device);
        let xs: Vec<f64> = values(x.clone()).into_iter().map(f64::from).collect();
        for path in [Path::Kernels, Path::Composed] {
            let out = values(lstm.forward(x.clone(), &sequences, path));
            let mut expected = vec![0.0; 12 * 2 * H];
            for rows in &sequences {
                let of = |ih: &Param<Tensor<2>>,
                          hh: &Param<Tensor<2>>,
                          a: &Param<Tensor<1>>,
                          b: &Param<Tensor<1>>,
                          is_reverse| {
                    let (a, b) = (values(a.val()), values(b.val()));
                    reference(
                        &xs[rows.start * D..rows.end * D],
                        &values(ih.val()),
                        &values(hh.val()),
                        [&a, &b],
                        is_reverse,
                    )
                };
                let forth = of(&lstm.weight_ih_l0, &lstm.weight_hh_l0, &lstm.bias_ih_l0, &lstm.bias_hh_l0, false);
                let back = of(
                    &lstm.weight_ih_l0_reverse,
                    &lstm.weight_hh_l0_reverse,
                    &lstm.bias_ih_l0_reverse,
                    &lstm.bias_hh_l0_reverse,
                    true,
                );
                for (t, row) in rows.clone().enumerate() {
                    for j in 0..H {
                        expected[row * 2 * H + j] = forth[t][j];
                        expected[row * 2 * H + H + j] = back[t][j];
                    }
                }
            }
            for (i, (found, expected)) in out.iter().zip(&expected).enumerate() {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{path:?} {i}: {found}, not {expected}");
            }
        }
    }

    /// The kernel's gradients against those of the composed operations, and its bits over 1 to 3 threads.
    #[test]
    fn the_kernel_has_the_gradients_of_the_composition() {
        let run = |path: Path| {
            let device = Device::flex().autodiff();
            let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), D, H);
            // More sequences than a group of the kernel holds, of all lengths.
            let mut sequences = Vec::new();
            let mut at = 1;
            for length in [5, 1, 3, 9, 2, 2, 7, 4, 6, 1, 8, 3, 3, 5, 2, 1, 4, 6, 2] {
                sequences.push(at..at + length);
                at += length + 1;
            }
            let x = input(at + 1, &device).require_grad();
            let out = lstm.forward(x.clone(), &sequences, path);
            let weights: Vec<f32> = (0..(at + 1) * 2 * H).map(|i| ((i * 31 % 23) as f32 - 11.0) / 10.0).collect();
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [at + 1, 2 * H]), &device);
            let gradients = (out * weights).sum().backward();
            let of = |parameter: &Param<Tensor<2>>| values(parameter.val().grad(&gradients).unwrap());
            let bias = values(lstm.bias_hh_l0_reverse.val().grad(&gradients).unwrap());
            [
                values(x.grad(&gradients).unwrap()),
                of(&lstm.weight_ih_l0),
                of(&lstm.weight_hh_l0),
                of(&lstm.weight_hh_l0_reverse),
                bias,
            ]
        };
        let (kernel, composed) = (run(Path::Kernels), run(Path::Composed));
        for (found, expected) in kernel.iter().zip(&composed) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{found}, not {expected}");
            }
        }
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| run(Path::Kernels)) == kernel, "{threads} threads");
        }
    }
}
