"""One training step in PyTorch, fused Adam. Prints microseconds of a step of one network.

`--mode eager`: one network, as most people write it (convolutions channels last), on all cores. `--mode one-thread`: the same on
one. `--mode compiled`: with `torch.compile`, on all cores. `--mode vmap`: the replicas of `--replicates` stacked,
`torch.func.vmap` over them, compiled, on all cores.
"""
import os
import time

import torch
from torch import nn

from network import BATCH, CLASSES, DEPTH, SIDE, WIDTH, arguments, features, filters
from worker import serve

torch.set_num_threads(1 if arguments.mode == "one-thread" else os.cpu_count())
torch.manual_seed(1)


def network():
    layers = []
    if filters():
        for index, channels in enumerate([1, filters(), filters(), filters()]):
            layers += [nn.Conv2d(channels, filters(), 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if index < 3 else []
    layers.append(nn.Flatten())
    for inputs in [features()] + [WIDTH] * (DEPTH - 1):
        layers += [nn.Linear(inputs, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES)).to(memory_format=torch.channels_last)


images = torch.randint(0, 256, (2048, 1, SIDE, SIDE), dtype=torch.uint8)
labels = torch.arange(2048) % CLASSES


def one_by_one(compiled):
    """A step of one network."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def loss_of(x, y):
        return nn.functional.cross_entropy(model(x), y)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step():
        order = torch.randint(0, 2048, (BATCH,))
        x = (images[order].float() / 255.0).contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss_of(x, labels[order]).backward()
        optimizer.step()

    return step, 1


def stacked():
    """A step of all replicas at once."""
    models = [network() for _ in range(arguments.replicates)]
    parameters, buffers = torch.func.stack_module_state(models)
    model = network().to("meta")
    optimizer = torch.optim.Adam(parameters.values(), fused=True)

    def loss_of_one(parameters, x, y):
        return nn.functional.cross_entropy(torch.func.functional_call(model, (parameters, {}), (x,)), y)

    def loss_of(parameters, x, y):
        return torch.func.vmap(loss_of_one)(parameters, x, y).sum()

    loss_of = torch.compile(loss_of)

    def step():
        order = torch.randint(0, 2048, (arguments.replicates, BATCH))
        optimizer.zero_grad(set_to_none=True)
        loss_of(parameters, images[order].float() / 255.0, labels[order]).backward()
        optimizer.step()

    return step, arguments.replicates


step, replicas = stacked() if arguments.mode == "vmap" else one_by_one(arguments.mode == "compiled")


def microseconds():
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    return (time.perf_counter() - start) * 1e6 / (arguments.steps * replicas)


for _ in range(10):
    step()
serve(microseconds)
