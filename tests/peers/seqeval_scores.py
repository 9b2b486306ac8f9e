"""Whether the scores that a run of `ner` recorded on its test file are those of `seqeval` (strict, IOB2) and scikit-learn.

    python tests/peers/seqeval_scores.py ABLATE RUN TESTFILE

ABLATE is the program (with the store in the current folder), TESTFILE the run's `finetune.test`. The tags of `ablate
predict` are judged by the others. Exits with 1 where a score differs by more than 1e-9.
"""

import json
import subprocess
import sys
import tempfile

from seqeval.metrics import accuracy_score, f1_score
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score as label_f1


def read(path):
    texts, tags = [], []
    for block in open(path, encoding="utf-8").read().split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line and not line.startswith("## ")]
        if rows:
            texts.append("".join(row[0] for row in rows))
            tags.append([row[1] for row in rows])
    return texts, tags


def main(program, run, path):
    texts, gold = read(path)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(texts) + "\n")
        file.flush()
        line = [program, "predict", run, file.name, "--json"]
        predictions = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)["predictions"]
    found = [prediction["tags"] for prediction in predictions]
    assert texts == [prediction["text"] for prediction in predictions]
    flat_gold, flat_found = sum(gold, []), sum(found, [])
    strict = {"mode": "strict", "scheme": IOB2}
    scores = {
        "test/entity_f1": f1_score(gold, found, **strict),
        "test/entity_macro_f1": f1_score(gold, found, average="macro", **strict),
        "test/char_accuracy": accuracy_score(gold, found),
        "test/char_macro_f1": label_f1(flat_gold, flat_found, average="macro"),
        "test/char_macro_f1_without_o": label_f1(
            flat_gold, flat_found, average="macro", labels=sorted({*flat_gold, *flat_found} - {"O"})
        ),
    }
    line = [program, "show", run, "--json"]
    series = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)["series"]
    worst = 0.0
    for name, theirs in scores.items():
        ours = series[name]["values"][-1]
        worst = max(worst, abs(ours - theirs))
        print(f"{name}: {ours:.6f}, and {theirs:.6f} by seqeval and scikit-learn")
    return 1 if worst > 1e-9 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
