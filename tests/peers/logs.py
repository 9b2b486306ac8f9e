"""Logs that PyTorch, tensorboardX, Lightning and W&B write, taken in by `ablate import` and held against what TensorBoard's own reader and
the writers say: every value to the last bit, every step, every time to the millisecond, settings, states and texts.

    python tests/peers/logs.py --ablate target/release/ablate [--torch PYTHON] [--wandb PYTHON]...

This interpreter needs `tensorboard` and `tensorboardX`; --torch names one with `torch` and `lightning` (TensorBoard is lent to it), each
--wandb one with `wandb` and `pillow`, of any version. What is not named is not tried.
"""

import argparse
import collections
import csv
import json
import math
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time

EDGES = [0.1, 1 / 3, float("nan"), float("inf"), -float("inf"), -0.0, 5e-324, 1e-45, 1.7976931348623157e308, 16777217.0]
STEPS = 10_000


def bits(value):
    value = float(value)
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


# ---- who writes


def write_tensorboardx(folder):
    from tensorboardX import SummaryWriter

    with SummaryWriter(f"{folder}/x") as writer:
        for step, value in enumerate(EDGES):
            writer.add_scalar("edge", value, step - 3)
            writer.add_scalar("검증/🎉 손실", value, step)
        for step in range(STEPS):
            writer.add_scalar("loss", 1 / (step + 1), step)
        writer.add_text("note", "# a\n\"b\"", 5)
        writer.add_hparams({"lr": 0.1, "layers": 3, "opt": "adam"}, {"hparam/acc": 0.9}, name="trial")


def write_torch(folder):
    import numpy
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(f"{folder}/torch") as writer:
        for step, value in enumerate(EDGES):
            writer.add_scalar("edge", value, step)
            writer.add_scalar("new", value, step, new_style=True)
            writer.add_scalar("double", value, -step, new_style=True, double_precision=True)
        writer.add_scalar("far", 1.5, 2**62)
        writer.add_histogram("weights", numpy.arange(10), 0)
        writer.add_image("image", numpy.zeros((3, 4, 4), dtype=numpy.uint8), 0)
        writer.add_pr_curve("curve", numpy.array([0, 1]), numpy.array([0.2, 0.3]), 0)
        writer.add_text("note", "text\nof \"it\"", 1)
        writer.add_scalars("many", {"a": 1.0, "b": 2.0}, 0)
        writer.add_hparams({"lr": 0.1, "layers": 32, "opt": "adam"}, {"hparam/acc": 0.9}, run_name="trial")
    # Steps that are done again after a restart, and steps that are said twice.
    for begin, end, purge in [(0, 10, None), (5, 8, 5), (7, 9, None)]:
        with SummaryWriter(f"{folder}/again", purge_step=purge, filename_suffix=f".{begin}{end}") as writer:
            for step in range(begin, end):
                writer.add_scalar("loss", step + 100 * begin, step)
    logger = TensorBoardLogger(folder, name="lightning_logs")
    logger.log_hyperparams({"lr": 1e-5, "net": {"layers": 2, "on": True}, "none": None})
    for step in range(20):
        logger.log_metrics({"loss": 1 / (step + 3), "epoch": step // 10}, step=step)
    logger.finalize("success")
    logger = CSVLogger(f"{folder}-csv", name="lightning_logs")
    logger.log_hyperparams({"lr": 1e-5, "net": {"layers": 2}})
    for step, value in enumerate(EDGES):
        logger.log_metrics({"train_loss": value, "epoch": 0}, step=step)
        if step % 3 == 0:
            logger.log_metrics({"val_loss": value / 3, "epoch": 0}, step=step)
    logger.finalize("success")


def write_wandb(folder, how):
    """Writes a run, and beside it what was logged: the history by key, the settings, the state."""
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=folder)
    os.makedirs(folder, exist_ok=True)
    import wandb

    config = {"lr": 1e-5, "layers": 3, "net": {"kind": "gru", "sizes": [1, 2]}, "on": True, "이름": "한글 🎉"}
    of = {"project": "peers", "config": config, "name": "a name", "notes": "two\nlines", "tags": ["t"], "group": "g"}
    said = collections.defaultdict(list)

    def log(run, values, step):
        def flat(key, value):
            if isinstance(value, dict):
                for name, inner in value.items():
                    yield from flat(f"{key}.{name}", inner)
            else:
                yield key, value

        run.log(values, step=step)
        for key, value in values.items():
            for name, number in flat(key, value):
                said[name].append([step, bits(number)])

    run = wandb.init(id=f"id{how}", **of)
    if how in ("long", "killed"):  # W&B writes 32 KiB at a time: of a short run that is killed nothing is left.
        for step in range(STEPS):
            log(run, {"loss": 1 / (step + 1), "nested": {"a": step, "b": {"c": -0.5 * step}}}, step)
    else:
        for step, value in enumerate(EDGES):
            log(run, {"edge": value, "검증/🎉": value, "nested": {"a": {"b": value}}}, 2 * step)
        run.log({"h": wandb.Histogram([1.0, 2.0, 3.0])}, step=90)
    state = "finished"
    if how == "resumed":
        run.finish()
        time.sleep(2)  # Folders are called by the second: in the same one W&B would write over the first.
        run = wandb.init(id=f"id{how}", resume="allow", **of)
        log(run, {"later": 7.0, "edge": 0.25}, 200)
    run.config.update({"added": 5})
    run.summary["best"] = 0.125
    with open(f"{folder}/said-{how}.json", "w") as file:
        state = {"killed": "interrupted", "failed": "failed"}.get(how, "finished")
        json.dump({"history": said, "state": state}, file)
    if how == "killed":
        time.sleep(6)
        os.kill(os.getpid(), signal.SIGKILL)
    run.finish(exit_code=3 if how == "failed" else 0)


# ---- who reads


class Store:
    def __init__(self, ablate, folder):
        self.command = [ablate, "--runs", folder, "--quiet"]

    def json(self, *words):
        done = subprocess.run([*self.command, *words, "--json"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def points(self, run):
        """By metric, steps with bits, and with times in milliseconds where they have one."""
        text = subprocess.run(
            [*self.command, "export", f"id = {run}", "--format", "csv", "--shape", "long"], capture_output=True, text=True, check=True
        ).stdout
        points = collections.defaultdict(dict)
        for row in csv.DictReader(text.splitlines()):
            metric = row["metric"].removeprefix("'")
            points[metric][int(row["step"])] = (bits(row["value"]), row["time"])
        return points


def once(events):
    """What holds at each step: what came last among what has the latest time."""
    best = {}
    for step, value, time in events:
        if step not in best or time >= best[step][1]:
            best[step] = (value, time)
    return best


def to_millis(secs):
    """To the nearest, and up from the middle."""
    return math.floor(secs * 1000 + 0.5)


def check_tensorboard(ablate, logs, runs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    store = Store(ablate, runs)
    imported = store.json("import", "tensorboard", logs)
    assert not imported["set_aside"], imported["set_aside"]
    again = store.json("import", "tensorboard", logs)
    assert not again["runs"] and len(again["known"]) == len(imported["runs"])
    folders = {str(path.parent.relative_to(logs)) for path in pathlib.Path(logs).rglob("*tfevents*")}
    assert folders == {run["source"] for run in imported["runs"]}, folders
    count = 0
    for run in imported["runs"]:
        theirs = EventAccumulator(f"{logs}/{run['source']}", size_guidance=dict.fromkeys(
            ["compressedHistograms", "images", "audio", "scalars", "histograms", "tensors"], 0))
        theirs.Reload()
        expected = {
            tag: once([(event.step, bits(event.value), to_millis(event.wall_time)) for event in theirs.Scalars(tag)])
            for tag in theirs.Tags()["scalars"]
        }
        for tag in theirs.Tags()["tensors"]:
            if theirs.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                events = [
                    (event.step, bits(tensor_util.make_ndarray(event.tensor_proto).item()), to_millis(event.wall_time))
                    for event in theirs.Tensors(tag)
                ]
                expected[tag] = once(events)
        ours = store.points(run["run"])
        assert set(ours) == set(expected), (run["source"], set(ours) ^ set(expected))
        for tag, steps in expected.items():
            found = {step: (value, millis(time)) for step, (value, time) in ours[tag].items()}
            differing = {step: (found.get(step), steps.get(step)) for step in found | steps if found.get(step) != steps.get(step)}
            assert not differing, (run["source"], tag, len(differing), dict(list(differing.items())[:3]))
            count += len(steps)
    settings = {run["source"]: store.json("show", run["run"])["logged"]["parameters"] for run in imported["runs"]}
    trials = [name for name in settings if name.endswith("trial")]
    assert trials
    for trial in trials:
        found = settings[trial]
        assert found["lr"] == 0.1 and found["opt"] == "adam" and found["layers"] in (3, 32), found
    if "lightning_logs/version_0" in settings:
        assert settings["lightning_logs/version_0"] == {"lr": 1e-5, "net": {"layers": 2, "on": True}, "none": None}
    print(f"tensorboard: {len(imported['runs'])} runs, {count} points equal to TensorBoard's reader")


def millis(time):
    import datetime

    moment = datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def check_csv(ablate, logs, runs):
    store = Store(ablate, runs)
    imported = store.json("import", "csv", logs)
    assert len(imported["runs"]) == 1 and not imported["not_taken"], imported
    expected = collections.defaultdict(dict)
    for row in csv.DictReader(open(f"{logs}/lightning_logs/version_0/metrics.csv")):
        for name, value in row.items():
            if value and name != "step":
                expected[name][int(row["step"])] = bits(value)
    ours = {name: {step: value for step, (value, _) in points.items()} for name, points in store.points(imported["runs"][0]["run"]).items()}
    assert ours == expected
    assert store.json("show", imported["runs"][0]["run"])["logged"]["parameters"] == {"lr": 1e-5, "net": {"layers": 2}}
    # Out, in elsewhere, and out again: the same bytes.
    first = f"{runs}-first.csv"
    subprocess.run([*store.command, "export", "state = finished", "--format", "csv", "--shape", "long", "--out", first], capture_output=True, check=True)
    other = Store(ablate, f"{runs}-other")
    back = other.json("import", "csv", first)
    second = subprocess.run([*other.command, "export", "state = finished", "--format", "csv", "--shape", "long"], capture_output=True, text=True, check=True).stdout
    second = second.replace(back["runs"][0]["run"], imported["runs"][0]["run"])
    assert second == pathlib.Path(first).read_text()
    print(f"csv: {sum(map(len, expected.values()))} points of Lightning's table equal, and out and in again")


def check_wandb(ablate, logs, runs, version):
    store = Store(ablate, runs)
    imported = store.json("import", "wandb", f"{logs}/wandb")
    again = store.json("import", "wandb", logs)
    assert not again["runs"] and len(again["known"]) == len(imported["runs"])
    count = 0
    for said in sorted(pathlib.Path(logs).glob("said-*.json")):
        how, expected = said.stem.removeprefix("said-"), json.loads(said.read_text())
        [run] = [run for run in imported["runs"] if run["source"].endswith(f"/id{how}")]
        record = store.json("show", run["run"])
        assert run["state"] == expected["state"], (how, run["state"], record["reason"])
        ours = store.points(run["run"])
        for key, points in expected["history"].items():
            found = {step: value for step, (value, _) in ours[key].items()}
            wanted = {step: value for step, value in points}
            if how == "killed":  # What had not reached the disk cannot be here.
                wanted = {step: value for step, value in wanted.items() if step in found}
                assert len(found) == len(wanted) > 100, (how, key, len(found))
            assert found == wanted, (version, how, key)
            count += len(wanted)
        assert {name for name in ours if not name.startswith("system/")} == set(expected["history"]), (how, set(ours))
        settings = record["logged"]["parameters"]
        wanted = {"lr": 1e-5, "layers": 3, "net": {"kind": "gru", "sizes": [1, 2]}, "on": True, "이름": "한글 🎉", "added": 5}
        if how == "killed":
            settings.setdefault("added", 5)
            assert record["reason"].startswith("its log has no end"), record["reason"]
        assert settings == wanted, (how, settings)
        labels = record["labels"]
        assert (labels["name"], labels["note"], set(labels["tags"])) == ("a name", "two\nlines", {"t", "group=g"})
        assert imported["experiments"] == ["peers"]
    print(f"wandb {version}: {len(imported['runs'])} runs, {count} points equal to what was logged")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--torch")
    parser.add_argument("--wandb", action="append", default=[])
    parser.add_argument("--write", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        what, *rest = args.write
        {"torch": write_torch, "wandb": write_wandb}[what](*rest)
        return
    import tensorboard

    ablate = str(pathlib.Path(args.ablate).resolve())
    with tempfile.TemporaryDirectory() as place:
        logs = f"{place}/logs"
        write_tensorboardx(logs)
        if args.torch:
            lent = str(pathlib.Path(tensorboard.__file__).parent.parent)
            code = f"import sys, runpy; sys.path.append({lent!r}); sys.argv = {[__file__, '--write', 'torch', logs]!r}; runpy.run_path({__file__!r}, run_name='__main__')"
            subprocess.run([args.torch, "-c", code], check=True, capture_output=True)
            check_csv(ablate, f"{logs}-csv", f"{place}/runs-csv")
        check_tensorboard(ablate, logs, f"{place}/runs")
        for number, python in enumerate(args.wandb):
            version = subprocess.run([python, "-c", "import wandb; print(wandb.__version__)"], capture_output=True, text=True, check=True).stdout.strip()
            folder = f"{place}/wandb-{number}"
            for how in ["edges", "long", "resumed", "failed", "killed"]:
                # A service of W&B's may outlive the run, and would hold a pipe open.
                done = subprocess.run([python, __file__, "--write", "wandb", folder, how], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                assert done.returncode == (-signal.SIGKILL if how == "killed" else 0), (version, how, done.returncode)
            check_wandb(ablate, folder, f"{place}/runs-{number}", version)


if __name__ == "__main__":
    main()
