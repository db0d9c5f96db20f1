"""Measures pruning beside other tools into docs/results/pruning-speed.json, and writes the page beside it; called by `run-pruning`.

    pruning.py ROUNDS [SECTION...]     all sections if none is named; those that are not named stay as they were
"""
import csv
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time

from turns import HOLDFAST, Ours, by_turns, holdfast, say, script

RESULTS = "docs/results/pruning-speed.json"
PAGE = "docs/results/pruning-speed.md"
FOLDER = "target/peers/pruning"
# Name -> (how it is trained, goal of the network with zeros, goal of the structured one in ONNX Runtime)
NETWORKS = {
    "MNIST DNN, 6 layers of 30": (["--model", "dnn"], 2, None),
    "DNN, 4 layers of 512": (["--model", "dnn", "--width", "512", "--depth", "4"], 3, 1.5),
    "CNN, 32 filters": (["--model", "cnn", "--filters", "32"], 3, 1.5),
}
ZEROS = ["--criterion", "surgeon", "--layers", "all", "--smaller", "6"]
# Other programs compute units and filters in blocks of 16.
HALF = ["--faster", "2", "--multiple", "16"]
WEIGHTS, SPARSITIES = 10_000_000, 20
ROWS, INPUTS, UNITS = 2048, 1024, 256


def version(*packages):
    return " ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def run(*arguments):
    subprocess.run([HOLDFAST, *arguments, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def made(name, options):
    """Folders of a trained network, the same with five of six weights zero, and one of half the multiply-adds; made once."""
    place = os.path.join(FOLDER, name.replace(" ", "-").replace(",", ""))
    folders = {part: os.path.join(place, part) for part in ("trained", "zeros", "half")}
    device = ["--device", "cpu"]
    trained = ["--data", "mnist", "--training-images", "6000", "--epochs", "3", "--replicates", "1", *options, "--layers", "all"]
    words = f"{trained} {ZEROS} {HALF}"
    # Written last: networks of other words, or half made, are made anew.
    note = os.path.join(place, "made")
    if not os.path.exists(note) or open(note).read() != words:
        subprocess.run(["rm", "-rf", place], check=True)
        say(f"  train {name}, prune, compact")
        run("train", *trained, *device, "--out", folders["trained"])
        run("prune", folders["trained"], *ZEROS, *device, "--out", folders["zeros"])
        run("compact", folders["trained"], *HALF, *device, "--out", folders["half"])
        with open(note, "w") as file:
            file.write(words)
    return folders


def removed(folder):
    """How many times fewer multiply-adds a network has that was made smaller in shape."""
    with open(os.path.join(folder, "compact.csv")) as file:
        *_, every = csv.DictReader(file)
    return int(every["multiply_adds_before"]) / int(every["multiply_adds_after"])


class Classified:
    """Milliseconds in which ours classifies the test set: the median of some turns of one start."""

    def __init__(self, folder):
        self.folder = folder

    def measure(self):
        out = os.path.join(FOLDER, "network.safetensors")
        options = ["--data", "mnist", "--device", "cpu", "--format", "safetensors", "--out", out]
        return 1e3 * holdfast("export", self.folder, *options)["seconds"]

    def stop(self):
        pass


def networks(rounds):
    """Classifying 10,000 images: the trained network, with zeros, and smaller in shape; ours and ONNX Runtime."""
    found, facts = {}, {}
    for name, (options, *_) in NETWORKS.items():
        say(f"classify: {name}")
        folders = made(name, options)
        sides = {part: lambda folder=folder: Classified(folder) for part, folder in folders.items()}
        for part in ("trained", "half"):
            file = os.path.join(FOLDER, f"{part}.onnx")
            run("export", folders[part], "--data", "mnist", "--device", "cpu", "--format", "onnx", "--out", file)
            sides[f"{part}, onnxruntime"] = script("classify_onnx", os.path.abspath(file))
            # The worker reads the file when it starts; the next network writes others.
        found[name] = by_turns(rounds, sides)
        data = ["--format", "safetensors", "--data", "mnist", "--device", "cpu", "--out", os.path.join(FOLDER, "network.safetensors")]
        accuracy = {part: holdfast("export", folder, *data)["accuracy"] for part, folder in folders.items()}
        facts[name] = {"fewer_multiply_adds": removed(folders["half"]), "accuracy": accuracy}
    return {"networks": found, "facts": facts, "onnxruntime": version("onnxruntime")}


def masks(rounds):
    """Masks of ten million weights at twenty sparsities by one global threshold."""
    say("masks")
    tools = {
        f"{version('torch')}, prune.global_unstructured": "prune",
        f"{version('torch')}, topk": "topk",
        f"{version('jax')}, JaxPruner's rule (top_k)": "jax",
    }
    sides = {"holdfast": lambda: Ours("masks_ms", "--device", "cpu", "--seconds", "5")}
    sides |= {name: script("masks", tool, str(WEIGHTS), str(SPARSITIES)) for name, tool in tools.items()}
    return {"tools": by_turns(rounds, sides)}


def surgeon(rounds):
    """The surgeon's order of the last hidden layer of ten networks, and NumPy's."""
    say("surgeon")
    sides = {
        "holdfast": lambda: Ours("surgeon_ms", "--device", "cpu", "--replicates", "10", "--seconds", "5"),
        version("numpy"): script("surgeon_numpy", "--replicates", "10"),
    }
    return {"tools": by_turns(rounds, sides)}


def elimination(rounds):
    """Whole inputs taken out one after the other, all units by one matrix, as ExactOBS does it."""
    say("elimination")
    sides = {
        "holdfast": lambda: Ours("whole_inputs_ms", "--device", "cpu", "--seconds", "5"),
        f"{version('torch')}, as ExactOBS does it": script("eliminate_torch", str(INPUTS), str(UNITS)),
    }
    return {"tools": by_turns(rounds, sides)}


SECTIONS = {"networks": networks, "masks": masks, "surgeon": surgeon, "elimination": elimination}


def significant(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(slow, fast):
    """Of pairs of turns: the median with the smallest and the largest."""
    ratios = [a / b for a, b in zip(slow["all"], fast["all"])]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else "one round"
    return statistics.median(ratios), f"{statistics.median(ratios):.2f}x ({spread})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * 1 + "|" + "--:|" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def reached(value, goal):
    return "–" if goal is None else f"at least {goal}x: {'yes' if value >= goal else '**no**'}"


def print_page(results):
    sections = results["sections"]
    lines = [
        "# Pruning beside other tools",
        f"Made by `benches/peers/run-pruning` on {' and '.join(sorted({found['at'] for found in sections.values()}))}, holdfast "
        f"{results['holdfast']}, {results['machine']}. {results['load']}",
        "Medians of rounds in which every side has its turn; ratios are of the same round, with the smallest and the largest.",
    ]
    if found := sections.get("networks"):
        rows, folders = [], ("trained", "zeros", "half")
        head = ["network", "trained, ms", "zeros", "goal", "multiply-adds fewer", "half", "trained, onnxruntime, ms"]
        head += ["half, onnxruntime", "goal", "accuracy, %: trained / zeros / half"]
        for name, sides in found["networks"].items():
            _, goal, onnx_goal = NETWORKS[name]
            zeros, shown = ratio(sides["trained"], sides["zeros"])
            half, shown_half = ratio(sides["trained"], sides["half"])
            theirs, shown_theirs = ratio(sides["trained, onnxruntime"], sides["half, onnxruntime"])
            milliseconds = significant(sides["trained"]["median"])
            theirs_ms = significant(sides["trained, onnxruntime"]["median"])
            fewer, accuracy = found["facts"][name]["fewer_multiply_adds"], found["facts"][name]["accuracy"]
            rows.append([name, milliseconds, shown, reached(zeros, goal), f"{fewer:.1f}x", shown_half, theirs_ms, shown_theirs])
            rows[-1] += [reached(theirs, onnx_goal), " / ".join(f"{100 * accuracy[part]:.1f}" for part in folders)]
        lines += [
            "## Smaller networks classify 10,000 images",
            f"MNIST's test set on the CPU engine and in onnxruntime {found['onnxruntime'].split()[-1]}. Zeros: the trained network with "
            f"five of six weights removed by the surgeon. Half: whole units and inputs taken out by `holdfast compact {' '.join(HALF)}`, "
            "in blocks, so that more than half may go. How many times as fast each is as the trained network:",
            table(head, rows),
            "The networks learned three epochs of 6,000 images: the accuracies say what is lost, not what is possible.",
        ]
    for name, title, work in (
        ("masks", "Masks", f"{SPARSITIES} masks of {WEIGHTS:,} weights, each by one threshold on all magnitudes."),
        ("surgeon", "The surgeon on the last hidden layer", "Moments of 4,096 images, paths of 30 units, and one order, of ten networks."),
        ("elimination", "Whole inputs", f"{INPUTS:,} inputs of {UNITS} units taken out one after the other, moments of {ROWS:,} rows included."),
    ):
        if name not in sections:
            continue
        sides = sections[name]["tools"]
        rows = []
        for tool, side in sides.items():
            if "median" not in side:
                rows.append([tool, "could not be run here", ""])
                continue
            shown = "" if tool == "holdfast" else ratio(side, sides["holdfast"])[1]
            rate = f", {SPARSITIES / side['median'] * 1e3:.1f} masks a second" if name == "masks" else ""
            rows.append([tool, f"{significant(side['median'])} ms{rate}", shown])
        lines += [f"## {title}", work, table(["", "time", "their time over ours"], rows)]
    with open(PAGE, "w") as page:
        page.write("\n\n".join(lines).rstrip() + "\n")


def main():
    rounds, wanted = int(sys.argv[1]), sys.argv[2:] or list(SECTIONS)
    os.makedirs(FOLDER, exist_ok=True)
    results = {"sections": {}}
    if sys.argv[2:] and os.path.exists(RESULTS):
        results = json.load(open(RESULTS))
    loads = [os.getloadavg()[0]]
    for name in wanted:
        found = SECTIONS[name](rounds)
        results["sections"][name] = found | {"at": time.strftime("%Y-%m-%d", time.gmtime()), "rounds": rounds}
        loads.append(os.getloadavg()[0])
    bench = holdfast("bench", "--device", "cpu", "--only", "step", "--seconds", "1")
    facts = bench["fingerprint"]
    results["machine"] = f"{facts['processor']}, {facts['threads']} threads, {facts['system']}"
    results["holdfast"] = f"{facts['version']} (commit {facts['commit']})"
    results["fingerprint"] = facts
    busy = loads[0] > 0.25 * facts["threads"]
    results["load"] = (
        f"Other programs were at work: {loads[0]:.1f} threads when it began." if busy else "Nothing else was at work when it began."
    )
    with open(RESULTS, "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    print_page(results)


main()
