//! Instruction sets, chosen at run time: one body, compiled once for each set.
//!
//! A [`vectorised!`] function is written as plain loops over slices and compiled three times: with AVX-512, with AVX2 + FMA,
//! and for the target's baseline (on aarch64 that is NEON already). All three give the same bits: sums run over sixteen
//! fixed lanes whatever the register width, and every fused multiply-add is written as one, never left to the compiler.
//! A CPU without FMA emulates it, slowly and exactly. Matrix products are the exception: see [`InstructionSet::limit_to`].

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that the kernels know, from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstructionSet {
    /// What the target guarantees.
    Baseline,
    Avx2,
    Avx512,
}

/// The widest set that [`InstructionSet::limit_to`] allows, by its number.
static LIMIT: AtomicU8 = AtomicU8::new(InstructionSet::Avx512 as u8);

#[cfg(test)]
thread_local! {
    static LIMIT_OF_THREAD: std::cell::Cell<u8> = const { std::cell::Cell::new(InstructionSet::Avx512 as u8) };
}

impl InstructionSet {
    /// The widest set of this CPU. The standard library asks the CPU once and remembers.
    #[inline]
    pub fn of_this_cpu() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if has_avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self::Avx512;
            }
            if has_avx2 {
                return Self::Avx2;
            }
        }
        Self::Baseline
    }

    /// The set that kernels run with: this CPU's, or a narrower one that it was limited to.
    #[inline]
    pub fn in_use() -> Self {
        let limit = LIMIT.load(Ordering::Relaxed);
        #[cfg(test)]
        let limit = limit.min(LIMIT_OF_THREAD.get());
        let limit = match limit {
            0 => Self::Baseline,
            1 => Self::Avx2,
            _ => Self::Avx512,
        };
        Self::of_this_cpu().min(limit)
    }

    /// Limits this process to `widest`, before its first step: AVX-512 and AVX2 matrix products round differently, so a
    /// wide machine that reproduces a narrow one's bits must be held back. False, and nothing changed, where the CPU has
    /// no such set. On x86 a limit below AVX2 narrows the vector loops, whose bits it does not change, and leaves matrix
    /// products with AVX2.
    #[must_use]
    pub fn limit_to(widest: Self) -> bool {
        let possible = widest <= Self::of_this_cpu();
        if possible {
            LIMIT.store(widest as u8, Ordering::Relaxed);
        }
        possible
    }

    /// The name as provenance records it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Baseline => "baseline",
        }
    }
}

/// Defines a function whose body is compiled for each [`InstructionSet`] and chosen at each call.
///
/// The body and everything that it calls must be `#[inline(always)]`, or it is compiled for the baseline only.
macro_rules! vectorised {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel reads and writes many slices")]
        $vis fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn body($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) $(-> $result)? {
                    body($($argument),*)
                }
                use $crate::trainer::kernels::isa::InstructionSet;
                match InstructionSet::in_use() {
                    // SAFETY: this CPU has every feature that the function was compiled with.
                    InstructionSet::Avx512 => return unsafe { avx512($($argument),*) },
                    // SAFETY: as above.
                    InstructionSet::Avx2 => return unsafe { avx2($($argument),*) },
                    InstructionSet::Baseline => {}
                }
            }
            body($($argument),*)
        }
    )*};
}
pub(super) use vectorised;

/// Runs `work` on this thread with at most `widest`.
#[cfg(test)]
pub fn limited<T>(widest: InstructionSet, work: impl FnOnce() -> T) -> T {
    LIMIT_OF_THREAD.set(widest as u8);
    let result = work();
    LIMIT_OF_THREAD.set(InstructionSet::Avx512 as u8);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        /// Everything that the kernels are made of: exponentials, divisions, roots, sums, comparisons, fused products.
        fn exercise(values: &mut [f32]) {
            use super::super::math::{exp, max_of, sum_of};
            let largest = max_of(values);
            let sum = sum_of(values, values, |a, b| exp(a - largest).mul_add(b, 1.0));
            for value in values.iter_mut() {
                *value = if *value < 0.0 { exp(*value) / sum } else { value.sqrt().mul_add(sum, -*value) };
            }
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let start: Vec<f32> = (0..1003).map(|i| ((i * 7919) % 1009) as f32 / 100.0 - 5.0).collect();
        let bits = |widest| {
            let mut values = start.clone();
            limited(widest, || exercise(&mut values));
            values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
        };
        let baseline = bits(InstructionSet::Baseline);
        assert_eq!(baseline, bits(InstructionSet::Avx2));
        assert_eq!(baseline, bits(InstructionSet::Avx512));
    }

    #[test]
    fn limits_are_respected() {
        assert_eq!(limited(InstructionSet::Baseline, InstructionSet::in_use), InstructionSet::Baseline);
        assert_eq!(InstructionSet::in_use(), InstructionSet::of_this_cpu());
        assert!(
            InstructionSet::of_this_cpu() == InstructionSet::Avx512
                || !InstructionSet::limit_to(InstructionSet::Avx512)
        );
    }
}
