//! A store in MLflow's layout through the commands: in, looked at, out again.

use std::fs;

use serde_json::json;

use crate::support::Workbench;

#[test]
fn a_store_of_mlflow_comes_in_is_listed_and_goes_out() {
    let workbench = Workbench::tiny("");
    let write = |path: &str, text: &str| {
        let path = workbench.path("mlruns").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "5/meta.yaml",
        "artifact_location: /gone/mlruns/5\nexperiment_id: '5'\nlifecycle_stage: active\nname: grus\n",
    );
    let run = "artifact_uri: /gone/mlruns/5/r1/artifacts\nend_time: 9000\nexperiment_id: '5'\nlifecycle_stage: active\nrun_id: \
               r1\nrun_name: '\u{ac00}'\nstart_time: 1000\nstatus: 3\nuser_id: ana\n";
    write("5/r1/meta.yaml", run);
    write("5/r1/metrics/val/loss", "1000 0.5 0\n2000 inf 10\n3000 0.25");
    write("5/r1/params/lr", "0.1");
    write("5/r1/tags/team", "a");
    write("5/r1/artifacts/notes/a.txt", "text");

    let output = workbench.run("import mlflow mlruns");
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let said = "Set aside 5/r1/metrics/val/loss:3: the end of the last line is missing";
    assert!(output.stderr.contains(said), "{}", output.stderr);
    assert!(output.stderr.contains("Imported 1 run of 1 experiment with 2 points and 1 artifact"), "{}", output.stderr);
    let id = output.stdout.trim().to_owned();
    let again = workbench.json("import mlflow . --json", "ablate-import-mlflow-1");
    assert_eq!((&again["runs"], &again["known"][0]["run"]), (&json!([]), &json!(id)));

    let listed = workbench.json("list grus mlflow.run_id=r1 --json", "ablate-list-1");
    assert_eq!(listed["runs"][0]["id"], json!(id));
    let shown = workbench.json(&format!("show {id} --json"), "ablate-run-1");
    assert_eq!(shown["series"]["val/loss"], json!({ "steps": [0, 10], "values": [0.5, "Infinity"] }));
    assert_eq!((&shown["labels"]["name"], &shown["labels"]["tags"]), (&json!("\u{ac00}"), &json!(["team=a"])));
    assert_eq!((&shown["logged"]["parameters"], &shown["state"]), (&json!({ "lr": "0.1" }), &json!("finished")));

    workbench.stdout("run tiny.toml --set train.steps=5");
    let back = workbench.json("export trash=any --format mlflow --out back --json", "ablate-export-mlflow-1");
    assert_eq!(back["runs"].as_array().unwrap().len(), 2);
    let read = |path: &str| fs::read_to_string(workbench.path("back").join(path)).unwrap();
    assert_eq!(read("5/r1/metrics/val/loss"), "1000 0.5 0\n2000 inf 10\n");
    assert_eq!((read("5/r1/params/lr"), read("5/r1/artifacts/notes/a.txt")), ("0.1".to_owned(), "text".to_owned()));
    // What was trained here goes with its settings, and comes in elsewhere with the same numbers.
    let trained = &back["runs"].as_array().unwrap().iter().find(|run| run["mlflow_run_id"] != "r1").unwrap();
    let folder = format!("{}/{}", trained["mlflow_experiment_id"].as_str().unwrap(), trained["run"].as_str().unwrap());
    assert_eq!(read(&format!("{folder}/params/train.steps")), "5");
    assert!(read(&format!("{folder}/artifacts/ablate/spec.toml")).contains("steps = 5"));
    let other = workbench.json("--runs other import mlflow back --json", "ablate-import-mlflow-1");
    assert_eq!((&other["set_aside"], other["runs"].as_array().unwrap().len()), (&json!([]), 2));
    let ours = workbench.json(&format!("show {} --json", trained["run"].as_str().unwrap()), "ablate-run-1");
    let theirs = other["runs"].as_array().unwrap().iter().find(|run| run["mlflow_run_id"] == trained["run"]).unwrap();
    let theirs =
        workbench.json(&format!("--runs other show {} --json", theirs["run"].as_str().unwrap()), "ablate-run-1");
    assert_eq!(ours["series"], theirs["series"]);

    let refused = workbench.run("export r1 --format mlflow --out back");
    assert!(refused.code == Some(2) && refused.stderr.contains("`back` is not empty"), "{}", refused.stderr);
    let refused = workbench.run("import mlflow tiny.toml");
    assert!(refused.code == Some(2) && refused.stderr.contains("is no store of MLflow"), "{}", refused.stderr);
}
