//! TensorBoard's event files: a folder of logs becomes runs of this store.
//!
//! What of an event is kept, and what TensorBoard's users expect of restarts and settings, is in `import`; the files' framing in
//! `records`, the messages in `event`.

mod event;
pub mod import;
mod records;
#[cfg(test)]
mod tests;
