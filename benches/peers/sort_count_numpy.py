"""Sort and count of a recorded history in NumPy: stable argsort by descending magnitude, compare with the last epoch at
three tolerances, cumulative product backwards. Prints milliseconds."""
import argparse
import time

import numpy as np

arguments = argparse.ArgumentParser()
arguments.add_argument("--replicates", type=int, default=10)
arguments = arguments.parse_args()

random = np.random.default_rng(1)
moves = random.uniform(-0.5, 0.5, (150, arguments.replicates, 900)) * (0.05 / np.arange(1, 151))[:, None, None]
history = (random.uniform(-0.5, 0.5, (arguments.replicates, 900)) + np.cumsum(moves, axis=0)).astype(np.float32)


def sort_and_count():
    order = np.argsort(-np.abs(history), axis=-1, kind="stable")
    reference = history[-1]
    stability = []
    for tolerance in (0.01, 0.03, 0.05):
        inside = np.abs(history - reference) <= tolerance * np.abs(reference)
        stability.append(np.cumprod(inside[::-1], axis=0, dtype=np.uint8).sum(axis=0, dtype=np.uint32))
    return order, stability


sort_and_count()
start = time.perf_counter()
sort_and_count()
print((time.perf_counter() - start) * 1e3)
