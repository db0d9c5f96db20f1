"""Measures everything that docs/results/performance.md says, into target/peers/measured.json; called by `run`.

    measure.py ROUNDS [SECTION...]     all sections if none is named; those that are not named stay as they were
"""
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time

from turns import HOLDFAST, Ours, burn, by_turns, faster, holdfast, say, script

MEASURED = "target/peers/measured.json"
# (name, options, steps of one measurement of PyTorch and Keras, of JAX, of burn on the processor and on the software driver)
NETWORKS = {
    "dnn": (["--model", "dnn"], 300, 100, 100, 20),
    "cnn8": (["--model", "cnn", "--filters", "8"], 60, 6, 8, 5),
    "cnn32": (["--model", "cnn", "--filters", "32"], 20, 0, 2, 2),
}
# Replicas side by side from which the time of a replica-step should no longer depend on their number; odd ones too.
GROWTH = [1, 2, 3, 4, 5, 7, 10, 13, 25, 50]
SOFTWARE = "llvmpipe"


def version(*packages):
    return " ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def burn_version():
    lock = open("benches/peers/burn/Cargo.lock").read()
    return "burn " + lock.split('name = "burn"\nversion = "')[1].split('"')[0]


def software_driver():
    """Whether the WGSL engine can run on Mesa's software driver here."""
    found = subprocess.run([HOLDFAST, "devices"], capture_output=True, text=True)
    return SOFTWARE in found.stdout


def steps_on_processor(rounds):
    """A training step of one replica: the CPU engine and every other tool on the processor."""
    found = {}
    for name, (sizes, steps, jax_steps, burn_steps, _) in NETWORKS.items():
        say(f"training step of {name}: CPU engine")
        counted = [*sizes, "--steps", str(steps)]
        modes = {"eager": "eager", "one-thread": "eager, one thread", "compiled": "compiled"}
        if name == "dnn":  # over convolutions it takes minutes to compile
            modes["vmap"] = "compiled, vmap over 10 replicas"
        torch = {
            f"{version('torch')}, {label}": script("step_torch", *counted, "--mode", mode)
            for mode, label in modes.items()
        }
        keras = {
            f"{version('keras', 'tensorflow-cpu')}, {label}": script("step_keras", *counted, "--mode", mode)
            for mode, label in [("graph", "graph"), ("xla", "XLA")]
        }
        back_ends = {
            f"{burn_version()}, {back_end}": burn(back_end, *sizes, "--steps", str(burn_steps))
            for back_end in ("ndarray", "flex")
        }
        sides = {"holdfast": lambda: Ours("step_us", "--device", "cpu", *sizes)}
        sides |= dict([faster(torch), faster(keras)])
        if jax_steps:  # its convolutions of 32 filters over replicas take minutes
            label = f"{version('jax')}, vmap over 10 replicas"
            sides[label] = script("step_jax", *sizes, "--steps", str(jax_steps))
        found[name] = by_turns(rounds, sides | back_ends)
    return found


def steps_on_software_driver(rounds):
    """A training step of one replica: the GPU engine and burn's, both on Mesa's software Vulkan driver."""
    if not software_driver():
        return {"left_out": "Mesa's software Vulkan driver is not installed"}
    found = {}
    for name, (sizes, *_, burn_steps) in NETWORKS.items():
        say(f"training step of {name}: GPU engine on the software driver")
        replicates = "4" if name == "cnn32" else "10"
        sides = {
            "holdfast": lambda: Ours("step_us", "--device", SOFTWARE, "--replicates", replicates, *sizes),
            f"{burn_version()}, wgpu": burn("wgpu", *sizes, "--steps", str(burn_steps)),
        }
        found[name] = by_turns(rounds, sides)
    found["launches"] = holdfast("bench", "--only", "step", "--device", SOFTWARE)["launches"]
    return found


def sort_and_count(rounds):
    """Sort and count of 150 epochs x 50 replicas x 900 weights."""
    say("sort and count of 150 x 50 x 900")
    options = ["--replicates", "50"]
    sides = {
        "holdfast": lambda: Ours("sort_count_ms", "--device", "cpu", *options),
        version("numpy"): script("sort_count_numpy", *options),
        version("torch"): script("sort_count_torch", *options),
    }
    found = by_turns(rounds, sides)
    if software_driver():
        found["gpu_engine"] = holdfast("bench", "--only", "sort-count", "--device", SOFTWARE, *options)["sort_count_ms"]
    return found


def surgeon(rounds):
    """Gram matrices, paths and order of the last hidden layer of 10 networks on 4,096 images."""
    say("surgeon on the last hidden layer of 10 networks")
    sides = {
        "holdfast": lambda: Ours("surgeon_ms", "--device", "cpu", "--replicates", "10"),
        version("numpy"): script("surgeon_numpy", "--replicates", "10"),
    }
    return by_turns(rounds, sides)


def growth(rounds):
    """Time of a replica-step of the fully connected network against the number of replicas."""
    say("growth with replicas")
    return by_turns(rounds, {str(n): lambda n=n: Ours("step_us", "--device", "cpu", "--replicates", str(n)) for n in GROWTH})


def growth_of_sizes(_):
    """How time grows with every size beside how the work grows: fitted exponents."""
    say("growth with sizes")
    folder = "target/peers/growth"
    shutil.rmtree(folder, ignore_errors=True)
    found = holdfast("bench", "--growth", "--device", "cpu", "--out", folder)
    shutil.rmtree(folder)
    return {"lines": found["lines"]}


def one_replica(rounds):
    """One replica alone, on one thread and on two."""
    found = {}
    for name, (sizes, *_) in NETWORKS.items():
        say(f"one replica of {name} on one thread and on two")
        options = ["--device", "cpu", "--replicates", "1", *sizes]
        threads = {str(n): lambda n=n: Ours("step_us", *options, "--threads", str(n)) for n in (1, 2)}
        found[name] = by_turns(rounds, threads)
    return found


def sweep(rounds):
    """FLOP/s of the sweep beside those of training."""
    say("sweep beside training")
    sides = {"sweep": lambda: Rate("sweep", "sweep_gflops"), "training": lambda: Rate("step", "gflops")}
    return by_turns(rounds, sides)


class Rate:
    """GFLOP/s of a part of `holdfast bench`."""

    def __init__(self, part, figure):
        self.part, self.figure = part, figure

    def measure(self):
        return holdfast("bench", "--only", self.part, "--device", "cpu")[self.figure]["median"]

    def stop(self):
        pass


def run_measured(command):
    """What a command prints, its wall time in seconds and its largest resident memory in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return text, time.perf_counter() - start, usage.ru_maxrss * unit


def comparison(_):
    """The paper's comparison: wall time and memory."""
    say("compare --preset paper")
    folder = "target/peers/compare"
    shutil.rmtree(folder, ignore_errors=True)
    command = ["compare", "--preset", "paper", "--model", "dnn", "--device", "cpu"]
    predicted = holdfast(*command, "--dry-run", "--out", folder)["cells"][0]["memory_bytes"]
    _, seconds, memory = run_measured([HOLDFAST, *command, "--out", folder, "--json", "--quiet"])
    shutil.rmtree(folder, ignore_errors=True)
    return {
        "command": " ".join(["holdfast", *command]),
        "seconds": seconds,
        "memory_bytes": memory,
        "predicted_bytes": predicted,
    }


def memory(_):
    """Largest resident memory beside what `--dry-run` says, where convolutions or histories need most of it."""
    found = []
    for command in (
        ["train", "--model", "cnn", "--filters", "8", "--data", "pr", "--epochs", "2", "--replicates", "10"],
        ["train", "--model", "cnn", "--filters", "32", "--data", "ct", "--epochs", "1", "--replicates", "10"],
        # As many replicas and as large images as the paper has; a longer history is known to the byte.
        ["train", "--model", "cnn", "--filters", "32", "--data", "sc-synthetic", "--epochs", "1", "--replicates", "50"],
        ["study", "--preset", "paper", "--model", "dnn", "--data", "pr"],
    ):
        say(f"memory of {' '.join(command)}")
        folder = "target/peers/memory"
        shutil.rmtree(folder, ignore_errors=True)
        options = [*command, "--device", "cpu", "--out", folder]
        predicted = holdfast(*options, "--dry-run")["cells"][0]["memory_bytes"]
        _, _, measured = run_measured([HOLDFAST, *options, "--quiet"])
        shutil.rmtree(folder, ignore_errors=True)
        found.append({"command": " ".join(["holdfast", *command]), "memory_bytes": measured, "predicted_bytes": predicted})
    return {"commands": found}


def criterion(*ids):
    """Medians in seconds of benchmarks of `cargo bench`, by id; measured now."""
    say(f"cargo bench: {', '.join(ids)}")
    pattern = "|".join(re.escape(name) for name in ids)
    subprocess.run(["cargo", "bench", "--quiet", "--bench", "kernels", "--", pattern], check=True, stdout=sys.stderr)
    medians = {}
    for folder, _, files in os.walk("target/criterion"):
        if folder.endswith("/new") and "estimates.json" in files:
            name = json.load(open(f"{folder}/benchmark.json"))["full_id"]
            if any(wanted in name for wanted in ids):
                medians[name] = json.load(open(f"{folder}/estimates.json"))["median"]["point_estimate"] * 1e-9
    return medians


def large_histories(_):
    """Count of 100 x 1,000,000 beside a plain copy, sort of 1,000,000 pairs beside rayon's."""
    return {"benchmarks": criterion("n1000000")}


def kernels(_):
    """The limits of both engines, and what each kernel reaches of them."""
    found = {}
    for device in ["cpu"] + ([SOFTWARE] if software_driver() else []):
        for name, (sizes, *_) in NETWORKS.items():
            say(f"kernels of {name} on {device}")
            found[f"{device} {name}"] = holdfast("bench", "--kernels", "--device", device, *sizes)
    return found


# GPUs that the arithmetic on paper is done for: (GFLOP/s, GB/s, compute units); round numbers of three classes of devices.
CLASSES = {"integrated": (2_000, 60, 16), "mid-range": (10_000, 350, 32), "high-end": (50_000, 1_000, 128)}


def paper(_):
    """What GPUs of three classes need at least for a training step, from counted work alone."""
    if not software_driver():
        return {"left_out": "launches are counted on Mesa's software Vulkan driver, which is not installed"}
    say("arithmetic on paper")
    found = {"classes": CLASSES}
    for name, (sizes, *_) in NETWORKS.items():
        for replicates in ("10", "50"):
            for kind, (peak, bandwidth, units) in CLASSES.items():
                limits = ["--peak", str(peak), "--bandwidth", str(bandwidth), "--compute-units", str(units)]
                options = [*sizes, "--replicates", replicates, "--device", SOFTWARE]
                found[f"{name} {replicates} {kind}"] = holdfast("bench", "--kernels", *limits, *options)["least_step_us"]
    return found


SECTIONS = {
    "steps_on_processor": steps_on_processor,
    "steps_on_software_driver": steps_on_software_driver,
    "sort_and_count": sort_and_count,
    "surgeon": surgeon,
    "growth": growth,
    "growth_of_sizes": growth_of_sizes,
    "one_replica": one_replica,
    "sweep": sweep,
    "comparison": comparison,
    "memory": memory,
    "large_histories": large_histories,
    "kernels": kernels,
    "paper": paper,
}


def processor():
    """What the machine calls its processor."""
    if os.path.exists("/proc/cpuinfo"):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def main():
    rounds = int(sys.argv[1])
    wanted = sys.argv[2:] or list(SECTIONS)
    measured = {"sections": {}}
    if sys.argv[2:] and os.path.exists(MEASURED):
        measured = json.load(open(MEASURED))
    measured["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {processor()}"
    measured["holdfast"] = subprocess.run([HOLDFAST, "--version"], capture_output=True, text=True).stdout.split()[-1]
    measured["python"] = platform.python_version()
    for name in wanted:
        start = time.time()
        found = SECTIONS[name](rounds)
        found |= {"at": time.strftime("%Y-%m-%d", time.gmtime(start)), "rounds": rounds}
        measured["sections"][name] = found
        with open(MEASURED + ".new", "w") as file:
            json.dump(measured, file, indent=1)
        os.replace(MEASURED + ".new", MEASURED)
        say(f"{name}: {time.time() - start:.0f} s")


main()
