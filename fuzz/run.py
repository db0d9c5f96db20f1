#!/usr/bin/env python3
"""Runs every fuzz target for so many seconds from the seeds and what earlier runs found, and writes
docs/results/hostile-input.md from all runs so far.

Usage: fuzz/run.py [--seconds N] [--program FILE] [TARGET...]

Needs NumPy for the seeds, a C++ compiler for libFuzzer, and no nightly Rust: `fuzz/instrument` gives the flags of cargo-fuzz
(which can run the targets, too: `cargo +nightly fuzz run --sanitizer none idx`). Readers are safe Rust: panics, overflows,
memory and time are looked for, so no sanitizer is needed; the targets' allocator ends the process where a reader asks for more
than 256 MiB at once. A finding lies in artifacts/ and becomes a case of the tests beside its reader. Exits with 1 if there was one.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/results/hostile-input.md"
READS = {
    "idx": "pairs of IDX files, plain and compressed",
    "arrays": "`.npy`, `.npz`, `.safetensors`: names, arrays, histories",
    "medmnist": "archives in the form of MedMNIST",
    "config": "settings of a run folder",
    "tables": "the CSV files of `study --from-observations`",
    "checkpoint": "checkpoints with a valid seal",
}
LIMITS = ["-max_len=8192", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
SLOW = 20


def build():
    environment = os.environ | {"RUSTC_WRAPPER": str(HERE / "instrument"), "CARGO_INCREMENTAL": "0"}
    subprocess.run(["cargo", "build", "--release"], cwd=HERE, env=environment, check=True)
    return HERE / "target/release"


def seed(program):
    subprocess.run([sys.executable, HERE / "seeds.py"], check=True)
    settings = subprocess.run(
        [program, "compare", "--preset", "smoke", "--print-config"], capture_output=True, text=True, check=True
    )
    (HERE / "corpus/config").mkdir(parents=True, exist_ok=True)
    (HERE / "corpus/config/smoke.toml").write_text(settings.stdout)


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_slow(binary, path):
    """Whether an input takes long by itself. libFuzzer looks at the clock, and on a busy machine the clock goes on alone."""
    before = processor_seconds()
    found = subprocess.run([binary, path, "-timeout=600", "-rss_limit_mb=2048"], capture_output=True)
    return found.returncode != 0 or processor_seconds() - before > SLOW


def fuzz(binary, target, seconds):
    """Runs a target and gives what came of it."""
    corpus, artifacts = HERE / "corpus" / target, HERE / "artifacts" / target
    corpus.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    before = processor_seconds()
    fast = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        found = subprocess.run(
            [binary, corpus, f"-artifact_prefix={artifacts}/", f"-max_total_time={seconds}", *LIMITS],
            env=os.environ | {"TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    used = processor_seconds() - before
    late = list(artifacts.glob("timeout-*"))
    [path.unlink() for path in late if not is_slow(binary, path)]
    only_late = "SUMMARY: libFuzzer: timeout" in found.stderr and not any(path.exists() for path in late)
    (artifacts / "last.log").write_text(found.stderr)
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", found.stderr)
    coverage = re.findall(r" cov: (\d+)", found.stderr)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "target": target,
        "executions": int(executions[1]) if executions else 0,
        "processor_seconds": used,
        "coverage": int(coverage[-1]) if coverage else 0,
        "findings": int(found.returncode != 0 and not only_late),
    }


def log_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def page(runs):
    by_target = collections.defaultdict(list)
    for run in runs:
        by_target[run["target"]].append(run)
    lines = [
        "# Hostile input",
        "",
        f"Written by `fuzz/run.py` on {max(run['date'] for run in runs)}, from {len(runs)} runs since "
        f"{min(run['date'] for run in runs)}. Each target writes what the fuzzer makes of its seeds into files and reads them as "
        f"the program does. A panic, an overflow, an error that is no refusal of bad data, more than {SLOW} seconds, more than 256 MiB "
        "asked for at once or 2 GiB in all is a finding.",
        "",
        "| target | reads | executions | processor time | branches reached | findings |",
        "|---|---|---|---|---|---|",
    ]
    for target, reads in READS.items():
        own = by_target.get(target, [])
        executions, seconds = (sum(run[what] for run in own) for what in ["executions", "processor_seconds"])
        coverage, findings = max((run["coverage"] for run in own), default=0), sum(run["findings"] for run in own)
        lines.append(f"| `{target}` | {reads} | {executions:,} | {seconds / 60:.1f} min | {coverage:,} | {findings} |")
    total = sum(run["processor_seconds"] for run in runs) / 60
    executions, findings = (sum(run[what] for run in runs) for what in ["executions", "findings"])
    lines.append(f"| all | | {executions:,} | {total:.1f} min | | {findings} |")
    lines += [
        "",
        "Every finding is mended where the file is read, and is a case of the tests beside that reader; executions before a "
        "mend are counted. `tests/cli_history` and `tests/cli` hold the refusals that users meet, with their words.",
    ]
    PAGE.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(READS)}; all if none is named")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parent / "target/release/holdfast")
    parser.add_argument("--binaries", type=pathlib.Path, help="a folder of targets that are built already")
    parser.add_argument("--log", type=pathlib.Path, default=HERE / "runs.jsonl", help="what all runs so far came to")
    arguments = parser.parse_args()
    binaries = arguments.binaries or build()
    seed(arguments.program)
    found = 0
    for target in arguments.targets or READS:
        run = fuzz(binaries / target, target, arguments.seconds)
        print(run, flush=True)
        found += run["findings"]
        with arguments.log.open("a") as log:
            log.write(json.dumps(run) + "\n")
        page(log_of(arguments.log))
    raise SystemExit(found > 0)


if __name__ == "__main__":
    main()
