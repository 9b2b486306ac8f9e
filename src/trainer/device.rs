//! Devices: which this program can train on, and with which instruction set its matrix kernels run.

use crate::plan::Isa;

/// The instruction set that the `gemm` crate's kernels choose on this CPU.
pub fn kernel_isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("fma") {
            return "avx2";
        }
        "x86-64"
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH
}

/// A specification asks for kernels that this CPU or this program does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "train.isa = \"{asked}\", but the matrix kernels run with {available} on this CPU and cannot be pinned to another \
     instruction set; use a CPU whose widest is {asked}, or train.isa = \"native\""
)]
pub struct IsaUnavailable {
    asked: &'static str,
    available: &'static str,
}

/// Checks that the kernels run with what the specification asks for.
pub fn check_isa(asked: Isa) -> Result<(), IsaUnavailable> {
    let name = match asked {
        Isa::Native => return Ok(()),
        Isa::Avx512 => "avx512",
        Isa::Avx2 => "avx2",
    };
    let available = kernel_isa();
    if name == available { Ok(()) } else { Err(IsaUnavailable { asked: name, available }) }
}
