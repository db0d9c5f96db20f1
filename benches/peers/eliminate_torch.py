"""All inputs of a layer taken out one after the other, each the one that costs least, and the others' weights solved anew: one
matrix for all units, as ExactOBS does it, in PyTorch. Prints milliseconds."""
import sys
import time

import torch

from worker import serve

inputs, units = int(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(1)
rows = torch.randn(2 * inputs, inputs)
weights = torch.randn(inputs, units)


def eliminate():
    gram = rows.T @ rows / len(rows) + 1e-3 * torch.eye(inputs)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    own, gone = weights.clone(), torch.zeros(inputs, dtype=torch.bool)
    for _ in range(inputs):
        cost = own.square().sum(1) / inverse.diagonal()
        cost[gone] = torch.inf
        chosen = int(cost.argmin())
        gone[chosen] = True
        column = inverse[:, chosen] / inverse[chosen, chosen]
        own -= torch.outer(column, own[chosen])
        inverse -= torch.outer(column, inverse[chosen])
        inverse[chosen, chosen] = 1.0  # it is not asked again


def milliseconds():
    start = time.perf_counter()
    eliminate()
    return (time.perf_counter() - start) * 1e3


eliminate()
serve(milliseconds)
