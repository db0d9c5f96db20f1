"""The surgeon on the last hidden layer in NumPy, of all replicas together: Gram matrices of every unit, in which rows whose
ReLU lets nothing through count a tenth, their inverses, the elimination paths, and one order for each replica. Prints
milliseconds."""
import time

import numpy as np

from network import arguments
from worker import serve

IMAGES, INPUTS, UNITS, RIDGE, INACTIVE = 4096, 30, 30, np.float32(1e-3), np.float32(0.1)
random = np.random.default_rng(1)
replicas, columns = arguments.replicates, INPUTS + 1
inputs = np.maximum(random.standard_normal((replicas, IMAGES, INPUTS)), 0).astype(np.float32)
rows = np.concatenate([inputs, np.ones((replicas, IMAGES, 1), np.float32)], axis=2)
weights = random.standard_normal((replicas, columns, UNITS)).astype(np.float32)
targets = rows @ weights
left, right = np.triu_indices(columns)
diagonal = np.arange(columns)


def orders():
    # Products of two columns once for all units: the moments of all units are then one product of matrices.
    counts = np.where(targets > 0, np.float32(1), INACTIVE)
    halves = counts.transpose(0, 2, 1) @ (rows[:, :, left] * rows[:, :, right]) / np.float32(IMAGES)
    gram = np.empty((replicas, UNITS, columns, columns), np.float32)
    gram[..., left, right] = gram[..., right, left] = halves
    gram[..., diagonal, diagonal] += RIDGE * gram[..., diagonal, diagonal].mean(axis=-1, keepdims=True)
    inverse = np.linalg.inv(gram.reshape(-1, columns, columns))
    own = weights.transpose(0, 2, 1).reshape(-1, columns).copy()
    every = np.arange(len(own))
    there = np.ones((len(own), INPUTS), bool)
    removed = np.empty((len(own), INPUTS), np.int64)
    scores = np.empty((len(own), INPUTS), np.float32)
    for step in range(INPUTS):
        pivots = inverse[:, diagonal[:INPUTS], diagonal[:INPUTS]]
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(there, own[:, :INPUTS] ** 2 / pivots, np.float32(np.inf))
        chosen = score.argmin(axis=1)
        removed[:, step], scores[:, step] = chosen, score[every, chosen]
        there[every, chosen] = False
        row = inverse[every, chosen]
        pivot = row[every, chosen]
        own -= row * (own[every, chosen] / pivot)[:, None]
        inverse -= row[:, :, None] * (row / pivot[:, None])[:, None, :]
    merged = np.maximum.accumulate(scores, axis=1).reshape(replicas, -1)
    return removed, np.argsort(merged, axis=1, kind="stable")


def milliseconds():
    start = time.perf_counter()
    orders()
    return (time.perf_counter() - start) * 1e3


orders()
serve(milliseconds)
