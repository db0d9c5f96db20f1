"""One training step in PyTorch on all cores: fused Adam, channels last, and `torch.compile` where it makes the step faster.

Prints microseconds of a step of one network; warm-up and compilation are left out.
"""
import os
import time

import torch
from torch import nn

from network import BATCH, CLASSES, DEPTH, SIDE, WIDTH, arguments, features

torch.set_num_threads(os.cpu_count())
torch.manual_seed(1)


def network():
    layers, filters = [], 0
    if arguments.model == "cnn":
        filters = arguments.filters
        for index, channels in enumerate([1, filters, filters, filters]):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if index < 3 else []
    layers.append(nn.Flatten())
    for inputs in [features(filters)] + [WIDTH] * (DEPTH - 1):
        layers += [nn.Linear(inputs, WIDTH), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES)).to(memory_format=torch.channels_last)


images = torch.randint(0, 256, (2048, 1, SIDE, SIDE), dtype=torch.uint8)
labels = torch.arange(2048) % CLASSES


def microseconds(compiled):
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

    for _ in range(10):
        step()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    return (time.perf_counter() - start) * 1e6 / arguments.steps


best = microseconds(compiled=False)
try:
    best = min(best, microseconds(compiled=True))
except Exception:  # compiling needs a C++ compiler; without one the eager step stands
    pass
print(best)
