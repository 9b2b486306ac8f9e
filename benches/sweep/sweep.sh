#!/usr/bin/env bash
# The same eight-cell sweep by `ablate run` and by PyTorch + MLflow: wall time, peak memory and final valid losses of both.
#
#   benches/sweep/sweep.sh DATA_ROOT [STEPS] [CELLS]       ABLATE=target/release/ablate PYTHON=python3
#
# CELLS (8) is how many of the cells the peer trains; its time for all eight is then reckoned from these. DATA_ROOT holds
# petitions/docs.txt. PYTHON needs torch, transformers and mlflow.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$1 steps=${2:-100} cells=${3:-8}
ablate=${ABLATE:-target/release/ablate} python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Tokenizing is left out of both: the peer reads the same token files.
"$ablate" run "$here/sweep.toml" --runs "$work/runs" --data "$data" --set train.steps=1 --quiet > /dev/null
rm -rf "$work"/runs/reports "$work"/runs/index.sqlite*
for jobs in 1 auto; do
    mkdir "$work/$jobs" && cp -r "$work/runs/cache" "$work/$jobs/cache"
    start=$(date +%s.%N)
    "$ablate" run "$here/sweep.toml" --runs "$work/$jobs" --data "$data" --set train.steps="$steps" --jobs "$jobs" --quiet > /dev/null
    printf 'ablate run --jobs %s: %.1f s for 8 runs\n' "$jobs" "$(echo "$(date +%s.%N) - $start" | bc)"
done
"$ablate" list --runs "$work/auto" --json | "$python" -c '
import json, sys
for run in json.load(sys.stdin)["runs"]:
    print("ablate", json.dumps({**run["axes"], "valid_mlm_loss": round(run["metrics"]["valid/mlm_loss"], 4)}))'
"$python" - "$ablate" "$work" <<'PYTHON'
import os, resource, subprocess, sys
ablate, work = sys.argv[1:]
run = next(name for name in sorted(os.listdir(f"{work}/auto")) if os.path.isdir(f"{work}/auto/{name}/checkpoints"))
subprocess.run([ablate, "reproduce", run, "--runs", f"{work}/auto", "--data", os.environ.get("ABLATE_DATA", "data")],
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(f"ablate peak memory of a run: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")
PYTHON

start=$(date +%s.%N) done=0
for ratio in 0.15 0.3; do for nsp in off random; do for schedule in linear cosine; do
    [ "$done" -lt "$cells" ] || continue
    mkdir -p "$work/mlflow"
    "$python" "$here/peer.py" --tokens "$work/runs/cache/tokens" --mlflow "$work/mlflow" --mask-ratio "$ratio" --nsp "$nsp" \
        --schedule "$schedule" --steps "$steps" 2> "$work/peer.log" | sed 's/^/peer /' || { tail -5 "$work/peer.log"; exit 1; }
    done=$((done + 1))
done; done; done
printf 'PyTorch + MLflow: %.1f s for %d runs\n' "$(echo "$(date +%s.%N) - $start" | bc)" "$done"
