"""What `transformers` 4 computes with `position_embedding_type = "relative_key"`: the oracle of
`relative_positions_are_those_of_transformers`. Version 5 has no such BERT.

    python tests/peers/relative_key.py

Prints the first six logits of one token of each of two sequences, and the logits of both pairs.
"""

import math

import torch
from transformers import BertConfig, BertForPreTraining

config = BertConfig(
    vocab_size=50, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
    max_position_embeddings=32, position_embedding_type="relative_key", attn_implementation="eager",
)
model = BertForPreTraining(config).eval()
with torch.no_grad():
    for name, parameter in model.named_parameters():
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        values = [centre + 0.5 * math.sin(0.7 * i * i + len(name)) for i in range(parameter.numel())]
        parameter.copy_(torch.tensor(values).reshape(parameter.shape))
    ids = torch.tensor([[2, 7, 11, 4, 23, 49, 3], [2, 30, 4, 3, 0, 0, 0]])
    segments = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]])
    output = model(input_ids=ids, token_type_ids=segments, attention_mask=(ids > 0).long())
for sequence, token in [(0, 3), (1, 2)]:
    print([round(value, 6) for value in output.prediction_logits[sequence, token, :6].tolist()])
print([[round(value, 6) for value in pair] for pair in output.seq_relationship_logits.tolist()])
