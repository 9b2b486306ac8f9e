//! The self-test: which devices this program has, which work here, and how fast, in about a second each.

use serde::Serialize;

use crate::clock::Stopwatch;
use crate::plan::DeviceKind;
use crate::trainer::device::{self, DeviceError, SquareProduct};

/// Rows and columns of the product that devices are timed with.
const SIDE: usize = 1024;
/// How long a device is timed, in seconds.
const SECS: f64 = 0.5;

/// What was found out about one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceTest {
    pub device: &'static str,
    #[serde(flatten)]
    pub finding: Finding,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding {
    /// It multiplies matrices at this speed, in f32.
    Works {
        gflops: f64,
    },
    /// The program was built without this feature.
    NotBuilt {
        feature: &'static str,
    },
    Broken {
        reason: String,
    },
}

/// Tests every device that a specification can name.
pub fn devices() -> Vec<DeviceTest> {
    DeviceKind::ALL.into_iter().map(|kind| DeviceTest { device: kind.name(), finding: test(kind) }).collect()
}

fn test(kind: DeviceKind) -> Finding {
    match device::open(kind) {
        Ok(device) => Finding::Works { gflops: speed(&SquareProduct::new(device, SIDE)) / 1e9 },
        Err(DeviceError::NotBuilt { feature, .. }) => Finding::NotBuilt { feature },
        Err(DeviceError::Broken { reason, .. }) => Finding::Broken { reason },
        Err(other) => Finding::Broken { reason: other.to_string() },
    }
}

/// The best speed of several rounds, in floating-point operations a second.
fn speed(product: &SquareProduct) -> f64 {
    product.compute(1);
    let (whole, mut best, mut times) = (Stopwatch::start(), 0f64, 1);
    while whole.elapsed_secs() < SECS {
        let round = Stopwatch::start();
        product.compute(times);
        let secs = round.elapsed_secs();
        best = best.max(product.flops() * times as f64 / secs);
        // Rounds long enough that waiting for the last product does not count.
        if secs < SECS / 10.0 {
            times *= 2;
        }
    }
    best
}
