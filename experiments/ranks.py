"""Does a short sweep rank its cells as a long one does? Reads both from a store and says how far they agree.

    python3 experiments/ranks.py worked-example-short worked-example --runs RUNS

Cells are the settings that vary within both experiments, seeds left out; a cell's value is its mean over seeds. Of the rank
correlation there is a bootstrap: seeds drawn anew within every cell, of both sweeps (Efron & Tibshirani 1993).
"""

import argparse
import collections
import itertools
import json
import random
import statistics
import subprocess


def runs_of(experiment, options):
    command = [options.ablate, "export", experiment, "--format", "jsonl", "--runs", options.runs]
    try:
        asked = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise SystemExit(f"{options.ablate} cannot be run ({error.strerror}): --ablate says where the program is") from error
    if asked.returncode:
        raise SystemExit(asked.returncode)
    rows = [json.loads(line) for line in asked.stdout.splitlines()]
    rows = [row for row in rows if row["experiment"] == experiment and row["state"] == "finished"]
    if not rows:
        raise SystemExit(f"{experiment} has no finished run in {options.runs}")
    if any(row.get(options.metric) is None for row in rows):
        raise SystemExit(f"not every finished run of {experiment} has recorded {options.metric}")
    return rows


def varying(rows):
    """Settings of more than one value, the seed left out."""
    sections = ("data.", "tokenizer.", "model.", "objective.", "optimizer.", "schedule.", "train.", "finetune.")
    settings = {name for row in rows for name in row if name.startswith(sections)}
    several = {name for name in settings if len({json.dumps(row.get(name)) for row in rows}) > 1}
    return several - {"train.seed", "finetune.train.seed"}


def ranks(values):
    return {cell: place for place, cell in enumerate(sorted(values, key=values.get))}


def spearman(a, b):
    a, b, n = ranks(a), ranks(b), len(a)
    return 1 - 6 * sum((a[cell] - b[cell]) ** 2 for cell in a) / (n * (n * n - 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("short")
    parser.add_argument("long")
    parser.add_argument("--metric", default="valid/mlm_loss_mask", help="what cells are ranked by, the lowest first")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--ablate", default="ablate")
    options = parser.parse_args()

    sweeps = [runs_of(name, options) for name in (options.short, options.long)]
    names = sorted(varying(sweeps[0]) & varying(sweeps[1]))
    outcomes = []
    for rows in sweeps:
        cells = collections.defaultdict(list)
        for row in rows:
            cells[tuple(json.dumps(row.get(name)) for name in names)].append(row[options.metric])
        outcomes.append(cells)
    shared = sorted(set(outcomes[0]) & set(outcomes[1]))
    if len(shared) < 3:
        raise SystemExit(f"too few cells are in both experiments to rank them: {len(shared)}")
    short, long = ({cell: statistics.mean(cells[cell]) for cell in shared} for cells in outcomes)

    pairs = list(itertools.combinations(shared, 2))
    alike = sum((short[a] - short[b]) * (long[a] - long[b]) > 0 for a, b in pairs)
    draws = random.Random(1)

    def drawn(cells):
        return {cell: statistics.mean(draws.choices(cells[cell], k=len(cells[cell]))) for cell in shared}

    resampled = sorted(spearman(drawn(outcomes[0]), drawn(outcomes[1])) for _ in range(4000))
    third = len(shared) // 3
    best = [set(sorted(shared, key=values.get)[:third]) for values in (short, long)]
    print(f"{len(shared)} cells, by {', '.join(names)}")
    print(f"Spearman {spearman(short, long):.2f} ({resampled[100]:.2f} to {resampled[3899]:.2f} in 95 of 100 resamplings)")
    print(f"{alike} of {len(pairs)} pairs in the same order")
    print(f"the best of the short sweep is number {ranks(long)[min(short, key=short.get)] + 1} of the long one")
    print(f"of the {third} best cells {len(best[0] & best[1])} are the same")


if __name__ == "__main__":
    main()
