"""One training step in Keras on TensorFlow on all cores: `fit` with a compiled (XLA) step, many steps an execution.

Prints microseconds of a step of one network; warm-up and compilation are left out.
"""
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import time

import keras
import numpy as np
from keras import layers

from network import BATCH, CLASSES, DEPTH, SIDE, WIDTH, arguments

random = np.random.default_rng(1)
samples = arguments.steps * BATCH
images = random.integers(0, 256, (samples, SIDE, SIDE, 1)).astype(np.float32) / 255.0
labels = np.arange(samples) % CLASSES


def network():
    stack = [keras.Input((SIDE, SIDE, 1))]
    if arguments.model == "cnn":
        for index in range(4):
            stack.append(layers.Conv2D(arguments.filters, 3, padding="same", activation="relu"))
            stack += [layers.MaxPooling2D(2)] if index < 3 else []
    stack.append(layers.Flatten())
    stack += [layers.Dense(WIDTH, activation="relu", kernel_initializer="he_normal") for _ in range(DEPTH)]
    return keras.Sequential([*stack, layers.Dense(CLASSES)])


def microseconds(compiled):
    model = network()
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled,
        steps_per_execution=arguments.steps,
    )
    model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0)
    return (time.perf_counter() - start) * 1e6 / arguments.steps


print(min(microseconds(compiled) for compiled in (False, True)))
