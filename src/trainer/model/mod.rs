//! The model: BERT (Devlin et al. 2019), its heads for pretraining and for tasks.
//!
//! [`bert`] is the model on one page. [`weights`] are its parameters, [`initial`] fresh ones, [`forward_pass`] what the sublayers of a pass share
//! (dropout), [`start`] what a model takes over of another run, [`task`] the heads of fine-tuning with their [`lstm`] and [`crf`], and [`parameters`] the weights as a flat,
//! named list.

pub mod bert;
pub mod crf;
pub mod forward_pass;
mod initial;
pub mod lstm;
mod padding;
pub mod parameters;
pub mod start;
pub mod task;
mod tokens;
pub mod weights;

#[cfg(test)]
pub mod tests;

pub use bert::{cross_entropy, sinusoidal_table};
pub use forward_pass::TrainingPass;
pub use tokens::{Tokens, int_tensor};
pub use weights::{Bert, BertForPreTraining};
