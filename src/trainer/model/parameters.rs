//! The parameters of a model as a flat, named list: how they are read and replaced.
//!
//! The order of the list is the order of the module's fields; the names are Hugging Face's. `plan::parameters` states the
//! same names and shapes from the specification alone, and a test holds the two together.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::trainer::kernels::pool;
use crate::types::{ContentHash, ContentHasher};

/// One parameter's values, copied out of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Hugging Face's name, such as `bert.encoder.layer.0.attention.self.query.weight`.
    pub name: String,
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

impl Parameter {
    /// Whether weight decay applies: to matrices, never to biases and LayerNorm parameters.
    pub fn decays(&self) -> bool {
        self.shape.len() > 1
    }
}

/// The hash of names, shapes and bits: equal exactly when two models are the same, bit for bit.
pub fn digest(parameters: &[Parameter]) -> ContentHash {
    let mut hasher = ContentHasher::new();
    for parameter in parameters {
        hasher.update(parameter.name.as_bytes()).update(&[0]);
        for &dimension in &parameter.shape {
            hasher.update(&(dimension as u64).to_le_bytes());
        }
        hasher.update(bytemuck::cast_slice(&parameter.values));
    }
    hasher.finish()
}

/// Gives the memory of gradients back, once the optimizer has read them: the next step's backward pass needs as much.
pub fn recycle(gradients: Vec<Parameter>) {
    gradients.into_iter().for_each(|gradient| pool::give_back(gradient.values));
}

/// What every model can do with its parameters.
pub trait Weights: Module {
    /// Copies all parameters out, in the order of the list.
    fn parameters(&self) -> Vec<Parameter> {
        let mut reader = Reader { path: Path::default(), read: value_of, out: Vec::new() };
        self.visit(&mut reader);
        reader.out
    }

    /// Takes each parameter's gradient out of `gradients`; a parameter that the loss did not reach has zeros.
    fn gradients(&self, gradients: Gradients) -> Vec<Parameter> {
        let mut collector = GradientCollector { path: Path::default(), gradients, out: Vec::new() };
        self.visit(&mut collector);
        collector.out
    }

    /// The model with its parameters replaced by `parameters`.
    ///
    /// # Panics
    /// When names, order or shapes are not this model's: whoever reads them from a file checks first.
    fn with_parameters(self, parameters: &[Parameter], device: &Device) -> Self {
        let mut writer = Writer { parameters: parameters.iter(), device };
        self.map(&mut writer)
    }
}

impl<M: Module> Weights for M {}

/// The path of field names down to a parameter.
#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    /// Hugging Face's name of the parameter at this path.
    fn name(&self) -> String {
        /// Our field path, and what Hugging Face calls it. The first match from the left is replaced.
        const RENAMED: [(&str, &str); 15] = [
            ("bert.layers.", "bert.encoder.layer."),
            ("bert.norm.", "bert.encoder.norm."),
            (".attention.query", ".attention.self.query"),
            (".attention.key", ".attention.self.key"),
            (".attention.value", ".attention.self.value"),
            (".attention.distance", ".attention.self.distance_embedding"),
            (".attention.output", ".attention.output.dense"),
            (".attention.layer_norm", ".attention.output.LayerNorm"),
            (".feed_forward.intermediate", ".intermediate.dense"),
            (".feed_forward.output", ".output.dense"),
            (".feed_forward.layer_norm", ".output.LayerNorm"),
            ("nsp.pooler", "bert.pooler.dense"),
            ("nsp.classifier", "cls.seq_relationship"),
            ("mlm.", "cls.predictions."),
            (".layer_norm", ".LayerNorm"),
        ];
        let mut name = self.0.join(".");
        if let Some(rest) = name.strip_prefix("pooler.") {
            return format!("bert.pooler.dense.{rest}");
        }
        for (ours, theirs) in RENAMED {
            name = name.replacen(ours, theirs, 1);
        }
        name
    }
}

/// burn also announces the containers between fields (`Vec`, `Option`); a path has one entry for each announcement.
macro_rules! follow_path {
    () => {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.0.push(name.to_owned());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.0.pop();
        }
    };
}

struct Reader<F> {
    path: Path,
    read: F,
    out: Vec<Parameter>,
}

impl<F: Fn(TensorData) -> Vec<f32>> ModuleVisitor for Reader<F> {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.out.push(Parameter { name: self.path.name(), shape, values: (self.read)(tensor.into_data()) });
    }
}

struct GradientCollector {
    path: Path,
    gradients: Gradients,
    out: Vec<Parameter>,
}

impl ModuleVisitor for GradientCollector {
    follow_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        let values = match tensor.grad_remove(&mut self.gradients) {
            Some(gradient) => value_of(gradient.into_data()),
            None => vec![0.0; shape.iter().product()],
        };
        self.out.push(Parameter { name: self.path.name(), shape, values });
    }
}

struct Writer<'a> {
    parameters: std::slice::Iter<'a, Parameter>,
    device: &'a Device,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parameter = self.parameters.next().expect("invariant: a parameter for each of the model's");
        let (id, tensor, _) = param.consume();
        assert_eq!(tensor.dims().as_slice(), parameter.shape, "invariant: {} has the model's shape", parameter.name);
        // On Flex this is the old tensor's own memory, unless something else still refers to it.
        let mut data = tensor.into_data();
        data.as_mut_slice::<f32>().expect("invariant: parameters are f32").copy_from_slice(&parameter.values);
        Param::initialized(id, Tensor::from_data(data, self.device).require_grad())
    }
}

fn value_of(data: TensorData) -> Vec<f32> {
    data.try_into_vec().expect("invariant: parameters are f32")
}
