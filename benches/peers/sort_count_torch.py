"""Sort and count of a recorded history in PyTorch on all cores: stable sort by descending magnitude, compare with the last
epoch at three tolerances, cumulative product backwards. Prints milliseconds."""
import os
import time

import torch

from history import history
from worker import serve

torch.set_num_threads(os.cpu_count())
weights = torch.from_numpy(history)


def sort_and_count():
    order = torch.sort(weights.abs(), dim=-1, descending=True, stable=True).indices
    reference = weights[-1]
    stability = []
    for tolerance in (0.01, 0.03, 0.05):
        inside = (weights - reference).abs() <= tolerance * reference.abs()
        stability.append(inside.flip(0).to(torch.uint8).cumprod(dim=0, dtype=torch.uint8).sum(dim=0, dtype=torch.int32))
    return order, stability


def milliseconds():
    start = time.perf_counter()
    sort_and_count()
    return (time.perf_counter() - start) * 1e3


sort_and_count()
serve(milliseconds)
