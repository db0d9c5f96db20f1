"""Runs ours and theirs by turns and prints medians and ratios; called by `run`."""
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys

ROUNDS = int(sys.argv[1])
PYTHON = sys.executable


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ours(measure, *options):
    """A figure of `holdfast bench`."""
    return lambda: json.loads(output(["target/release/holdfast", "bench", "--json", "--quiet", *options]))[measure]["median"]


def script(name, *options):
    """What a script of this folder prints."""
    return lambda: float(output([PYTHON, f"benches/peers/{name}.py", *options]).split()[-1])


def packages(*names):
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def table(title, unit, mine, theirs):
    """One line for each of `theirs`, all measured by turns with ours."""
    found = {name: [] for name in ["ours", *theirs]}
    for _ in range(ROUNDS):
        found["ours"].append(mine())
        for name, measure in theirs.items():
            found[name].append(measure())
    median = {name: statistics.median(values) for name, values in found.items()}
    print(f"\n{title}\n  {'holdfast':44}{median['ours']:12,.1f} {unit}")
    for name in theirs:
        print(f"  {name:44}{median[name]:12,.1f} {unit}{median[name] / median['ours']:10.1f}x")
    sys.stdout.flush()


print(f"{os.cpu_count()} cores, batch 32, 28 x 28, Adam; medians of {ROUNDS}, by turns; time of a step of one replica")
for model, filters, steps in (("dnn", 0, 200), ("cnn", 8, 50), ("cnn", 32, 20)):
    sizes = ["--model", model] + (["--filters", str(filters)] if filters else [])
    counted = [*sizes, "--steps", str(steps)]
    name = f"{model.upper()}, {filters} filters" if filters else model.upper()
    peers = {
        packages("torch"): script("step_torch", *counted),
        packages("keras", "tensorflow-cpu"): script("step_keras", *counted),
    }
    if filters < 32:  # its convolutions over replicas take minutes there
        peers[packages("jax") + ", vmap over 10 replicas"] = script("step_jax", *sizes, "--steps", str(steps // 2))
    table(f"{name}: CPU engine", "µs", ours("step_us", "--device", "cpu", *sizes), peers)
for replicates in ("10", "50"):
    theirs = {
        packages("numpy"): script("sort_count_numpy", "--replicates", replicates),
        packages("torch"): script("sort_count_torch", "--replicates", replicates),
    }
    title = f"Sort + count of 150 epochs x {replicates} replicas x 900 nodes: CPU engine"
    table(title, "ms", ours("sort_count_ms", "--device", "cpu", "--replicates", replicates), theirs)
