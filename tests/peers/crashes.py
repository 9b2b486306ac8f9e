"""Crashes, damage and full disks at thousands of random points: what the store loses, misreads or leaves behind (nothing).

    python tests/peers/crashes.py --ablate target/release/ablate [--kills 100] [--cuts 100] [--flips 1000] [--full 12] [--seed 1]

A sweep of four runs of 40 tiny steps (a checkpoint every 5) is disturbed, the same command is given again, and what comes out is
held against a sweep that nothing happened to: chain, weights and last evaluation of every specification, bit for bit.

  kills   SIGKILL of the program, of a worker or of both, at random moments, up to three times before a sweep may end
  cuts    power cuts (power_cut.c): what was not flushed is gone, at the n-th flush; needs a C compiler
  index   SIGKILL of a program that makes the index, or that stores a digest, at random moments
  logs    the log cut at every byte; what is listed must be a beginning of what was there
  flips   single bits of every kind of file; what is said must be right, or the damage named
  full    disks that are full at some point (a small tmpfs; needs mount rights), then have room again
  crowd   8 writers and 8 readers at once (--crowd SECONDS)
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TINY = """
[experiment]
name = "tiny"
[data]
corpus = "demo"
demo_documents = 60
[tokenizer]
vocab_size = 900
[model]
preset = "nano"
[train]
steps = 40
batch_size = 8
seq_len = 32
eval_every = 10
checkpoint_every = 5
[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3]
[sweep.replicates]
seeds = 2
"""
RUN = ["run", "tiny.toml", "--threads", "1", "--jobs", "1"]


class Bench:
    """A folder with the experiment and a store."""

    def __init__(self, ablate, parent=None):
        self.ablate, self.folder = ablate, Path(tempfile.mkdtemp(prefix="crash-", dir=parent))
        self.store = self.folder / "runs"
        (self.folder / "tiny.toml").write_text(TINY)

    def start(self, *words, env=None, **options):
        return subprocess.Popen(
            [self.ablate, *words], cwd=self.folder, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1", **(env or {})}, **options,
        )

    def call(self, *words):
        process = self.start(*words)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def json(self, *words):
        done = subprocess.run([self.ablate, *words, "--json"], cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, (words, done.stderr)
        return json.loads(done.stdout)

    def outcome(self):
        """Of every specification what its finished run came to."""
        found = {}
        for run in self.json("list", "not state = planned")["runs"]:
            assert run["state"] == "finished", run
            shown = self.json("show", run["id"])
            points = {name: (s["steps"], s["values"]) for name, s in shown["series"].items() if not name.startswith("time/")}
            facts = {key: shown["facts"].get(key) for key in ("final_chain", "final_weights")}
            assert all(facts.values()), shown["facts"].keys()
            key, value = shown["spec_hash"], (facts, {n: p for n, p in points.items() if "per_s" not in n})
            assert found.get(key, value) == value
            found[key] = value
        return found

    def is_sound(self):
        code, out = self.call("fsck")
        assert code == 0, out
        listed = self.json("list", "--sort", "id")["runs"]
        (self.store / "index.sqlite").unlink(missing_ok=True)
        assert self.json("list", "--sort", "id")["runs"] == listed, "the index is not what a fresh one is"

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def differing(found, expected):
    return [key for key in expected if found.get(key) != expected[key]] + [key for key in found if key not in expected]


def again(bench):
    code, out = bench.call(*RUN)
    if code != 0 and "--retry" in out:
        code, out = bench.call(*RUN, "--retry")
    return code, out


def kills(args, expected):
    """SIGKILL at random moments of a sweep that takes `took` seconds."""
    hit = 0
    for number in range(args.kills):
        bench = Bench(args.ablate)
        for _ in range(random.randint(1, 3)):
            process = bench.start(*RUN)
            time.sleep(random.uniform(0.02, args.took))
            found = subprocess.run(["pgrep", "-s", str(process.pid)], capture_output=True, text=True).stdout.split()
            workers = [int(pid) for pid in found if int(pid) != process.pid]
            victims = random.choice([[process.pid], workers, [process.pid, *workers]]) or [process.pid]
            for victim in victims:
                try:
                    os.kill(victim, signal.SIGKILL)
                    hit += 1
                except ProcessLookupError:
                    pass
            process.communicate()
        time.sleep(0.1)
        code, out = again(bench)
        assert code == 0, out
        assert not (wrong := differing(bench.outcome(), expected)), (number, wrong)
        bench.is_sound()
        bench.remove()
    print(f"kills: {args.kills} sweeps, {hit} processes killed, 0 wrong", flush=True)


def cuts(args, expected):
    folder = Path(tempfile.mkdtemp(prefix="cut-"))
    library = folder / "power_cut.so"
    source = Path(__file__).with_name("power_cut.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    # How many flushes a sweep has.
    bench = Bench(args.ablate)
    count = folder / "count"
    env = {"LD_PRELOAD": str(library), "POWER_COUNT": str(count), "POWER_STORE": str(bench.store)}
    bench.start(*RUN, env={**env, "POWER_AT": "1000000000"}).communicate()
    flushes = int.from_bytes(count.read_bytes()[:4], "little")
    bench.remove()
    points = list(range(1, flushes + 1))
    random.shuffle(points)
    points = points[: args.cuts]
    for at in points:
        bench = Bench(args.ablate)
        count.unlink()
        process = bench.start(*RUN, env={**env, "POWER_STORE": str(bench.store), "POWER_AT": str(at)})
        process.communicate()
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)])
        assert process.returncode == -signal.SIGKILL, (at, process.returncode)
        time.sleep(0.05)
        code, out = again(bench)
        assert code == 0, (at, out)
        assert not (wrong := differing(bench.outcome(), expected)), (at, wrong)
        bench.is_sound()
        bench.remove()
    shutil.rmtree(folder)
    print(f"cuts: {len(points)} of {flushes} flushes, 0 wrong", flush=True)


def index(args, reference):
    """Kills of who makes the index of many runs."""
    bench = Bench(args.ablate)
    shutil.copytree(reference.store, bench.store)
    first = next(p for p in bench.store.iterdir() if (p / "spec.toml").exists())
    expected = bench.json("list", "--sort", "id")["runs"]
    for number in range(args.index):
        if number % 2:
            (bench.store / "index.sqlite").unlink(missing_ok=True)
        process = bench.start(random.choice(["reindex", "list"]))
        time.sleep(random.uniform(0.001, 0.03))
        process.kill()
        process.communicate()
        assert bench.json("list", "--sort", "id")["runs"] == expected, number
    bench.is_sound()
    assert first.exists()
    bench.remove()
    print(f"index: {args.index} kills, 0 wrong", flush=True)


def logs(args, reference):
    """Every length that a log can be cut to."""
    bench = Bench(args.ablate)
    run = next(p for p in reference.store.iterdir() if (p / "events.log").exists())
    shutil.copytree(run, bench.store / run.name)
    log = bench.store / run.name / "events.log"
    whole = log.read_bytes()
    shown = bench.json("show", run.name)["series"]
    step = max(1, len(whole) // args.logs)
    points = refused = 0
    for end in range(0, len(whole), step):
        log.write_bytes(whole[:end])
        done = subprocess.run([args.ablate, "show", run.name, "--json"], cwd=bench.folder, capture_output=True, text=True)
        points += 1
        if done.returncode != 0:
            assert "events.log" in done.stderr, (end, done.stderr)
            refused += 1
            continue
        record = json.loads(done.stdout)
        for name, series in record["series"].items():
            count = len(series["steps"])
            assert series["steps"] == shown[name]["steps"][:count] and series["values"] == shown[name]["values"][:count], (end, name)
        lines = whole[:end].count(b"\n")
        assert record["torn_bytes"] == end - (whole[:end].rfind(b"\n") + 1), (end, lines)
        assert record["state"] in ("lost", "planned", "finished"), record["state"]
    bench.remove()
    print(f"logs: {points} lengths of {len(whole)} bytes, {refused} refused, 0 read wrong", flush=True)


def flips(args, reference):
    """Single bits of any file: the same is said, or the damage is named."""
    bench = Bench(args.ablate)
    shutil.copytree(reference.store, bench.store)
    expected = {run["id"]: bench.json("show", run["id"]) for run in bench.json("list")["runs"]}
    bench.call("tag", "id like '%'", "--add", "kept")
    expected = {run: bench.json("show", run) for run in expected}
    files = [p for p in bench.store.rglob("*") if p.is_file() and p.stat().st_size and "reports" not in p.parts]
    kinds = {}
    for file in files:
        kinds.setdefault(file.suffix if file.suffix in (".safetensors", ".sqlite", ".tok") else file.name, []).append(file)
    named = same = 0
    for number in range(args.flips):
        file = random.choice(kinds[sorted(kinds)[number % len(kinds)]])
        if not file.exists():
            continue
        whole = file.read_bytes()
        at = random.randrange(len(whole) * 8)
        damaged = bytearray(whole)
        damaged[at // 8] ^= 1 << (at % 8)
        file.write_bytes(bytes(damaged))
        code, out = bench.call("fsck")
        if code != 0:
            named += 1
        else:
            found = {run: bench.json("show", run) for run in expected}
            torn = file.name == "events.log" and "torn" in bench.call("doctor")[1]
            allowed = file.name in (".changes", "log.txt", "lease", "labels.json", "experiments.json") or torn
            assert found == expected or allowed, (str(file), at, out)
            same += 1
        file.write_bytes(whole)
        if file.suffix == ".sqlite":
            bench.call("reindex")
    bench.remove()
    print(f"flips: {args.flips} bits in {len(kinds)} kinds of files, {named} named, {same} without effect, 0 read as data", flush=True)


def full(args, expected):
    """Disks that are full somewhere on the way."""
    place = Path(tempfile.mkdtemp(prefix="full-"))
    size = sum(p.stat().st_size for p in args.reference.folder.rglob("*") if p.is_file())
    codes = {}
    for number in range(args.full):
        limit = int(size * (number + 1) / (args.full + 1))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={limit}", "tmpfs", place], capture_output=True)
        if mounted.returncode != 0:
            print("full: not done, mounting is not allowed here", flush=True)
            return
        try:
            bench = Bench(args.ablate, parent=place)
            code, out = bench.call(*RUN)
            codes[code] = codes.get(code, 0) + 1
            if code != 0:
                assert "space" in out or "full" in out, out
            assert "locked" not in out and "panicked" not in out, out
            subprocess.run(["mount", "-o", "remount,size=1g", place], check=True)
            code, out = bench.call(*RUN)
            assert code == 0, (limit, out)
            assert not (wrong := differing(bench.outcome(), expected)), (limit, wrong)
            bench.is_sound()
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    place.rmdir()
    print(f"full: {args.full} sizes, exit codes {codes}, then the same command: 0 wrong", flush=True)


def crowd(args, expected):
    """Writers and readers on one store at once."""
    bench = Bench(args.ablate)
    end, counts, problems = time.time() + args.crowd, {"read": 0, "written": 0}, []

    def works(number, is_writer):
        while time.time() < end and not problems:
            if is_writer and number < 2:
                words = [*RUN, "--set", f"train.steps={random.choice([5, 10, 40])}"]
            elif is_writer:
                words = random.choice([["tag", "tiny", "--add", f"t{number}"], ["tag", "tiny", "--remove", f"t{number}"],
                                       ["note", "latest", f"by {number}"], ["reindex"]])
            else:
                words = random.choice([["list", "mask_ratio = 0.3"], ["list", "--json"], ["show", "latest"], ["compare", "tiny"], ["fsck"]])
            process = bench.start(*words)
            out, _ = process.communicate()
            told = ["no run matches", "no runs", "there is no run", "no run store", "no run has", "nothing to compare", "has no run", "is empty", "begins no run"]
            if "panicked" in out or "locked" in out or "disk I/O" in out:
                problems.append((words, out))
            elif process.returncode != 0 and not any(text in out for text in told):
                problems.append((words, process.returncode, out))
            counts["written" if is_writer else "read"] += 1

    threads = [threading.Thread(target=works, args=(n, w)) for n in range(8) for w in (True, False)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not problems, problems[:3]
    code, out = again(bench)
    assert code == 0, out
    found = bench.outcome()
    assert not [key for key in expected if found.get(key) != expected[key]]
    bench.is_sound()
    bench.remove()
    print(f"crowd: {args.crowd} s, {counts['written']} writers and {counts['read']} readers, 0 wrong", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    for name, usual in [("kills", 40), ("cuts", 60), ("index", 200), ("logs", 2000), ("flips", 400), ("full", 8), ("crowd", 60)]:
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.ablate = os.path.abspath(args.ablate)
    random.seed(args.seed)
    args.reference = reference = Bench(args.ablate)
    start = time.time()
    code, out = reference.call(*RUN)
    args.took = time.time() - start
    assert code == 0, out
    expected = reference.outcome()
    reference.is_sound()
    print(f"reference: {len(expected)} runs in {args.took:.1f} s", flush=True)
    logs(args, reference)
    flips(args, reference)
    index(args, reference)
    cuts(args, expected)
    kills(args, expected)
    full(args, expected)
    crowd(args, expected)
    reference.remove()


if __name__ == "__main__":
    main()
