//! Instruction sets, chosen at run time: one body, compiled once for each set.
//!
//! A [`vectorised!`] function is written as plain loops over slices and compiled three times: with AVX-512, with AVX2 + FMA,
//! and for the target's baseline (on aarch64 that is NEON already). All three give the same bits: sums run over sixteen
//! fixed lanes whatever the register width, and every fused multiply-add is written as one, never left to the compiler.
//! A CPU without FMA emulates it, slowly and exactly.

/// The widest instruction set of this CPU that the kernels know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    Avx512,
    Avx2,
    /// What the target guarantees.
    Baseline,
}

impl InstructionSet {
    /// What this CPU has. The standard library asks the CPU once and remembers.
    #[inline]
    pub fn detected() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Baseline
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
        #[allow(clippy::too_many_arguments)] // a kernel reads and writes many slices
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
                match InstructionSet::detected() {
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
