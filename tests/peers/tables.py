"""The tables of `ablate export` as pyarrow, pandas and Python's own csv and json read them, held against `ablate show --json`.

    python tests/peers/tables.py --ablate target/release/ablate --runs runs [QUERY]

Needs pyarrow and pandas. Every number has to be equal to the last bit, whichever of the three formats it went through.
"""

import argparse
import csv
import json
import math
import struct
import subprocess
import tempfile
from pathlib import Path

import pandas
import pyarrow.parquet


def bits(value):
    value = float(value)
    return "nan" if math.isnan(value) else struct.pack(">d", value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ablate", default="target/release/ablate")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("query", nargs="?", default='id like "%"')
    args = parser.parse_args()

    def ablate(*words):
        command = [args.ablate, "--runs", args.runs, "--quiet", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    listed = json.loads(ablate("list", args.query, "--json"))["runs"]
    shown = {run["id"]: json.loads(ablate("show", run["id"], "--json")) for run in listed}
    expected = {
        (run, metric, step): bits(value)
        for run, record in shown.items()
        for metric, series in record["series"].items()
        for step, value in zip(series["steps"], series["values"])
    }
    with tempfile.TemporaryDirectory() as folder:
        for shape in ["long", "wide", "runs"]:
            tables = {}
            for spelling in ["csv", "jsonl", "parquet"]:
                path = Path(folder) / f"{shape}.{spelling}"
                ablate("export", args.query, "--format", spelling, "--shape", shape, "--out", str(path))
                tables[spelling] = path
            with open(tables["csv"], newline="") as file:
                of_csv = list(csv.DictReader(file))
            of_json = [json.loads(line) for line in tables["jsonl"].read_text().splitlines()]
            of_parquet = pyarrow.parquet.read_table(tables["parquet"]).to_pylist()
            of_pandas = pandas.read_csv(tables["csv"], low_memory=False)
            assert len(of_csv) == len(of_json) == len(of_parquet) == len(of_pandas), shape
            names = pyarrow.parquet.read_schema(tables["parquet"]).names
            assert list(of_csv[0]) == names, shape
            for one, two, three in zip(of_csv, of_json, of_parquet):
                if shape == "long":
                    for row in (one, two, three):
                        key = (row["run"], row["metric"], int(row["step"]))
                        assert bits(row["value"]) == expected[key], (key, row)
                elif shape == "wide":
                    for metric in names[3:]:
                        wanted = expected.get((one["run"], metric, int(one["step"])))
                        for row in (one, two, three):
                            value = row.get(metric)
                            assert (None if value in (None, "") else bits(value)) == wanted, (metric, row)
                else:
                    record = shown[one["id"]]
                    for row in (one, two, three):
                        assert row["state"] == record["state"]
                        for metric, series in record["series"].items():
                            # The index knows one zero.
                            assert bits(float(row[metric]) + 0.0) == bits(float(series["values"][-1]) + 0.0), metric
            if shape == "long":
                assert len(of_csv) == len(expected)
            print(f"{shape}: {len(of_csv)} rows, {len(names)} columns, equal in csv, jsonl and parquet", flush=True)


main()
