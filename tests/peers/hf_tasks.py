"""Whether `transformers` says of texts what `ablate predict` says, from an exported model for a task.

    ablate export RUN --format hf --out FOLDER
    python tests/peers/hf_tasks.py ABLATE RUN FOLDER TEXTS

ABLATE is the program (with the store in the current folder), TEXTS a file with a text a line. Exits with 1 where a class's
probability differs by more than 1e-4, a token has another tag, the tokenizer gives other ids, or a weight was not used.
"""

import json
import subprocess
import sys

import torch
import transformers

TOLERANCE = 1e-4


def main(program, run, folder, texts):
    with open(f"{folder}/config.json") as file:
        architecture = json.load(file)["architectures"][0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, loading = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    model.eval()
    wrong = [name for name, keys in loading.items() if keys]
    line = [program, "predict", run, texts, "--json"]
    predictions = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)["predictions"]
    worst, tags = 0.0, 0
    for ours in predictions:
        inputs = tokenizer(ours["text"], return_tensors="pt")
        with torch.no_grad():
            output = model(input_ids=inputs["input_ids"], token_type_ids=torch.zeros_like(inputs["input_ids"]))
        if "probabilities" in ours:
            theirs = output.logits[0].softmax(0).tolist()
            worst = max(worst, *(abs(a - b) for a, b in zip(theirs, ours["probabilities"])))
            continue
        ids = inputs["input_ids"][0].tolist()[1:-1]
        if ids != [token["id"] for token in ours["tokens"]]:
            wrong.append(f"{ours['text']!r}: ids")
        theirs = [model.config.id2label[label] for label in output.logits[0].argmax(-1).tolist()[1:-1]]
        wrong.extend(f"{ours['text']!r}: {a}, not {b['tag']}" for a, b in zip(theirs, ours["tokens"]) if a != b["tag"])
        tags += len(ids)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {architecture}: {len(predictions)} texts, {tags} tags, the largest difference of a probability is {worst:.2e}; {wrong or 'nothing else differs'}")
    return 1 if wrong or worst > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
