//! Checkpoints: weights, optimizer moments and position of a run, in one safetensors file.
//!
//! Tensors carry Hugging Face's names; moments are `optimizer.first.NAME` and `optimizer.second.NAME`. The metadata
//! holds the position and a digest of the content, so that a damaged file is recognised before it is used. A file
//! becomes visible by an atomic rename after it has reached the disk.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::model::parameters::{self, Parameter};
use super::optimizer::{Moments, NO_OPTIMIZER, Optimizer};
use super::schedule::Plateau;
use crate::durable;
use crate::plan::OptimizerSpec;
use crate::types::{ContentHash, ContentHasher, SpecHash, Step};

/// The version of the file's layout.
const FORMAT: &str = "ablate-checkpoint-1";
const EXTENSION: &str = "safetensors";
const BEST: &str = "best";

/// What the names of the others begin with.
const STEP: &str = "step-";

/// All that a run needs to continue from a step, bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub spec: SpecHash,
    pub step: Step,
    /// The digest chain up to this step.
    pub chain: ContentHash,
    /// Real tokens seen so far.
    pub tokens: u64,
    /// The lowest value of the criterion so far, which is negated where more is better; infinite before the first evaluation.
    pub best: f64,
    /// Where the best is, in a stage that chooses among its weights.
    pub choice: Choice,
    /// The state of the schedule, where it has one.
    pub plateau: Plateau,
    pub parameters: Vec<Parameter>,
    pub optimizer: Optimizer,
}

/// The evaluation that chose, as far as a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The step of the best evaluation.
    pub step: Step,
    /// Evaluations since then.
    pub waited: u64,
}

/// Why a checkpoint cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot write the checkpoint {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot read the checkpoint {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the checkpoint {path} is damaged: {what}")]
    Damaged { path: PathBuf, what: String },
    #[error("the checkpoint {path} belongs to another specification ({found}, not {expected})")]
    OtherSpec { path: PathBuf, found: String, expected: SpecHash },
    #[error(
        "the checkpoint {path} is ahead of the run's log, which ends before step {step} or came there in another way"
    )]
    AheadOfLog { path: PathBuf, step: Step },
}

/// The folder of a run's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointDir(PathBuf);

/// The newest checkpoint that can be used, and what was wrong with those that are newer.
#[derive(Debug)]
pub struct Latest {
    pub checkpoint: Option<Checkpoint>,
    pub passed_over: Vec<CheckpointError>,
}

impl CheckpointDir {
    /// The checkpoints in `path`, which must exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file of step `step`.
    pub fn path(&self, step: Step) -> PathBuf {
        self.0.join(format!("{STEP}{:08}.{EXTENSION}", step.0))
    }

    /// The file of the best evaluation.
    pub fn best_path(&self) -> PathBuf {
        self.0.join(format!("{BEST}.{EXTENSION}"))
    }

    /// Writes a checkpoint of its step and removes all but the newest `keep`; returns the digest of the weights.
    pub fn save(&self, checkpoint: &Checkpoint, keep: usize) -> Result<ContentHash, CheckpointError> {
        write(&self.path(checkpoint.step), checkpoint)?;
        for step in self.steps().into_iter().rev().skip(keep.max(1)) {
            let path = self.path(step);
            fs::remove_file(&path).map_err(|source| CheckpointError::Write { path, source })?;
        }
        Ok(parameters::digest(&checkpoint.parameters))
    }

    /// Replaces the best checkpoint.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        write(&self.best_path(), checkpoint)
    }

    /// The newest checkpoint of `spec` that is whole and that the run's records lead to; others are stepped over and
    /// reported.
    pub fn latest(
        &self,
        spec: SpecHash,
        optimizer: &OptimizerSpec,
        is_recorded: &dyn Fn(Step, &ContentHash) -> bool,
    ) -> Latest {
        let mut passed_over = Vec::new();
        for step in self.steps().into_iter().rev() {
            let path = self.path(step);
            let (error, mark) = match read(&path, spec, optimizer) {
                Ok(checkpoint) if is_recorded(step, &checkpoint.chain) => {
                    return Latest { checkpoint: Some(checkpoint), passed_over };
                }
                Ok(_) => (CheckpointError::AheadOfLog { path: path.clone(), step }, "ahead"),
                Err(error) => (error, "damaged"),
            };
            // Set aside, so that it does not count as the newest when old checkpoints are removed.
            let _ = fs::rename(&path, path.with_extension(mark));
            passed_over.push(error);
        }
        Latest { checkpoint: None, passed_over }
    }

    /// Steps that have a file, ascending.
    pub fn steps(&self) -> Vec<Step> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let step_of = |path: PathBuf| {
            let digits = path.file_name()?.to_str()?.strip_prefix(STEP)?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
            digits.parse().ok().map(Step)
        };
        let mut steps: Vec<Step> = entries.flatten().filter_map(|entry| step_of(entry.path())).collect();
        steps.sort();
        steps
    }
}

/// Writes one checkpoint.
fn write(path: &Path, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
    let failed = |source| CheckpointError::Write { path: path.to_owned(), source };
    let tensors = named_tensors(checkpoint);
    let views = tensors.iter().map(|(name, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values))
            .expect("invariant: a tensor has as many values as its shape");
        (name.as_str(), view)
    });
    let bytes =
        safetensors::serialize(views, Some(metadata(checkpoint))).map_err(|e| failed(std::io::Error::other(e)))?;
    durable::write(path, |file| file.write_all(&bytes)).map_err(failed)
}

/// The weights of a checkpoint of `spec`, and the step that they are of.
pub fn read_weights(path: &Path, spec: SpecHash) -> Result<(Step, Vec<Parameter>), CheckpointError> {
    let Checkpoint { step, parameters, .. } = read(path, spec, &NO_OPTIMIZER)?;
    Ok((step, parameters))
}

/// Reads a checkpoint of `spec` and checks it against its digest.
pub fn read(path: &Path, spec: SpecHash, optimizer: &OptimizerSpec) -> Result<Checkpoint, CheckpointError> {
    let damaged = |what: &str| CheckpointError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let bytes = durable::read(path).map_err(|source| CheckpointError::Read { path: path.to_owned(), source })?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let metadata = header.metadata().clone().ok_or_else(|| damaged("it has no metadata"))?;
    let field =
        |key: &str| metadata.get(key).map(String::as_str).ok_or_else(|| damaged(&format!("`{key}` is missing")));
    if field("format")? != FORMAT {
        return Err(damaged(&format!("its format is `{}`, not `{FORMAT}`", field("format")?)));
    }
    if field("spec")? != spec.to_string() {
        return Err(CheckpointError::OtherSpec { path: path.to_owned(), found: field("spec")?.into(), expected: spec });
    }
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e.to_string()))?;
    let values = |name: &str| -> Result<(Vec<usize>, Vec<f32>), CheckpointError> {
        let view = tensors.tensor(name).map_err(|e| damaged(&e.to_string()))?;
        Ok((view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data())))
    };
    let mut parameters = Vec::new();
    let mut moments = Vec::new();
    for name in field("parameters")?.split_terminator('\n') {
        let (shape, weights) = values(name)?;
        let first = values(&format!("optimizer.first.{name}"))?.1;
        let second = values(&format!("optimizer.second.{name}"))?.1;
        parameters.push(Parameter { name: name.to_owned(), shape, values: weights });
        moments.push(Moments { first, second });
    }
    let number = |key: &str| field(key)?.parse::<u64>().map_err(|_| damaged(&format!("`{key}` is no number")));
    let checkpoint = Checkpoint {
        spec,
        step: Step(number("step")?),
        chain: field("chain")?.parse().map_err(|_| damaged("`chain` is no hash"))?,
        tokens: number("tokens")?,
        best: f64::from_bits(number("best_bits")?),
        choice: read_choice(metadata.get("choice")).ok_or_else(|| damaged("`choice` is no evaluation"))?,
        plateau: read_plateau(metadata.get("plateau")).ok_or_else(|| damaged("`plateau` is no state of a schedule"))?,
        parameters,
        optimizer: Optimizer::resume(optimizer, number("step")?, moments),
    };
    if checkpoint.digest().to_string() != field("digest")? {
        return Err(damaged("its content does not match its digest"));
    }
    Ok(checkpoint)
}

/// The state of a schedule as three numbers, two of them the bits of a float; absent where it has not changed.
fn read_plateau(text: Option<&String>) -> Option<Plateau> {
    let Some(text) = text else { return Some(Plateau::default()) };
    let numbers: Option<Vec<u64>> = text.split(' ').map(|number| number.parse().ok()).collect();
    let [scale, best, waited] = numbers?[..] else { return None };
    Some(Plateau { scale: f64::from_bits(scale), best: f64::from_bits(best), waited })
}

fn plateau_words(plateau: &Plateau) -> [u64; 3] {
    [plateau.scale.to_bits(), plateau.best.to_bits(), plateau.waited]
}

/// The choice as two numbers; absent where nothing chooses.
fn read_choice(text: Option<&String>) -> Option<Choice> {
    let Some(text) = text else { return Some(Choice::default()) };
    let (step, waited) = text.split_once(' ')?;
    Some(Choice { step: Step(step.parse().ok()?), waited: waited.parse().ok()? })
}

type NamedTensor<'a> = (String, &'a [usize], &'a [f32]);

/// Every tensor of the file, in a fixed order.
fn named_tensors(checkpoint: &Checkpoint) -> Vec<NamedTensor<'_>> {
    let mut tensors = Vec::new();
    for (parameter, moments) in checkpoint.parameters.iter().zip(&checkpoint.optimizer.moments) {
        let shape = parameter.shape.as_slice();
        tensors.push((parameter.name.clone(), shape, parameter.values.as_slice()));
        tensors.push((format!("optimizer.first.{}", parameter.name), shape, moments.first.as_slice()));
        tensors.push((format!("optimizer.second.{}", parameter.name), shape, moments.second.as_slice()));
    }
    tensors
}

impl Checkpoint {
    /// The hash of everything in the file: position, names, shapes and bits.
    fn digest(&self) -> ContentHash {
        let mut hasher = ContentHasher::new();
        hasher.update(self.spec.0.as_bytes()).update(self.chain.as_bytes());
        hasher.update(bytemuck::cast_slice(&[self.step.0, self.tokens, self.best.to_bits()]));
        if self.plateau != Plateau::default() {
            hasher.update(bytemuck::cast_slice(&plateau_words(&self.plateau)));
        }
        if self.choice != Choice::default() {
            hasher.update(bytemuck::cast_slice(&[self.choice.step.0, self.choice.waited]));
        }
        for (name, shape, values) in named_tensors(self) {
            hasher.update(name.as_bytes()).update(&[0]);
            shape.iter().for_each(|&dimension| {
                hasher.update(&(dimension as u64).to_le_bytes());
            });
            hasher.update(bytemuck::cast_slice(values));
        }
        hasher.finish()
    }
}

fn metadata(checkpoint: &Checkpoint) -> HashMap<String, String> {
    let names: Vec<&str> = checkpoint.parameters.iter().map(|p| p.name.as_str()).collect();
    let plateau = (checkpoint.plateau != Plateau::default()).then(|| {
        let words = plateau_words(&checkpoint.plateau).map(|word| word.to_string());
        ("plateau".to_owned(), words.join(" "))
    });
    let mut metadata: HashMap<String, String> = [
        ("format", FORMAT.to_owned()),
        ("spec", checkpoint.spec.to_string()),
        ("step", checkpoint.step.to_string()),
        ("chain", checkpoint.chain.to_string()),
        ("tokens", checkpoint.tokens.to_string()),
        ("best_bits", checkpoint.best.to_bits().to_string()),
        ("digest", checkpoint.digest().to_string()),
        ("parameters", names.join("\n")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    metadata.extend(plateau);
    let Choice { step, waited } = checkpoint.choice;
    metadata
        .extend((checkpoint.choice != Choice::default()).then(|| ("choice".to_owned(), format!("{step} {waited}"))));
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::tests::tiny_spec;

    fn optimizer_spec() -> OptimizerSpec {
        tiny_spec().optimizer().clone()
    }

    fn spec_hash() -> SpecHash {
        SpecHash(ContentHash::of(b"spec"))
    }

    fn checkpoint(step: u64) -> Checkpoint {
        let values = |scale: f32| (0..6).map(|i| scale * i as f32 + step as f32).collect::<Vec<f32>>();
        let parameters = vec![
            Parameter { name: "a.weight".into(), shape: vec![2, 3], values: values(0.1) },
            Parameter { name: "a.bias".into(), shape: vec![6], values: values(-3.0) },
        ];
        let moments = vec![Moments { first: values(1.5), second: values(2.5) }; 2];
        Checkpoint {
            spec: spec_hash(),
            step: Step(step),
            chain: ContentHash::of(b"chain"),
            tokens: 17,
            best: f64::INFINITY,
            choice: Choice { step: Step(step / 2), waited: 3 },
            plateau: Plateau { scale: 0.1, best: 1.5, waited: step },
            parameters,
            optimizer: Optimizer::resume(&optimizer_spec(), step, moments),
        }
    }

    #[test]
    fn a_checkpoint_reads_back_bit_for_bit_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(folder.path());
        for step in [10, 20, 30] {
            dir.save(&checkpoint(step), 2).unwrap();
        }
        assert_eq!(dir.steps(), [Step(20), Step(30)]);
        let latest = dir.latest(spec_hash(), &optimizer_spec(), &|_, _| true);
        assert_eq!(latest.checkpoint, Some(checkpoint(30)));
        assert!(latest.passed_over.is_empty());
    }

    /// The steps between the end of the records and a later checkpoint would be in no record.
    #[test]
    fn a_checkpoint_that_is_ahead_of_the_records_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(folder.path());
        for step in [10, 20, 30] {
            dir.save(&checkpoint(step), 3).unwrap();
        }
        let latest = dir.latest(spec_hash(), &optimizer_spec(), &|step, chain| {
            step < Step(30) && *chain == ContentHash::of(b"chain")
        });
        assert_eq!(latest.checkpoint, Some(checkpoint(20)));
        assert!(matches!(latest.passed_over[..], [CheckpointError::AheadOfLog { step: Step(30), .. }]));
        assert_eq!(dir.steps(), [Step(10), Step(20)]);
        let nothing = dir.latest(spec_hash(), &optimizer_spec(), &|_, _| false);
        assert!(nothing.checkpoint.is_none() && nothing.passed_over.len() == 2);
    }

    /// Wherever a byte is changed or the file is cut, the checkpoint before it is used.
    #[test]
    fn damage_anywhere_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(folder.path());
        dir.save(&checkpoint(10), 2).unwrap();
        dir.save(&checkpoint(20), 2).unwrap();
        let whole = fs::read(dir.path(Step(20))).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(dir.path(Step(20)), &bytes).unwrap();
            let latest = dir.latest(spec_hash(), &optimizer_spec(), &|_, _| true);
            let found = latest.checkpoint.unwrap_or_else(|| panic!("the older checkpoint was lost at byte {at}"));
            // A change that leaves the content as it was (in the padding of the header, say) is no damage.
            assert!(found == checkpoint(10) && latest.passed_over.len() == 1 || found == checkpoint(20), "byte {at}");
        }
        for cut in [0, 1, 8, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(dir.path(Step(20)), &whole[..cut]).unwrap();
            assert_eq!(dir.latest(spec_hash(), &optimizer_spec(), &|_, _| true).checkpoint, Some(checkpoint(10)));
        }
    }

    #[test]
    fn what_has_no_state_leaves_nothing_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(folder.path());
        let stateless = Checkpoint { plateau: Plateau::default(), choice: Choice::default(), ..checkpoint(10) };
        dir.save(&stateless, 1).unwrap();
        let (_, header) = SafeTensors::read_metadata(&fs::read(dir.path(Step(10))).unwrap()).unwrap();
        assert!(["plateau", "choice"].iter().all(|key| !header.metadata().as_ref().unwrap().contains_key(*key)));
        assert_eq!(dir.latest(spec_hash(), &optimizer_spec(), &|_, _| true).checkpoint, Some(stateless));
    }

    #[test]
    fn another_runs_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = CheckpointDir::new(folder.path());
        dir.save(&checkpoint(10), 2).unwrap();
        let latest = dir.latest(SpecHash(ContentHash::of(b"other")), &optimizer_spec(), &|_, _| true);
        assert!(latest.checkpoint.is_none());
        assert!(matches!(latest.passed_over[..], [CheckpointError::OtherSpec { .. }]));
    }
}
