#!/usr/bin/env python3
"""Trains a PyTorch network of two convolutions and three dense layers, prunes all of it at once as PyTorch does and as we do, and
writes the accuracies into docs/guide/pytorch.md.

Usage: python tests/interop/pytorch_table.py [--data NAME=DIR ...] [--keep DIR] [--seeds 3] [--epochs 10]
       DIR holds the four IDX files, compressed or not; without --data it is the MNIST of the repository. --keep DIR keeps what
       was trained for the next time.
"""

import argparse
import copy
import gzip
import pathlib
import statistics
import time

import numpy
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

import holdfast.torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/guide/pytorch.md"
SPARSITIES = (0.9, 0.95, 0.98)


def idx(folder, name):
    """Numbers of an IDX file."""
    file = next(path for path in sorted(pathlib.Path(folder).iterdir()) if path.name.startswith(name))
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    axes = data[3]
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * axes).reshape(shape)


def read(folder, part):
    images = torch.from_numpy(idx(folder, f"{part}-images").copy())[:, None].float() / 255
    return (images - 0.13) / 0.31, torch.from_numpy(idx(folder, f"{part}-labels").copy()).long()


def network():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def train(images, labels, seed, epochs):
    """A network trained at a constant learning rate, and its recorder."""
    torch.manual_seed(seed)
    model = network()
    recorder = holdfast.torch.Recorder(model)
    optimizer = torch.optim.Adam(model.parameters())
    began, recording = time.perf_counter(), 0.0
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        start = time.perf_counter()
        recorder.epoch()
        recording += time.perf_counter() - start
    print(f"recording took {recording / (time.perf_counter() - began):.3%} of training")
    return model, recorder


def accuracy(model, images, labels):
    with torch.no_grad():
        found = torch.cat([model.eval()(batch).argmax(1) for batch in images.split(1000)])
    return (found == labels).float().mean().item()


def theirs(model, sparsity):
    layers = [(module, "weight") for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)


def measured(folder, name, seeds, epochs, keep):
    """Accuracies of each way at each sparsity, one for each seed, by the way's name."""
    images, labels = read(folder, "train")
    test = read(folder, "t10k")
    ways = {}

    def note(way, sparsity, model):
        ways.setdefault(way, {}).setdefault(sparsity, []).append(accuracy(model, *test))

    for seed in range(seeds):
        file = keep and keep / f"{name}-{seed}-{epochs}.pt"
        if file and file.exists():
            kept = torch.load(file)
            model = network()
            recorder = holdfast.torch.Recorder(model)
            model.load_state_dict(kept["model"])
            recorder.load_state_dict(kept["recorder"])
        else:
            model, recorder = train(images, labels, seed, epochs)
            if file:
                torch.save({"model": model.state_dict(), "recorder": recorder.state_dict()}, file)
        note("trained", 0, model)
        draw = torch.Generator().manual_seed(seed)
        calibration = images[torch.randperm(len(images), generator=draw)[:4096]]
        for sparsity in SPARSITIES:
            own = copy.deepcopy(model)
            theirs(own, sparsity)
            note("`torch.nn.utils.prune.global_unstructured`", sparsity, own)
        own = copy.deepcopy(model)
        for base in ("last", "mean"):
            states = holdfast.torch.prune(model, recorder, sparsity=list(SPARSITIES), base=base, calibration=calibration)
            for sparsity, state in zip(SPARSITIES, states):
                own.load_state_dict(state)
                note("`holdfast.torch.prune`" if base == "last" else '`holdfast.torch.prune`, `base="mean"`', sparsity, own)
        print(
            f"{name}, seed {seed}: " + ", ".join(f"{way} {[values[-1] for values in by.values()]}" for way, by in ways.items()),
            flush=True,
        )
    return ways


def written(values):
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


def table(name, ways, seeds, epochs):
    dense = written(ways.pop("trained")[0])
    head = f"{name}, {epochs} epochs of 60,000 images, {seeds} seed{'s' if seeds > 1 else ''}; trained: {dense}"
    lines = [
        head,
        "",
        "| all layers together, weights that are zero | " + " | ".join(f"{100 * s:.0f} %" for s in SPARSITIES) + " |",
    ]
    lines.append("|---" * (len(SPARSITIES) + 1) + "|")
    lines += [f"| {way} | " + " | ".join(written(by[s]) for s in SPARSITIES) + " |" for way, by in ways.items()]
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", action="append", default=[])
    arguments.add_argument("--keep", type=pathlib.Path)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--epochs", type=int, default=10)
    asked = arguments.parse_args()
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    sets = dict(one.split("=", 1) for one in asked.data) or {"MNIST": ROOT / "datasets/mnist"}
    tables = []
    for name, folder in sets.items():
        ways = measured(folder, name, asked.seeds, asked.epochs, asked.keep)
        ours, other = ways["`holdfast.torch.prune`"], ways["`torch.nn.utils.prune.global_unstructured`"]
        for sparsity in SPARSITIES:
            assert statistics.mean(ours[sparsity]) >= statistics.mean(other[sparsity]), f"{name}, {sparsity}: {ours} {other}"
        tables.append(table(name, ways, asked.seeds, asked.epochs))
    text = GUIDE.read_text()
    begin, end = "<!-- table -->", "<!-- /table -->"
    before, rest = text.split(begin)
    GUIDE.write_text(f"{before}{begin}\n" + "\n\n".join(tables) + f"\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
