//! The kernels against three oracles: plain f64 loops with finite differences, burn's composed operations, and
//! themselves at other numbers of threads.

mod against_composed;
mod against_reference;
mod reference;
