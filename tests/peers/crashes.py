"""Crashes, damage and full disks at thousands of random points: what the store loses, misreads or leaves behind (nothing).

    python tests/peers/crashes.py --ablate target/release/ablate [--kills 100] [--cuts 100] [--flips 1000] [--full 12] [--seed 1]
                                  [--only faults,crowd]

A sweep of four runs of 40 tiny steps (a checkpoint every 5) is disturbed, the same command is given again, and what comes out is
held against a sweep that nothing happened to: chain, weights and last evaluation of every specification, bit for bit.

  kills   SIGKILL of the program, of a worker or of both, at random moments, up to three times before a sweep may end
  cuts    power cuts (disk_faults.c): what was not flushed is gone, at the n-th flush; needs a C compiler
  index   SIGKILL of a program that makes the index, or that stores a digest, at random moments
  logs    the log cut at every byte; what is listed must be a beginning of what was there
  flips   single bits of every kind of file; what is said must be right, or the damage named
  full    disks that are full at some point (a small tmpfs; needs mount rights), then have room again
  faults  EIO, ENOSPC, EDQUOT or EROFS from the n-th call of a kind on, or once (disk_faults.c; strace for renames), of a sweep, of every
          command that writes or reads, and of a server that is logged to: the cause and the file are named, and the same
          command then ends as if nothing had been
  sealed  a store on a disk that is mounted read-only (needs mount rights): it is read, and who writes is told
  clock   a time of day that jumps by hours during a sweep
  crowd   8 writers and 8 readers at once (--crowd SECONDS)
"""

import argparse
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
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

    def start(self, *words, env=None, before=(), stderr=subprocess.STDOUT):
        return subprocess.Popen(
            [*before, self.ablate, *words], cwd=self.folder, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=stderr, env={**self.surroundings(), **(env or {})},
        )

    def surroundings(self):
        return {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(self.folder / "home")}

    def call(self, *words):
        process = self.start(*words)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def json(self, *words):
        done = subprocess.run([self.ablate, *words, "--json"], cwd=self.folder, capture_output=True, text=True, timeout=300, env=self.surroundings())
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
        listed = self.json("list", "--sort", "id")["runs"]
        if code != 0:
            # What an index says that is not what a fresh one says is gone once it is made anew.
            self.call("reindex")
            fresh = self.json("list", "--sort", "id")["runs"]
            assert False, (out, [(a, b) for a, b in zip(listed, fresh) if a != b], self.folder)
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


def end(process):
    """Kills a program with all that it started."""
    subprocess.run(["pkill", "-KILL", "-s", str(process.pid)])
    said = process.communicate()
    time.sleep(0.1)
    return said


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


def disk_faults(folder):
    """The library that makes faults."""
    library = folder / "disk_faults.so"
    source = Path(__file__).with_name("disk_faults.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def cuts(args, expected):
    folder = Path(tempfile.mkdtemp(prefix="cut-"))
    library = disk_faults(folder)
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


ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EROFS": errno.EROFS}
CAUSES = {
    "EIO": ["Input/output error", "disk I/O error"],
    "ENOSPC": ["disk is full", "No space left"],
    "EDQUOT": ["disk is full", "quota"],
    "EROFS": ["read-only", "Read-only", "readonly"],
}
KINDS = ["open", "write", "sync", "remove", "mkdir", "truncate", "link", "rename", "read"]


class Faulty:
    """A fault that some call below a store meets."""

    def __init__(self, library, folder, bench, kind, error, where, goes_on):
        self.kind, self.error, self.where, self.goes_on = kind, error, where, goes_on
        self.count, self.trace = folder / "count", folder / "trace"
        self.count.unlink(missing_ok=True)
        self.env = {
            "LD_PRELOAD": str(library), "POWER_STORE": os.path.realpath(bench.store), "POWER_COUNT": str(self.count),
            "FAULT_KIND": kind, "FAULT_ERROR": str(ERRORS[error]), "FAULT_WHERE": where, "FAULT_ON": str(int(goes_on)),
        }

    def __str__(self):
        return f"{self.error} at {self.kind} {self.at}{' and on' if self.goes_on else ''} of {self.where}"

    def __call__(self, bench, words, at, **options):
        """Starts a command whose n-th such call fails."""
        self.at = at
        if self.kind != "rename":
            return bench.start(*words, env={**self.env, "FAULT_AT": str(at)}, **options)
        # Renames of temporary files are no calls of the C library.
        calls = "rename,renameat,renameat2"
        inject = f"inject={calls}:error={self.error}:when={at}{'+' if self.goes_on else ''}"
        trace = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(self.trace), "-e", f"trace={calls}", "-e", inject]
        return bench.start(*words, before=trace, **options)

    def calls(self):
        """How many such calls there were."""
        if self.kind == "rename":
            return self.trace.read_text().count("rename") if self.trace.exists() else 0
        return int.from_bytes(self.count.read_bytes()[:4], "little") if self.count.exists() else 0

    def was_met(self):
        if self.kind == "rename":
            return self.trace.exists() and "INJECTED" in self.trace.read_text()
        return self.calls() >= self.at

    def check(self, code, out):
        """What a command that met it may say: the cause and the file, in no other words than its own."""
        assert "panicked" not in out and "locked" not in out, (str(self), code, out)
        assert code in (0, 1, 2), (str(self), code, out)
        if code != 0:
            assert self.was_met(), (str(self), code, out)
            assert any(cause in out for cause in CAUSES[self.error]), (str(self), code, out)
            assert any(place in out for place in ["runs/", "`runs`", "index.sqlite", "/store"]), (str(self), code, out)


def any_fault(args, bench, folder, kinds=None):
    kind = random.choice(kinds or KINDS)
    error = "EIO" if kind in ("read", "sync", "remove") and random.random() < 0.7 else random.choice(list(ERRORS))
    if kind == "read":
        error = "EIO"
    where = "store" if error != "EIO" else random.choice(["store", "store", "index", "all"])
    return Faulty(args.library, folder, bench, kind, error, where, random.random() < 0.5)


def faults(args, expected):
    """Faults of a sweep, of commands, of a server."""
    args.library = disk_faults(args.place)
    done = {"sweeps": 0, "commands": 0, "servers": 0, "met": 0, "failed": 0}
    wrong = []
    for number in range(args.faults):
        random.seed(f"{args.seed} {number}")
        what = ["sweeps", "commands", "commands", "commands", "servers"][number % 5]
        try:
            met, failed = {"sweeps": fault_of_sweep, "commands": fault_of_command, "servers": fault_of_server}[what](args, expected)
        except (AssertionError, ConnectionError, subprocess.TimeoutExpired) as error:
            wrong.append(number)
            print(f"faults: number {number}: {error!r}"[:2000], flush=True)
            continue
        done[what] += 1
        done["met"] += met
        done["failed"] += failed
    print(f"faults: {done}, {len(wrong)} wrong", flush=True)
    assert not wrong


def fault_of_sweep(args, expected):
    bench = Bench(args.ablate)
    fault = any_fault(args, bench, args.place)
    # About as many such calls as a sweep has.
    most = {"open": 150, "write": 650, "sync": 210, "remove": 28, "mkdir": 30, "truncate": 5, "link": 1, "rename": 30, "read": 250}
    at = random.randint(1, most[fault.kind] if fault.where != "index" else 100)
    process = fault(bench, RUN, at)
    out, _ = process.communicate(timeout=300)
    fault.check(process.returncode, out)
    met = fault.was_met()
    code, out = again(bench)
    assert code == 0, (str(fault), out)
    assert not (wrong := differing(bench.outcome(), expected)), (str(fault), wrong)
    bench.is_sound()
    bench.remove()
    return met, process.returncode != 0


# What is done to a store of four runs, one of them in the trash; and whether it says something that must not be wrong.
COMMANDS = [
    ["list"], ["list", "mask_ratio = 0.3", "--json"], ["show", "latest"], ["show", "latest", "--json"], ["compare", "tiny"], ["du"], ["fsck"],
    ["tag", "tiny", "--add", "kept"], ["note", "latest", "a remark"], ["rename", "latest", "best"], ["group", "tiny", "--join", "other"],
    ["delete", "mask_ratio = 0.3"], ["restore", "tiny"], ["gc", "--trash-days", "0"], ["reindex"], ["export", "tiny", "--format", "csv"],
    ["export", "tiny", "--format", "mlflow", "--out", "runs/out"], ["archive", "tiny", "runs/all.html"], ["cp", "tiny", "--to", "runs/other"],
    ["import", "archive", "whole.html"], ["import", "mlflow", "mlruns"], ["fill-mask", "latest", "[MASK]"], ["reproduce", "latest"],
]
READING = {"list", "show", "compare", "du", "fsck", "fill-mask"}


def prepared(args):
    """A copy of a store with something for every command."""
    if not hasattr(args, "prepared"):
        bench = Bench(args.ablate)
        shutil.copytree(args.reference.store, bench.store)
        for words in [["archive", "tiny", "whole.html"], ["export", "tiny", "--format", "mlflow", "--out", "mlruns"], ["delete", "latest"]]:
            code, out = bench.call(*words)
            assert code == 0, out
        args.prepared = bench
    bench = Bench(args.ablate)
    shutil.rmtree(bench.folder)
    shutil.copytree(args.prepared.folder, bench.folder)
    return bench


def state_of(bench):
    """What a store says, without times and ids of what was made in it."""
    rows = bench.json("list", "trash=any", "--sort", "id")["runs"]
    found = []
    for row in rows:
        labels = {key: value if key != "trashed_at" else True for key, value in row["labels"].items()}
        kept = {key: row[key] for key in ["spec_hash", "state", "experiment", "experiments", "steps_done", "logged_by"]}
        metrics = {name: value for name, value in row["metrics"].items() if not name.startswith("time/")}
        found.append(json.dumps({**kept, "labels": labels, "metrics": metrics}, sort_keys=True))
    return sorted(found)


def fault_of_command(args, expected):
    words = random.choice(COMMANDS)
    name = " ".join(words)
    known = args.outcomes = getattr(args, "outcomes", {})
    if name not in known:
        bench = prepared(args)
        process = subprocess.run([args.ablate, *words], cwd=bench.folder, capture_output=True, text=True, env=bench.surroundings())
        assert process.returncode == 0, (words, process.stdout, process.stderr)
        known[name] = (process.stdout, state_of(bench))
        bench.remove()
    stdout, state = known[name]
    calls = 0
    while calls == 0:
        # How often this is called at all.
        bench = prepared(args)
        fault = any_fault(args, bench, args.place)
        fault(bench, words, 1_000_000).communicate(timeout=300)
        calls = fault.calls()
        bench.remove()
    bench = prepared(args)
    fault = Faulty(args.library, args.place, bench, fault.kind, fault.error, fault.where, fault.goes_on)
    at = random.randint(1, calls)
    process = fault(bench, words, at, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=300)
    fault.check(process.returncode, out + err)
    met = fault.was_met()
    if process.returncode == 0 and words[0] in READING:
        named = any(cause in out + err for cause in CAUSES[fault.error])
        assert plain(out) == plain(stdout) or named, (str(fault), words, out, err)
    code, out = bench.call(*words)
    done_before = ["no run matches", "of the trash would", "outside of the trash would", "nothing to remove", "there is a file", "is there already", "already", "exists", "is not empty"]
    assert code == 0 or any(text in out for text in done_before), (str(fault), words, out)
    found = state_of(bench)
    if words[0] == "reproduce":
        # Each try is a run of its own, and one that failed says so.
        found, state = (sorted({run for run in runs if '"state": "finished"' in run}) for runs in (found, state))
    assert found == state, (str(fault), words, sorted(set(found) ^ set(state)))
    if words[0] != "gc":
        bench.is_sound()
    bench.remove()
    return met, process.returncode != 0


def plain(text):
    """Without how long ago something was, sizes, and the space of columns that are as wide as those."""
    return re.sub(r"\([^)]*ago\)|\(just now\)|[0-9.]+ ?[kMG]?B\b", "", text).split()


def fault_of_server(args, expected):
    """A server that is logged to: what it said yes to is there."""
    bench = Bench(args.ablate)
    bench.store.mkdir()
    fault = any_fault(args, bench, args.place, ["open", "write", "sync", "mkdir", "truncate", "read"])
    process = fault(bench, ["serve", "--port", "0"], random.randint(1, 120), stderr=subprocess.PIPE)
    line = process.stderr.readline()
    acknowledged, refused, run = 0, 0, None
    if "http://" in line:
        address = line.strip().rsplit("http://")[-1]

        def post(endpoint, body):
            request = urllib.request.Request(f"http://{address}/api/2.0/mlflow/{endpoint}", json.dumps(body).encode(), {"Content-Type": "application/json"})
            try:
                return json.load(urllib.request.urlopen(request, timeout=20))
            except urllib.error.HTTPError as error:
                text = error.read().decode()
                assert error.code >= 400 and "locked" not in text and "panicked" not in text, text
                assert error.code < 500 or any(cause in text for cause in CAUSES[fault.error]), (str(fault), text)
                return None

        for _ in range(3):
            experiment = post("experiments/create", {"name": "guests"}) or post("experiments/get-by-name", {"experiment_name": "guests"})
            made = experiment and post("runs/create", {"experiment_id": experiment.get("experiment_id", "0")})
            if made:
                run = made["run"]["info"]["run_id"]
                break
        steps = []
        for step in range(60 if run else 0):
            if post("runs/log-metric", {"run_id": run, "key": "m", "value": step, "timestamp": step, "step": step}) is None:
                refused += 1
            else:
                steps.append(step)
        acknowledged = len(steps)
    _, err = end(process)
    assert "panicked" not in err and "locked" not in err, (str(fault), line, err)
    if run:
        shown = bench.json("show", run)
        found = shown["series"].get("m", {"steps": [], "values": []})
        assert found["steps"] == [int(value) for value in found["values"]]
        assert set(steps) <= set(found["steps"]) and len(found["steps"]) <= 60, (str(fault), steps, found["steps"])
    else:
        assert acknowledged == 0
    bench.is_sound()
    met = fault.was_met()
    bench.remove()
    return met, refused > 0 or run is None


def sealed(args, expected):
    """A store on a disk that is mounted read-only."""
    bench = prepared(args)
    mounted = subprocess.run(["mount", "--bind", bench.store, bench.store], capture_output=True)
    if mounted.returncode != 0:
        print("sealed: not done, mounting is not allowed here", flush=True)
        return
    before = state_of(bench)
    read = refused = 0
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", bench.store], check=True)
        for words in COMMANDS:
            words = [word.replace("runs/", "") for word in words]
            if words[0] == "compare":
                # The answer is given, and the report is refused where it cannot be.
                code, out = bench.call(*words)
                assert code == 1 and "effect on" in out and "Read-only file system" in out and "--out DIR" in out, (code, out)
                words = [*words, "--out", "figures"]
            code, out = bench.call(*words)
            assert "panicked" not in out and "locked" not in out, (words, out)
            if words[0] in READING | {"reindex", "export", "archive", "cp"}:
                assert code == 0, (words, out)
                read += 1
            else:
                assert code != 0 and "read-only" in out and "runs" in out, (words, code, out)
                refused += 1
        code, out = bench.call(*RUN, "--set", "train.steps=7")
        assert code != 0 and "read-only" in out, (code, out)
        assert state_of(bench) == before
    finally:
        subprocess.run(["umount", "-l", bench.store], check=True)
    assert state_of(bench) == before
    bench.remove()
    print(f"sealed: {read} commands read, {refused + 1} were told that it is read-only", flush=True)


def clock(args, expected):
    """A time of day that jumps by hours while a sweep runs, is killed and goes on."""
    library = disk_faults(args.place)
    for number in range(args.clock):
        bench = Bench(args.ablate)
        env = {"LD_PRELOAD": str(library), "CLOCK_JUMPS": str(args.seed * 1000 + number + 1)}
        start = time.time()
        if number % 2:
            process = bench.start(*RUN, env=env)
            time.sleep(random.uniform(0.2, args.took))
            end(process)
            states = {run["state"] for run in bench.json("list")["runs"]} if bench.store.exists() else set()
            assert states <= {"finished", "lost", "planned"}, states
        process = bench.start(*RUN, env=env)
        out, _ = process.communicate(timeout=300)
        took = time.time() - start
        assert process.returncode == 0, out
        rows = bench.json("list")["runs"]
        for row in rows:
            assert row["state"] == "finished" and 0 <= row["worked_secs"] <= took + 6, (row["worked_secs"], took)
        for words in [["list"], ["show", "latest"], ["compare", "tiny"], ["list", "started > \"1 day ago\""]]:
            process = bench.start(*words, env=env)
            out, _ = process.communicate()
            assert process.returncode == 0 and "panicked" not in out, out
        assert not (wrong := differing(bench.outcome(), expected)), (number, wrong)
        bench.is_sound()
        bench.remove()
    print(f"clock: {args.clock} sweeps, 0 wrong", flush=True)


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
            told = ["no run matches", "no runs", "there is no run", "no run store", "no run has", "nothing to compare", "has no run", "is empty", "begins no run", "needs runs that differ"]
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
    usual = {"logs": 2000, "flips": 400, "index": 200, "cuts": 60, "kills": 40, "full": 8, "faults": 100, "sealed": 1, "clock": 6, "crowd": 60}
    for name, amount in usual.items():
        parser.add_argument(f"--{name}", type=int, default=amount)
    parser.add_argument("--only", default=",".join(usual), help="which of them, with commas")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.ablate = os.path.abspath(args.ablate)
    args.place = Path(tempfile.mkdtemp(prefix="crashes-"))
    random.seed(args.seed)
    args.reference = reference = Bench(args.ablate)
    start = time.time()
    code, out = reference.call(*RUN)
    args.took = time.time() - start
    assert code == 0, out
    expected = reference.outcome()
    reference.is_sound()
    print(f"reference: {len(expected)} runs in {args.took:.1f} s", flush=True)
    of_store, of_outcome = [logs, flips, index], [cuts, kills, full, faults, sealed, clock, crowd]
    for campaign in of_store + of_outcome:
        if campaign.__name__ in args.only.split(",") and getattr(args, campaign.__name__) > 0:
            campaign(args, reference if campaign in of_store else expected)
    reference.remove()
    shutil.rmtree(args.place)
    if hasattr(args, "prepared"):
        args.prepared.remove()


if __name__ == "__main__":
    main()
