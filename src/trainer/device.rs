//! Devices: which this program was built with, which work here, and with which instruction set its matrix kernels run.
//!
//! `flex` is in every build. The others are features of the package, and a specification that asks for one is refused
//! where the program lacks it or the machine does not bear it: nothing is replaced in silence.

use std::cmp::Ordering;

pub use burn::tensor::Device;
use burn::tensor::Tensor;

use super::kernels::isa::InstructionSet;
use crate::plan::{DeviceKind, Isa, NUMERICS, NormPosition, RunSpec, TrainSpec};

/// The instruction set that matrix products run with on this CPU.
pub fn kernel_isa() -> &'static str {
    InstructionSet::in_use().name()
}

/// The instruction set that matrix products of a run as `train` says are computed with on this CPU.
pub fn isa_of(train: &TrainSpec) -> &'static str {
    pinned(train).map_or_else(kernel_isa, InstructionSet::name)
}

/// Why a specification cannot be computed by this program, here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error(
        "train.device = \"{device}\", which this program was built without; build it with `cargo build --release --features \
         {feature}` (docs/devices.md), or use \"flex\""
    )]
    NotBuilt { device: &'static str, feature: &'static str },
    #[error("train.device = \"{device}\" does not work on this machine: {reason}; `ablate doctor` tells what does")]
    Broken { device: &'static str, reason: String },
    #[error(
        "train.isa = \"{asked}\", and this CPU has {available} only; use another machine, or train.isa = \"native\""
    )]
    Isa { asked: &'static str, available: &'static str },
    #[error(
        "train.isa = \"{asked}\" on a CPU with {available}: {part} rounds by the width of the registers, and only pretraining with \
         objective.nsp = \"off\" and model.norm_position = \"post\" has a narrower CPU's bits; use a CPU whose widest instruction \
         set is {asked}, or train.isa = \"native\""
    )]
    Pinned { asked: &'static str, available: &'static str, part: &'static str },
    #[error(
        "the specification was planned under numerics {asked}, and this program computes by numerics {NUMERICS}, which gives \
         other bits; use the version of the program that its provenance names, or run its experiment file anew"
    )]
    Numerics { asked: u32 },
}

/// Checks that this program can compute what `spec` asks for, on this machine.
pub fn check(spec: &RunSpec) -> Result<(), DeviceError> {
    if spec.numerics != NUMERICS {
        return Err(DeviceError::Numerics { asked: spec.numerics });
    }
    let Some(training) = spec.training() else { return Ok(()) };
    let asked = pinned(&training.train);
    let (asked_name, available) = (asked.map_or("native", InstructionSet::name), kernel_isa());
    match asked.map(|asked| asked.cmp(&InstructionSet::in_use())) {
        Some(Ordering::Greater) => return Err(DeviceError::Isa { asked: asked_name, available }),
        Some(Ordering::Less) => {
            if let Some(part) = of_burns_width(spec) {
                return Err(DeviceError::Pinned { asked: asked_name, available, part });
            }
        }
        Some(Ordering::Equal) | None => {}
    }
    open(training.train.device).map(drop)
}

/// Holds this process to the instruction set that `train.isa` names, if it names one: before the first step of a run that
/// passed [`check`], and for good.
pub fn pin(train: &TrainSpec) {
    if let Some(widest) = pinned(train) {
        assert!(InstructionSet::limit_to(widest), "invariant: the specification was checked on this CPU");
    }
}

/// The set that `train.isa` names.
fn pinned(train: &TrainSpec) -> Option<InstructionSet> {
    match train.isa {
        Isa::Native => None,
        Isa::Avx512 => Some(InstructionSet::Avx512),
        Isa::Avx2 => Some(InstructionSet::Avx2),
    }
}

/// What of a run is computed by burn in registers of the CPU's full width, gradients included, so that it cannot be held back.
fn of_burns_width(spec: &RunSpec) -> Option<&'static str> {
    if spec.train().device != DeviceKind::Flex {
        return Some("another device than flex");
    }
    if spec.task().is_some() {
        return Some("the head of a task");
    }
    if spec.has_nsp_head() {
        return Some("the NSP head");
    }
    (spec.model.norm_position == NormPosition::Pre).then_some("the last normalisation of a pre-LN encoder")
}

/// The feature of the package that brings a device; `None` for the one that is always there.
pub fn feature(kind: DeviceKind) -> Option<&'static str> {
    match kind {
        DeviceKind::Flex => None,
        DeviceKind::Tch | DeviceKind::TchCuda => Some("tch"),
        DeviceKind::Cuda => Some("cuda"),
        DeviceKind::Wgpu => Some("wgpu"),
        DeviceKind::Vulkan => Some("vulkan"),
    }
}

/// The device, once it has computed something.
///
/// # Errors
/// When the program was built without it, or when it does not work.
pub fn open(kind: DeviceKind) -> Result<Device, DeviceError> {
    let missing = || DeviceError::NotBuilt { device: kind.name(), feature: feature(kind).unwrap_or_default() };
    let make = constructor(kind).ok_or_else(missing)?;
    if kind == DeviceKind::Flex {
        return Ok(make());
    }
    let attempt = quietly(|| {
        let device = make();
        let twos = Tensor::<2>::ones([8, 8], &device) * 2.0;
        let product: f32 = twos.clone().matmul(twos).sum().into_scalar();
        (device, product)
    });
    match attempt {
        Ok((device, 2048.0)) => Ok(device),
        Ok((_, wrong)) => {
            let reason = format!("a small matrix product came out as {wrong}, not 2048");
            Err(DeviceError::Broken { device: kind.name(), reason })
        }
        Err(reason) => Err(DeviceError::Broken { device: kind.name(), reason }),
    }
}

/// The device as training uses it: it records gradients, and where burn composes the model and the specification asks for
/// it, forgets activations that are cheap to compute again. (The kernels of Flex do the latter themselves.)
pub fn open_for_training(train: &TrainSpec) -> Result<Device, DeviceError> {
    let device = open(train.device)?.autodiff();
    let by_burn = train.gradient_checkpointing && train.device != DeviceKind::Flex;
    Ok(if by_burn { device.gradient_checkpointing() } else { device })
}

/// A product of two square matrices on a device, to be timed: what the self-test measures devices with.
pub struct SquareProduct {
    device: Device,
    side: usize,
    factors: [Tensor<2>; 2],
}

impl SquareProduct {
    /// Two factors of `side` rows and columns.
    pub fn new(device: Device, side: usize) -> Self {
        let factors = [0.5, 2.0].map(|value| Tensor::<2>::full([side, side], value, &device));
        Self { device, side, factors }
    }

    /// Floating-point operations of one product.
    pub fn flops(&self) -> f64 {
        2.0 * (self.side as f64).powi(3)
    }

    /// Computes the product `times` times and waits for the last.
    pub fn compute(&self, times: usize) {
        let [a, b] = &self.factors;
        let mut last = None;
        for _ in 0..times {
            last = Some(a.clone().matmul(b.clone()));
        }
        // Reading one element waits for it, on every device.
        if let Some(product) = last {
            let _: f32 = product.slice([0..1, 0..1]).into_scalar();
        }
        let _ = self.device.sync();
    }
}

/// How a device is made; `None` where the program was built without it.
#[allow(deprecated, reason = "libtorch's devices, in the last minor version that has them")]
fn constructor(kind: DeviceKind) -> Option<fn() -> Device> {
    match kind {
        DeviceKind::Flex => Some(Device::flex),
        #[cfg(feature = "tch")]
        DeviceKind::Tch => Some(Device::libtorch),
        #[cfg(feature = "tch")]
        DeviceKind::TchCuda => Some(|| Device::libtorch_cuda(0usize)),
        #[cfg(feature = "cuda")]
        DeviceKind::Cuda => Some(|| Device::cuda(0usize)),
        #[cfg(feature = "wgpu")]
        DeviceKind::Wgpu => Some(|| Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "vulkan")]
        DeviceKind::Vulkan => Some(|| Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[allow(unreachable_patterns, reason = "with every feature on nothing is left")]
        _ => None,
    }
}

/// Runs what may panic inside a backend; the panic's message instead of its report.
fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    std::panic::set_hook(report);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        first_line(text.unwrap_or("it gave no reason")).to_owned()
    })
}

/// A backend's panic holds its call stack, on lines of its own or behind escaped line ends.
fn first_line(text: &str) -> &str {
    text.split("\\n").next().and_then(|text| text.lines().next()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Nsp, StageSpec};
    use crate::trainer::model::tests::tiny_spec;

    #[test]
    fn flex_is_always_there_and_what_is_not_built_says_how_to_build_it() {
        assert!(open(DeviceKind::Flex).is_ok());
        for kind in DeviceKind::ALL.into_iter().filter(|&kind| constructor(kind).is_none()) {
            let error = open(kind).unwrap_err().to_string();
            assert!(error.contains(kind.name()) && error.contains(feature(kind).unwrap()), "{error}");
        }
    }

    #[test]
    fn a_specification_of_other_numerics_is_refused() {
        assert_eq!(check(&tiny_spec()), Ok(()));
        let old = RunSpec { numerics: 1, ..tiny_spec() };
        assert_eq!(check(&old), Err(DeviceError::Numerics { asked: 1 }));
    }

    /// A CPU with AVX-512 takes a run that is pinned to AVX2, unless a part of it cannot be held back.
    #[test]
    fn a_pinned_run_is_refused_where_its_bits_cannot_be_had() {
        let pinned = |isa, nsp, norm_position| {
            let mut spec = tiny_spec();
            spec.model.norm_position = norm_position;
            let StageSpec::Pretrain(stage) = &mut spec.stage else { panic!("a tiny run pretrains") };
            (stage.training.train.isa, stage.objective.nsp) = (isa, nsp);
            check(&spec)
        };
        let is_refused = |isa, nsp, norm_position| match pinned(isa, nsp, norm_position) {
            Ok(()) => "no",
            Err(DeviceError::Pinned { .. }) => "it would round otherwise",
            Err(_) => "the CPU has no such registers",
        };
        let [narrow, with_pairs, pre, wide] = [
            is_refused(Isa::Avx2, Nsp::Off, NormPosition::Post),
            is_refused(Isa::Avx2, Nsp::Random, NormPosition::Post),
            is_refused(Isa::Avx2, Nsp::Off, NormPosition::Pre),
            is_refused(Isa::Avx512, Nsp::Random, NormPosition::Pre),
        ];
        let expected = match InstructionSet::of_this_cpu() {
            InstructionSet::Avx512 => ["no", "it would round otherwise", "it would round otherwise", "no"],
            InstructionSet::Avx2 => ["no", "no", "no", "the CPU has no such registers"],
            InstructionSet::Baseline => ["the CPU has no such registers"; 4],
        };
        assert_eq!([narrow, with_pairs, pre, wide], expected);
    }

    #[test]
    fn a_panic_becomes_a_reason() {
        assert_eq!(quietly(|| 1), Ok(1));
        assert_eq!(quietly(|| panic!("no adapter\nmore")), Err::<(), _>("no adapter".to_owned()));
        assert_eq!(quietly(|| panic!("{:?}", "no driver\nframe #0")), Err::<(), _>("\"no driver".to_owned()));
    }
}
