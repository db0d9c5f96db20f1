"""One training step in Keras on TensorFlow on all cores: `fit`, many steps an execution. Prints microseconds of a step of one
network. `--mode graph`: TensorFlow's graph. `--mode xla`: compiled by XLA.
"""
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import time

import keras
import numpy as np
from keras import layers

from network import BATCH, CLASSES, DEPTH, SIDE, WIDTH, arguments, filters
from worker import serve

random = np.random.default_rng(1)
samples = arguments.steps * BATCH
images = random.integers(0, 256, (samples, SIDE, SIDE, 1)).astype(np.float32) / 255.0
labels = np.arange(samples) % CLASSES

stack = [keras.Input((SIDE, SIDE, 1))]
if filters():
    for index in range(4):
        stack.append(layers.Conv2D(filters(), 3, padding="same", activation="relu"))
        stack += [layers.MaxPooling2D(2)] if index < 3 else []
stack.append(layers.Flatten())
stack += [layers.Dense(WIDTH, activation="relu", kernel_initializer="he_normal") for _ in range(DEPTH)]
model = keras.Sequential([*stack, layers.Dense(CLASSES)])
model.compile(
    "adam",
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    jit_compile=arguments.mode == "xla",
    steps_per_execution=arguments.steps,
)


def microseconds():
    start = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
    return (time.perf_counter() - start) * 1e6 / arguments.steps


microseconds()
serve(microseconds)
