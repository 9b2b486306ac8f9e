//! A bidirectional LSTM in one operation over all sequences of a batch, with back-propagation through time.
//!
//! Sequences are taken in groups of fixed size, so that the order of every sum is fixed too; within a group the longest come
//! first, and each step of time is one matrix product over those that are not over yet. What a step hands on lies in as many
//! rows as the group has sequences, the same row for a sequence at every step. What the input adds to the gates is one product
//! for all rows of a group, before the first step.
//!
//! Shapes: R rows, D width of the input, H width of the state, G sequences of a group, N rows of a group.

use std::ops::Range;

use rayon::prelude::*;

use super::isa::vectorised;
use super::math::{accumulate, accumulate_rows, add_bias, exp};
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::shards::{sum_in_order, transposed};

/// Sequences of a group: part of the determinism contract, since it shapes the order of sums.
const GROUP: usize = 8;

/// How the rows of sequences are gone through, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Rows of the whole batch.
    pub rows: usize,
    pub groups: Vec<Group>,
}

/// A few sequences, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The rows in the order of the steps; within a step the longest sequence first.
    pub rows: Vec<usize>,
    /// Which of them belong to each step: fewer from step to step.
    pub steps: Vec<Range<usize>>,
}

impl Packing {
    /// The rows of `sequences`, in a batch of so many; each from its end where `is_reverse`.
    pub fn new(sequences: &[Range<usize>], rows: usize, is_reverse: bool) -> Self {
        let group = |some: &[Range<usize>]| {
            let mut some: Vec<&Range<usize>> = some.iter().collect();
            some.sort_by_key(|sequence| std::cmp::Reverse(sequence.len()));
            let (mut rows, mut steps) = (Vec::new(), Vec::new());
            for t in 0..some.first().map_or(0, |longest| longest.len()) {
                let before = rows.len();
                let going = some.iter().take_while(|sequence| sequence.len() > t);
                rows.extend(going.map(|s| if is_reverse { s.end - 1 - t } else { s.start + t }));
                steps.push(before..rows.len());
            }
            Group { rows, steps }
        };
        Self { rows, groups: sequences.chunks(GROUP).map(group).collect() }
    }
}

impl Group {
    /// How many sequences it has: all of them take the first step.
    fn len(&self) -> usize {
        self.steps.first().map_or(0, Range::len)
    }
}

/// The operation. Inputs: x `[R, D]`, and for each direction the weights from the input `[4 H, D]` and from the state
/// `[4 H, H]`, whose gates are input, forget, cell and output, and two biases `[4 H]`. Output: the states of both directions
/// side by side, `[R, 2 H]`, 0 in rows of no sequence.
#[derive(Debug)]
pub struct BiLstm {
    pub inputs: usize,
    pub width: usize,
    /// Forth and back.
    pub packings: [Packing; 2],
}

/// What a group keeps for the backward pass, in the order of its rows.
#[derive(Debug)]
pub struct Kept {
    /// The input, `[N, D]`.
    inputs: Buffer,
    /// The gates after their functions, `[N, 4 H]`.
    gates: Buffer,
    /// The state and the cell that each row found, and the tanh of the cell that it left: `[N, H]` each.
    states_before: Buffer,
    cells_before: Buffer,
    tanh_cells: Buffer,
}

/// The parameters of a direction: weights from the input and from the state, as they are or transposed, and biases.
#[derive(Clone, Copy, Debug)]
struct Weights<'a> {
    input: &'a [f32],
    state: &'a [f32],
    biases: [&'a [f32]; 2],
}

/// The gradients that a group gives: of its rows of the input `[N, D]`, and its share of the parameters'.
struct Gradients {
    inputs: Buffer,
    input_weight: Vec<f32>,
    state_weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Kernel for BiLstm {
    const NAME: &'static str = "LSTM";
    type Saved = Vec<Kept>;

    fn shape(&self) -> Vec<usize> {
        vec![self.packings[0].rows, 2 * self.width]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Vec<Kept>) {
        let (d, h) = (self.inputs, self.width);
        let weights = directions(inputs);
        let across = weights.map(|w| (transposed(w.input, 4 * h, d), transposed(w.state, 4 * h, h)));
        let groups = self.groups();
        let run = |&(direction, group): &(usize, &Group)| {
            let (input, state) = &across[direction];
            self.run(group, inputs[0], Weights { input, state, biases: weights[direction].biases })
        };
        let found: Vec<(Buffer, Kept)> = groups.par_iter().with_max_len(1).map(run).collect();
        let mut output = Buffer::zeros(self.packings[0].rows * 2 * h);
        for ((direction, group), (states, _)) in groups.iter().zip(&found) {
            for (row, states) in group.rows.iter().zip(states.chunks_exact(h)) {
                output[(2 * row + direction) * h..][..h].copy_from_slice(states);
            }
        }
        (output, found.into_iter().map(|(_, kept)| kept).collect())
    }

    fn backward(&self, inputs: &[&[f32]], saved: Vec<Kept>, output: &[f32]) -> Vec<Buffer> {
        let (d, h) = (self.inputs, self.width);
        let weights = directions(inputs);
        let groups = self.groups();
        let back = |(&(direction, group), kept): (&(usize, &Group), &Kept)| {
            self.back(group, kept, weights[direction], &gather(&output[direction * h..], &group.rows, 2 * h, h))
        };
        let found: Vec<Gradients> = groups.par_iter().zip(&saved).with_max_len(1).map(back).collect();
        let mut of_x = Buffer::zeros(self.packings[0].rows * d);
        for ((_, group), found) in groups.iter().zip(&found) {
            for (row, of_row) in group.rows.iter().zip(found.inputs.chunks_exact(d)) {
                accumulate(&mut of_x[row * d..(row + 1) * d], of_row);
            }
        }
        let mut gradients = vec![of_x];
        for direction in found.chunks(self.packings[0].groups.len()) {
            let total = |part: fn(&Gradients) -> &Vec<f32>| sum_in_order(direction.iter().map(part));
            gradients.extend([total(|its| &its.input_weight), total(|its| &its.state_weight)]);
            gradients.extend([total(|its| &its.bias), total(|its| &its.bias)]);
        }
        gradients
    }
}

/// The parameters, forth and back.
fn directions<'a>(inputs: &[&'a [f32]]) -> [Weights<'a>; 2] {
    let &[_, input, state, a, b, input_back, state_back, a_back, b_back] =
        inputs.as_array().expect("invariant: the input and four parameters a direction");
    [
        Weights { input, state, biases: [a, b] },
        Weights { input: input_back, state: state_back, biases: [a_back, b_back] },
    ]
}

impl BiLstm {
    /// The groups of both directions, each with the number of its own.
    fn groups(&self) -> Vec<(usize, &Group)> {
        let [forth, back] = &self.packings;
        let forth = forth.groups.iter().map(|group| (0, group));
        forth.chain(back.groups.iter().map(|group| (1, group))).collect()
    }

    /// The states of a group `[N, H]`, by the transposed weights.
    fn run(&self, group: &Group, x: &[f32], weights: Weights) -> (Buffer, Kept) {
        let (d, h, n) = (self.inputs, self.width, group.rows.len());
        let mut states = Buffer::new(n * h);
        let mut kept = Kept {
            inputs: gather(x, &group.rows, d, d),
            gates: Buffer::new(n * 4 * h),
            states_before: Buffer::new(n * h),
            cells_before: Buffer::new(n * h),
            tanh_cells: Buffer::new(n * h),
        };
        let inputs = Matrix::new(&kept.inputs, n, d);
        MatrixMut::new(&mut kept.gates, n, 4 * h).product(inputs, Matrix::new(weights.input, d, 4 * h), false);
        weights.biases.into_iter().for_each(|bias| add_bias(&mut kept.gates, bias));
        let (mut state, mut cell) = (Buffer::zeros(group.len() * h), Buffer::zeros(group.len() * h));
        for (t, step) in group.steps.iter().enumerate() {
            let (m, place) = (step.len(), step.start * h..step.end * h);
            let gates = &mut kept.gates[step.start * 4 * h..step.end * 4 * h];
            let (state, cell) = (&mut state[..m * h], &mut cell[..m * h]);
            kept.states_before[place.clone()].copy_from_slice(state);
            kept.cells_before[place.clone()].copy_from_slice(cell);
            if t > 0 {
                let weight = Matrix::new(weights.state, h, 4 * h);
                MatrixMut::new(gates, m, 4 * h).product(Matrix::new(state, m, h), weight, true);
            }
            step_forward(gates, cell, &mut kept.tanh_cells[place.clone()], state, h);
            states[place].copy_from_slice(state);
        }
        (states, kept)
    }

    /// From the gradients of a group's states `[N, H]`, its own.
    fn back(&self, group: &Group, kept: &Kept, weights: Weights, output: &[f32]) -> Gradients {
        let (d, h, n) = (self.inputs, self.width, group.rows.len());
        let mut of_gates = Buffer::new(n * 4 * h);
        // From the step after, whose rows are the first of this step's: a sequence that ends here was handed nothing.
        let (mut of_state, mut of_cell) = (Buffer::zeros(group.len() * h), Buffer::zeros(group.len() * h));
        for (t, step) in group.steps.iter().enumerate().rev() {
            let (m, place, wide) = (step.len(), step.start * h..step.end * h, step.start * 4 * h..step.end * 4 * h);
            let of_gates = &mut of_gates[wide.clone()];
            let (of_state, of_cell) = (&mut of_state[..m * h], &mut of_cell[..m * h]);
            accumulate(of_state, &output[place.clone()]);
            let (cells_before, tanh_cells) = (&kept.cells_before[place.clone()], &kept.tanh_cells[place]);
            step_backward(&kept.gates[wide], cells_before, tanh_cells, of_state, of_cell, of_gates, h);
            if t > 0 {
                let (gates, weight) = (Matrix::new(of_gates, m, 4 * h), Matrix::new(weights.state, 4 * h, h));
                MatrixMut::new(of_state, m, h).product(gates, weight, false);
            }
        }
        let mut found = Gradients {
            inputs: Buffer::new(n * d),
            input_weight: vec![0.0; 4 * h * d],
            state_weight: vec![0.0; 4 * h * h],
            bias: vec![0.0; 4 * h],
        };
        accumulate_rows(&mut found.bias, &of_gates);
        let gates = Matrix::new(&of_gates, n, 4 * h);
        let (inputs, states) = (Matrix::new(&kept.inputs, n, d), Matrix::new(&kept.states_before, n, h));
        MatrixMut::new(&mut found.inputs, n, d).product(gates, Matrix::new(weights.input, 4 * h, d), false);
        MatrixMut::new(&mut found.input_weight, 4 * h, d).product(gates.t(), inputs, false);
        MatrixMut::new(&mut found.state_weight, 4 * h, h).product(gates.t(), states, false);
        found
    }
}

vectorised! {
    /// Puts the gates through their functions; cells and states go from those before the step to those after it.
    ///
    /// # Shapes
    /// - gates: `[m, 4 H]`; the others: `[m, H]`, with H the width
    fn step_forward(gates: &mut [f32], cells: &mut [f32], tanh_cells: &mut [f32], states: &mut [f32], width: usize) {
        let rows = gates.chunks_exact_mut(4 * width).zip(cells.chunks_exact_mut(width));
        let left = tanh_cells.chunks_exact_mut(width).zip(states.chunks_exact_mut(width));
        for ((gates, cells), (tanh_cells, states)) in rows.zip(left) {
            let [inputs, forgets, fresh, outputs] = quarters_mut(gates);
            for j in 0..width {
                let (input, forget, output) = (sigmoid(inputs[j]), sigmoid(forgets[j]), sigmoid(outputs[j]));
                let new = tanh(fresh[j]);
                let cell = forget * cells[j] + input * new;
                let tanh_cell = tanh(cell);
                (inputs[j], forgets[j], fresh[j], outputs[j]) = (input, forget, new, output);
                (cells[j], tanh_cells[j], states[j]) = (cell, tanh_cell, output * tanh_cell);
            }
        }
    }

    /// From the gradients of the states and cells that a step left those of its gates, before their functions; the cells'
    /// become those of the cells that the step found.
    ///
    /// # Shapes
    /// - gates, of_gates: `[m, 4 H]`; the others: `[m, H]`, with H the width
    fn step_backward(
        gates: &[f32], cells_before: &[f32], tanh_cells: &[f32], of_states: &[f32], of_cells: &mut [f32],
        of_gates: &mut [f32], width: usize,
    ) {
        let rows = gates.chunks_exact(4 * width).zip(of_gates.chunks_exact_mut(4 * width));
        let kept = cells_before.chunks_exact(width).zip(tanh_cells.chunks_exact(width));
        let after = of_states.chunks_exact(width).zip(of_cells.chunks_exact_mut(width));
        for (((gates, of_gates), (cells_before, tanh_cells)), (of_states, of_cells)) in rows.zip(kept).zip(after) {
            let [inputs, forgets, fresh, outputs] = quarters(gates);
            let [of_inputs, of_forgets, of_fresh, of_outputs] = quarters_mut(of_gates);
            for j in 0..width {
                let (input, forget, new, output) = (inputs[j], forgets[j], fresh[j], outputs[j]);
                let (tanh_cell, of_state) = (tanh_cells[j], of_states[j]);
                let of_cell = of_state * output * (1.0 - tanh_cell * tanh_cell) + of_cells[j];
                of_inputs[j] = of_cell * new * input * (1.0 - input);
                of_forgets[j] = of_cell * cells_before[j] * forget * (1.0 - forget);
                of_fresh[j] = of_cell * input * (1.0 - new * new);
                of_outputs[j] = of_state * tanh_cell * output * (1.0 - output);
                of_cells[j] = of_cell * forget;
            }
        }
    }
}

/// The four gates of a row.
#[inline(always)]
fn quarters(row: &[f32]) -> [&[f32]; 4] {
    let (first, second) = row.split_at(row.len() / 2);
    let ((a, b), (c, d)) = (first.split_at(first.len() / 2), second.split_at(second.len() / 2));
    [a, b, c, d]
}

/// The four gates of a row, to write.
#[inline(always)]
fn quarters_mut(row: &mut [f32]) -> [&mut [f32]; 4] {
    let (first, second) = row.split_at_mut(row.len() / 2);
    let (half, other) = (first.len() / 2, second.len() / 2);
    let ((a, b), (c, d)) = (first.split_at_mut(half), second.split_at_mut(other));
    [a, b, c, d]
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `2 sigmoid(2 x) - 1`.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * x)) - 1.0
}

/// The first `width` numbers of each of the chosen rows, which lie `stride` apart.
fn gather(values: &[f32], rows: &[usize], stride: usize, width: usize) -> Buffer {
    let mut out = Buffer::new(rows.len() * width);
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(width)) {
        out.copy_from_slice(&values[row * stride..row * stride + width]);
    }
    out
}
