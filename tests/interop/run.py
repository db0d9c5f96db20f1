#!/usr/bin/env python3
"""Runs the guides for other frameworks as they are printed, all blocks of a guide in order, in an empty folder, and checks what
came of them: the accuracy that a guide finds after pruning is that of the pruned weights, computed here with NumPy from the
files alone, and far above that of the most frequent class.

Usage: cargo build --release && python3 -m venv /tmp/interop && /tmp/interop/bin/pip install torch keras jax safetensors
       KERAS_BACKEND=jax /tmp/interop/bin/python tests/interop/run.py [GUIDE...]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# How far pruning may leave a guide's network above always naming the most frequent class.
ABOVE_CHANCE = 0.2


def pytorch_layers(names):
    """Kernels `[in, out]` and biases of the guide's three layers, as trained and as pruned, from the files that it wrote."""
    from safetensors.numpy import load_file

    trained, pruned = load_file("weights.safetensors"), load_file("pruned/pruned.safetensors")
    layers = [[trained[f"{place}.weight"].T, trained[f"{place}.bias"]] for place in (0, 2, 4)]
    shape = trained["2.weight"].shape
    return layers, pruned["2.weight"].reshape(shape).T, pruned["mask"].reshape(shape).T


def keras_layers(names):
    """The same of Keras: the files hold the layer that is pruned, the model all others."""
    trained, pruned = numpy.load("weights.npz"), numpy.load("pruned/pruned.npz")
    layers = [layer.get_weights() for layer in names["model"].layers if layer.get_weights()]
    layers[1] = [trained["kernel"], trained["bias"]]
    shape = trained["kernel"].shape
    return layers, pruned["kernel"].reshape(shape), pruned["mask"].reshape(shape)


def accuracy(layers, images, labels):
    values = images
    for place, (kernel, bias) in enumerate(layers):
        values = values @ kernel + bias
        if place + 1 < len(layers):
            values = numpy.maximum(values, 0)
    return float((values.argmax(1) == labels).mean())


def check(guide, names, layers_of):
    images, labels = numpy.asarray(names["images"]), numpy.asarray(names["labels"])
    layers, pruned, mask = layers_of(names)
    assert numpy.array_equal(pruned, numpy.where(mask == 1, layers[1][0], 0)), f"{guide}: the mask is not what was pruned"
    full = accuracy(layers, images, labels)
    layers[1] = [pruned, layers[1][1]]
    expected, found = accuracy(layers, images, labels), float(names["accuracy"])
    # One image whose two best classes are equal but for rounding may fall to either side.
    assert abs(found - expected) <= 1.5 / len(labels), f"{guide}: accuracy {found}, by NumPy {expected}"
    chance = numpy.bincount(labels).max() / len(labels)
    assert found > chance + ABOVE_CHANCE, f"{guide}: accuracy {found} after pruning, the most frequent class {chance}"
    zero = (mask == 0).mean()
    print(f"{guide}: accuracy {full:.3f}, with {zero:.2f} of the layer pruned {found:.3f}, most frequent class {chance:.3f}")


def run(guide):
    blocks = BLOCK.findall((ROOT / "docs/guide" / f"{guide}.md").read_text())
    assert {language for language, _ in blocks} == {"python", "sh"}, f"{guide}: no blocks of both kinds"
    names = {"__name__": guide}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, f"{guide}.md", "exec"), names)
        else:
            subprocess.run(["sh", "-eu", "-c", text], check=True)
    print(f"{guide}: {len(blocks)} blocks ran")
    check(guide, names, {"pytorch": pytorch_layers, "keras": keras_layers}[guide])


def main():
    os.environ["PATH"] = f"{ROOT / 'target/release'}{os.pathsep}{os.environ['PATH']}"
    for guide in sys.argv[1:] or ["pytorch", "keras"]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run(guide)
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
