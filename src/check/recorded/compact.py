"""Makes the runs that `holdfast doctor` carries from those of tests/fixtures/training: without gradients and final weights,
the initial weights rounded to single precision as an engine takes them in. Run in this folder; needs NumPy."""

import pathlib

import numpy

NAMES = ["cnn_11px_f3_w7_d2_short_mask", "dnn_7px_w5_d2_short", "dnn_10px_w30_d6_mask", "dnn_12px_w30_d6_a"]
KEPT = {"is_cnn", "side", "filters", "width", "depth", "classes", "batch", "images", "labels", "order", "batch_sizes"}
KEPT |= {"focus_mask", "mask_from_step", "losses"}

for name in NAMES:
    run = numpy.load(pathlib.Path("../../../tests/fixtures/training") / f"{name}.npz")
    kept = {key: run[key] for key in run.files if key in KEPT}
    kept |= {key: run[key].astype(numpy.float32) for key in run.files if key.startswith("init.")}
    numpy.savez_compressed(f"{name}.npz", **kept)
