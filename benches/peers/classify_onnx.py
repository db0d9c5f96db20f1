"""MNIST's test images classified by a network in ONNX Runtime, on all cores. Prints milliseconds."""
import gzip
import sys
import time

import numpy as np
import onnxruntime

from worker import serve

with gzip.open("datasets/mnist/t10k-images-idx3-ubyte.gz") as file:
    images = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
# As many at once as are fastest here: all of them leave the caches.
BATCH = int(sys.argv[2]) if len(sys.argv) > 2 else 500


def milliseconds():
    start = time.perf_counter()
    for first in range(0, len(images), BATCH):
        session.run(["logits"], {"images": images[first : first + BATCH]})
    return (time.perf_counter() - start) * 1e3


milliseconds()
serve(milliseconds)
