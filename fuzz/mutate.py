#!/usr/bin/env python3
"""Feeds mutated files to the built program, for so many seconds: what fuzzing is where nightly Rust is missing. No coverage
guides it; each file starts from a seed of corpus/ (`seeds.py` writes them) and gets a few flips, cuts, copies and hostile
numbers. A panic, a signal, an exit code other than 0, 2 and 5, or more than 20 seconds is a finding and is kept in artifacts/.

Usage: cargo build --release && python3 fuzz/seeds.py && python3 fuzz/mutate.py [SECONDS] [PROGRAM]
"""

import collections
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 60
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else HERE.parent / "target/release/holdfast"
HOSTILE = [struct.pack(order + size, value) for order in "<>" for size, value in
           [("H", 0xFFFF), ("I", 0xFFFFFFFF), ("I", 0x7FFFFFFF), ("I", 0), ("Q", 2**64 - 1), ("Q", 2**63), ("f", float("nan"))]]
TOKENS = [b"-1", b"1e999", b"NaN", b"inf", b"99999999999999999999", b"0", b"'", b'"', b"\xff\xfe", b",", b"\n", b"(", b"[]", b"{}"]


def mutate(dice, content):
    content = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        place = dice.randrange(len(content) + 1)
        match dice.randrange(6):
            case 0 if place < len(content):
                content[place] ^= 1 << dice.randrange(8)
            case 1:
                del content[place:]
            case 2:
                del content[place : place + dice.randint(1, 16)]
            case 3:
                other = dice.randrange(len(content) + 1)
                content[place:place] = content[other : other + dice.randint(1, 64)]
            case 4:
                number = dice.choice(HOSTILE)
                content[place : place + len(number)] = number
            case _:
                content[place:place] = dice.choice(TOKENS)
    return bytes(content)


def commands(target, content, folder):
    """Writes the files of a target and gives the arguments of the programs that read them."""
    quiet = ["--device", "cpu", "--quiet"]
    if target == "idx":
        length = struct.unpack("<H", (content + b"\0\0")[:2])[0]
        (folder / "x-images-idx3-ubyte").write_bytes(content[2 : 2 + length])
        (folder / "x-labels-idx1-ubyte").write_bytes(content[2 + length :])
        yield ["data", "export", f"any={folder}/x-images-idx3-ubyte", folder / "out", "--limit", "1"]
    elif target == "medmnist":
        (folder / "set.npz").write_bytes(content)
        yield ["data", "export", f"any={folder}/set.npz", folder / "out", "--limit", "1"]
    elif target == "arrays":
        (folder / "array").write_bytes(content)
        yield ["stability", folder / "array", *quiet, "--json", "--out", folder / "out"]
        pruning = ["--criterion", "magnitude", "--sparsity", "0.5", "--out", folder / "pruned", *quiet]
        yield ["prune", "--history", folder / "array", "--weights", folder / "array", *pruning]
    elif target == "config":
        (folder / "settings.toml").write_bytes(content)
        yield ["compare", "--config", folder / "settings.toml", "--print-config"]
    elif target == "tables":
        observations, _, stable_nodes = content.partition(b"\0")
        (folder / "o.csv").write_bytes(observations)
        (folder / "s.csv").write_bytes(stable_nodes)
        files = ["--from-observations", folder / "o.csv", "--from-stable-nodes", folder / "s.csv"]
        yield ["study", *files, "--out", folder / "study", "--quiet"]


def main():
    dice, codes, findings = random.Random(int(time.time())), collections.Counter(), 0
    seeds = [(path.parent.name, path.read_bytes()) for path in sorted((HERE / "corpus").glob("*/*")) if path.is_file()]
    seeds = [seed for seed in seeds if seed[0] != "checkpoint" and seed[1]]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        target, content = dice.choice(seeds)
        content = mutate(dice, content)
        with tempfile.TemporaryDirectory() as folder:
            for arguments in commands(target, content, pathlib.Path(folder)):
                try:
                    found = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=20)
                    code, late = found.returncode, b""
                except subprocess.TimeoutExpired:
                    code, late = "late", b"late"
                codes[target, code] += 1
                if code not in (0, 2, 5) or b"panicked" in found.stderr or late:
                    findings += 1
                    kept = HERE / "artifacts" / target / f"mutated-{abs(hash(content)):x}"
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    kept.write_bytes(content)
                    print(f"{kept}: {arguments[0]}: {code}: {found.stderr.decode(errors='replace')[-300:]}")
    for (target, code), count in sorted(codes.items(), key=str):
        print(f"{target}: {count} runs ended with {code}")
    raise SystemExit(findings > 0)


if __name__ == "__main__":
    main()
