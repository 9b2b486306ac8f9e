#!/usr/bin/env python3
"""The run store at scale, and MLflow in the same sitting: questions over many runs, one run of many points, what is written.

    python3 benches/store.py --ablate target/release/ablate [--runs 100000] [--points 10000000] [--mlflow PYTHON] [--keep FOLDER]

Runs are made through `ablate serve` (10 metrics and 20 parameters each); every command is timed as a whole, from its start to its end,
and the median of `--rounds` is printed with the most memory that it took. `--mlflow` names a Python with mlflow: the same with its
own store (SQLite, in its own process) of 1,000 runs.
"""

import argparse
import json
import math
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "peers"))
import mlflow_load as load  # noqa: E402

OF_MLFLOW = """
import sys, time, statistics, logging
logging.disable(logging.CRITICAL)
import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient
client = MlflowClient("sqlite:///" + sys.argv[1])
experiment = client.create_experiment("speed")
def timed(times, act):
    took = []
    for _ in range(times):
        start = time.perf_counter(); act(); took.append(time.perf_counter() - start)
    return statistics.median(took)
runs = int(sys.argv[2])
start = time.perf_counter()
for number in range(runs):
    run = client.create_run(experiment).info.run_id
    client.log_batch(run, [Metric(f"m{i}", number * 0.37 % 1 + i, 1, 1) for i in range(10)], [Param(f"p{i}", str(number % (i + 2))) for i in range(20)])
    client.set_terminated(run)
print(f"mlflow {mlflow.__version__}: {runs / (time.perf_counter() - start):.0f} runs/s made")
search = lambda: client.search_runs([experiment], "attributes.status = 'FINISHED' and metrics.m3 < 3.5", max_results=20)
print(f"mlflow: a question of two clauses over {runs} runs {timed(5, search) * 1e3:.0f} ms (in its own process, without starting Python)")
run = client.create_run(experiment).info.run_id
step = iter(range(10**9))
print(f"mlflow: log_metric {1 / timed(50, lambda: client.log_metric(run, 'a', 0.5, step=next(step))):.0f}/s")
batch = lambda: client.log_batch(run, [Metric("b", 0.5, 1, next(step)) for _ in range(1000)])
print(f"mlflow: log_batch of 1,000 {1000 / timed(10, batch):.0f} points/s")
print(f"mlflow: the history of 10,000 points {timed(5, lambda: client.get_metric_history(run, 'b')) * 1e3:.0f} ms")
"""


def timed(args, label, *words, rounds=None):
    took, memory = [], 0
    for _ in range(rounds or args.rounds):
        start = time.perf_counter()
        process = subprocess.Popen([args.ablate, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        took.append(time.perf_counter() - start)
        assert status == 0, words
        memory = max(memory, usage.ru_maxrss)
    print(f"{label}: {statistics.median(took) * 1e3:.0f} ms, {memory / 1024:.0f} MiB", flush=True)


def many_runs(args, folder):
    store = str(folder / "many")
    if not Path(store).exists():
        server = load.Server(args.ablate, store)
        experiment = load.Connection(server.port).post("experiments/create", {"name": "speed"})["experiment_id"]
        parts = [range(first, args.runs, 4) for first in range(4)]
        makers = [multiprocessing.Process(target=load.makes_runs, args=(server.port, experiment, part)) for part in parts]
        start = time.perf_counter()
        [maker.start() for maker in makers]
        [maker.join() for maker in makers]
        print(f"{args.runs} runs made: {args.runs / (time.perf_counter() - start):.0f}/s", flush=True)
        server.kill()
    for file in Path(store).glob("index.sqlite*"):
        file.unlink()
    timed(args, f"cold index of {args.runs} runs", "--runs", store, "list", "limit=1", rounds=1)
    timed(args, "reindex", "--runs", store, "reindex", rounds=1)
    timed(args, "a question for which all folders are looked at", "--runs", store, "list", "limit=1", rounds=1)
    for query in ["state = finished and m3.min < 3.5 limit=20", "p5 = 3 and m3.min < 3.01 limit=20", "(m3 < 3.2 or p2 = 1) limit=20"]:
        timed(args, f"list '{query}'", "--runs", store, "list", query)
    timed(args, "list 'p5 = 3 limit=20' --sort m3", "--runs", store, "list", "p5 = 3 limit=20", "--sort", "m3")
    timed(args, "show latest", "--runs", store, "show", "latest")


def many_points(args, folder):
    store = str(folder / "long")
    if not Path(store).exists():
        server = load.Server(args.ablate, store)
        connection = load.Connection(server.port)
        run, draw, spent = connection.run(), random.Random(1), 0
        for first in range(0, args.points, 1000):
            values = [math.sin(step / 3e5) + draw.gauss(0, 0.1) for step in range(first, first + 1000)]
            metrics = [{"key": "loss", "value": v, "timestamp": 1, "step": first + i} for i, v in enumerate(values)]
            body = json.dumps({"run_id": run, "metrics": metrics}).encode()
            start = time.perf_counter()
            connection.post("runs/log-batch", body)
            spent += time.perf_counter() - start
        connection.post("runs/update", {"run_id": run, "status": "FINISHED"})
        print(f"{args.points} points in batches of 1,000: {args.points / spent:.0f} points/s", flush=True)
        server.kill()
    timed(args, f"the first show of {args.points} points", "--runs", store, "show", "latest", rounds=1)
    timed(args, "show", "--runs", store, "show", "latest")
    server = load.Server(args.ablate, store)
    connection = load.Connection(server.port)
    run = next(path.name for path in Path(store).iterdir() if (path / "events.log").exists())
    for words in ["", f"&from={args.points // 10}&to={args.points // 2}", f"&from={args.points // 2}&to={args.points // 2 + 300000}"]:
        took = []
        for _ in range(9):
            start = time.perf_counter()
            status, _ = connection.send("GET", f"/api/v1/runs/{run}/series?metric=loss&points=2000{words}")
            took.append(time.perf_counter() - start)
            assert status == 200
        print(f"2,000 drawn points with exact extrema{words.replace('&', ' ')}: {statistics.median(took) * 1e3:.0f} ms", flush=True)
    print(f"the server then: {server.memory_mib():.0f} MiB", flush=True)
    server.kill()
    with tempfile.TemporaryDirectory(dir=folder) as out:
        for spelling in ["csv", "parquet"]:
            timed(args, f"all points as {spelling}", "--runs", store, "export", "latest", "--format", spelling, "--shape", "long",
                  "--out", f"{out}/points.{spelling}", rounds=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mlflow")
    parser.add_argument("--keep")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        folder.mkdir(exist_ok=True)
        many_points(args, folder)
        many_runs(args, folder)
        if args.mlflow:
            subprocess.run([args.mlflow, "-c", OF_MLFLOW, str(folder / "mlflow.db"), "1000"], check=True)
            (folder / "mlflow.db").unlink()


main()
