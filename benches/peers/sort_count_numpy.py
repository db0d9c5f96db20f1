"""Sort and count of a recorded history in NumPy: stable argsort by descending magnitude, compare with the last epoch at
three tolerances, cumulative product backwards. Prints milliseconds."""
import time

import numpy as np

from history import history
from worker import serve


def sort_and_count():
    order = np.argsort(-np.abs(history), axis=-1, kind="stable")
    reference = history[-1]
    stability = []
    for tolerance in (0.01, 0.03, 0.05):
        inside = np.abs(history - reference) <= tolerance * np.abs(reference)
        stability.append(np.cumprod(inside[::-1], axis=0, dtype=np.uint8).sum(axis=0, dtype=np.uint32))
    return order, stability


def milliseconds():
    start = time.perf_counter()
    sort_and_count()
    return (time.perf_counter() - start) * 1e3


sort_and_count()
serve(milliseconds)
