"""What PyTorch's ReduceLROnPlateau makes of a list of losses: the oracle of `plateau_reduces_where_pytorch_does`.

    python tests/peers/plateau.py

Prints, for each setting of the test, how many times the learning rate has been divided by ten after each loss.
"""

import math

import torch

LOSSES = [3.0, 2.0, 2.5, 1.9999, 2.0, 2.1, 1.0, 1.0, 1.0, 1.0, 1.0]

for patience, threshold in [(1, 1e-4), (0, 0.0), (2, 0.3)]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-4)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.1, patience, threshold)
    reductions = []
    for loss in LOSSES:
        plateau.step(loss)
        reductions.append(round(-math.log10(optimizer.param_groups[0]["lr"] / 5e-4)))
    print(patience, threshold, reductions)
