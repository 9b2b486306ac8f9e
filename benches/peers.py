#!/usr/bin/env python3
"""`ablate bench` and PyTorch in one sitting: the same shapes, taken in turn, so that whatever else the machine does hits both.

    python3 benches/peers.py --torch-step PATH/torch_step.py --ablate target/release/ablate [--rounds 3] [SHAPE..]

Needs a Python with torch (`pip install torch`) and a script that prints a line of JSON with `tokens_per_s` for
`--shape S --head masked|full --dtype f32|bf16 --steps N`.  Prints medians over the rounds and the ratios of these.
"""
import argparse, json, statistics, subprocess, sys

SHAPES = ["mini", "aiffel-1m", "aiffel-4m", "long8v", "chuck2win", "paul-hyun"]
TORCH = [("f32 masked", "masked", "f32"), ("bf16 masked", "masked", "bf16"), ("f32 full", "full", "f32")]


def ablate(args, shape):
    out = subprocess.run([args.ablate, "bench", shape, "--steps", str(args.steps), "--json", "--quiet"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["measurements"][0]["tokens_per_s"]


def torch(args, shape, head, dtype):
    steps = args.steps if head == "masked" else max(2, args.steps // 2)
    out = subprocess.run([sys.executable, args.torch_step, "--shape", shape, "--head", head, "--dtype", dtype,
                          "--steps", str(steps)], check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])["tokens_per_s"]


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("shapes", nargs="*", default=SHAPES)
    ap.add_argument("--torch-step", required=True)
    ap.add_argument("--ablate", default="target/release/ablate")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--steps", type=int, default=6)
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
