"""Whether a BERT or a ModernBERT of `transformers` computes in `ablate` what it computes there, after `ablate import`.

    python tests/peers/hf_import.py ABLATE FOLDER [TEXT...]

FOLDER is a folder with config.json, model.safetensors and tokenizer.json of a model with a head for masked tokens; without
one there, a small model with random weights is made in it: a ModernBERT where the folder's name has `modern` in it, with biases
or, as in the published ones, without (`bare`), and a BERT with relative positions where it has `relative` (version 4). ABLATE is the program; it makes a store in the current folder.
Exits with 1 where an id differs, or a logit by more than 1e-4.
"""

import json
import os
import subprocess
import sys

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXTS = ["서울은 [MASK] 수도다", "[MASK] 나는 가자 [MASK] .", "가나다 라마바 [MASK]"]
TOLERANCE = 1e-4


def make(folder):
    letters = sorted(set("가나다라마바사아자차카타파하서울은는이수도오늘"))
    entries = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "서울", *letters, *("##" + c for c in letters)]
    inner = Tokenizer(models.WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.BertProcessing(("[SEP]", 4), ("[CLS]", 3))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ["pad", "unk", "cls", "sep", "mask"]}
    transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    torch.manual_seed(0)
    shape = dict(
        vocab_size=len(entries) + 3, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80,
        max_position_embeddings=64,
    )
    name = os.path.basename(os.path.normpath(folder))
    if "modern" in name:
        keys = [] if "bare" in name else ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"]
        config = transformers.ModernBertConfig(
            **shape, **{key: True for key in keys}, local_attention=4, global_attn_every_n_layers=2, global_rope_theta=500.0,
            local_rope_theta=500.0, pad_token_id=0, bos_token_id=3, eos_token_id=4, cls_token_id=3, sep_token_id=4,
        )
        model = transformers.ModernBertForMaskedLM(config)
    else:
        positions = {"position_embedding_type": "relative_key"} if "relative" in name else {}
        model = transformers.BertForPreTraining(transformers.BertConfig(**shape, **positions, hidden_act="gelu_new"))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1) if parameter.dim() > 1 else parameter.data.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def main(program, folder, texts):
    if not os.path.exists(f"{folder}/config.json"):
        make(folder)
    with open(f"{folder}/config.json") as file:
        architecture = json.load(file)["architectures"][0]
    run = subprocess.run([program, "import", "hf", folder], check=True, capture_output=True, text=True).stdout.strip()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, architecture).from_pretrained(folder).eval()
    worst, wrong = 0.0, False
    for text in texts:
        line = [program, "fill-mask", run, text, "--json", "--top", str(model.config.vocab_size)]
        ours = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
        inputs = tokenizer(text, return_tensors="pt")
        if inputs["input_ids"][0].tolist() != ours["ids"]:
            print(f"{text!r}: ids {inputs['input_ids'][0].tolist()}, not {ours['ids']}")
            wrong = True
            continue
        with torch.no_grad():
            segments = {"token_type_ids": torch.zeros_like(inputs["input_ids"])} if model.config.model_type == "bert" else {}
            output = model(input_ids=inputs["input_ids"], **segments)
        logits = output.prediction_logits if hasattr(output, "prediction_logits") else output.logits
        for mask in ours["masks"]:
            row = logits[0, mask["position"]]
            worst = max(worst, *(abs(row[guess["id"]].item() - guess["logit"]) for guess in mask["guesses"]))
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {architecture}: {len(texts)} texts, the largest difference of a logit is {worst:.2e}")
    return 1 if wrong or worst > TOLERANCE else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:] or TEXTS))
