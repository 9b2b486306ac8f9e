//! The same runs, named by their file and by a query, are compared in the same way.

use super::*;
use crate::analysis::{Comparison, Effect, marginal_effects};

/// The same runs, by a plan and by a query, are the same cells.
#[test]
fn a_plan_and_a_query_find_the_same() {
    let (experiment, plan) = planned();
    let (_folder, store, _) = trained(&plan);
    let cells = |comparison| document(&comparison, &summarize(&comparison), "".as_ref())["cells"].clone();
    let by_plan = of_plan(&experiment, &plan, &store).unwrap();
    let found = of_query(&asked("rates"), &experiment.metric, &store).unwrap();
    assert_eq!((found.reproductions, found.repeated), (0, 0));
    assert_eq!(cells(by_plan), cells(found.comparison));
    let refused = of_query(&asked("nobody"), &experiment.metric, &store).unwrap_err();
    assert!(refused.is_of_request(), "{refused}");
}

/// What is concluded of the same runs, down to every p, does not hang on how they are named: a zip is one axis, and the
/// baseline is known.
#[test]
fn a_plan_and_a_query_conclude_the_same() {
    let sweep = "\"objective.mask_ratio\" = [0.15, 0.3]\n[[sweep.zip]]\n\"optimizer.kind\" = [\"adamw\", \"muon\"]\n\
                 \"optimizer.lr\" = [2e-3, 8e-3]\n";
    let baseline = "question = \"Which?\"\n[experiment.baseline]\n\"objective.mask_ratio\" = 0.3\n\"optimizer.kind\" = \"adamw\"\n";
    let file =
        FILE.replace("\"optimizer.lr\" = [1e-3, 2e-3]\n", sweep).replace("question = \"Which rate?\"\n", baseline);
    let (experiment, plan) = planned_of(&file);
    let (_folder, store, _) = trained(&plan);
    let concluded = |comparison: &Comparison| {
        let document = document(comparison, &summarize(comparison), "".as_ref());
        let parts = ["axes", "effects", "against_baseline", "against_best", "importance", "cells", "floors"];
        parts.map(|part| document[part].clone())
    };
    let by_plan = of_plan(&experiment, &plan, &store).unwrap();
    let by_query = of_query(&asked("rates"), &experiment.metric, &store).unwrap().comparison;
    let names = by_plan.axes.iter().map(|axis| format!("{} {:?}", axis.name, axis.values)).collect::<Vec<_>>();
    assert_snapshot!(names.join("; "), @r#"mask_ratio ["0.15", "0.3"]; optimizer+lr ["adamw 0.002", "muon 0.008"]"#);
    assert_eq!(by_plan.baseline, by_query.baseline);
    // The settings that follow from others are known of stored runs alone.
    let [mut left, mut right] = [concluded(&by_plan), concluded(&by_query)];
    for axes in [&mut left[0], &mut right[0]] {
        axes.as_array_mut().unwrap().iter_mut().for_each(|axis| axis["changes_with"] = Value::Null);
    }
    assert_eq!(left, right);
    // Of some of the runs the baseline is not one.
    let some = of_query(&asked("rates mask_ratio=0.15"), &experiment.metric, &store).unwrap().comparison;
    assert_eq!(some.baseline, None);
    assert_snapshot!(some.unknown.unwrap(), @"These runs were found by a query: what their file plans and nobody began is not counted, and no baseline is known: every two cells are compared in one family of the correction.");
}

/// Words in the order of the file, and a preset by its name: whoever names the experiment sees what its file shows.
#[test]
fn a_query_names_and_orders_axes_as_the_file_does() {
    let grid = "\"model.preset\" = [\"nano\", \"micro\"]\n\"schedule.kind\" = [\"linear\", \"constant\"]\n";
    let file = FILE
        .replace("preset = \"nano\"", "hidden_dropout_prob = 0.0")
        .replace("\"optimizer.lr\" = [1e-3, 2e-3]\n", grid);
    let (experiment, plan) = planned_of(&file);
    let (_folder, store, _) = trained(&plan);
    let axes = |comparison: &Comparison| {
        comparison.axes.iter().map(|axis| (axis.name.clone(), axis.values.clone())).collect::<Vec<_>>()
    };
    let by_plan = of_plan(&experiment, &plan, &store).unwrap();
    let found = of_query(&asked("rates"), &experiment.metric, &store).unwrap().comparison;
    assert_eq!(axes(&found), axes(&by_plan));
    assert_eq!(found.axes[1].values, ["linear", "constant"]);
    assert!(found.axes[0].also.iter().any(|also| also.contains("hidden_size")), "{:?}", found.axes[0]);
    let effects = |comparison: &Comparison| marginal_effects(comparison).iter().map(Effect::name).collect::<Vec<_>>();
    assert_eq!(effects(&found), effects(&by_plan));
}
