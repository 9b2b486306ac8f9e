//! The door between burn and the kernels: a [`Kernel`] becomes one operation of burn's autodiff graph on Flex.
//!
//! This uses burn's backend-extension interface (feature `extension`): tensors are taken apart to Flex primitives, the
//! kernel runs on their slices, and `Backward` registers its hand-written gradient. burn fixes the number of parents of
//! an operation at compile time; one operation type serves every kernel by filling up with untracked leaves.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, DispatchTensorKind, Flex,
    GradientCheckpointingStrategy,
};
use burn::tensor::{Device, Tensor, TensorData};

use super::pool::{self, Buffer};
use super::profile::{Pass, timed};

/// The most inputs that a kernel has (attention: hidden states, four projections with biases, a LayerNorm, distances).
const PARENTS: usize = 12;

/// A differentiable function of f32 arrays with one output.
pub trait Kernel: fmt::Debug + Send + Sync + 'static {
    /// What a profile calls it.
    const NAME: &'static str;

    /// What the forward pass keeps for the backward pass.
    type Saved: Send + 'static;

    /// The shape of the output.
    fn shape(&self) -> Vec<usize>;

    /// Computes the output.
    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Self::Saved);

    /// From the gradient of the output, those of all inputs in their order.
    fn backward(&self, inputs: &[&[f32]], saved: Self::Saved, output: &[f32]) -> Vec<Buffer>;
}

type FlexTensor = FloatTensor<Flex>;
type TrackedTensor = FloatTensor<Autodiff<Flex>>;

/// Whether kernels run on this device: Flex, with or without autodiff, but not with gradient checkpointing, which
/// chooses itself what is computed twice.
pub fn supports(tensor: &DispatchTensor) -> bool {
    let on_flex = match &tensor.kind {
        DispatchTensorKind::Flex(_) => true,
        DispatchTensorKind::Autodiff(inner) => matches!(**inner, DispatchTensorKind::Flex(_)),
        #[allow(unreachable_patterns, reason = "Flex may be the only backend of the build")]
        _ => false,
    };
    on_flex && tensor.autodiff != DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced)
}

/// Whether `tensor` lives on Flex and records no gradients.
pub fn is_untracked_on_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    matches!(tensor.clone().into_dispatch().kind, DispatchTensorKind::Flex(_))
}

/// Whether kernels run on `device`.
pub fn runs_on(device: &Device) -> bool {
    supports(&Tensor::<1>::zeros([1], device).into_dispatch())
}

/// What becomes of what a kernel's forward pass computed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// It is kept for the backward pass.
    Keep,
    /// It is dropped, and the backward pass computes it again, to the same bits: gradient checkpointing (Chen et al. 2016).
    Recompute,
}

/// Applies `kernel` to `inputs`, as one node of the autodiff graph where one of them is tracked.
///
/// # Panics
/// When an input is not on a device of which [`runs_on`] is true.
pub fn apply<K: Kernel, const D: usize>(kernel: K, inputs: Vec<DispatchTensor>, between: Between) -> Tensor<D> {
    let tracked = inputs.iter().any(|input| input.autodiff != DispatchAutodiffContext::Disabled);
    if !tracked {
        let inputs: Vec<FlexTensor> = inputs.into_iter().map(plain).collect();
        let (output, _) = forward(&kernel, &inputs);
        return Tensor::from_primitive::<Flex>(tensor(output, kernel.shape()));
    }
    assert!(inputs.len() <= PARENTS, "invariant: a kernel has at most {PARENTS} inputs");
    let mut parents: Vec<TrackedTensor> = inputs.into_iter().map(lifted).collect();
    let inputs: Vec<FlexTensor> = parents.iter().map(|parent| contiguous(parent.primitive().clone())).collect();
    let (output, saved) = forward(&kernel, &inputs);
    let saved = (between == Between::Keep).then_some(saved);
    let output = tensor(output, kernel.shape());
    while parents.len() < PARENTS {
        parents.push(TrackedTensor::new(FlexTensor::from_data(TensorData::from([0f32]))));
    }
    let guards = std::array::from_fn(|i| parents[i].node());
    drop(parents);
    let step = Step::<K>(PhantomData);
    let output = match Backward::<Flex, PARENTS>::prepare::<NoCheckpointing>(step, guards).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let saved = Arc::new(Mutex::new(saved));
            prepared.finish(State { kernel: Arc::new(kernel), inputs, saved }, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

/// The backward step of kernel `K`.
struct Step<K>(PhantomData<K>);

impl<K> fmt::Debug for Step<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step<{}>", std::any::type_name::<K>())
    }
}

/// What the backward step needs. burn asks for a clonable state; the saved values are taken once, where there are any.
struct State<K: Kernel> {
    kernel: Arc<K>,
    inputs: Vec<FlexTensor>,
    saved: Arc<Mutex<Option<K::Saved>>>,
}

impl<K: Kernel> Clone for State<K> {
    fn clone(&self) -> Self {
        Self { kernel: self.kernel.clone(), inputs: self.inputs.clone(), saved: self.saved.clone() }
    }
}

impl<K: Kernel> fmt::Debug for State<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

impl<K: Kernel> Backward<Flex, PARENTS> for Step<K> {
    type State = State<K>;

    fn backward(self, ops: Ops<State<K>, PARENTS>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = contiguous(gradients.consume::<Flex>(&ops.node));
        let State { kernel, inputs, saved } = ops.state;
        let saved = saved.lock().unwrap_or_else(PoisonError::into_inner).take();
        let saved = saved.unwrap_or_else(|| forward(&*kernel, &inputs).1);
        let found = timed(K::NAME, Pass::Backward, || {
            kernel.backward(&slices(&inputs), saved, slices(std::slice::from_ref(&output))[0])
        });
        assert_eq!(found.len(), inputs.len(), "invariant: a kernel gives a gradient for each input");
        for ((parent, input), gradient) in ops.parents.iter().zip(&inputs).zip(found) {
            if let Some(node) = parent {
                let shape = input.layout().shape().to_vec();
                gradients.register::<Flex>(node.id, tensor(gradient, shape));
            }
        }
        inputs.into_iter().chain([output]).for_each(recycle);
    }
}

fn forward<K: Kernel>(kernel: &K, inputs: &[FlexTensor]) -> (Buffer, K::Saved) {
    timed(K::NAME, Pass::Forward, || kernel.forward(&slices(inputs)))
}

fn tensor(values: Buffer, shape: Vec<usize>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values.into_vec(), shape))
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

fn slices(tensors: &[FlexTensor]) -> Vec<&[f32]> {
    tensors.iter().map(|tensor| tensor.as_slice().expect("invariant: kernel inputs are contiguous f32")).collect()
}

/// Gives a tensor's memory back to the pool if nothing else refers to it.
fn recycle(tensor: FlexTensor) {
    if tensor.is_unique()
        && let Ok(values) = tensor.into_data().try_into_vec::<f32>()
    {
        pool::give_back(values);
    }
}

/// The Flex primitive of an untracked tensor.
fn plain(tensor: DispatchTensor) -> FlexTensor {
    match <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor) {
        Ok(BackendTensor::Float(primitive)) => contiguous(primitive),
        _ => panic!("invariant: kernels are given float tensors on Flex"),
    }
}

/// The autodiff primitive of a tensor; an untracked one becomes a constant.
fn lifted(tensor: DispatchTensor) -> TrackedTensor {
    if tensor.autodiff == DispatchAutodiffContext::Disabled {
        return TrackedTensor::new(plain(tensor));
    }
    match <DispatchTensor as DispatchKindConversion<Autodiff<Flex>>>::try_into_backend(tensor) {
        Ok(BackendTensor::Float(primitive)) => primitive,
        _ => panic!("invariant: kernels are given float tensors on Flex"),
    }
}
