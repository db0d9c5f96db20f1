"""The runs that the page is made of: a name and the command's arguments. Cheap ones come first."""

import os

# Fashion-MNIST is not part of the repository. Debian's package dataset-fashion-mnist puts it there; FASHION_MNIST names another folder.
FASHION = f"any={os.environ.get('FASHION_MNIST', '/usr/share/datasets/fashion-mnist')}"

# What does not interest at a place is kept small: exponential decay of one epoch, to no sparsity; a surgeon on few images.
NO_DECAY = "--ed-epochs 1 --ed-targets 0"
NO_SURGEON = "--layers all --surgeons one --calibration-images 64"
SIZES = "--stages 2,4,6,8,10,15"
TARGETS = "--ed-targets 80%,90%,95%"
DNN = "compare --preset paper --model dnn"
CNN = "compare --preset paper --model cnn"
# One pair on which one setting at a time is turned, the whole network alone.
SMALL_DATA = "--training-images 20000 --epochs 30 --replicates 10"
SMALL = f"{DNN} {SMALL_DATA} {SIZES}"
TURNED = f"{SMALL} --layers all --surgeons one {NO_DECAY}"
FASHION_DATA = f"--data {FASHION} --training-images 10000 --epochs 60 --replicates 10"
PR_DATA = "--data pr --epochs 150 --replicates 10"
XR_DATA = "--data xr-synthetic --side 28 --epochs 60 --replicates 10"
YARDSTICK_DATA = "--hidden 40,20 --no-bias --epochs 30 --replicates 10"

# The pairs of network and data that every question is asked of, in the order of the page.
PAIRS = ("paper", "mnist-dnn", "fashion-dnn", "pr-dnn", "pr-dnn-40", "xr-dnn", "mnist-cnn", "fashion-cnn")
COSINE = {"mnist-dnn": "mnist-dnn-cosine", "fashion-dnn": "fashion-dnn-cosine"}
# The same networks, with frozen weights ranked like all others; with each layer losing the same share.
FROZEN_KEPT = {"mnist-dnn": "frozen-kept-mnist", "fashion-dnn": "frozen-kept-fashion", "pr-dnn": "frozen-kept-pr", "xr-dnn": "frozen-kept-xr"}
LAYERWISE = {"mnist-dnn": "layerwise-mnist"}
# One-shot pruning of the same networks that `compare` has not: name, words of the row, arguments of `prune`.
ONE_SHOT = {"mnist-dnn": (
    ("mnist-lamp", "magnitude, by LAMP", "--criterion magnitude --scope lamp"),
    ("mnist-hold-refit", "holding magnitude, refit", "--criterion hold --repair refit"),
    ("mnist-wanda-refit", "Wanda's score, refit", "--criterion wanda --repair refit"),
)}
CALIBRATION = (64, 256, 1024, 4096, 16384)
RIDGES = ("1e-4", "1e-3", "1e-2")
WINDOWS = (5, 10, 15, 20, 30)
# The path to 2x is the first of the stages.
ONE_PATH = (4, 6, 8, 10, 15)
YARDSTICK = "yardstick"
# One-shot in `compare` keeps to 2, 4, 6, 8 and 10x where it can: the other sizes of the published tables are a run of their own.
YARDSTICK_MAGNITUDE = "yardstick-magnitude"
# How much of the time of training and surgeon decay has for one size. Its epochs follow from the ledgers of the runs below, which do the same work,
# with either seed: they stand in for EPOCHS.
EQUAL_TIME = {"decay-share": "a share of the time", "decay-all": "all of the time"}
SAME_WORK = ("mnist-dnn", "all-rows-alike", "ridge-1e-4", "ridge-1e-2", "mean-of-5", "mean-of-10", "mean-of-20", "mean-of-30")
FASTER = ("1.5", "2", "3", "4")
# Replicas that are made really smaller: all that the run has.
REDUCED = {"mnist-dnn": range(10), "mnist-cnn": range(5)}


def comparisons():
    """Name and arguments of every comparison."""
    # One surgeon on the whole network and little decay: many replicas where they cost least.
    yield "pr-dnn-40", "compare --model dnn --data pr --replicates 40 --epochs 60 --ed-epochs 1 --ed-targets 0,50%,0.9"
    yield "mnist-dnn", f"{SMALL} {TARGETS}"
    yield "pr-dnn", f"{DNN} {PR_DATA} {SIZES} {TARGETS}"
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
    for pair, data in (("mnist-dnn", SMALL_DATA), ("fashion-dnn", FASHION_DATA), ("pr-dnn", PR_DATA), ("xr-dnn", XR_DATA)):
        yield FROZEN_KEPT[pair], f"{DNN} {data} --stages 2,4,6 {NO_SURGEON} {NO_DECAY} --keep-frozen"
    yield LAYERWISE["mnist-dnn"], f"{DNN} {SMALL_DATA} --stages 2,4,6,8,10 {NO_SURGEON} {NO_DECAY} --scope layer"
    yield "fashion-dnn", f"{DNN} {FASHION_DATA} {SIZES} {TARGETS}"
    for name in EQUAL_TIME:
        yield name, (
            f"{DNN} {SMALL_DATA} --stages 2,4,6,8,10 {NO_SURGEON} --ed-targets 0 --ed-epochs EPOCHS".replace("--epochs 30", "--epochs 2")
        )
    yield "mnist-cnn", f"{CNN} --training-images 10000 --epochs 40 --replicates 5 {SIZES} --ed-targets 90%"
    yield YARDSTICK, (
        f"{DNN} {YARDSTICK_DATA} --surgeons one --layers all"
        f" --stages 2,3,4,5,6,8,10,12,15,20,30,50 --calibration-images 6000 --polish 2 {NO_DECAY}"
    )
    yield YARDSTICK_MAGNITUDE, f"{DNN} {YARDSTICK_DATA} --stages 5,20,50 {NO_SURGEON} {NO_DECAY}"
    yield "xr-dnn", f"{DNN} {XR_DATA} {SIZES} {TARGETS}"
    yield "fashion-dnn-cosine", f"{DNN} {FASHION_DATA} {SIZES} --schedule cosine {NO_DECAY}"
    yield "fashion-cnn", f"{CNN} --data {FASHION} --training-images 10000 --epochs 40 --replicates 5 {SIZES} --ed-targets 90%"
    yield "paper", f"{DNN} --replicates 10"


def made_of_runs():
    """Name, run and arguments of what is made of a run's networks: pruned otherwise in one shot, and really smaller."""
    for run, ways in ONE_SHOT.items():
        for name, _, words in ways:
            yield name, run, f"prune {words} --layers all --smaller 2,4,6,8,10"
    for run, replicas in REDUCED.items():
        for replica in replicas:
            for times in FASTER:
                yield f"{run}-{times}x-{replica}", run, f"compact --base mean --replica {replica} --faster {times}"
