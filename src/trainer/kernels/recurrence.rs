//! What goes from one token to the next in an LSTM, in one operation over all sequences of a batch, with back-propagation
//! through time.
//!
//! Sequences are taken in groups of fixed size, so that the order of every sum is fixed too; within a group the longest come
//! first, and each step of time is one matrix product over those that are not over yet.
//!
//! Shapes: R rows, H width of the state, N rows of a group.

use std::ops::Range;

use rayon::prelude::*;

use super::math::exp;
use super::matrix::{Matrix, MatrixMut};
use super::operation::Kernel;
use super::pool::Buffer;
use super::shards::sum_in_order;

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

/// The operation. Inputs: the gates as far as the input makes them `[R, 4 H]` (input, forget, cell, output), and the weights
/// from the state `[4 H, H]`. Output: the states `[R, H]`, 0 in rows of no sequence.
#[derive(Debug)]
pub struct Recurrence {
    pub packing: Packing,
    pub width: usize,
}

/// What a group keeps for the backward pass, in the order of its rows.
#[derive(Debug)]
pub struct Kept {
    /// The gates after their functions, `[N, 4 H]`.
    gates: Vec<f32>,
    /// The cell, its tanh, and the state: `[N, H]` each.
    cells: Vec<f32>,
    tanh_cells: Vec<f32>,
    states: Vec<f32>,
}

impl Kernel for Recurrence {
    const NAME: &'static str = "LSTM";
    type Saved = Vec<Kept>;

    fn shape(&self) -> Vec<usize> {
        vec![self.packing.rows, self.width]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Vec<Kept>) {
        let &[gates, weight] = inputs.as_array().expect("invariant: two");
        let kept: Vec<Kept> = self.packing.groups.par_iter().map(|group| self.run(group, gates, weight)).collect();
        let mut output = Buffer::zeros(self.packing.rows * self.width);
        for (group, kept) in self.packing.groups.iter().zip(&kept) {
            scatter(&mut output, &group.rows, &kept.states, self.width);
        }
        (output, kept)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Vec<Kept>, output: &[f32]) -> Vec<Buffer> {
        let &[_, weight] = inputs.as_array().expect("invariant: two");
        let groups = self.packing.groups.par_iter().zip(&saved);
        let found: Vec<(Vec<f32>, Vec<f32>)> =
            groups.map(|(group, kept)| self.back(group, kept, weight, output)).collect();
        let mut of_gates = Buffer::zeros(self.packing.rows * 4 * self.width);
        for (group, (gates, _)) in self.packing.groups.iter().zip(&found) {
            scatter(&mut of_gates, &group.rows, gates, 4 * self.width);
        }
        let of_weight = match found.is_empty() {
            true => Buffer::zeros(4 * self.width * self.width),
            false => sum_in_order(found.iter().map(|(_, weight)| weight)),
        };
        vec![of_gates, of_weight]
    }
}

impl Recurrence {
    fn run(&self, group: &Group, gates: &[f32], weight: &[f32]) -> Kept {
        let (h, n) = (self.width, group.rows.len());
        let mut kept = Kept {
            gates: gather(gates, &group.rows, 4 * h),
            cells: vec![0.0; n * h],
            tanh_cells: vec![0.0; n * h],
            states: vec![0.0; n * h],
        };
        let mut before: Option<Range<usize>> = None;
        for step in &group.steps {
            let (past, now) = kept.states.split_at_mut(step.start * h);
            let own = &mut kept.gates[step.start * 4 * h..step.end * 4 * h];
            if let Some(before) = &before {
                let states = Matrix::new(&past[before.start * h..(before.start + step.len()) * h], step.len(), h);
                MatrixMut::new(own, step.len(), 4 * h).product(states, Matrix::new(weight, 4 * h, h).t(), true);
            }
            let (past_cells, cells) = kept.cells.split_at_mut(step.start * h);
            for row in 0..step.len() {
                let gates = &mut own[row * 4 * h..(row + 1) * 4 * h];
                for j in 0..h {
                    let (input, forget) = (sigmoid(gates[j]), sigmoid(gates[h + j]));
                    let (fresh, output) = (tanh(gates[2 * h + j]), sigmoid(gates[3 * h + j]));
                    let cell_before = before.as_ref().map_or(0.0, |before| past_cells[(before.start + row) * h + j]);
                    let cell = forget * cell_before + input * fresh;
                    let tanh_cell = tanh(cell);
                    (gates[j], gates[h + j], gates[2 * h + j], gates[3 * h + j]) = (input, forget, fresh, output);
                    cells[row * h + j] = cell;
                    kept.tanh_cells[(step.start + row) * h + j] = tanh_cell;
                    now[row * h + j] = output * tanh_cell;
                }
            }
            before = Some(step.clone());
        }
        kept
    }

    /// The gradients of a group's gates `[N, 4 H]` and its share of the weights' `[4 H, H]`.
    fn back(&self, group: &Group, kept: &Kept, weight: &[f32], output: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (h, n) = (self.width, group.rows.len());
        let mut of_states = gather(output, &group.rows, h);
        let mut of_cells = vec![0.0f32; n * h];
        let mut of_gates = vec![0.0f32; n * 4 * h];
        let mut states_before = vec![0.0f32; n * h];
        for (t, step) in group.steps.iter().enumerate().rev() {
            let before = t.checked_sub(1).map(|t| group.steps[t].start);
            for row in 0..step.len() {
                let at = step.start + row;
                let (gates, of_gates) = (&kept.gates[at * 4 * h..][..4 * h], &mut of_gates[at * 4 * h..][..4 * h]);
                for j in 0..h {
                    let (input, forget, fresh, out) = (gates[j], gates[h + j], gates[2 * h + j], gates[3 * h + j]);
                    let (tanh_cell, of_state) = (kept.tanh_cells[at * h + j], of_states[at * h + j]);
                    let of_cell = of_state * out * (1.0 - tanh_cell * tanh_cell) + of_cells[at * h + j];
                    let cell_before = before.map_or(0.0, |before| kept.cells[(before + row) * h + j]);
                    of_gates[j] = of_cell * fresh * input * (1.0 - input);
                    of_gates[h + j] = of_cell * cell_before * forget * (1.0 - forget);
                    of_gates[2 * h + j] = of_cell * input * (1.0 - fresh * fresh);
                    of_gates[3 * h + j] = of_state * tanh_cell * out * (1.0 - out);
                    if let Some(before) = before {
                        of_cells[(before + row) * h + j] = of_cell * forget;
                        states_before[at * h + j] = kept.states[(before + row) * h + j];
                    }
                }
            }
            if let Some(before) = before {
                let gates = Matrix::new(&of_gates[step.start * 4 * h..step.end * 4 * h], step.len(), 4 * h);
                let states = &mut of_states[before * h..(before + step.len()) * h];
                MatrixMut::new(states, step.len(), h).product(gates, Matrix::new(weight, 4 * h, h), true);
            }
        }
        let mut of_weight = vec![0.0f32; 4 * h * h];
        let (gates, states) = (Matrix::new(&of_gates, n, 4 * h), Matrix::new(&states_before, n, h));
        MatrixMut::new(&mut of_weight, 4 * h, h).product(gates.t(), states, false);
        (of_gates, of_weight)
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `2 sigmoid(2 x) - 1`.
fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * x)) - 1.0
}

/// The chosen rows, one after the other.
fn gather(values: &[f32], rows: &[usize], width: usize) -> Vec<f32> {
    rows.iter().flat_map(|row| &values[row * width..(row + 1) * width]).copied().collect()
}

/// Puts rows back to their places.
fn scatter(values: &mut [f32], rows: &[usize], from: &[f32], width: usize) {
    for (row, from) in rows.iter().zip(from.chunks(width)) {
        values[row * width..(row + 1) * width].copy_from_slice(from);
    }
}
