#!/usr/bin/env python3
"""`ablate bench` and PyTorch in one sitting: the same shapes, taken in turn, so that whatever else the machine does hits both.

    python3 benches/peers.py --torch-step PATH/torch_step.py --ablate target/release/ablate [--rounds 3] [SHAPE..]

With `--cpu-time` both compute on one thread and the time that it ran is taken: what to do on a machine that others use too.

Needs a Python with torch (`pip install torch`) and a script that prints a line of JSON with `tokens_per_s` for
`--shape S --head masked|full --dtype f32|bf16 --steps N`.  Prints medians over the rounds and the ratios of these.
"""
import argparse, json, os, statistics, subprocess, sys

SHAPES = ["mini", "aiffel-1m", "aiffel-4m", "long8v", "chuck2win", "paul-hyun"]
TORCH = [("f32 masked", "masked", "f32"), ("bf16 masked", "masked", "bf16"), ("f32 full", "full", "f32")]


# Runs a script with the process's own time in place of the clock.
BY_CPU_TIME = "import runpy, sys, time; time.perf_counter = time.process_time; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def output(args, command):
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"} if args.cpu_time else {}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | one_thread).stdout


def ablate(args, shape):
    out = output(args, [args.ablate, "bench", shape, "--steps", str(args.steps), "--json", "--quiet"])
    found = json.loads(out)["measurements"][0]
    if not args.cpu_time:
        return found["tokens_per_s"]
    return found["tokens_per_s"] * found["ms_per_step"] / found["cpu_ms_per_step"]


def torch(args, shape, head, dtype):
    steps = args.steps if head == "masked" else max(2, args.steps // 2)
    start = [sys.executable] + (["-c", BY_CPU_TIME] if args.cpu_time else []) + [args.torch_step]
    out = output(args, start + ["--shape", shape, "--head", head, "--dtype", dtype, "--steps", str(steps)])
    return json.loads(out.splitlines()[-1])["tokens_per_s"]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("shapes", nargs="*", default=SHAPES)
    ap.add_argument("--torch-step", required=True)
    ap.add_argument("--ablate", default="target/release/ablate")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--steps", type=int, default=6)
    ap.add_argument("--cpu-time", action="store_true")
    args = ap.parse_args()
    print("| shape | " + " | ".join(f"PyTorch {name}" for name, *_ in TORCH) + " | ablate | ratios |")
    print("|---" * (len(TORCH) + 3) + "|")
    for shape in args.shapes:
        found = {name: [] for name, *_ in TORCH} | {"ablate": []}
        for _ in range(args.rounds):
            for name, head, dtype in TORCH:
                found["ablate"].append(ablate(args, shape))
                found[name].append(torch(args, shape, head, dtype))
        medians = {name: statistics.median(values) for name, values in found.items()}
        ratios = ", ".join(f"{medians['ablate'] / medians[name]:.1f}" for name, *_ in TORCH)
        cells = [f"{medians[name]:,.0f}" for name in [*(name for name, *_ in TORCH), "ablate"]]
        print(f"| {shape} | " + " | ".join(cells) + f" | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
