//! Devices: which this program can train on, and with which instruction set its matrix kernels run.

use super::kernels::isa::InstructionSet;
use crate::plan::Isa;

/// The instruction set that matrix products run with on this CPU.
pub fn kernel_isa() -> &'static str {
    InstructionSet::in_use().name()
}

/// A specification asks for kernels that this CPU or this program does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "train.isa = \"{asked}\", but matrix products run with {available} on this CPU, and those of evaluation and of the NSP \
     head cannot be pinned yet; use a CPU whose widest instruction set is {asked}, or train.isa = \"native\""
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
