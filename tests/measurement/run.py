#!/usr/bin/env python3
"""Shows that times hold: a program is not told apart from itself, one that is slowed on purpose is, and quoted ranges hold.

    tests/measurement/run.py [--times N] [--slowed PROGRAM] [PART...]      parts: itself slowed halved ranges; all if none is named

Takes about an hour and a quarter on two cores; leave the machine alone meanwhile. `slowed` builds a copy of the sources in
which the sweep's kernel waits for a tenth of its time, unless PROGRAM is such a build already. Writes
docs/results/measurement.json, and from it docs/results/measurement.md.
"""
import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.chdir(pathlib.Path(__file__).resolve().parents[2])
HOLDFAST = os.environ.get("HOLDFAST", "target/release/holdfast")
FOLDER = pathlib.Path("target/measurement")
RESULTS = pathlib.Path("docs/results/measurement.json")
OPTIONS = ["--device", "cpu", "--quiet", "--json"]
# The kernel of one quantity, and the text that slows it: it waits for a tenth of what it took.
KERNEL, QUANTITY = "src/cpu/fast/focus_sweep.rs", "sweep_us_per_point"
BEFORE = "    pulp::Arch::new().dispatch(Evaluate {"
AFTER = """    let start = std::time::Instant::now();
    struct Wait(std::time::Instant);
    impl Drop for Wait {
        fn drop(&mut self) {
            let taken = self.0.elapsed();
            while self.0.elapsed() < taken.mul_f64(1.1) {}
        }
    }
    let _wait = Wait(start);
    pulp::Arch::new().dispatch(Evaluate {"""


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def compared(program):
    command = [HOLDFAST, "bench", *OPTIONS, "--only", "step,sort-count,sweep", "--against-program", program]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {one["name"]: (one["verdict"], one["ratio"]["median"]) for one in found["quantities"]}


def itself(arguments):
    """Of so many comparisons with itself, how many tell nothing apart."""
    runs = []
    for turn in range(arguments.times):
        runs.append(compared(HOLDFAST))
        say(f"itself, {turn + 1}: {runs[-1]}")
    right = sum(all(verdict == "~" for verdict, _ in run.values()) for run in runs)
    return {"runs": runs, "right": right, "of": len(runs)}


def slowed(arguments):
    """Of so many comparisons with a program whose sweep waits for a tenth of its time, how many find it, and only it."""
    program = arguments.slowed
    if not program:
        sources = FOLDER / "slowed"
        subprocess.run(["rm", "-rf", sources], check=True)
        sources.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", "HEAD"], check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", sources], check=True, input=archive)
        kernel = sources / KERNEL
        text = kernel.read_text()
        assert text.count(BEFORE) == 1, f"{KERNEL} has changed; say anew how its kernel is slowed"
        kernel.write_text(text.replace(BEFORE, AFTER))
        subprocess.run(["cargo", "build", "--release", "--quiet", "--target-dir", "../build"], cwd=sources, check=True)
        program = FOLDER / "build/release/holdfast"
    runs = []
    for turn in range(arguments.times):
        runs.append(compared(program))
        say(f"slowed, {turn + 1}: {runs[-1]}")
    # This program is the faster one.
    right = sum(run[QUANTITY][0] == "faster" for run in runs)
    return {"runs": runs, "right": right, "of": len(runs)}


def halved(_):
    """A file whose samples were halved is found slower by more than a quarter."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / "saved.json"
    subprocess.run([HOLDFAST, "bench", *OPTIONS, "--save", file], check=True, stdout=subprocess.DEVNULL)
    saved = json.loads(file.read_text())
    for quantity in saved["quantities"]:
        quantity["samples"] = [sample / 2 for sample in quantity["samples"]]
    file.write_text(json.dumps(saved))
    ended = subprocess.run(
        [HOLDFAST, "bench", *OPTIONS, "--against", file, "--fail-over", "25%"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return {"right": int(ended.returncode == 1), "of": 1, "said": ended.stderr.decode().strip()}


def ranges(_):
    """Of the ratios of five fresh comparisons, how many have a range that holds the median of the five."""
    runs = []
    for turn in range(5):
        say(f"compare --fresh, {turn + 1}")
        out = FOLDER / "compare"
        command = [HOLDFAST, "compare", "--model", "dnn", "--device", "cpu", "--quiet", "--fresh", "--out", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(out / "ledger.csv") as file:
            rows = [row for row in csv.DictReader(file) if row["ratio_to_stability_low"] and row["method"] != "stability"]
        key = lambda row: " ".join(row[name] for name in ("method", "rule", "layers", "repair"))
        part = lambda row: [float(row[f"ratio_to_stability{end}"]) for end in ("", "_low", "_high")]
        runs.append({key(row): part(row) for row in rows})
    right = of = 0
    missed = []
    for name in runs[0]:
        middle = statistics.median(run[name][0] for run in runs if name in run)
        for run in runs:
            if name in run:
                holds = run[name][1] <= middle <= run[name][2]
                right, of = right + holds, of + 1
                missed += [] if holds else [f"{name}: {middle:.3g} is not in {run[name][1]:.3g} to {run[name][2]:.3g}"]
    return {"right": right, "of": of, "missed": missed, "runs": runs}


PARTS = {"itself": itself, "slowed": slowed, "halved": halved, "ranges": ranges}
GOALS = {
    "itself": ("a program compared with itself: nothing is told apart", 0.95),
    "slowed": ("a program whose sweep is slowed by 10 %: it is found", 0.95),
    "halved": ("a file with halved samples: exit code 1 by `--fail-over 25%`", 1.0),
    "ranges": ("ratios of five runs of `compare --fresh`: the range holds the median of the five", 0.8),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--slowed")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.parts or PARTS:
        start = os.getloadavg()[0]
        found = PARTS[name](arguments)
        results[name] = found | {"at": time.strftime("%Y-%m-%d", time.gmtime()), "load_start": start}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        say(f"{name}: {found['right']} of {found['of']}")
    lines = [
        "# Do the numbers hold?",
        "Made by `tests/measurement/run.py`. A busy machine makes this harder: the load is that of the minute before.",
        "| what | holds | goal | load | date |\n|---|--:|--:|--:|---|\n"
        + "\n".join(
            f"| {words} | {results[name]['right']} of {results[name]['of']} | {least:.0%} | {results[name]['load_start']:.1f} | "
            f"{results[name]['at']} |"
            for name, (words, least) in GOALS.items()
            if name in results
        ),
    ]
    if missed := results.get("ranges", {}).get("missed"):
        lines += ["Ranges that did not hold the median of the five:", "\n".join(f"- {line}" for line in missed)]
    pathlib.Path("docs/results/measurement.md").write_text("\n\n".join(lines) + "\n")


main()
