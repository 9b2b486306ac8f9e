//! `ablate bench`: how fast this machine trains the known shapes.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::plan::DeviceKind;
use crate::report::format;
use crate::runner::bench::{Measurement, Options, SHAPES, Shape, measure, peak_gflops};

/// What `ablate bench` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Shapes to measure; all of them when none is named
    #[arg(value_name = "SHAPE")]
    pub shapes: Vec<String>,
    /// Measured steps, after two that warm up
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    /// Sequences a step, in place of the shape's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: Option<u16>,
    /// What to compute on, as `train.device`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// By burn's own operations instead of the kernels, also on `flex`
    #[arg(long)]
    pub composed: bool,
    /// Compute sublayers again in the backward pass, as `train.gradient_checkpointing`
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Show where a step's time goes, kernel by kernel
    #[arg(long)]
    pub profile: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Measures the shapes asked for, one after the other.
pub fn bench(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let shapes = shapes(&arguments.shapes)?;
    let options = Options {
        steps: usize::from(arguments.steps),
        batch_size: arguments.batch_size.map(usize::from),
        device: device(&arguments.device)?,
        composed: arguments.composed,
        gradient_checkpointing: arguments.gradient_checkpointing,
        profile: arguments.profile,
    };
    let peak = peak_gflops();
    let mut measurements = Vec::new();
    for shape in shapes {
        context.printer.say(format!("measuring {}: {} steps", shape.name, options.steps));
        measurements.push(measure(shape, &options, peak).map_err(CliError::request)?);
    }
    if arguments.json.wanted {
        let peak = (peak * 10.0).round() / 10.0;
        context
            .printer
            .json(&json!({ "format": "ablate-bench-1", "matrix_peak_gflops": peak, "measurements": measurements }));
        return Ok(());
    }
    context.printer.data(in_a_table(&measurements));
    context
        .printer
        .data(format!("matrix products alone reach {peak:.0} GFLOP/s on {} threads", threads(&measurements)));
    for measurement in measurements.iter().filter(|measurement| !measurement.parts.is_empty()) {
        context.printer.data(format!("\n{}", profile(measurement)));
    }
    Ok(())
}

fn shapes(names: &[String]) -> Result<Vec<&'static Shape>, CliError> {
    if names.is_empty() {
        return Ok(SHAPES.iter().collect());
    }
    let known = SHAPES.map(|shape| shape.name).join(", ");
    let find = |name: &String| {
        SHAPES
            .iter()
            .find(|shape| shape.name == name)
            .ok_or_else(|| CliError::request(format!("there is no shape `{name}`; there are {known}")))
    };
    names.iter().map(find).collect()
}

fn device(name: &str) -> Result<DeviceKind, CliError> {
    let known = DeviceKind::ALL.map(DeviceKind::name).join(", ");
    DeviceKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| CliError::request(format!("there is no device `{name}`; there are {known}")))
}

fn in_a_table(measurements: &[Measurement]) -> String {
    let columns = [
        ("shape", Align::Left),
        ("parameters", Align::Right),
        ("batch", Align::Right),
        ("tokens/s", Align::Right),
        ("ms a step", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of peak", Align::Right),
        ("MiB", Align::Right),
    ];
    let cells = |m: &Measurement| {
        [
            m.shape.to_owned(),
            format::thousands(m.parameters),
            m.batch_size.to_string(),
            format::thousands(m.tokens_per_s as u64),
            format!("{:.1}", m.ms_per_step),
            format!("{:.0}", m.gflops),
            m.share_of_peak.map_or_else(|| "-".into(), |share| format!("{:.0} %", share * 100.0)),
            m.peak_memory_mib.map_or_else(|| "-".into(), |mib| format!("{mib:.0}")),
        ]
    };
    table(&columns, measurements.iter().map(cells))
}

fn threads(measurements: &[Measurement]) -> usize {
    measurements.first().map_or(0, |measurement| measurement.threads)
}

/// Where a step of one shape spends its time.
fn profile(measurement: &Measurement) -> String {
    let total: f64 = measurement.parts.iter().map(|part| part.ms).sum();
    let columns = [(measurement.shape, Align::Left), ("ms a step", Align::Right), ("share", Align::Right)];
    let cells = |part: &crate::runner::bench::Part| {
        [part.part.clone(), format!("{:.2}", part.ms), format!("{:.1} %", part.ms / total * 100.0)]
    };
    table(&columns, measurement.parts.iter().map(cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_devices_are_named_or_listed() {
        assert_eq!(shapes(&[]).unwrap().len(), SHAPES.len());
        let asked = ["mini", "long8v"].map(str::to_owned);
        assert_eq!(shapes(&asked).unwrap().iter().map(|shape| shape.name).collect::<Vec<_>>(), ["mini", "long8v"]);
        let text = |error: CliError| match error {
            CliError::Request(text) => text,
            other => panic!("{other:?}"),
        };
        let unknown = text(shapes(&["huge".to_owned()]).unwrap_err());
        assert!(unknown.starts_with("there is no shape `huge`; there are aiffel-1m, "), "{unknown}");
        assert_eq!(device("flex").unwrap(), DeviceKind::Flex);
        assert!(text(device("tpu").unwrap_err()).starts_with("there is no device `tpu`; there are flex"));
    }
}
