"""Masks of many sparsities from one global threshold on magnitudes, as three tools make them. Prints milliseconds for all.

    masks.py TOOL WEIGHTS SPARSITIES      `prune` or `topk` of PyTorch, or `jax`: the rule of JaxPruner, the largest by `top_k`
"""
import sys
import time

import numpy as np

from worker import serve

tool, weights, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sparsities = [(place + 0.5) / count for place in range(count)]
# Four tensors, as a network has several.
parts = [np.random.default_rng(place).standard_normal(weights // 4, np.float32) for place in range(4)]

if tool == "jax":
    import jax
    import jax.numpy as jnp

    def mask(score, kept):
        return jnp.zeros(score.size, bool).at[jax.lax.top_k(score, kept)[1]].set(True)

    mask = jax.jit(mask, static_argnums=1)
    tensors = [jnp.asarray(part) for part in parts]

    def make():
        score = jnp.abs(jnp.concatenate(tensors))
        for sparsity in sparsities:
            mask(score, score.size - round(sparsity * score.size)).block_until_ready()

else:
    import torch
    from torch.nn.utils import prune

    tensors = [torch.from_numpy(part) for part in parts]

    def by_prune():
        for sparsity in sparsities:
            # Each sparsity of the unpruned network.
            layers = []
            for tensor in tensors:
                layer = torch.nn.Module()
                layer.weight = torch.nn.Parameter(tensor, requires_grad=False)
                layers.append((layer, "weight"))
            prune.global_unstructured(layers, prune.L1Unstructured, amount=sparsity)

    def by_topk():
        score = torch.cat([tensor.abs() for tensor in tensors])
        for sparsity in sparsities:
            mask = torch.ones(score.numel(), dtype=torch.bool)
            mask[torch.topk(score, round(sparsity * score.numel()), largest=False, sorted=False).indices] = False

    make = {"prune": by_prune, "topk": by_topk}[tool]


def milliseconds():
    start = time.perf_counter()
    make()
    return (time.perf_counter() - start) * 1e3


milliseconds()
serve(milliseconds)
