"""MLflow's own clients, of any version, against `ablate serve`: every call that training scripts make, read back and compared.

    python tests/peers/mlflow_clients.py --ablate target/release/ablate VENV/bin/python [VENV/bin/python ...]

Each interpreter has `mlflow` (or `mlflow-skinny`) of some version, from 1.15 to 3.x, and is run against a server of its own
on an empty store. Where it has `lightning` or `transformers` too, those log as they are. Prints one line a client.
"""

import argparse
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

CALLS = 0


def call(function, *arguments, **named):
    """Calls, and counts."""
    global CALLS
    CALLS += 1
    return function(*arguments, **named)


def refused(expected, function, *arguments, **named):
    """Calls what must be refused with this error code, at once and not after tries."""
    from mlflow.exceptions import MlflowException

    start = time.time()
    try:
        call(function, *arguments, **named)
    except MlflowException as error:
        assert error.error_code == expected, (error.error_code, expected, str(error))
        assert time.time() - start < 5, "a refusal was tried again"
        return
    raise AssertionError(f"{function} was not refused")


def same(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def client(uri):
    """Some sixty calls of one client."""
    import mlflow
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    version = tuple(int(part) for part in mlflow.__version__.split(".")[:2])
    mlflow.set_tracking_uri(uri)
    tracking = MlflowClient(uri)
    name = f"실험 {mlflow.__version__}"

    # Experiments.
    same(call(tracking.get_experiment_by_name, name), None)
    experiment = call(tracking.create_experiment, name)
    refused("RESOURCE_ALREADY_EXISTS", tracking.create_experiment, name)
    found = call(tracking.get_experiment, experiment)
    same((found.name, found.lifecycle_stage), (name, "active"))
    same(call(tracking.get_experiment_by_name, name).experiment_id, experiment)
    call(tracking.set_experiment_tag, experiment, "team", "a=b, 한글")
    same(call(tracking.get_experiment, experiment).tags, {"team": "a=b, 한글"})
    call(tracking.rename_experiment, experiment, name + " 2")
    same(call(tracking.get_experiment, experiment).name, name + " 2")
    call(tracking.delete_experiment, experiment)
    same(call(tracking.get_experiment, experiment).lifecycle_stage, "deleted")
    call(tracking.restore_experiment, experiment)
    listing = tracking.search_experiments if version >= (1, 28) else tracking.list_experiments
    same({e.experiment_id for e in call(listing)}, {"0", experiment})
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_experiment, "123456")
    if version >= (2, 0):
        same([e.name for e in call(tracking.search_experiments, filter_string="tags.team LIKE 'a=%'")], [name + " 2"])
        same(call(tracking.search_experiments, filter_string="name = 'none'"), [])

    # A run by the fluent interface, with a nested one.
    call(mlflow.set_experiment, name + " 2")
    with call(mlflow.start_run, run_name="parent", tags={"kind": "outer"}) as parent:
        call(mlflow.log_param, "lr", 1e-4)
        call(mlflow.log_params, {"layers": 2, "model/kind": "bert", "빈": "", "seed": 3, "long": "x" * 400})
        for step in range(5):
            call(mlflow.log_metric, "loss", 1.0 / (step + 1), step=step)
        call(mlflow.log_metrics, {"val/acc": 0.5, "val/손실": -0.0}, step=7)
        call(mlflow.set_tag, "stage", "prod")
        call(mlflow.set_tags, {"a.b-c": "x\ny", "mlflow.note.content": "# A note"})
        with call(mlflow.start_run, run_name="child", nested=True) as child:
            call(mlflow.log_metric, "loss", 0.25)
    run = call(tracking.get_run, parent.info.run_id)
    same((run.info.status, run.info.lifecycle_stage, run.info.experiment_id), ("FINISHED", "active", experiment))
    expected = {"lr": "0.0001", "layers": "2", "model/kind": "bert", "빈": "", "seed": "3", "long": "x" * 400}
    same(run.data.params, expected)
    same(run.data.metrics, {"loss": 0.2, "val/acc": 0.5, "val/손실": 0.0})
    tags = run.data.tags
    same((tags["stage"], tags["a.b-c"], tags["kind"]), ("prod", "x\ny", "outer"))
    same((tags["mlflow.runName"], tags["mlflow.note.content"]), ("parent", "# A note"))
    same(call(tracking.get_run, child.info.run_id).data.tags["mlflow.parentRunId"], parent.info.run_id)
    assert run.info.end_time >= run.info.start_time > 1_500_000_000_000
    call(tracking.delete_tag, parent.info.run_id, "stage")
    assert "stage" not in call(tracking.get_run, parent.info.run_id).data.tags
    refused("RESOURCE_DOES_NOT_EXIST", tracking.delete_tag, parent.info.run_id, "stage")

    # History, exactly: numbers that are none, infinities, steps of 64 bits, negative ones, one step twice.
    other = call(tracking.create_run, experiment, tags={"mlflow.user": "ana"}).info.run_id
    edges = [
        (math.nan, 10, 0),
        (math.inf, 11, 1),
        (-math.inf, 12, 2),
        (1.7976931348623157e308, 13, 3),
        (5e-324, 14, -5),
        (0.1 + 0.2, 15, 2**63 - 1),
        (2.0, 16, 2),
    ]
    for value, at, step in edges:
        call(tracking.log_metric, other, "edge", value, timestamp=at, step=step)
    history = [(m.value, m.timestamp, m.step) for m in call(tracking.get_metric_history, other, "edge")]
    same(repr(history), repr(edges))
    batch = [Metric("many", float(i), 1000 + i, i) for i in range(900)]
    call(tracking.log_batch, other, metrics=batch, params=[Param("p", "1")], tags=[RunTag("t", "1")])
    many = call(tracking.get_metric_history, other, "many")
    same([(m.value, m.timestamp, m.step) for m in many], [(float(i), 1000 + i, i) for i in range(900)])
    call(tracking.log_batch, other, params=[Param("p", "1")])  # The same again is no change.
    refused("INVALID_PARAMETER_VALUE", tracking.log_param, other, "p", "2")
    if version >= (2, 0):
        call(mlflow.log_metrics, {f"m{i}": i for i in range(1500)}, run_id=other) if version >= (2, 10) else None
    refused("RESOURCE_DOES_NOT_EXIST", tracking.get_run, "0" * 8)
    refused("INVALID_PARAMETER_VALUE", tracking.search_runs, [experiment], "metrics.loss <")

    # Search.
    def found_by(filter_string, **named):
        runs = call(tracking.search_runs, [experiment], filter_string, **named)
        return [r.info.run_id for r in runs]

    same(found_by("metrics.loss < 0.22 and params.lr = '0.0001'"), [parent.info.run_id])
    same(found_by("tags.mlflow.parentRunId = '%s'" % parent.info.run_id), [child.info.run_id])
    same(found_by("params.`model/kind` LIKE 'be%'"), [parent.info.run_id])
    same(found_by("metrics.`val/acc` > 0.1 and attributes.status = 'FINISHED'"), [parent.info.run_id])
    same(found_by("metrics.nothing > 0"), [])
    same(found_by("tags.t != '2'"), [other])
    by_loss = [child.info.run_id, parent.info.run_id, other]
    same(found_by("", order_by=["metrics.loss DESC"]), by_loss)
    same(sorted(found_by("attributes.start_time > 0")), sorted(by_loss))
    page = call(tracking.search_runs, [experiment], max_results=2, order_by=["metrics.loss DESC"])
    same([r.info.run_id for r in page], by_loss[:2])
    rest = call(tracking.search_runs, [experiment], max_results=2, order_by=["metrics.loss DESC"], page_token=page.token)
    same([r.info.run_id for r in rest], by_loss[2:])
    assert not rest.token
    frame = call(mlflow.search_runs, [experiment], "metrics.loss > 0")
    same(sorted(frame["metrics.loss"]), [0.2, 0.25])

    # Deleted, restored, resumed, ended.
    call(tracking.delete_run, child.info.run_id)
    same(len(found_by("")), 2)
    refused("INVALID_PARAMETER_VALUE", tracking.log_metric, child.info.run_id, "loss", 1.0)
    call(tracking.restore_run, child.info.run_id)
    same(len(found_by("")), 3)
    with call(mlflow.start_run, run_id=child.info.run_id):
        call(mlflow.log_metric, "loss", 0.125, step=1)
    same(call(tracking.get_run, child.info.run_id).data.metrics["loss"], 0.125)
    for status in ["FAILED", "KILLED", "FINISHED"]:
        call(tracking.set_terminated, other, status)
        same(call(tracking.get_run, other).info.status, status)
    if version >= (2, 0):
        call(tracking.update_run, other, name="renamed")
        same(call(tracking.get_run, other).info.run_name, "renamed")

    # Artifacts.
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "sub" / "깊은 곳").mkdir(parents=True)
        (folder / "a.txt").write_text("하나")
        (folder / "sub" / "깊은 곳" / "b 50%.bin").write_bytes(bytes(range(256)) * 5000)
        (folder / "sub" / "empty").write_bytes(b"")
        with call(mlflow.start_run, run_id=other):
            call(mlflow.log_artifact, str(folder / "a.txt"))
            call(mlflow.log_artifacts, str(folder / "sub"), "up")
            call(mlflow.log_text, "text", "texts/t.txt") if version >= (1, 14) else None
            call(mlflow.log_dict, {"k": [1, 2]}, "d.json") if version >= (1, 13) else None
        same([(f.path, f.is_dir) for f in call(tracking.list_artifacts, other)],
             [("a.txt", False), ("d.json", False), ("texts", True), ("up", True)])
        same([(f.path, f.file_size) for f in call(tracking.list_artifacts, other, "up")],
             [("up/empty", 0), ("up/깊은 곳", None)])
        whole = pathlib.Path(call(tracking.download_artifacts, other, ""))
        same((whole / "a.txt").read_text(), "하나")
        same((whole / "up" / "깊은 곳" / "b 50%.bin").read_bytes(), bytes(range(256)) * 5000)
        one = pathlib.Path(call(tracking.download_artifacts, other, "up/깊은 곳"))
        same([path.name for path in one.iterdir()], ["b 50%.bin"])

    # What only newer clients have.
    if version >= (2, 4):
        import pandas

        data = mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2]}), name="tiny") if hasattr(mlflow, "data") else None
        with call(mlflow.start_run, run_id=other):
            call(mlflow.log_input, data, context="training")
            call(mlflow.log_input, data, context="training")
        inputs = call(tracking.get_run, other).inputs.dataset_inputs
        same([(i.dataset.name, i.tags[0].value) for i in inputs], [("tiny", "training")])
    if version >= (2, 8):
        operations = [call(tracking.log_metric, other, "async", float(i), step=i, synchronous=False) for i in range(50)]
        [operation.wait() for operation in operations]
        same(len(call(tracking.get_metric_history, other, "async")), 50)
    print(f"mlflow {mlflow.__version__}: {CALLS} calls")


def lightning_logs(uri):
    """A logger of Lightning, as a training has it."""
    import lightning
    import torch
    from lightning.pytorch.loggers import MLFlowLogger
    from mlflow.tracking import MlflowClient

    class Line(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.save_hyperparameters({"width": 1, "nested": {"lr": 0.1}})
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch, _):
            loss = ((self.layer(batch[0]) - 2 * batch[0]) ** 2).mean()
            self.log("train/loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(32, 1)), batch_size=4)
    logger = MLFlowLogger(experiment_name="lightning", tracking_uri=uri, tags={"by": "lightning"})
    trainer = lightning.Trainer(max_epochs=3, logger=logger, log_every_n_steps=1, enable_progress_bar=False,
                                enable_model_summary=False, accelerator="cpu", enable_checkpointing=False)
    trainer.fit(Line(), loader)
    run = MlflowClient(uri).get_run(logger.run_id)
    same(run.info.status, "FINISHED")
    same((run.data.params["width"], run.data.params["nested/lr"]), ("1", "0.1"))
    same(len(MlflowClient(uri).get_metric_history(logger.run_id, "train/loss")), 24)
    print(f"lightning {lightning.__version__}: a run of 24 steps")


def transformers_logs(uri):
    """The Trainer of transformers with `report_to="mlflow"`."""
    import torch
    import transformers
    from mlflow.tracking import MlflowClient

    os.environ["MLFLOW_EXPERIMENT_NAME"] = "transformers"
    os.environ["MLFLOW_TRACKING_URI"] = uri
    config = transformers.BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     intermediate_size=32, max_position_embeddings=16)
    model = transformers.BertForMaskedLM(config)
    rows = [{"input_ids": torch.arange(8), "labels": torch.arange(8)} for _ in range(32)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(folder, max_steps=10, logging_steps=2, report_to="mlflow",
                                                   per_device_train_batch_size=4, save_strategy="no", use_cpu=True,
                                                   disable_tqdm=True, run_name="tiny bert")
        trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        trainer.train()
    tracking = MlflowClient(uri)
    experiment = tracking.get_experiment_by_name("transformers")
    [run] = tracking.search_runs([experiment.experiment_id], "params.hidden_size = '16'")
    same(len(tracking.get_metric_history(run.info.run_id, "loss")), 5)
    assert run.data.params["max_steps"] == "10" and "train_runtime" in run.data.metrics
    print(f"transformers {transformers.__version__}: a run of {len(run.data.params)} parameters")


def has(module):
    import importlib.util

    return importlib.util.find_spec(module) is not None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--client", metavar="URI", help="be the client of this server")
    parser.add_argument("pythons", nargs="*")
    arguments = parser.parse_args()
    if arguments.client:
        client(arguments.client)
        if has("lightning"):
            lightning_logs(arguments.client)
        if has("transformers") and has("torch"):
            transformers_logs(arguments.client)
        return
    for python in arguments.pythons:
        with tempfile.TemporaryDirectory() as folder:
            command = [arguments.ablate, "--runs", f"{folder}/runs", "serve", "--port", "0"]
            server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            try:
                uri = "http://" + server.stderr.readline().split("http://")[1].strip()
                environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
                environment.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING="false")
                subprocess.run([python, "-W", "ignore", __file__, "--client", uri], check=True, env=environment, cwd=folder)
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
