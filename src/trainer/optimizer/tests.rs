//! Each optimizer against its paper's algorithm in f64, one number at a time.

use super::*;

fn spec(kind: OptimizerKind, clip_norm: Option<f64>) -> OptimizerSpec {
    OptimizerSpec {
        kind,
        lr: 0.1,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.01,
        decay_exempt: DecayExempt::BiasAndNorm,
        clip_norm,
        clip_scope: ClipScope::Global,
        momentum: 0.95,
    }
}

fn parameter(name: &str, shape: &[usize], values: &[f32]) -> Parameter {
    Parameter { name: name.into(), shape: shape.to_vec(), values: values.to_vec() }
}

/// The weights after updates by `gradients` (one list of numbers an update), by the papers' algorithms.
fn reference(spec: &OptimizerSpec, start: &[f64], gradients: &[Vec<f64>], decay: f64, adapts: bool) -> Vec<f64> {
    let n = start.len();
    let (mut x, mut m, mut v) = (start.to_vec(), vec![0.0; n], vec![0.0; n]);
    for (t, gradient) in (1..).zip(gradients) {
        let mut direction = vec![0.0; n];
        for (i, given) in gradient.iter().enumerate() {
            let l2 = if spec.kind == OptimizerKind::Adam { decay * x[i] } else { 0.0 };
            let g = given + l2;
            m[i] = spec.betas[0] * m[i] + (1.0 - spec.betas[0]) * g;
            v[i] = spec.betas[1] * v[i] + (1.0 - spec.betas[1]) * g * g;
            let m_hat = m[i] / (1.0 - spec.betas[0].powi(t));
            let v_hat = v[i] / (1.0 - spec.betas[1].powi(t));
            let decoupled = if spec.kind == OptimizerKind::Adam { 0.0 } else { decay * x[i] };
            direction[i] = m_hat / (v_hat.sqrt() + spec.eps) + decoupled;
        }
        let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let is_lamb = spec.kind == OptimizerKind::Lamb && adapts;
        let ratio = if is_lamb && norm(&x) > 0.0 { norm(&x) / norm(&direction) } else { 1.0 };
        x.iter_mut().zip(&direction).for_each(|(x, direction)| *x -= spec.lr * ratio * direction);
    }
    x
}

/// A parameter with a rate of its own moves as an optimizer of that rate moves it.
#[test]
fn each_parameter_has_the_rate_that_is_said_of_its_name() {
    for kind in [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Lamb] {
        let spec = spec(kind, None);
        let both = |values: &[f32]| vec![parameter("a", &[1, 3], values), parameter("b", &[1, 3], values)];
        let moved = |rate: fn(&str) -> f64| {
            let mut parameters = both(&[0.7, -0.4, 0.05]);
            let mut optimizer = Optimizer::new(&spec, &parameters);
            for _ in 0..3 {
                optimizer.step_after(0, &mut parameters, &both(&[0.5, -1.0, 0.25]), rate);
            }
            parameters
        };
        let each = moved(|name| if name == "a" { 0.1 } else { 0.02 });
        assert_eq!((&each[0], &each[1]), (&moved(|_| 0.1)[0], &moved(|_| 0.02)[1]), "{kind:?}");
    }
}

#[test]
fn updates_follow_the_papers_and_spare_vectors_from_decay() {
    for kind in [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Lamb] {
        let spec = OptimizerSpec { weight_decay: 0.1, ..spec(kind, None) };
        let start = [0.7, -0.4, 0.05];
        let gradients: Vec<Vec<f64>> =
            (0..7).map(|t| (0..3).map(|i| f64::from((t * 5 + i * 3) % 7 - 3) / 4.0).collect()).collect();
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
        let both = |values: &[f32]| vec![parameter("w.weight", &[1, 3], values), parameter("w.bias", &[3], values)];
        let mut parameters = both(&narrow(&start));
        let mut optimizer = Optimizer::new(&spec, &parameters);
        for gradient in &gradients {
            optimizer.step(&mut parameters, &both(&narrow(gradient)), spec.lr);
        }
        for (parameter, decays) in parameters.iter().zip([true, false]) {
            let decay = if decays { spec.weight_decay } else { 0.0 };
            let expected = reference(&spec, &start, &gradients, decay, decays);
            for (found, expected) in parameter.values.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{kind:?} {parameter:?}, not {expected}");
            }
        }
    }
}

/// What is no hidden matrix is updated in three ways, which differ where they should: at the second update, with decay.
#[test]
fn vectors_are_updated_in_three_ways() {
    let weights = |kind| {
        let mut parameters = vec![parameter("w.weight", &[1, 2], &[0.5, -2.0])];
        let mut optimizer = Optimizer::new(&spec(kind, None), &parameters);
        for gradient in [[0.1, 0.3], [0.2, -0.3]] {
            optimizer.step(&mut parameters, &[parameter("w.weight", &[1, 2], &gradient)], 0.1);
        }
        parameters[0].values.clone()
    };
    let [adamw, adam, lamb] = [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Lamb].map(weights);
    assert!(adamw != adam && adam != lamb && adamw != lamb);
}

#[test]
fn decay_reaches_what_is_not_exempt() {
    let groups = [
        (DecayExempt::BiasAndNorm, [true, false, false, false]),
        (DecayExempt::Bias, [true, true, false, false]),
        (DecayExempt::Nothing, [true, true, true, true]),
    ];
    let names = [
        ("bert.pooler.dense.weight", &[2, 2][..]),
        ("bert.embeddings.LayerNorm.weight", &[2]),
        ("bert.embeddings.LayerNorm.bias", &[2]),
        ("cls.predictions.bias", &[2]),
    ];
    for (exempt, expected) in groups {
        let found = names.map(|(name, shape)| {
            let size = shape.iter().product();
            decays(&parameter(name, shape, &vec![0.0; size]), exempt)
        });
        assert_eq!(found, expected, "{exempt:?}");
    }
}

#[test]
fn clipping_scales_all_gradients_by_one_global_norm() {
    let gradients = [parameter("a", &[2], &[3.0, 0.0]), parameter("b", &[1], &[4.0])];
    assert_eq!(global_norm(&gradients), 5.0);
    let first = |clip_scope| {
        let mut parameters = vec![parameter("a", &[2], &[0.0, 0.0]), parameter("b", &[1], &[0.0])];
        let spec = OptimizerSpec { clip_scope, ..spec(OptimizerKind::Adamw, Some(1.0)) };
        let mut optimizer = Optimizer::new(&spec, &parameters);
        assert_eq!(optimizer.step(&mut parameters, &gradients, 0.1), 5.0);
        optimizer.moments.iter().flat_map(|m| m.first.clone()).collect::<Vec<f32>>()
    };
    for (scope, expected) in [(ClipScope::Global, [0.06, 0.0, 0.08]), (ClipScope::PerTensor, [0.1, 0.0, 0.1])] {
        for (m, expected) in first(scope).iter().zip(expected) {
            assert!((m - expected).abs() < 1e-7, "{scope:?}: {m}, not {expected}");
        }
    }
}

/// Fixed chunks, not threads, decide the order of sums.
#[test]
fn bits_do_not_depend_on_threads() {
    let values: Vec<f32> = (0..100_000).map(|i| ((i * 7919) % 1013) as f32 / 997.0 - 0.5).collect();
    let name = "bert.encoder.layer.0.intermediate.dense.weight";
    for kind in [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Lamb, OptimizerKind::Muon] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut parameters = vec![parameter(name, &[100, 1000], &values)];
                let mut optimizer = Optimizer::new(&spec(kind, Some(1.0)), &parameters);
                let norm = optimizer.step(&mut parameters, &[parameter(name, &[100, 1000], &values)], 0.1);
                (norm.to_bits(), crate::trainer::model::parameters::digest(&parameters))
            })
        };
        assert_eq!(run(1), run(2), "{kind:?}");
        assert_eq!(run(1), run(3), "{kind:?}");
    }
}

/// Muon in f64: momentum, Nesterov's look ahead, five rounds of the quintic written element by element, decay, and AdamW for what
/// is no hidden matrix.
#[test]
fn muon_moves_hidden_matrices_along_orthogonal_directions() {
    let spec = OptimizerSpec { weight_decay: 0.1, lr: 0.02, ..spec(OptimizerKind::Muon, None) };
    let names = [
        "bert.encoder.layer.0.intermediate.dense.weight",
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.attention.self.distance_embedding.weight",
    ];
    let (rows, columns) = (2, 3);
    let start = [0.7, -0.4, 0.05, 0.3, 0.2, -0.6];
    let gradients: Vec<Vec<f64>> =
        (0..5).map(|t| (0..6).map(|i| f64::from((t * 5 + i * i * 3) % 11 - 5) / 4.0).collect()).collect();
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<f32>>();
    let both = |values: &[f32]| names.map(|name| parameter(name, &[rows, columns], values)).to_vec();
    let mut parameters = both(&narrow(&start));
    let mut optimizer = Optimizer::new(&spec, &parameters);
    gradients.iter().for_each(|gradient| {
        optimizer.step(&mut parameters, &both(&narrow(gradient)), spec.lr);
    });

    let times = |a: &[f64], [m, k]: [usize; 2], b: &[f64], n: usize| -> Vec<f64> {
        (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect()
    };
    let (mut w, mut m) = (start.to_vec(), vec![0.0; 6]);
    for gradient in &gradients {
        m.iter_mut().zip(gradient).for_each(|(m, g)| *m = 0.95 * *m + g);
        let ahead: Vec<f64> = m.iter().zip(gradient).map(|(m, g)| g + 0.95 * m).collect();
        let norm = ahead.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut x: Vec<f64> = ahead.iter().map(|v| v / norm).collect();
        for _ in 0..5 {
            let transposed: Vec<f64> = (0..6).map(|i| x[i % rows * columns + i / rows]).collect();
            let gram = times(&x, [rows, columns], &transposed, rows);
            let cubic = times(&gram, [rows, rows], &x, columns);
            let quintic = times(&gram, [rows, rows], &cubic, columns);
            x = (0..6).map(|i| 3.4445 * x[i] - 4.775 * cubic[i] + 2.0315 * quintic[i]).collect();
        }
        let step = spec.lr * 0.2 * 3f64.sqrt();
        w.iter_mut().zip(&x).for_each(|(w, x)| *w = *w * (1.0 - spec.lr * spec.weight_decay) - step * x);
    }
    let close = |found: &[f32], expected: &[f64]| {
        found.iter().zip(expected).for_each(|(a, b)| assert!((f64::from(*a) - b).abs() < 1e-5, "{a}, not {b}"));
    };
    close(&parameters[0].values, &w);
    let adamw = OptimizerSpec { kind: OptimizerKind::Adamw, ..spec.clone() };
    close(&parameters[1].values, &reference(&adamw, &start, &gradients, 0.1, true));
    assert_eq!(parameters[2].values, parameters[1].values, "a table is no hidden matrix");
}
