//! A bidirectional LSTM of one layer (Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005), with PyTorch's formulas,
//! names and initial values.
//!
//! On Flex all of it is one kernel; elsewhere it is composed of burn's operations, the input's share of the gates as one
//! matrix product for all rows.
//!
//! Shapes: R rows, D width of the input, H width of each direction.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::initial::Initializer;
use super::weights::value;
use crate::trainer::kernels::{self, Between, Compute, Packing};

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
    pub fn forward(&self, hidden: Tensor<2>, sequences: &[Range<usize>], compute: Compute) -> Tensor<2> {
        let rows = hidden.dims()[0];
        let packings = [false, true].map(|is_reverse| Packing::new(sequences, rows, is_reverse));
        match compute {
            // A kernel has nothing to do where there is no row.
            Compute::Kernels if !packings[0].groups.is_empty() => self.fused(hidden, packings),
            Compute::Kernels | Compute::Composed => self.composed(hidden, &packings),
        }
    }

    fn composed(&self, hidden: Tensor<2>, packings: &[Packing; 2]) -> Tensor<2> {
        let direction = |ih: &Param<Tensor<2>>, hh: &Param<Tensor<2>>, biases: [&Param<Tensor<1>>; 2], packing| {
            let bias = biases[0].val() + biases[1].val();
            let gates = hidden.clone().matmul(ih.val().transpose()) + bias.unsqueeze::<2>();
            recurrence(gates, hh.val(), packing)
        };
        let (forth, back) = (
            direction(&self.weight_ih_l0, &self.weight_hh_l0, [&self.bias_ih_l0, &self.bias_hh_l0], &packings[0]),
            direction(
                &self.weight_ih_l0_reverse,
                &self.weight_hh_l0_reverse,
                [&self.bias_ih_l0_reverse, &self.bias_hh_l0_reverse],
                &packings[1],
            ),
        );
        Tensor::cat(vec![forth, back], 1)
    }

    fn fused(&self, hidden: Tensor<2>, packings: [Packing; 2]) -> Tensor<2> {
        let kernel = kernels::BiLstm { inputs: hidden.dims()[1], width: self.weight_hh_l0.dims()[1], packings };
        let inputs = vec![
            hidden.into_dispatch(),
            value(&self.weight_ih_l0),
            value(&self.weight_hh_l0),
            value(&self.bias_ih_l0),
            value(&self.bias_hh_l0),
            value(&self.weight_ih_l0_reverse),
            value(&self.weight_hh_l0_reverse),
            value(&self.bias_ih_l0_reverse),
            value(&self.bias_hh_l0_reverse),
        ];
        kernels::apply(kernel, inputs, Between::Keep)
    }
}

/// The recurrence by burn's own operations, one step of a group's sequences at a time: gates `[R, 4 H]` to states `[R, H]`.
fn recurrence(gates: Tensor<2>, weight: Tensor<2>, packing: &Packing) -> Tensor<2> {
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
                all = all + before.clone().narrow(0, 0, step.len()).matmul(weight.clone().transpose());
            }
            let gate = |i: usize| all.clone().slice([0..step.len(), i * h..(i + 1) * h]);
            let (input, forget, output) =
                (activation::sigmoid(gate(0)), activation::sigmoid(gate(1)), activation::sigmoid(gate(3)));
            let fresh = input * gate(2).tanh();
            let now = match &cell {
                Some(before) => forget * before.clone().narrow(0, 0, step.len()) + fresh,
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

    /// The widths of most tests.
    const D: usize = 3;
    const H: usize = 4;

    fn tensor<const N: usize>(shape: [usize; N], value: impl Fn(usize) -> f32, device: &Device) -> Tensor<N> {
        let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    fn input(rows: usize, width: usize, device: &Device) -> Tensor<2> {
        tensor([rows, width], |i| ((i * 13 % 17) as f32 - 8.0) / 6.0, device)
    }

    /// What the outputs are multiplied with before they are added up to a loss.
    fn factor(i: usize) -> f32 {
        ((i * 31 % 23) as f32 - 11.0) / 10.0
    }

    fn values<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    /// Something of each parameter, in the order of the fields.
    fn each<T>(
        lstm: &BiLstm,
        matrix: impl Fn(&Param<Tensor<2>>) -> T,
        vector: impl Fn(&Param<Tensor<1>>) -> T,
    ) -> [T; 8] {
        [
            matrix(&lstm.weight_ih_l0),
            matrix(&lstm.weight_hh_l0),
            vector(&lstm.bias_ih_l0),
            vector(&lstm.bias_hh_l0),
            matrix(&lstm.weight_ih_l0_reverse),
            matrix(&lstm.weight_hh_l0_reverse),
            vector(&lstm.bias_ih_l0_reverse),
            vector(&lstm.bias_hh_l0_reverse),
        ]
    }

    /// The input and the parameters, as f64 and in this order.
    fn arguments(x: &Tensor<2>, lstm: &BiLstm) -> Vec<Vec<f64>> {
        let parameters = each(lstm, |matrix| values(matrix.val()), |vector| values(vector.val()));
        let all = std::iter::once(values(x.clone())).chain(parameters);
        all.map(|values| values.into_iter().map(f64::from).collect()).collect()
    }

    /// The formulas in f64, one token at a time: `[R, 2 H]` from what [`arguments`] gives.
    fn reference(arguments: &[Vec<f64>], sequences: &[Range<usize>]) -> Vec<f64> {
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (x, parameters) = (&arguments[0], &arguments[1..]);
        let mut out = vec![0.0; x.len() / D * 2 * H];
        for (direction, parameters) in parameters.chunks(4).enumerate() {
            let [ih, hh, bias_ih, bias_hh] = parameters.as_array().unwrap();
            for sequence in sequences {
                let (mut state, mut cell) = ([0.0; H], [0.0; H]);
                for step in 0..sequence.len() {
                    let row = if direction == 0 { sequence.start + step } else { sequence.end - 1 - step };
                    let gates: [f64; 4 * H] = std::array::from_fn(|g| {
                        let from_input = dot(&ih[g * D..(g + 1) * D], &x[row * D..(row + 1) * D]) + bias_ih[g];
                        from_input + dot(&hh[g * H..(g + 1) * H], &state) + bias_hh[g]
                    });
                    for j in 0..H {
                        cell[j] = sigmoid(gates[H + j]) * cell[j] + sigmoid(gates[j]) * gates[2 * H + j].tanh();
                        state[j] = sigmoid(gates[3 * H + j]) * cell[j].tanh();
                    }
                    let place = (2 * row + direction) * H;
                    out[place..place + H].copy_from_slice(&state);
                }
            }
        }
        out
    }

    const WAYS: [Compute; 2] = [Compute::Kernels, Compute::Composed];

    #[test]
    fn both_ways_are_the_formulas() {
        let device = Device::flex().autodiff();
        let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), D, H);
        let sequences = [1..4, 5..6, 6..11];
        let x = input(12, D, &device);
        let expected = reference(&arguments(&x, &lstm), &sequences);
        for compute in WAYS {
            let out = values(lstm.forward(x.clone(), &sequences, compute));
            for (i, (found, expected)) in out.iter().zip(&expected).enumerate() {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{compute:?} {i}: {found}, not {expected}");
            }
        }
    }

    /// The gradients of every number against central differences of the formulas in f64.
    #[test]
    fn both_ways_have_the_gradients_of_the_formulas() {
        const STEP: f64 = 1e-5;
        let device = Device::flex().autodiff();
        let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), D, H);
        let sequences = [0..3, 4..5, 5..9];
        let x = input(9, D, &device).require_grad();
        let mut arguments = arguments(&x, &lstm);
        let loss = |arguments: &[Vec<f64>]| {
            let out = reference(arguments, &sequences);
            out.iter().enumerate().map(|(i, out)| f64::from(factor(i)) * out).sum::<f64>()
        };
        for compute in WAYS {
            let out = lstm.forward(x.clone(), &sequences, compute);
            let gradients = (out.clone() * tensor(out.dims(), factor, &device)).sum().backward();
            let parameters = each(
                &lstm,
                |matrix| values(matrix.val().grad(&gradients).unwrap()),
                |vector| values(vector.val().grad(&gradients).unwrap()),
            );
            let found = std::iter::once(values(x.grad(&gradients).unwrap())).chain(parameters);
            for (a, found) in found.enumerate() {
                assert_eq!(found.len(), arguments[a].len());
                for (i, found) in found.into_iter().enumerate() {
                    let mut moved = |by: f64| {
                        arguments[a][i] += by;
                        let loss = loss(&arguments);
                        arguments[a][i] -= by;
                        loss
                    };
                    let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                    assert!((f64::from(found) - expected).abs() < 2e-6, "{compute:?} {a} {i}: {found}, not {expected}");
                }
            }
        }
    }

    /// `torch.nn.LSTM(3, 4, bidirectional=True)` of PyTorch 2.9, in f64, over two tokens: number i of parameter k is
    /// `((7 i + 3 k) mod 11 - 5) / 8`.
    #[test]
    fn pytorch_gives_the_same() {
        const EXPECTED: [f32; 4 * H] = [
            0.1558731, 0.0498240, 0.1093703, 0.0945495, -0.1581084, 0.1592564, -0.0333376, 0.1129781, 0.1455155,
            -0.0091310, 0.0836671, 0.1853761, 0.1636927, -0.0499002, -0.1390837, 0.0611785,
        ];
        let device = Device::flex().autodiff();
        let value = |k: usize| move |i: usize| ((7 * i + 3 * k) % 11) as f32 / 8.0 - 0.625;
        let matrix = |k: usize, columns: usize| Param::from_tensor(tensor([4 * H, columns], value(k), &device));
        let vector = |k: usize| Param::from_tensor(tensor([4 * H], value(k), &device));
        let lstm = BiLstm {
            weight_ih_l0: matrix(0, D),
            weight_hh_l0: matrix(1, H),
            bias_ih_l0: vector(2),
            bias_hh_l0: vector(3),
            weight_ih_l0_reverse: matrix(4, D),
            weight_hh_l0_reverse: matrix(5, H),
            bias_ih_l0_reverse: vector(6),
            bias_hh_l0_reverse: vector(7),
        };
        for path in WAYS {
            let out = values(lstm.forward(input(2, D, &device), std::slice::from_ref(&(0..2)), path));
            for (found, expected) in out.iter().zip(EXPECTED) {
                assert!((found - expected).abs() < 1e-6, "{path:?}: {found}, not {expected}");
            }
        }
    }

    /// More sequences than a group of the kernel holds, of all lengths, with a row between any two.
    fn many_sequences() -> Vec<Range<usize>> {
        let mut at = 1;
        let sequence = |length: usize| {
            at += length + 1;
            at - length - 1..at - 1
        };
        [5, 1, 3, 9, 2, 2, 7, 4, 6, 1, 8, 3, 3, 5, 2, 1, 4, 6, 2].map(sequence).to_vec()
    }

    /// At a width of more than one register and a rest: the kernel against the composition, and its bits over 1 to 3 threads.
    #[test]
    fn the_kernel_agrees_with_the_composition_and_itself() {
        let (d, h, sequences) = (5, 20, many_sequences());
        let rows = sequences[sequences.len() - 1].end + 2;
        let run = |compute: Compute| {
            let device = Device::flex().autodiff();
            let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), d, h);
            let x = input(rows, d, &device).require_grad();
            let out = lstm.forward(x.clone(), &sequences, compute);
            let gradients = (out.clone() * tensor(out.dims(), factor, &device)).sum().backward();
            let mut found = vec![values(out), values(x.grad(&gradients).unwrap())];
            found.extend(each(
                &lstm,
                |matrix| values(matrix.val().grad(&gradients).unwrap()),
                |vector| values(vector.val().grad(&gradients).unwrap()),
            ));
            found
        };
        let (kernel, composed) = (run(Compute::Kernels), run(Compute::Composed));
        for (a, (found, expected)) in kernel.iter().zip(&composed).enumerate() {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{a}: {found}, not {expected}");
            }
        }
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| run(Compute::Kernels)) == kernel, "{threads} threads");
        }
    }

    #[test]
    fn without_sequences_there_is_nothing() {
        let device = Device::flex().autodiff();
        let lstm = BiLstm::new(&Initializer::new(Seed(1), 0.02, &device), D, H);
        for path in WAYS {
            let x = input(2, D, &device).require_grad();
            let out = lstm.forward(x.clone(), &[], path);
            assert_eq!(values(out), [0.0; 4 * H], "{path:?}");
        }
    }

    /// Each parameter has draws of its own, which fill the range that PyTorch's do.
    #[test]
    fn fresh_weights_are_uniform() {
        let (d, h) = (64, 64);
        let new = |seed| BiLstm::new(&Initializer::new(Seed(seed), 0.02, &Device::flex()), d, h);
        let of = |lstm: &BiLstm| each(lstm, |matrix| values(matrix.val()), |vector| values(vector.val()));
        let (all, bound) = (of(&new(1)), 1.0 / (h as f32).sqrt());
        assert_eq!(all, of(&new(1)));
        for (i, values) in all.iter().enumerate() {
            assert!(values.iter().all(|value| value.abs() <= bound));
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 0.95 * bound, "{i}: {largest} of {bound}");
            assert!(all[..i].iter().all(|others| others[..8] != values[..8]), "{i} is drawn like another");
        }
        let square = all[0].iter().map(|value| value * value).sum::<f32>() / all[0].len() as f32;
        assert!((square / (bound * bound / 3.0) - 1.0).abs() < 0.05, "a variance of {square}");
    }
}
