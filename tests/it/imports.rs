//! What other trackers left on the disk through the commands: in, looked at, out and in elsewhere; and what is refused.

use std::fs;

use serde_json::json;

use crate::support::Workbench;

#[test]
fn a_table_comes_in_is_listed_and_comes_back_from_its_export() {
    let workbench = Workbench::tiny("");
    let folder = workbench.path("lightning_logs/version_0");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("metrics.csv"), "epoch,step,train_loss,val_loss\n0,10,0.5,\n0,10,,inf\n1,20,0.1,-0.0\n")
        .unwrap();
    fs::write(folder.join("hparams.yaml"), "lr: 1.0e-05\nnet:\n  layers: 3\n").unwrap();
    fs::write(workbench.path("lightning_logs/notes.csv"), "what\nnothing\n").unwrap();

    let output = workbench.run("import csv lightning_logs");
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(output.stderr.contains("Not taken notes.csv: is no table that is understood"), "{}", output.stderr);
    assert!(output.stderr.contains("Imported 1 run of 1 experiment with 7 points"), "{}", output.stderr);
    let id = output.stdout.trim().to_owned();
    let again = workbench.json("import csv lightning_logs --json", "ablate-import-csv-1");
    assert_eq!((&again["runs"], &again["known"][0]["run"]), (&json!([]), &json!(id)));
    let listed = workbench.json("list lightning_logs lr=1e-5 net.layers=3 --json", "ablate-list-1");
    assert_eq!(listed["runs"][0]["id"], json!(id));
    let shown = workbench.json(&format!("show {id} --json"), "ablate-run-1");
    assert_eq!(shown["series"]["val_loss"], json!({ "steps": [10, 20], "values": ["Infinity", -0.0] }));
    assert_eq!((&shown["state"], &shown["labels"]["name"]), (&json!("finished"), &json!("version_0")));

    // Out, and in elsewhere; here it is known.
    workbench.stdout(&format!("export {id} --format csv --shape long --out long.csv"));
    let known = workbench.json("import csv long.csv --json", "ablate-import-csv-1");
    assert_eq!((&known["runs"], &known["known"][0]["run"]), (&json!([]), &json!(id)));
    let other = workbench.json("--runs other import csv long.csv --json", "ablate-import-csv-1");
    let theirs = other["runs"][0]["run"].as_str().unwrap().to_owned();
    let theirs = workbench.json(&format!("--runs other show {theirs} --json"), "ablate-run-1");
    assert_eq!(theirs["series"], shown["series"]);

    fs::write(workbench.path("sweep.csv"), "name,lr,acc\na,0.1,0.5\nb,0.2,x\n").unwrap();
    for (command, expected) in [
        ("import csv sweep.csv", "is no table that is understood"),
        ("import csv sweep.csv --metric acc", "line 3, column `acc`: `x` is no number"),
        ("import csv nowhere.csv", "cannot read `nowhere.csv`"),
        ("import tensorboard lightning_logs", "has no event files of TensorBoard"),
        ("import tensorboard lightning_logs other", "one path is imported at a time, not 2"),
        ("import wandb lightning_logs", "has no offline run of W&B"),
        ("import wandb lightning_logs --metric acc", "--metric names columns for `import csv`"),
        ("import mlflow lightning_logs --experiment x", "--experiment names an experiment for"),
    ] {
        let refused = workbench.run(command);
        assert!(refused.code == Some(2) && refused.stderr.contains(expected), "{command}: {}", refused.stderr);
    }
    fs::write(workbench.path("sweep.csv"), "name,lr,acc\na,0.1,0.5\nb,0.2,0.75\n").unwrap();
    workbench.stdout("import csv sweep.csv --metric acc --experiment sweep");
    let listed = workbench.json("list experiment=sweep acc>0.6 --json", "ablate-list-1");
    assert_eq!((&listed["runs"][0]["labels"]["name"], listed["runs"].as_array().unwrap().len()), (&json!("b"), 1));
}
