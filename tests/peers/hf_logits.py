"""Whether `transformers` computes from an exported model what `ablate` computes: every logit behind every [MASK].

    ablate export RUN --format hf --out FOLDER
    python tests/peers/hf_logits.py ABLATE RUN FOLDER [TEXT...]

ABLATE is the program (with the store in the current folder). Exits with 1 where a logit differs by more than 1e-4, where
the tokenizer of `transformers` gives other ids, or where a weight of the folder was not used.
"""

import json
import subprocess
import sys

import torch
import transformers

TEXTS = ["서울은 [MASK] 수도다", "[MASK] 나는 학교에 [MASK] .", "The [MASK] of the schools.", "漢字와 [MASK] café É[MASK]"]
TOLERANCE = 1e-4


def main(program, run, folder, texts):
    with open(f"{folder}/config.json") as file:
        architecture = json.load(file)["architectures"][0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, loading = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    model.eval()
    unused = {name: keys for name, keys in loading.items() if keys}
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {architecture}, loading: {unused or 'all keys used'}")
    worst, wrong = 0.0, bool(loading["missing_keys"] or loading["mismatched_keys"])
    for text in texts:
        line = [program, "fill-mask", run, text, "--json", "--top", str(model.config.vocab_size)]
        ours = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        theirs = tokenizer(text, return_tensors="pt")
        if theirs["input_ids"][0].tolist() != ours["ids"]:
            print(f"{text!r}: ids {theirs['input_ids'][0].tolist()}, not {ours['ids']}")
            wrong = True
            continue
        with torch.no_grad():
            output = model(input_ids=theirs["input_ids"], token_type_ids=torch.zeros_like(theirs["input_ids"]))
        logits = output.prediction_logits if hasattr(output, "prediction_logits") else output.logits
        for mask in ours["masks"]:
            row = logits[0, mask["position"]]
            worst = max(worst, *(abs(row[guess["id"]].item() - guess["logit"]) for guess in mask["guesses"]))
        if ours["nsp_logits"] is not None:
            pair = output.seq_relationship_logits[0].tolist()
            worst = max(worst, *(abs(a - b) for a, b in zip(pair, ours["nsp_logits"])))
    print(f"{len(texts)} texts, {model.config.vocab_size} logits each mask: the largest difference is {worst:.2e}")
    return 1 if wrong or worst > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], sys.argv[4:] or TEXTS))
