#!/usr/bin/env python3
"""Runs README's block of Python and the guides for other frameworks as they are printed, all blocks of a guide in order, in an empty folder, and checks what
came of them: the accuracy that a guide finds after pruning is that of the pruned weights, computed here with NumPy from the
files alone, and far above that of the most frequent class. Runs the tests of recorders and of pruning in place on real models,
prunes a network of five layers as PyTorch does, and runs exported networks in ONNX Runtime.

Usage: cargo build --release && python3 -m venv /tmp/interop
       /tmp/interop/bin/pip install ./python pytest torch keras jax tensorflow lightning safetensors onnx onnxruntime
       KERAS_BACKEND=torch /tmp/interop/bin/python tests/interop/run.py [readme|stack|pytorch|keras|global|onnx|test-torch ...]
       HOLDFAST_BINARIES=DIR takes the program from there instead of from target/release.
"""

import csv
import gzip
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# How far pruning may leave a guide's network above always naming the most frequent class.
ABOVE_CHANCE = 0.2


def pytorch_layers():
    """Kernels `[in, out]` and biases of the guide's three layers, as trained and as pruned, and masks, from the files it wrote."""
    from safetensors.numpy import load_file

    files = ("weights.safetensors", "pruned/weights.safetensors", "pruned/mask.safetensors")
    trained, pruned, mask = (load_file(file) for file in files)
    of = lambda state: [[state[f"{place}.weight"].T, state[f"{place}.bias"]] for place in (0, 2, 4)]
    return of(trained), of(pruned), [mask[f"{place}.weight"].T for place in (0, 2, 4)]


def keras_layers():
    """The same of Keras."""
    trained, pruned, mask = (numpy.load(file) for file in ("weights.npz", "pruned/weights.npz", "pruned/mask.npz"))
    of = lambda state: [[state[f"{name}/kernel"], state[f"{name}/bias"]] for name in ("first", "second", "last")]
    return of(trained), of(pruned), [mask[f"{name}/kernel"] for name in ("first", "second", "last")]


def accuracy(layers, images, labels):
    values = images
    for place, (kernel, bias) in enumerate(layers):
        values = values @ kernel + bias
        if place + 1 < len(layers):
            values = numpy.maximum(values, 0)
    return float((values.argmax(1) == labels).mean())


def check(guide, names, layers_of):
    images, labels = numpy.asarray(names["images"]), numpy.asarray(names["labels"])
    trained, pruned, masks = layers_of()
    for (kernel, bias), (cut, same), mask in zip(trained, pruned, masks):
        is_pruned = numpy.array_equal(cut, numpy.where(mask == 1, kernel, 0)) and numpy.array_equal(bias, same)
        assert is_pruned, f"{guide}: the mask is not what was pruned"
    expected, found = accuracy(pruned, images, labels), float(names["accuracy"])
    # One image whose two best classes are equal but for rounding may fall to either side.
    assert abs(found - expected) <= 1.5 / len(labels), f"{guide}: accuracy {found}, by NumPy {expected}"
    chance = numpy.bincount(labels).max() / len(labels)
    assert found > chance + ABOVE_CHANCE, f"{guide}: accuracy {found} after pruning, the most frequent class {chance}"
    zero = sum((mask == 0).sum() for mask in masks) / sum(mask.size for mask in masks)
    full = accuracy(trained, images, labels)
    print(f"{guide}: accuracy {full:.3f}, with {zero:.2f} pruned by the command {found:.3f}, most frequent class {chance:.3f}")


def run_blocks(guide, names):
    blocks = BLOCK.findall((ROOT / "docs/guide" / f"{guide}.md").read_text())
    assert {language for language, _ in blocks} == {"python", "sh"}, f"{guide}: no blocks of both kinds"
    names["__name__"] = guide
    for language, text in blocks:
        if language == "python":
            exec(compile(text, f"{guide}.md", "exec"), names)
        else:
            subprocess.run(["sh", "-eu", "-c", text], check=True)
    print(f"{guide}: {len(blocks)} blocks ran")


def run(guide):
    names = {}
    run_blocks(guide, names)
    check(guide, names, {"pytorch": pytorch_layers, "keras": keras_layers}[guide])


def readme():
    """The block of README.md, with a model, samples and a training of a reader's own."""
    import torch
    from torch import nn

    torch.manual_seed(1)
    images = torch.randn(600, 20)
    labels = (images[:, 0] > 0).long()
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def train_one_epoch(model):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=60)
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(block, "README.md", "exec"), {"model": model, "train_one_epoch": train_one_epoch, "loader": loader})
    weights = [model[place].weight for place in (0, 2)]
    zero = sum(int((weight == 0).sum()) for weight in weights)
    assert zero == round(0.9 * sum(weight.numel() for weight in weights)), f"README.md: {zero} weights are 0"
    print(f"README.md: its block ran, {zero} weights are 0")


def network_of_five_layers():
    """Two convolutions `[out, in, kh, kw]` and three dense layers `[out, in]` with biases, as PyTorch's state dict: made by
    NumPy, so that no two magnitudes are equal but by chance."""
    generator = numpy.random.default_rng(5)
    shapes = {"0": (8, 1, 3, 3), "2": (16, 8, 3, 3), "5": (120, 784), "7": (84, 120), "9": (10, 84)}
    state = {}
    for place, shape in shapes.items():
        deviation = numpy.sqrt(2 / numpy.prod(shape[1:]))
        state[f"{place}.weight"] = (generator.normal(size=shape) * deviation).astype("float32")
        state[f"{place}.bias"] = generator.normal(size=shape[0]).astype("float32")
    return state


def global_pruning():
    """One command over a whole state dict removes what torch.nn.utils.prune.global_unstructured removes, mask for mask."""
    import torch
    from safetensors.numpy import load_file, save_file
    from torch import nn
    from torch.nn.utils import prune

    state = network_of_five_layers()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.MaxPool2d(4), nn.Flatten(),
        nn.Linear(784, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )
    model.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    save_file(state, "weights.safetensors")
    command = "prune --weights weights.safetensors --criterion magnitude --scope global --sparsity 90% --out pruned --quiet"
    subprocess.run(["holdfast", *command.split()], check=True)
    layers = [module for module in model if hasattr(module, "weight")]
    parameters = [(layer, "weight") for layer in layers]
    prune.global_unstructured(parameters, pruning_method=prune.L1Unstructured, amount=0.9)
    masks, pruned = load_file("pruned/mask.safetensors"), load_file("pruned/weights.safetensors")
    names = [name for name in state if name.endswith("weight")]
    assert sorted(masks) == sorted(names) and sorted(pruned) == sorted(state)
    for name, layer in zip(names, layers):
        assert numpy.array_equal(masks[name], layer.weight_mask.numpy()), f"{name}: another mask than PyTorch's"
        assert numpy.array_equal(pruned[name], layer.weight.detach().numpy()), f"{name}: other weights than PyTorch's"
    for name in state:
        if name not in names:
            assert pruned[name].tobytes() == state[name].tobytes(), f"{name} was changed"
    kept, total = sum(int(mask.sum()) for mask in masks.values()), sum(mask.size for mask in masks.values())
    shares = ", ".join(f"{name} {mask.mean():.1%}" for name, mask in sorted(masks.items()))
    print(f"global pruning: {kept} of {total} weights kept, as PyTorch keeps them: {shares}")


def holdfast(line):
    return subprocess.run(["holdfast", *line.split()], check=True, capture_output=True, text=True).stdout


def mnist(name, header):
    with gzip.open(ROOT / "datasets/mnist" / name) as file:
        return numpy.frombuffer(file.read()[header:], numpy.uint8)


def by_numpy(path, images):
    """The logits of a network in a .safetensors file of ours, by NumPy in double precision: convolutions of 3 x 3 with ReLU and,
    where its architecture says so, pooling, then dense layers with ReLU between."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        note = json.loads(file.metadata()["holdfast"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    layers, scale = note["architecture"], note["input"]
    values = (images / scale["divisor"] - scale["mean"]) / scale["sd"]
    if "pixels" in tensors:
        values = values.reshape(len(values), -1)[:, tensors["pixels"].astype(int)]
    for place, convolution in enumerate(layers["convolutions"]):
        weight, bias = tensors[f"conv{place}.weight"].astype(float), tensors[f"conv{place}.bias"]
        if values.ndim == 3:
            values = values[..., None]
        height, width = values.shape[1:3]
        padded = numpy.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
        values = bias + sum(
            padded[:, y : y + height, x : x + width] @ weight[y, x] for y in range(3) for x in range(3)
        )
        values = numpy.maximum(values, 0)
        if convolution["pool"]:
            even = values[:, : height // 2 * 2, : width // 2 * 2]
            values = even.reshape(len(values), height // 2, 2, width // 2, 2, -1).max((2, 4))
    values = values.reshape(len(values), -1)
    count = len(layers["hidden"])
    for place in range(count + 1):
        values = values @ tensors[f"dense{place}.weight"].astype(float) + tensors.get(f"dense{place}.bias", 0)
        if place < count:
            values = numpy.maximum(values, 0)
    return values


def in_onnxruntime(name, source, options=""):
    """Exports a network, checks the file with `onnx`, and compares ONNX Runtime on the test images with NumPy on the same network in
    double precision and with `holdfast evaluate`. Returns the session and the logits."""
    import onnx
    import onnxruntime

    images = mnist("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = mnist("t10k-labels-idx1-ubyte.gz", 8)
    said = json.loads(holdfast(f"export {source} {options} --format onnx --data mnist --device cpu --quiet --json --out {name}.onnx"))
    holdfast(f"export {source} {options} --format safetensors --device cpu --quiet --out {name}.safetensors")
    onnx.checker.check_model(onnx.load(f"{name}.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(f"{name}.onnx", providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"images": images})[0]
    expected = by_numpy(f"{name}.safetensors", images)
    largest = numpy.abs(expected).max(1, keepdims=True)
    apart = float((numpy.abs(logits - expected) / numpy.maximum(largest, 1)).max())
    assert apart <= 1e-5, f"{name}: logits {apart} apart, relative to the largest of an image"
    evaluated = json.loads(holdfast(f"evaluate {source} {options} --replica 0 --data mnist --device cpu --quiet --json"))
    correct, ours = int((logits.argmax(1) == labels).sum()), evaluated["networks"][0]["correct"]
    # An image whose two best classes are equal but for rounding may fall to either side.
    best = numpy.sort(expected, 1)
    undecided = int((best[:, -1] - best[:, -2] <= 2e-5 * numpy.maximum(largest[:, 0], 1)).sum())
    assert abs(correct - ours) <= undecided, f"{name}: {correct} correct in ONNX Runtime, {ours} by holdfast evaluate"
    assert said["bytes"] == os.path.getsize(f"{name}.onnx") == said["weight_bytes"] + said["overhead_bytes"]
    once = session.run(["logits"], {"images": images[:1]})[0]
    assert numpy.abs(once - logits[:1]).max() <= 1e-5 * max(largest[0, 0], 1), f"{name}: one image alone"
    print(
        f"onnx, {name}: logits within {apart:.1e}, {correct} of {len(labels)} correct as by evaluate, {said['bytes']} bytes of"
        f" which {said['overhead_bytes']} are overhead, {said['multiply_adds']} multiply-adds"
    )
    return session, logits


def by_turns(sessions, images, times=7):
    """Median seconds of each session."""
    taken = [[] for _ in sessions]
    for _ in range(times + 1):
        for session, own in zip(sessions, taken):
            start = time.perf_counter()
            session.run(None, {"images": images})
            own.append(time.perf_counter() - start)
    return [statistics.median(own[1:]) for own in taken]


def onnx_runtime():
    """The guide, then a fully connected and a convolutional network: trained, pruned and compact."""
    run_blocks("onnx", {"datasets": str(ROOT / "datasets")})
    images = mnist("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    for model, more in (("dnn", ""), ("cnn", "--filters 4 --cnn-training-images 1000")):
        small = f"--data mnist --training-images 1000 --epochs 4 --replicates 1 --calibration-images 512 --device cpu {more}"
        holdfast(f"train --model {model} {small} --quiet --out {model}")
        holdfast(f"prune {model} --criterion surgeon --smaller 3 --device cpu --quiet --out {model}-pruned")
        holdfast(f"compact {model}-pruned --data mnist --smaller 4 --device cpu --quiet --out {model}-compact")
        trained, _ = in_onnxruntime(f"{model}-trained", model)
        pruned, _ = in_onnxruntime(f"{model}-pruned-file", f"{model}-pruned")
        compact, _ = in_onnxruntime(f"{model}-compact-file", f"{model}-compact")
        seconds = by_turns([trained, pruned, compact], images)
        print(f"onnx, {model}: trained, pruned, compact in ONNX Runtime, ms: " + ", ".join(f"{1e3 * time:.1f}" for time in seconds))


def stack():
    """The guide for dense layers: what `prune` tells of its networks is what NumPy computes of the files."""
    from safetensors.numpy import load_file

    run_blocks("dense-stack", {})
    digits = numpy.load("digits/mnist.npz")
    images = (digits["test_images"].reshape(-1, 784) / 255 - 0.1307) / 0.3081
    labels = digits["test_labels"].reshape(-1)
    least = {"pruned/sparsity-0.9": 0.93, "pruned/sparsity-0.95": 0.88, "smaller": 0.93}
    for folder, floor in least.items():
        state = load_file(f"{folder}/weights.safetensors")
        layers = [[state[f"fc{place}.weight"].T, state[f"fc{place}.bias"]] for place in (1, 2, 3)]
        with open(f"{folder}/pruning.csv") as table:
            told = float(list(csv.DictReader(table))[-1]["accuracy_after"])
        found = accuracy(layers, images, labels)
        assert abs(found - told) <= 1.5 / len(labels), f"{folder}: {told} is told, and NumPy finds {found}"
        assert found > floor, f"{folder}: accuracy {found}"
        masks = load_file(f"{folder}/mask.safetensors")
        assert all((state[name][mask == 0] == 0).all() for name, mask in masks.items()), folder
        kept = sum(int(mask.sum()) for mask in masks.values())
        print(f"stack: {folder}, {kept} weights kept, accuracy {found:.4f}")


def tests(name, **environment):
    """Recorders and pruning in place, on real models."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ROOT / f"tests/interop/test_{name}.py"]
    subprocess.run(command, check=True, env=os.environ | environment)


CHECKS = {
    "readme": readme,
    "stack": stack,
    "pytorch": lambda: run("pytorch"),
    "keras": lambda: run("keras"),
    "test-torch": lambda: tests("torch"),
    "test-keras": lambda: tests("keras"),
    "test-keras-jax": lambda: tests("keras", KERAS_BACKEND="jax"),
    "test-keras-tensorflow": lambda: tests("keras", KERAS_BACKEND="tensorflow"),
    "test-lightning": lambda: tests("lightning"),
    "global": global_pruning,
    "onnx": onnx_runtime,
}


def main():
    binaries = os.environ.get("HOLDFAST_BINARIES", ROOT / "target/release")
    os.environ["PATH"] = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    for check in sys.argv[1:] or CHECKS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            CHECKS[check]()
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
