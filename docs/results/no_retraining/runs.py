"""The runs that the page is made of: a name and the command's arguments. Cheap ones come first."""

import os

# Fashion-MNIST is not part of the repository. Debian's package dataset-fashion-mnist puts it there; FASHION_MNIST names another folder.
FASHION = f"any={os.environ.get('FASHION_MNIST', '/usr/share/datasets/fashion-mnist')}"

# What does not interest at a place is kept small: exponential decay of one epoch, to no sparsity.
NO_DECAY = "--ed-epochs 1 --ed-targets 0"
SIZES = "--stages 2,4,6,8,10,15"
TARGETS = "--ed-targets 80%,90%,95%"
DNN = "compare --preset paper --model dnn"
CNN = "compare --preset paper --model cnn"
# One pair on which one setting at a time is turned, the whole network alone.
SMALL = f"{DNN} --training-images 20000 --epochs 30 --replicates 10 {SIZES}"
TURNED = f"{SMALL} --layers all --surgeons one {NO_DECAY}"

# The pairs of network and data that every question is asked of, in the order of the page.
PAIRS = ("paper", "mnist-dnn", "fashion-dnn", "pr-dnn", "pr-dnn-40", "xr-dnn", "mnist-cnn", "fashion-cnn")
COSINE = {"mnist-dnn": "mnist-dnn-cosine", "fashion-dnn": "fashion-dnn-cosine"}
CALIBRATION = (64, 256, 1024, 4096, 16384)
RIDGES = ("1e-4", "1e-3", "1e-2")
WINDOWS = (5, 10, 15, 20, 30)
ONE_PATH = (4, 10)
YARDSTICK = "yardstick"
EQUAL_TIME = {6: "decay-6-epochs", 30: "decay-30-epochs"}
FASTER = ("1.5", "2", "3", "4")
REDUCED = ("mnist-dnn", "mnist-cnn")
REDUCED_REPLICAS = (0, 1, 2)


def comparisons():
    """Name and arguments of every comparison."""
    # One surgeon on the whole network and little decay: many replicas where they cost least.
    yield "pr-dnn-40", "compare --model dnn --data pr --replicates 40 --epochs 60 --ed-epochs 1 --ed-targets 0,50%,0.9"
    yield "mnist-dnn", f"{SMALL} {TARGETS}"
    yield "pr-dnn", f"{DNN} --data pr --epochs 150 --replicates 10 {SIZES} {TARGETS}"
    yield "mnist-dnn-cosine", f"{SMALL} --schedule cosine {NO_DECAY}"
    for images in CALIBRATION:
        if images != 4096:
            yield f"calibration-{images}", f"{TURNED} --calibration-images {images}"
    yield "all-rows-alike", f"{TURNED} --inactive-weight 1"
    for size in ONE_PATH:
        yield f"one-path-{size}", f"{TURNED} --stages {size}".replace(f" {SIZES}", "")
    for ridge in RIDGES:
        if ridge != "1e-3":
            yield f"ridge-{ridge}", f"{TURNED} --ridge {ridge}"
    for window in WINDOWS:
        if window != 15:
            yield f"mean-of-{window}", f"{TURNED} --averaged-epochs {window}"
    yield "fashion-dnn", f"{DNN} --data {FASHION} --training-images 10000 --epochs 60 --replicates 10 {SIZES} {TARGETS}"
    for epochs, name in EQUAL_TIME.items():
        yield name, (
            f"{DNN} --training-images 20000 --epochs 2 --replicates 5 --stages 2,4,6,8,10 --layers all --surgeons one"
            f" --calibration-images 64 --ed-targets 0 --ed-epochs {epochs}"
        )
    yield "mnist-cnn", f"{CNN} --training-images 10000 --epochs 40 --replicates 5 {SIZES} --ed-targets 90%"
    yield YARDSTICK, (
        "compare --preset paper --model dnn --hidden 40,20 --no-bias --epochs 30 --replicates 10 --surgeons one --layers all"
        f" --stages 2,3,4,5,6,8,10,12,15,20,30,50 --calibration-images 6000 --polish 2 {NO_DECAY}"
    )
    yield "xr-dnn", f"{DNN} --data xr-synthetic --side 28 --epochs 60 --replicates 10 {SIZES} {TARGETS}"
    yield "fashion-dnn-cosine", (
        f"{DNN} --data {FASHION} --training-images 10000 --epochs 60 --replicates 10 {SIZES} --schedule cosine {NO_DECAY}"
    )
    yield "fashion-cnn", f"{CNN} --data {FASHION} --training-images 10000 --epochs 40 --replicates 5 {SIZES} --ed-targets 90%"
    yield "paper", f"{DNN} --replicates 10"


def reductions():
    """Name, run and arguments of every network that is made really smaller."""
    for run in REDUCED:
        for replica in REDUCED_REPLICAS:
            for times in FASTER:
                yield f"{run}-{times}x-{replica}", run, f"--base mean --replica {replica} --faster {times}"
