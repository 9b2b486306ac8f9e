"""Whether `transformers` computes from an exported model what `ablate` computes: every logit behind every [MASK].

    ablate export RUN --format hf --out FOLDER
    python tests/peers/hf_logits.py ABLATE RUN FOLDER [TEXT...]

ABLATE is the program (with the store in the current folder). Without texts, some of several lengths are drawn from the
vocabulary beside a few fixed ones. Each is read alone, and all together in one padded batch. Exits with 1 where a logit
differs by more than 1e-4, where the tokenizer of `transformers` gives other ids, or where a weight of the folder was not used.
"""

import json
import random
import subprocess
import sys

import torch
import transformers

TEXTS = ["서울은 [MASK] 수도다", "[MASK] 나는 학교에 [MASK] .", "The [MASK] of the schools.", "漢字와 [MASK] café É[MASK]"]
TOLERANCE = 1e-4


def drawn(tokenizer, positions):
    """Texts of words of the vocabulary with a [MASK] in each, up to as long as the model has positions for."""
    dice = random.Random(7)
    special = set(tokenizer.all_special_tokens)
    words = sorted(word.lstrip("▁") for word in tokenizer.get_vocab() if word not in special and "#" not in word)
    texts = []
    for _ in range(12):
        text = dice.choices([word for word in words if word], k=dice.randint(1, positions // 2))
        text[dice.randrange(len(text))] = "[MASK]"
        text = " ".join(text)
        if len(tokenizer(text)["input_ids"]) <= positions:
            texts.append(text)
    return texts


def main(program, run, folder, texts):
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    architecture = config["architectures"][0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, loading = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    model.eval()
    unused = {name: keys for name, keys in loading.items() if keys}
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {architecture}, loading: {unused or 'all keys used'}")
    worst, masks = {"alone": 0.0, "padded": 0.0}, 0
    wrong = bool(loading["missing_keys"] or loading["mismatched_keys"] or loading["unexpected_keys"])
    texts = texts or TEXTS + drawn(tokenizer, config["max_position_embeddings"])

    def logits(inputs):
        has_segments = config["model_type"] == "bert"
        segments = {"token_type_ids": torch.zeros_like(inputs["input_ids"])} if has_segments else {}
        with torch.no_grad():
            output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], **segments)
        return output, output.prediction_logits if hasattr(output, "prediction_logits") else output.logits

    together, of_batch = logits(tokenizer(texts, return_tensors="pt", padding=True))
    for i, text in enumerate(texts):
        line = [program, "fill-mask", run, text, "--json", "--top", str(model.config.vocab_size)]
        ours = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        theirs = tokenizer(text, return_tensors="pt")
        if theirs["input_ids"][0].tolist() != ours["ids"]:
            print(f"{text!r}: ids {theirs['input_ids'][0].tolist()}, not {ours['ids']}")
            wrong = True
            continue
        output, of_text = logits(theirs)
        for name, rows, pairs in [("alone", of_text[0], output), ("padded", of_batch[i], together)]:
            for mask in ours["masks"]:
                row = rows[mask["position"]]
                worst[name] = max(worst[name], *(abs(row[guess["id"]].item() - guess["logit"]) for guess in mask["guesses"]))
            if ours["nsp_logits"] is not None:
                pair = pairs.seq_relationship_logits[0 if name == "alone" else i].tolist()
                worst[name] = max(worst[name], *(abs(a - b) for a, b in zip(pair, ours["nsp_logits"])))
        masks += len(ours["masks"])
    largest = ", ".join(f"{value:.2e} {name}" for name, value in worst.items())
    print(f"{len(texts)} texts, {masks} masks, {model.config.vocab_size} logits each: the largest difference is {largest}")
    return 1 if wrong or max(worst.values()) > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], sys.argv[4:]))
