#!/usr/bin/env python3
"""One cell of sweep.toml by PyTorch, Hugging Face's BertForPreTraining and MLflow, the way small-BERT projects are written:
a process a run, sequences padded to full length, every position projected onto the vocabulary, metrics to a file store.

It reads the token files of ablate's cache, so that both train and are judged on the same tokens of the same documents
(and it is spared the tokenizing).  Needs torch, transformers and mlflow.  Prints one line of JSON.
"""
import argparse, glob, json, math, os, random, resource, struct, time

START = time.time()
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # MLflow 3 asks for it
import mlflow
import torch
from transformers import BertConfig, BertForPreTraining

PAD, CLS, SEP, MASK, FIRST = 0, 2, 3, 4, 5
VOCAB, SEQ_LEN, BATCH = 8007, 128, 64


def documents(path):
    """The documents of a token file: lists of sentences of ids."""
    data = open(path, "rb").read()
    _, _, width, tokens, sentences, docs = struct.unpack_from("=8sIIQQQ", data)
    padded = (tokens * width + 7) // 8 * 8
    ids = struct.unpack_from(f"={tokens}{'H' if width == 2 else 'I'}", data, 64)
    bounds = struct.unpack_from(f"={sentences + 1}Q", data, 64 + padded)
    ends = struct.unpack_from(f"={docs + 1}Q", data, 64 + padded + 8 * (sentences + 1))
    return [[list(ids[bounds[s]:bounds[s + 1]]) for s in range(a, b)] for a, b in zip(ends, ends[1:])]


def pairs(docs, rng):
    """[CLS] A [SEP] B [SEP], half of the Bs from another document."""
    out = []
    for number, doc in enumerate(docs):
        chunk = []
        for sentence in doc:
            chunk.append(sentence)
            if len(chunk) > 1 and sum(map(len, chunk)) >= SEQ_LEN - 3:
                out.append(pair(chunk, docs, number, rng))
                chunk = []
        if len(chunk) > 1:
            out.append(pair(chunk, docs, number, rng))
    return out


def pair(chunk, docs, number, rng):
    cut = rng.randrange(1, len(chunk))
    a, b, label = sum(chunk[:cut], []), sum(chunk[cut:], []), 0
    if rng.random() < 0.5:
        other = docs[(number + rng.randrange(1, len(docs))) % len(docs)]
        start, want, b, label = rng.randrange(len(other)), len(b), [], 1
        for sentence in other[start:]:
            if len(b) >= want:
                break
            b += sentence
    while len(a) + len(b) > SEQ_LEN - 3:
        (a if len(a) > len(b) else b).pop()
    return [CLS, *a, SEP, *b, SEP], [0] * (len(a) + 2) + [1] * (len(b) + 1), label


def packed(docs):
    """Full sentences to length, in the order of the corpus."""
    out, row = [], [CLS]
    for doc in docs:
        if len(row) > 1 and row[-1] != SEP:
            row.append(SEP)
        for sentence in doc:
            if len(row) > 1 and len(row) + len(sentence) > SEQ_LEN - 1:
                out.append(row)
                row = [CLS]
            row = row + sentence
    out.append(row)
    return [((row[:SEQ_LEN - 1] + [SEP]), [0] * min(len(row) + 1, SEQ_LEN), 0) for row in out]


def collate(items, ratio, rng):
    ids = torch.zeros(len(items), SEQ_LEN, dtype=torch.long)
    segments, attention, labels = torch.zeros_like(ids), torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, (tokens, segment, _) in enumerate(items):
        tokens, places = list(tokens), [p for p, t in enumerate(tokens) if t >= FIRST]
        for p in rng.sample(places, max(1, round(ratio * len(places)))):
            labels[i, p], dice = tokens[p], rng.random()
            tokens[p] = MASK if dice < 0.8 else rng.randrange(FIRST, VOCAB) if dice < 0.9 else tokens[p]
        ids[i, :len(tokens)] = torch.tensor(tokens)
        segments[i, :len(tokens)] = torch.tensor(segment)
        attention[i, :len(tokens)] = 1
    nsp = torch.tensor([label for *_, label in items])
    return dict(input_ids=ids, token_type_ids=segments, attention_mask=attention), labels, nsp


def loss_of(model, batch, with_pairs):
    inputs, labels, nsp = batch
    out = model(**inputs)
    mlm = torch.nn.functional.cross_entropy(out.prediction_logits.view(-1, VOCAB), labels.view(-1))
    pair_loss = torch.nn.functional.cross_entropy(out.seq_relationship_logits, nsp) if with_pairs else 0.0 * mlm.detach()
    return mlm, mlm + pair_loss


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--tokens", required=True, help="the folder cache/tokens of a run store")
    ap.add_argument("--mlflow", required=True, help="the folder of the file store")
    ap.add_argument("--mask-ratio", type=float, default=0.15)
    ap.add_argument("--nsp", default="off", choices=["off", "random"])
    ap.add_argument("--schedule", default="linear", choices=["linear", "cosine"])
    ap.add_argument("--steps", type=int, default=100)
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    rng = random.Random(a.seed)
    torch.manual_seed(a.seed)
    train_docs, valid_docs = (documents(glob.glob(f"{a.tokens}/*.{side}.tok")[0]) for side in ("train", "valid"))
    with_pairs = a.nsp == "random"
    instances = pairs(train_docs, rng) if with_pairs else packed(train_docs)
    model = BertForPreTraining(BertConfig(
        vocab_size=VOCAB, hidden_size=96, num_hidden_layers=3, num_attention_heads=3, intermediate_size=256,
        max_position_embeddings=SEQ_LEN, hidden_act="gelu_new", attention_probs_dropout_prob=0.0, layer_norm_eps=1e-12))
    for p in model.parameters():  # Google's BERT and ablate truncate at two standard deviations, which `transformers` does not
        if p.dim() > 1:
            torch.nn.init.trunc_normal_(p, std=0.02, a=-0.04, b=0.04)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=0.01), dict(params=rest, weight_decay=0.0)], lr=5e-4)
    warmup = max(1, round(0.1 * a.steps))

    def factor(step):
        if step < warmup:
            return step / warmup
        x = (step - warmup) / max(1, a.steps - warmup)
        return 1 - x if a.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * x))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    mlflow.set_tracking_uri(f"file:{os.path.abspath(a.mlflow)}")
    mlflow.set_experiment("bench-sweep")
    with mlflow.start_run():
        mlflow.log_params(vars(a))
        order, trained = [], time.time()
        for step in range(a.steps):
            while len(order) < BATCH:
                order += rng.sample(range(len(instances)), len(instances))
            chosen, order = order[:BATCH], order[BATCH:]
            mlm, loss = loss_of(model, collate([instances[i] for i in chosen], a.mask_ratio, rng), with_pairs)
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            mlflow.log_metrics(dict(loss=loss.item(), mlm_loss=mlm.item(), grad_norm=norm.item(),
                                    lr=scheduler.get_last_lr()[0]), step=step)
        trained = time.time() - trained
        model.eval()
        rows, masks, total, count = packed(valid_docs), random.Random(1), 0.0, 0
        with torch.no_grad():
            for i in range(0, len(rows), BATCH):
                batch = collate(rows[i:i + BATCH], 0.15, masks)
                n = int((batch[1] != -100).sum())
                total, count = total + loss_of(model, batch, False)[0].item() * n, count + n
        mlflow.log_metric("valid_mlm_loss", total / count, step=a.steps)
        torch.save(dict(model=model.state_dict(), optimizer=optimizer.state_dict()), os.path.join(a.mlflow, "last.pt"))
        mlflow.log_artifact(os.path.join(a.mlflow, "last.pt"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(mask_ratio=a.mask_ratio, nsp=a.nsp, schedule=a.schedule, valid_mlm_loss=round(total / count, 4),
                          train_s=round(trained, 1), wall_s=round(time.time() - START, 1), peak_mib=round(peak))), flush=True)


if __name__ == "__main__":
    main()
