"""One training step of the fully connected network in JAX: jit, vmap over replicas, Adam by hand as Keras computes it.

Prints microseconds of a step of one replica (wall time / (steps x replicas)); warm-up and compilation are left out.
"""
import argparse
import time

import jax
import jax.numpy as jnp

arguments = argparse.ArgumentParser()
arguments.add_argument("--replicates", type=int, default=10)
arguments.add_argument("--steps", type=int, default=100)
arguments = arguments.parse_args()

SIZES = [784] + [30] * 6 + [10]
BATCH = 32


def initial(key):
    layers = []
    for fan_in, fan_out in zip(SIZES, SIZES[1:]):
        key, draw = jax.random.split(key)
        scale = (2.0 / fan_in) ** 0.5 / 0.87962566103423978
        layers.append((scale * jax.random.truncated_normal(draw, -2, 2, (fan_in, fan_out)), jnp.zeros(fan_out)))
    return layers


def loss(layers, images, labels):
    hidden = images
    for weights, bias in layers[:-1]:
        hidden = jax.nn.relu(hidden @ weights + bias)
    weights, bias = layers[-1]
    logits = jax.nn.log_softmax(hidden @ weights + bias)
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def step(state, batch):
    layers, m, v, t = state
    order, images, labels = batch
    x = images[order].astype(jnp.float32) / 255.0
    gradient = jax.grad(loss)(layers, x, labels[order])
    t = t + 1
    rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
    layers = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), layers, m, v)
    return layers, m, v, t


@jax.jit
def steps(state, orders, images, labels):
    def one(state, order):
        return jax.vmap(lambda state, order: step(state, (order, images, labels)))(state, order), None

    return jax.lax.scan(one, state, orders)[0]


images = jax.random.randint(jax.random.key(0), (2048, 784), 0, 256).astype(jnp.uint8)
labels = jnp.arange(2048) % 10
layers = jax.vmap(initial)(jax.random.split(jax.random.key(1), arguments.replicates))
zeros = jax.tree.map(jnp.zeros_like, layers)
state = (layers, zeros, zeros, jnp.zeros(arguments.replicates))
orders = jax.random.randint(jax.random.key(2), (arguments.steps, arguments.replicates, BATCH), 0, 2048)

state = jax.block_until_ready(steps(state, orders, images, labels))
start = time.perf_counter()
jax.block_until_ready(steps(state, orders, images, labels))
print((time.perf_counter() - start) * 1e6 / (arguments.steps * arguments.replicates))
