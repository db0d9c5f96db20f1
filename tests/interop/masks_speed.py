"""Seconds for masks of 10,000,000 weights at 20 sparsities by one global threshold on their magnitudes, ours and PyTorch's by
turns; and whether the masks are the same. Prints a line for each turn and the medians' ratio.

    python tests/interop/masks_speed.py [WEIGHTS]
"""

import statistics
import sys
import time

import numpy as np
import torch
from torch.nn.utils import prune

import holdfast

SPARSITIES = [0.05 * step for step in range(1, 20)] + [0.98]
TURNS = 3


def ours(layers):
    """Masks of each sparsity `[sparsity][layer]`."""
    return holdfast.masks([abs(layer) for layer in layers], SPARSITIES)


def theirs(layers):
    """The same by `global_unstructured`, whose masks are buffers of modules."""
    found = []
    for sparsity in SPARSITIES:
        modules = []
        for layer in layers:
            module = torch.nn.Module()
            module.weight = torch.nn.Parameter(torch.from_numpy(layer))
            modules.append(module)
        prune.global_unstructured([(module, "weight") for module in modules], prune.L1Unstructured, amount=sparsity)
        found.append([module.weight_mask.numpy() for module in modules])
    return found


def main() -> None:
    weights = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    random = np.random.default_rng(1)
    side = int((weights / 4) ** 0.5)
    layers = [random.standard_normal((side, side), dtype=np.float32) for _ in range(4)]
    seconds = {ours: [], theirs: []}
    for turn in range(TURNS):
        results = {}
        for way in (ours, theirs):
            start = time.perf_counter()
            results[way] = way(layers)
            seconds[way].append(time.perf_counter() - start)
        print(f"turn {turn}: ours {seconds[ours][-1]:.2f} s, PyTorch {seconds[theirs][-1]:.2f} s", flush=True)
        for sparsity, own, other in zip(SPARSITIES, results[ours], results[theirs], strict=True):
            # Equal magnitudes at the threshold may fall either way.
            differ = sum(int((mask != (mask_of_torch != 0)).sum()) for mask, mask_of_torch in zip(own, other, strict=True))
            assert differ <= 4, (sparsity, differ)
    ratio = statistics.median(seconds[theirs]) / statistics.median(seconds[ours])
    threads = torch.get_num_threads()
    print(f"{4 * side * side} weights, {len(SPARSITIES)} sparsities, PyTorch with {threads} threads: {ratio:.1f} times as fast")


if __name__ == "__main__":
    main()
