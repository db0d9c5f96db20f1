"""One training step in JAX: jit, scan over steps, vmap over replicas, Adam by hand as Keras computes it.

Prints microseconds of a step of one replica (wall time / (steps x replicas)); warm-up and compilation are left out.
"""
import time

import jax
import jax.numpy as jnp

from network import BATCH, CLASSES, DEPTH, SIDE, WIDTH, arguments, features, filters
from worker import serve

FILTERS = filters()


def initial(key):
    def tensor(key, shape, fan_in):
        scale = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
        return scale * jax.random.truncated_normal(key, -2, 2, shape), jnp.zeros(shape[-1])

    keys = iter(jax.random.split(key, 16))
    channels = [1] + [FILTERS] * 4
    convolutions = [tensor(next(keys), (3, 3, c, k), 9 * c) for c, k in zip(channels, channels[1:])] if FILTERS else []
    sizes = [features()] + [WIDTH] * DEPTH + [CLASSES]
    return convolutions, [tensor(next(keys), (i, o), i) for i, o in zip(sizes, sizes[1:])]


def pool(values):
    return jax.lax.reduce_window(values, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def loss(parameters, images, labels):
    convolutions, layers = parameters
    hidden = images
    for index, (weights, bias) in enumerate(convolutions):
        hidden = jax.lax.conv_general_dilated(
            hidden, weights, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        hidden = jax.nn.relu(hidden + bias)
        hidden = pool(hidden) if index < 3 else hidden
    hidden = hidden.reshape(hidden.shape[0], -1)
    for weights, bias in layers[:-1]:
        hidden = jax.nn.relu(hidden @ weights + bias)
    weights, bias = layers[-1]
    logits = jax.nn.log_softmax(hidden @ weights + bias)
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def step(state, order, images, labels):
    parameters, m, v, t = state
    x = images[order].astype(jnp.float32) / 255.0
    gradient = jax.grad(loss)(parameters, x, labels[order])
    t = t + 1
    rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
    parameters = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, m, v)
    return parameters, m, v, t


@jax.jit
def steps(state, orders, images, labels):
    def one(state, order):
        return jax.vmap(lambda state, order: step(state, order, images, labels))(state, order), None

    return jax.lax.scan(one, state, orders)[0]


images = jax.random.randint(jax.random.key(0), (2048, SIDE, SIDE, 1), 0, 256).astype(jnp.uint8)
labels = jnp.arange(2048) % CLASSES
parameters = jax.vmap(initial)(jax.random.split(jax.random.key(1), arguments.replicates))
zeros = jax.tree.map(jnp.zeros_like, parameters)
state = (parameters, zeros, zeros, jnp.zeros(arguments.replicates))
orders = jax.random.randint(jax.random.key(2), (arguments.steps, arguments.replicates, BATCH), 0, 2048)


def microseconds():
    start = time.perf_counter()
    jax.block_until_ready(steps(state, orders, images, labels))
    return (time.perf_counter() - start) * 1e6 / (arguments.steps * arguments.replicates)


microseconds()
serve(microseconds)
