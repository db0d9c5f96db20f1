#!/usr/bin/env python3
"""Rehearses what goes wrong with machines, on the built program, and writes docs/results/reliability.md.

Usage: cargo build --release && tests/reliability/run.py [--kills N] [--program FILE]

Linux only. Some rehearsals mount a small tmpfs and need root; the clock needs faketime (Debian: apt-get install faketime).
What cannot be rehearsed here is said in the table. Exits with 1 if anything ended otherwise than it must.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Files that hold no times: equal in every run of one configuration.
SAME = ["config.toml", "metrics.csv", "history.npz", "weights.safetensors", "stability.csv", "envelope.csv", "sweep.csv"]
# About a second: training, then exponential decay in several sessions.
COMPARE = "compare --preset smoke --epochs 6 --ed-epochs 3 --training-images 2000 --device cpu --quiet --out".split()
# A training run long enough to be disturbed, with a checkpoint when it is stopped.
TRAIN = "train --preset smoke --epochs 200 --device cpu --quiet --out".split()
# Training by the shaders, on the device that comes after it.
SHADERS = "train --preset smoke --epochs 4 --training-images 1000 --quiet --device".split()
LIMIT = 300
PAGE = ROOT / "docs/results/reliability.md"

rows = []


class Failed(Exception):
    """A rehearsal that ended otherwise than it must."""


def demand(holds, message):
    if not holds:
        raise Failed(message)


def software_adapter():
    """Index of the first adapter that runs in software, else of the first one."""
    listed = subprocess.run([PROGRAM, "devices", "--json"], capture_output=True, text=True, check=True).stdout
    adapters = json.loads(listed)["adapters"]
    demand(adapters, "there is no Vulkan, Metal or DX12 driver")
    software = [adapter for adapter in adapters if adapter["kind"] == "software"]
    return str((software or adapters)[0]["index"])


def start(arguments, out, **options):
    return subprocess.Popen(
        [PROGRAM, *arguments, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def end(child):
    try:
        output, errors = child.communicate(timeout=LIMIT)
    finally:
        child.kill()
    demand("panicked" not in errors, f"a panic: {errors[-300:]}")
    return child.returncode, errors


def run(arguments, out, **options):
    return end(start(arguments, out, **options))


def refused(result, code, *words):
    demand(result[0] == code, f"exit code {result[0]} instead of {code}: {result[1][-300:]}")
    message = result[1][result[1].rfind("error: ") :]
    for word in words:
        demand(word in message, f'"{word}" is not in "{message.strip()}"')
    return message.strip().splitlines()[0].replace(str(out_of(message)), "DIR")


def out_of(message):
    return next((word.rstrip(":;,") for word in message.split() if word.startswith("/")), "\0")


def leftovers(folder):
    return [path.name for path in folder.rglob("*") if path.name.startswith(".tmp") or path.suffix == ".tmp"]


def rehearse(name, must, action):
    if ARGUMENTS.only not in (None, name):
        kept = next((line for line in KEPT if line.startswith(f"| {name} |")), None)
        if kept:
            rows.append((*(cell.strip() for cell in kept.strip("|").split("|")), None))
            report()
        return
    started = time.monotonic()
    print(f"... {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found, passed = action(pathlib.Path(folder)), True
        except Failed as failure:
            found, passed = f"**FAILED**: {failure}", False
        except subprocess.TimeoutExpired as late:
            found, passed = f"**FAILED**: not done after {late.timeout:.0f} s", False
        except OSError as error:
            found, passed = f"not rehearsed here: {error}", None
    rows.append((name, must, found, passed))
    report()
    print(f"{'ok' if passed else '--' if passed is None else 'FAILED'}  {name}: {found} ({time.monotonic() - started:.0f} s)")


def undisturbed(arguments):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        started = time.monotonic()
        code, errors = run(arguments, folder)
        demand(code == 0, errors)
        names = [name for name in SAME if (folder / name).is_file()]
        return {name: (folder / name).read_bytes() for name in names}, time.monotonic() - started


def same_bits(folder, expected):
    for name, content in expected.items():
        demand((folder / name).read_bytes() == content, f"{name} differs from that of an undisturbed run")


def kills(arguments, number, kind, expected, duration):
    """Disturbs runs at random moments, going on each time, until so many signals have hit."""

    def action(folder):
        moments = random.Random(1)
        hit = runs = torn = 0
        while hit < number:
            out = folder / f"run{runs}"
            while hit < number:
                child = start(arguments, out)
                time.sleep(moments.uniform(0.02, 0.9 * duration))
                if child.poll() is not None:
                    demand(end(child)[0] == 0, "a run that was left alone failed")
                    break
                child.send_signal(kind)
                code, errors = end(child)
                if kind == signal.SIGINT and code == 0:
                    break  # It was past its last step.
                demand(code == (-9 if kind == signal.SIGKILL else 130), f"exit code {code}: {errors[-300:]}")
                hit += 1
                print(f"... signal {hit} of {number}", flush=True)
                torn += sum(1 for path in out.rglob("*.json") if path.stat().st_size == 0)
            code, errors = run(arguments, out)
            demand(code == 0, f"the last run failed: {errors[-300:]}")
            same_bits(out, expected)
            demand(not leftovers(out), f"left behind: {leftovers(out)}")
            runs += 1
        demand(torn == 0, f"{torn} empty files")
        return f"{hit} signals over {runs} runs; all {runs} ended with the bits of an undisturbed run"

    return action


def two_processes(folder):
    first = start(TRAIN, folder)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "manifest.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        message = refused(run(TRAIN, folder), 2, "in use by another run", "--out")
    finally:
        first.send_signal(signal.SIGINT)
    demand(end(first)[0] == 130, "the first run was disturbed")
    return f"the second is refused: `{message}`"


def mounted(folder, size, action):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True, capture_output=True)
    try:
        return action()
    finally:
        subprocess.run(["umount", folder], check=True)


def full_disk(expected):
    def action(folder):
        def fill():
            message = refused(run(COMPARE, folder), 1, "free some space")
            subprocess.run(["mount", "-o", "remount,size=200m", folder], check=True)
            demand(run(COMPARE, folder)[0] == 0, "with room again the same command failed")
            same_bits(folder, expected)
            return f"exit code 1, `{message}`; with room again the same command ends with the same bits"

        try:
            return mounted(folder, "150k", fill)
        except subprocess.CalledProcessError as error:
            raise OSError(f"mount: {error.stderr.decode().strip() if error.stderr else error}") from error

    return action


def file_size_limit(expected):
    def action(folder):
        def limit():
            # Without the handler the signal would end the process before the write fails.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

        code, errors = run(COMPARE, folder, preexec_fn=limit)
        message = refused((code, errors), 1, "cannot write")
        demand(run(COMPARE, folder)[0] == 0, "without the limit the same command failed")
        same_bits(folder, expected)
        return f"exit code 1, `{message}`; without the limit the same command ends with the same bits"

    return action


def read_only(folder):
    def protect():
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True, capture_output=True)
        return refused(run(COMPARE, folder / "run"), 1, "may write to")

    try:
        return f"exit code 1, `{mounted(folder, '1m', protect)}`"
    except subprocess.CalledProcessError as error:
        raise OSError(f"mount: {error.stderr.decode().strip() if error.stderr else error}") from error


def clock(expected):
    def action(folder):
        library = next(pathlib.Path("/usr/lib").rglob("libfaketime.so.1"), None)
        if library is None:
            raise OSError("libfaketime is not installed")
        times = folder / "clock"
        times.write_text("@2030-01-01 00:00:00")
        environment = os.environ | {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(times),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        child = start(COMPARE, folder / "run", env=environment)
        jumps = 0
        for moment in ["@1999-12-31 23:59:59", "@2038-01-19 03:14:08", "@1970-01-01 00:00:00", "@2100-02-28 23:59:59"]:
            time.sleep(0.25)
            times.write_text(moment)
            jumps += child.poll() is None
        code, errors = end(child)
        demand(code == 0, errors[-300:])
        demand(jumps > 1, "the run ended before the clock jumped")
        same_bits(folder / "run", expected)
        return f"{jumps} jumps between 1970 and 2100 during a run: same bits"

    return action


def stopped_training(folder, duration):
    """Interrupts a run in its middle. On a busy machine it may not have begun to train by then, or be done."""
    checkpoint = folder / "checkpoints" / "train.checkpoint"
    for share in [0.5, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5]:
        child = start(TRAIN, folder)
        time.sleep(share * duration)
        child.send_signal(signal.SIGINT)
        code, errors = end(child)
        demand(code in (0, 130), f"exit code {code}: {errors[-300:]}")
        if checkpoint.is_file():
            return checkpoint
        shutil.rmtree(folder)
        folder.mkdir()
    raise Failed("no checkpoint was written")


def damaged_checkpoints(number, expected, duration):
    def action(folder):
        checkpoint = stopped_training(folder, duration)
        kept = folder.with_name(folder.name + "-kept")
        shutil.copytree(folder, kept)
        dice = random.Random(2)
        try:
            for trial in range(number):
                shutil.rmtree(folder)
                shutil.copytree(kept, folder)
                content = bytearray(checkpoint.read_bytes())
                if trial % 2 == 0:
                    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
                else:
                    del content[dice.randrange(len(content)) :]
                checkpoint.write_bytes(content)
                code, errors = run([argument for argument in TRAIN if argument != "--quiet"], folder)
                demand(code == 0, errors[-300:])
                demand("damaged" in errors, f"nothing is said of the damage: {errors[-300:]}")
                same_bits(folder, expected)
        finally:
            shutil.rmtree(kept)
        return f"{number} flipped bits and cuts: noticed, trained anew, same bits"

    return action


def half_written(folder):
    demand(run(TRAIN, folder)[0] == 0, "the run failed")
    cut = 0
    for name in ["history.npz", "weights.safetensors", "config.toml"]:
        path, dice = folder / name, random.Random(3)
        whole = path.read_bytes()
        for length in [0, 1, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(5))]:
            path.write_bytes(whole[:length])
            arguments = ["prune", folder, "--criterion", "magnitude", "--sparsity", "0.5", "--device", "cpu", "--quiet"]
            child = subprocess.run(
                [PROGRAM, *arguments, "--out", folder / "pruned"], capture_output=True, text=True, timeout=LIMIT
            )
            demand("panicked" not in child.stderr, f"{name} cut to {length} bytes: {child.stderr[-300:]}")
            # A text that was cut at the end of a line is a shorter text.
            allowed = [2, 5] if name != "config.toml" else [0, 2, 5]
            demand(child.returncode in allowed, f"{name}, {length} bytes: {child.returncode}: {child.stderr[-300:]}")
            cut += 1
        path.write_bytes(whole)
    return f"{cut} files cut at random places: refused with exit code 5 or 2, or read where the text was whole"


def device_memory(folder):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1_000_000 << 10, 1_000_000 << 10))

    big = "train --preset smoke --replicates 1200 --epochs 1 --training-images 64 --quiet --device".split()
    big += [software_adapter(), "--out"]
    code, errors = run(big, folder, preexec_fn=limit)
    if code == 0:
        raise OSError("the memory was enough")
    return f"exit code {code}, `{refused((code, errors), 1, 'memory')}`"


def software_driver(folder):
    shaders = [*SHADERS, software_adapter(), "--out"]
    expected, _ = undisturbed(shaders)
    demand(run(shaders, folder)[0] == 0, "the run failed")
    same_bits(folder, expected)
    return "two runs of the WGSL engine: same bits"


def lost_device(_):
    test = "a_device_lost_in_the_middle_is_said_and_the_next_run_goes_on_to_the_same_bits"
    command = ["cargo", "test", "--release", "--test", "training", "--", "--nocapture", test]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=12 * LIMIT)
    demand(found.returncode == 0, (found.stdout + found.stderr)[-300:])
    lines = [line for line in found.stdout.splitlines() if "rehearsed: " in line]
    demand(len(lines) == 1, "the test did not run")
    return lines[0].split("rehearsed: ")[1]


def report():
    """Writes what was rehearsed so far: an interrupted rehearsal leaves the rows before it."""
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    lines = [
        "# What goes wrong with machines, rehearsed",
        "",
        f"Written by `tests/reliability/run.py --kills {ARGUMENTS.kills}` on {date}: {version}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores. Hostile files are rehearsed in `fuzz/` and `tests/cli_history`.",
        "",
        "| what happens | what must happen | what happened |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {must} | {found} |" for name, must, found, _ in rows]
    PAGE.write_text("\n".join(lines) + "\n")


def main():
    same = "the same command goes on and ends with the bits of an undisturbed run"
    expected, duration = undisturbed(COMPARE)
    trained, training = undisturbed(TRAIN)
    rehearse("SIGKILL at random moments", same, kills(COMPARE, ARGUMENTS.kills, signal.SIGKILL, expected, duration))
    few = max(1, ARGUMENTS.kills // 5)
    rehearse("SIGINT at random moments", f"exit code 130; {same}", kills(COMPARE, few, signal.SIGINT, expected, duration))
    rehearse("two processes, one folder", "the second is refused, the first not disturbed", two_processes)
    rehearse("full disk", f"exit code 1 and what to do; {same}", full_disk(expected))
    rehearse("file size limit", f"exit code 1 and what to do; {same}", file_size_limit(expected))
    rehearse("read-only folder", "exit code 1 and what to do", read_only)
    rehearse("the clock jumps", "no difference", clock(expected))
    rehearse("damaged checkpoint", "noticed; trained anew with the same bits", damaged_checkpoints(12, trained, training))
    rehearse("half-written files", "a refusal that names the file", half_written)
    rehearse("too little memory for the device", "exit code 1 and what to do", device_memory)
    rehearse("the device goes away in the middle of training", f"exit code 6; {same}", lost_device)
    rehearse("software driver", "same bits", software_driver)
    raise SystemExit(any(passed is False for *_, passed in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--program", default=ROOT / "target/release/holdfast")
    parser.add_argument("--only", help="a rehearsal; the rows of all others stay as they are on the page")
    ARGUMENTS = parser.parse_args()
    PROGRAM = ARGUMENTS.program
    KEPT = PAGE.read_text().splitlines() if PAGE.is_file() else []
    main()
