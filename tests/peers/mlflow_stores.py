"""Stores that MLflow itself wrote, of any version, taken in by `ablate import mlflow` and given back by `ablate export`.

    python tests/peers/mlflow_stores.py --ablate target/release/ablate VENV/bin/python [VENV/bin/python ...]

Each interpreter has `mlflow` (or `mlflow-skinny`) of some version, from 1.15 to 3.x; with `sqlalchemy` and `alembic` it writes
databases as well. For each version and kind of store: MLflow writes it and says what it reads from it; ablate takes it in, and
every value is compared with `ablate show --json`; ablate gives it back, and MLflow, of this and of every other version, says what
it reads from that; metric files are compared byte by byte. Prints one line a store. Exits 1 at the first difference.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

MAX = 1.7976931348623157e308


def make(folder, uri):
    """Writes a store: everything that a store may hold, with values at the edges."""
    import mlflow
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    version = tuple(int(part) for part in mlflow.__version__.split(".")[:2])
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    names = ["plain", "실험: 한국어 # \"quoted\" " + "long words " * 12, "emoji 🎉 and שלום עולם"]
    experiments = [client.create_experiment(name) for name in names]
    client.set_experiment_tag(experiments[0], "team", "a=b, 한글\nsecond line")
    client.set_experiment_tag(experiments[0], "mlflow.note.content", "# About\n")

    # A run by the fluent interface with two nested ones, one in the other.
    mlflow.set_experiment(names[0])
    with mlflow.start_run(run_name="parent: 'quoted' \"twice\" 🎉") as parent:
        mlflow.log_params({"lr": 1e-4, "model/kind": "bert", "빈": "", "lines": "a\nb\r\nc\n", "rtl": "שלום"})
        mlflow.log_param("long", "가" * (80 if version < (1, 28) else 240 if version < (2, 0) else 2000))
        mlflow.set_tags({"stage": "prod", "a.b-c": "x\ny\n", "mlflow.note.content": "# A note\n\nof *lines*", "empty": ""})
        mlflow.set_tag("long", "x" * 5000)
        for step in range(5):
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 0.25)
            with mlflow.start_run(run_name="grandchild", nested=True):
                mlflow.log_metric("loss", 3)  # A whole number: the first versions write it as one.
        artifacts = pathlib.Path(folder, "to-log")
        (artifacts / "sub" / "깊은 곳").mkdir(parents=True)
        (artifacts / "a.txt").write_text("하나")
        (artifacts / "sub" / "깊은 곳" / "b 50%.bin").write_bytes(bytes(range(256)) * 500)
        (artifacts / "sub" / "empty").write_bytes(b"")
        mlflow.log_artifacts(str(artifacts), "up")
        mlflow.log_artifact(str(artifacts / "a.txt"))
        if version >= (2, 4):
            import pandas

            data = mlflow.data.from_pandas(pandas.DataFrame({"x": [1, 2]}), name="작은 set")
            mlflow.log_input(data, context="training")
            mlflow.log_input(data, context="training")

    # Numbers at the edges, in an order of their own; times before 1970 and far ahead.
    other = client.create_run(experiments[1], tags={"mlflow.user": "ana", "kind": "edges"}).info.run_id
    edges = [
        (math.nan, 10, 0), (math.inf, 11, 1), (-math.inf, 12, 2), (-0.0, 12, 3), (5e-324, 14, -5),
        (2.2250738585072009e-308, 14, -6), (0.1 + 0.2, 15, 2**63 - 1), (1e16, 16, -(2**63)), (1.5e-7, 0, 7),
        (123456789012345680.0, 4102444800000, 8), (2.0, 16, 2), (3.0, 5, 2),
    ]
    for value, at, step in edges:
        client.log_metric(other, "edge/값", value, timestamp=at, step=step)
    for start in range(0, 10_000, 1_000):
        batch = [Metric("many", math.sin(i) * 10.0 ** (i % 40 - 20), 1000 + i, i) for i in range(start, start + 1_000)]
        client.log_batch(other, metrics=batch)
    client.log_batch(other, metrics=[], params=[Param("p", "1")], tags=[RunTag("t", "1")])
    client.set_terminated(other, "FAILED", end_time=2_000_000_000_000)
    if version >= (3, 0) and uri.startswith("/"):
        mlflow.set_experiment(names[1])
        with mlflow.start_run(run_id=other):
            data = mlflow.data.from_pandas(pandas.DataFrame({"x": [1]}), name="named")
            mlflow.log_metric("of_data", 0.5, step=4, dataset=data)

    # Of every state; deleted; of deleted experiments.
    for status in ["KILLED", "FINISHED", "SCHEDULED"]:
        client.set_terminated(client.create_run(experiments[1]).info.run_id, status)
    client.create_run(experiments[1])  # Running, as somebody left it.
    client.delete_run(client.create_run(experiments[0], tags={"mlflow.parentRunId": "0" * 32}).info.run_id)
    lost = client.create_run(experiments[2]).info.run_id
    client.log_metric(lost, "m", 1.0, step=-1)
    client.delete_run(client.create_run(experiments[2]).info.run_id)
    client.delete_experiment(experiments[2])
    client.create_experiment("empty, but there")
    same_run = client.get_run(parent.info.run_id)
    assert same_run.info.run_id == parent.info.run_id


def dump(uri, opened=None):
    """Everything that MLflow reads from a store, as JSON; metrics as texts, so that every bit counts."""
    import mlflow
    from mlflow.entities import ViewType
    from mlflow.tracking import MlflowClient

    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    if hasattr(client, "search_experiments"):
        experiments = list(client.search_experiments(view_type=ViewType.ALL))
    else:
        experiments = list(client.list_experiments(view_type=ViewType.ALL))
    found = {"experiments": {}, "runs": {}}
    for e in experiments:
        e = client.get_experiment(e.experiment_id)
        times = {key: getattr(e, key, None) for key in ["creation_time", "last_update_time"]}
        found["experiments"][e.experiment_id] = dict(name=e.name, stage=e.lifecycle_stage, tags=dict(e.tags), **times)
    ids = [e.experiment_id for e in experiments]
    for run in client.search_runs(ids, run_view_type=ViewType.ALL, max_results=10_000):
        run = client.get_run(run.info.run_id)
        info = run.info
        history = {}
        for key in run.data.metrics:
            history[key] = [[repr(float(m.value)), m.timestamp, m.step] for m in client.get_metric_history(info.run_id, key)]
        one = {
            "experiment": info.experiment_id, "user": info.user_id, "status": info.status, "stage": info.lifecycle_stage,
            "start": info.start_time, "end": info.end_time, "name": getattr(info, "run_name", None),
            "params": dict(run.data.params), "tags": dict(run.data.tags), "history": history,
            "latest": {key: repr(float(value)) for key, value in run.data.metrics.items()},
            "inputs": [], "artifacts": {},
        }
        inputs = getattr(run, "inputs", None)
        for i in inputs.dataset_inputs if inputs else []:
            d = i.dataset
            tags = sorted((tag.key, tag.value) for tag in i.tags)
            one["inputs"].append([d.name, d.digest, d.source_type, d.source, d.schema, d.profile, tags])
        one["inputs"].sort(key=str)
        if found["experiments"][info.experiment_id]["stage"] == "active":
            waiting = [""]
            while waiting:
                for file in client.list_artifacts(info.run_id, waiting.pop() or None):
                    if file.is_dir:
                        waiting.append(file.path)
                    else:
                        path = client.download_artifacts(info.run_id, file.path)
                        one["artifacts"][file.path] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        found["runs"][info.run_id] = one
    print(json.dumps(found))


class Peer:
    """An interpreter with some version of MLflow."""

    def __init__(self, python, packages):
        self.python = python
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        self.environment.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ALLOW_FILE_STORE="true",
                                MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING="false", GIT_PYTHON_REFRESH="quiet")
        if packages:
            self.environment["PYTHONPATH"] = packages
        self.version = self.ask("import mlflow; print(mlflow.__version__)", "/").strip()
        self.number = tuple(int(part) for part in self.version.split(".")[:2])

    def ask(self, code, cwd):
        command = [self.python, "-W", "ignore", "-c", code]
        done = subprocess.run(command, env=self.environment, cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.python}: {code}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done.stdout

    def call(self, function, *arguments, cwd):
        module = pathlib.Path(__file__).parent
        words = ", ".join(repr(argument) for argument in arguments)
        code = f"import sys; sys.path.insert(0, {str(module)!r}); import mlflow_stores as m; m.{function}({words})"
        return self.ask(code, cwd)

    def dump(self, uri, cwd):
        return json.loads(self.call("dump", uri, cwd=cwd).splitlines()[-1])

    def has_databases(self):
        command = [self.python, "-c", "import sqlalchemy, alembic"]
        return subprocess.run(command, env=self.environment, capture_output=True).returncode == 0


COUNTS = {}


def same(what, left, right):
    COUNTS[what] = COUNTS.get(what, 0) + 1
    if left != right:
        raise SystemExit(f"{what} differs:\n  expected {left!r}\n  found    {right!r}")


def infinite(text):
    """MLflow's databases hold no infinities: they come back as what was meant."""
    return {repr(MAX): "inf", repr(-MAX): "-inf"}.get(text, text)


def spelled(value):
    return {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}.get(value) or repr(float(value))


def compare_shown(ablate, runs, before, imported):
    """Every value by `ablate show --json`."""
    states = {"RUNNING": "interrupted", "SCHEDULED": "planned", "FINISHED": "finished", "FAILED": "failed",
              "KILLED": "interrupted"}
    same("runs", sorted(before["runs"]), sorted(run["mlflow_run_id"] for run in imported["runs"]))
    own = {run["mlflow_run_id"]: run["run"] for run in imported["runs"]}
    for run in imported["runs"]:
        expected = before["runs"][run["mlflow_run_id"]]
        shown = json.loads(subprocess.run([ablate, "--runs", runs, "show", run["run"], "--json"], check=True,
                                          capture_output=True).stdout)
        same("state", states[expected["status"]], shown["state"])
        same("parameters", expected["params"], shown["logged"]["parameters"])
        experiment = before["experiments"][expected["experiment"]]["name"]
        same("experiment", experiment, shown["logged"]["experiment"])
        same("user", expected["user"] or "", shown["provenance"]["client"].get("user", ""))
        labels, tags = shown["labels"], dict(expected["tags"])
        name = tags.pop("mlflow.runName", expected["name"] or None)
        same("name", name, labels.get("name"))
        same("note", tags.pop("mlflow.note.content", None), labels.get("note"))
        if tags.get("mlflow.parentRunId") in own:
            tags["mlflow.parentRunId"] = own[tags["mlflow.parentRunId"]]
        same("tags", tags, dict(tag.split("=", 1) for tag in labels.get("tags", [])))
        is_deleted = "deleted" in (expected["stage"], before["experiments"][expected["experiment"]]["stage"])
        same("trash", is_deleted, labels.get("trashed_at") is not None)
        same("metrics", sorted(expected["history"]), sorted(shown["series"]))
        for key, history in expected["history"].items():
            if key == "of_data":  # MLflow reads the steps of these as 0.
                same("points", [4], shown["series"][key]["steps"])
                continue
            # A step has the value that came last among those of its latest time.
            latest = {}
            for value, at, step in history:
                if step not in latest or at >= latest[step][0]:
                    latest[step] = (at, infinite(value))
            series = shown["series"][key]
            found = [(step, spelled(value)) for step, value in zip(series["steps"], series["values"])]
            same("points", sorted((step, value) for step, (_, value) in latest.items()), found)
            COUNTS["values"] = COUNTS.get("values", 0) + len(found)
        inputs = []
        for i in shown["facts"].get("inputs", []):
            d = i["dataset"]
            fields = [d.get(key) for key in ["name", "digest", "source_type", "source", "schema", "profile"]]
            inputs.append(fields + [sorted([tag["key"], tag["value"]] for tag in i["tags"])])
        same("inputs", expected["inputs"], sorted(inputs, key=str))
        folder = pathlib.Path(runs, run["run"], "artifacts")
        files = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
                 for path in folder.rglob("*") if path.is_file()}
        if experiment and not before["experiments"][expected["experiment"]]["stage"] == "deleted":
            same("artifacts", expected["artifacts"], files)


def metric_files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in pathlib.Path(root).rglob("*")
            if path.is_file() and "metrics" in path.relative_to(root).parts}


def text_files(root):
    kinds = {"params", "tags"}
    return {str(path.relative_to(root)): path.read_bytes() for path in pathlib.Path(root).rglob("*")
            if path.is_file() and kinds & set(path.relative_to(root).parts) and "artifacts" not in path.parts}


def compare_given_back(before, after, writer, reader, kind):
    """What MLflow reads from what was given back, beside what it read from what it wrote."""
    if kind == "sqlite" or reader.number != writer.number:
        for run in before["runs"].values():
            for history in run["history"].values():
                for point in history:
                    point[0] = infinite(point[0])
            run["latest"] = {}
    same("experiments", sorted(before["experiments"]), sorted(after["experiments"]))
    for id, expected in before["experiments"].items():
        found = after["experiments"][id]
        if reader.number != writer.number:
            # A version 1 writes `active` into the trash, and knows no times.
            expected = {key: expected[key] for key in ["name", "tags"]}
            found = {key: found[key] for key in ["name", "tags"]}
        same("experiment", expected, found)
    same("runs", sorted(before["runs"]), sorted(after["runs"]))
    for id, expected in before["runs"].items():
        found = after["runs"][id]
        for key, value in expected.items():
            other = found[key]
            if reader.number != writer.number and key in ("name", "inputs", "latest"):
                continue
            if key == "history" and kind == "sqlite":
                value = {name: sorted(points, key=str) for name, points in value.items()}
                other = {name: sorted(points, key=str) for name, points in other.items()}
            if key == "latest" and kind == "sqlite":
                continue
            if key == "user" and kind == "sqlite":
                value, other = value or "", other or ""
            if key == "history" and reader.number != writer.number:
                value, other = ({n: p for n, p in h.items() if n != "of_data"} for h in (value, other))
            same("given back: " + key, value, other)


def run(ablate, *words):
    done = subprocess.run([ablate, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{words}\n{done.stderr}")
    return done


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--packages", help="a folder with a folder of further packages for each interpreter, by its name")
    parser.add_argument("pythons", nargs="*")
    arguments = parser.parse_args()
    ablate = str(pathlib.Path(arguments.ablate).resolve())
    peers = []
    for python in arguments.pythons:
        packages = arguments.packages and os.path.join(arguments.packages, pathlib.Path(python).parent.parent.name)
        peers.append(Peer(python, packages))
    for writer in peers:
        for kind in ["files", "sqlite"]:
            if kind == "sqlite" and not writer.has_databases():
                print(f"mlflow {writer.version} {kind}: no sqlalchemy, left out")
                continue
            COUNTS.clear()
            with tempfile.TemporaryDirectory() as folder:
                store = f"{folder}/mlruns" if kind == "files" else f"{folder}/mlflow.db"
                uri = store if kind == "files" else f"sqlite:///{store}"
                writer.call("make", folder, uri, cwd=folder)
                before = writer.dump(uri, folder)
                runs, back = f"{folder}/runs", f"{folder}/back"
                imported = json.loads(run(ablate, "--runs", runs, "import", "mlflow", store, "--json").stdout)
                same("set aside", [], imported["set_aside"])
                compare_shown(ablate, runs, before, imported)
                again = json.loads(run(ablate, "--runs", runs, "import", "mlflow", store, "--json").stdout)
                same("a second time", (0, len(imported["runs"])), (len(again["runs"]), len(again["known"])))
                exported = json.loads(run(ablate, "--runs", runs, "export", "trash=any", "--format", "mlflow",
                                          "--out", back, "--json").stdout)
                same("not taken back", [], exported["not_taken"])
                if kind == "files":
                    same("metric files", metric_files(store), metric_files(back))
                    same("parameter and tag files", text_files(store), text_files(back))
                    COUNTS["metric bytes"] = sum(map(len, metric_files(store).values()))
                readers = [reader for reader in peers if reader.number >= (1, 30)]
                if writer.number < (1, 30):
                    readers.append(writer)
                for reader in sorted(readers, key=lambda reader: reader.number, reverse=True):
                    if reader.number < (3, 0):  # It opens no store with a point of a data set, MLflow's own neither.
                        for path in pathlib.Path(back).rglob("metrics/of_data"):
                            path.rename(f"{folder}/of_data")
                    original = json.loads(json.dumps(before))
                    compare_given_back(original, reader.dump(back, folder), writer, reader, kind)
                # Once more around: what came back comes in and goes out as it is.
                twice, last = f"{folder}/twice", f"{folder}/last"
                run(ablate, "--runs", twice, "import", "mlflow", back)
                run(ablate, "--runs", twice, "export", "trash=any", "--format", "mlflow", "--out", last)
                same("metric files, twice", metric_files(back), metric_files(last))
                left = len(imported["not_taken"]), len(imported["changed"])
                counted = ", ".join(f"{count} {what}" for what, count in COUNTS.items())
                print(f"mlflow {writer.version} {kind}: {len(before['experiments'])} experiments, {len(before['runs'])} runs; "
                      f"read by {', '.join(reader.version for reader in readers)}; {left[0]} not taken, {left[1]} changed; "
                      f"compared: {counted}", flush=True)


if __name__ == "__main__":
    main()
