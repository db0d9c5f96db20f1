"""A history of 150 epochs x replicas x 900 weights of weights that move less and less."""
import numpy as np

from network import arguments

random = np.random.default_rng(1)
moves = random.uniform(-0.5, 0.5, (150, arguments.replicates, 900)) * (0.05 / np.arange(1, 151))[:, None, None]
start = random.uniform(-0.5, 0.5, (arguments.replicates, 900))
history = (start + np.cumsum(moves, axis=0)).astype(np.float32)
