"""Measuring two or more things in turn: first one of each, then the next of each; what drifts on the machine meets all."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HOLDFAST = "target/release/holdfast"
BURN = "target/peers/burn/release"

# Where these are set, NumPy's library of linear algebra is told to run as on an old processor.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
# burn takes the software driver, as we do, even where there is a GPU.
ENVIRONMENT["CUBECL_WGPU_DEFAULT_DEVICE"] = "Cpu"


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class PeerFailed(Exception):
    """A peer that cannot be run here; ours that fail end the run."""


class Worker:
    """A peer that was started once and measures whenever it is asked."""

    def __init__(self, command):
        self.complaints = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, text=True
        )
        # Frameworks print advice before the first result.
        while self.read() != "ready\n":
            pass

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.complaints.seek(0)
            last = self.complaints.read().strip().splitlines()[-1:]
            raise PeerFailed(f"{' '.join(self.process.args)} ended: {' '.join(last)}")
        return line

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.read())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.complaints.close()
        self.process.wait()


def script(name, *options):
    """Starts a script of this folder."""
    return lambda: Worker([sys.executable, f"benches/peers/{name}.py", *options])


def burn(back_end, *options):
    """Starts burn's program for a back end."""
    return lambda: Worker([f"{BURN}/{back_end}", *options])


def holdfast(*arguments):
    """What `holdfast ... --json` prints."""
    command = [HOLDFAST, *arguments, "--json", "--quiet"]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {found.stderr.strip()}")
    return json.loads(found.stdout)


class Ours:
    """A figure of `holdfast bench`."""

    def __init__(self, figure, *options):
        part = {
            "step_us": "step", "sort_count_ms": "sort-count", "sweep_us_per_point": "sweep", "surgeon_ms": "surgeon",
            "masks_ms": "masks", "whole_inputs_ms": "whole-inputs",
        }[figure]
        self.figure, self.arguments = figure, ["bench", "--only", part, *options]

    def measure(self):
        return holdfast(*self.arguments)[self.figure]["median"]

    def stop(self):
        pass


def by_turns(rounds, sides):
    """Medians of `rounds` measurements of each side, with all of them. `sides`: name -> what starts it.

    A side that cannot be run is left out with its reason.
    """
    workers, found = {}, {}
    for name, start in sides.items():
        say(f"  starting {name}")
        try:
            workers[name] = start()
        except (OSError, PeerFailed) as error:
            say(f"  left out: {error}")
            found[name] = {"left_out": str(error)}
    values = {name: [] for name in workers}
    for turn in range(rounds):
        for name, worker in list(workers.items()):
            try:
                values[name].append(worker.measure())
            except (OSError, PeerFailed) as error:
                say(f"  left out: {error}")
                found[name] = {"left_out": str(error)}
                del workers[name], values[name]
            time.sleep(0.2)  # threads of the other tools wait busily for a while
        last = ", ".join(f"{name} {taken[-1]:.1f}" for name, taken in values.items())
        say(f"  turn {turn + 1} of {rounds}: {last}")
    for worker in workers.values():
        worker.stop()
    return found | {name: {"median": statistics.median(taken), "all": taken} for name, taken in values.items()}


def faster(sides):
    """The one of several ways to run a tool that is fastest here, by one trial each: (name, what starts it)."""
    if len(sides) == 1:
        return next(iter(sides.items()))
    tried = by_turns(2, sides)
    times = {name: min(result["all"]) for name, result in tried.items() if "all" in result}
    if not times:
        return next(iter(sides.items()))
    best = min(times, key=times.get)
    return best, sides[best]
