#!/usr/bin/env python3
"""Follows docs/adding-a-kernel.md to the letter, in a copy of the source tree: writes the files that it prints, adds the lines
that it adds, runs its commands. Exits with 1 where a line to stand beside is not there, or a command fails.

Usage: tests/recipe/run.py [--target FOLDER]

The copy is built with little optimisation in its own folder of this project's target/; what is built there of other crates is
taken along, so that only Holdfast itself is compiled. Needs a Vulkan driver, as the tests do.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
CONFIGURATION = """[build]
target-dir = "{target}"

[profile.release.package.holdfast-prune]
opt-level = 1
"""


def insert(path, text):
    """Adds the lines with + to a file. All others stand there once, as they are, one below the other."""
    lines = [(line[:1], line[1:] + "\n") for line in text.splitlines()]
    old = "".join(line for sign, line in lines if sign != "+")
    new = "".join(line for _, line in lines)
    content = path.read_text()
    assert all(sign in (" ", "+") for sign, _ in lines), f"{path}: a line with neither a blank nor + in front"
    assert ("\n" + content).count("\n" + old) == 1, f"{path}: {old!r} does not stand there once"
    path.write_text(("\n" + content).replace("\n" + old, "\n" + new)[1:])


def follow(tree):
    """Gives the chapter's commands after its files are written."""
    commands, named = [], None
    for block in BLOCK.finditer((ROOT / "docs/adding-a-kernel.md").read_text()):
        names = re.findall(r"`([^`]+/[^`]+\.\w+)`", block["before"])
        named = tree / names[-1] if names else named
        if block["language"] == "sh":
            commands.append(block["text"])
        elif block["language"] == "diff":
            insert(named, block["text"])
        else:
            assert names and not named.exists(), f"{named}: a file that is not named, or is there already"
            named.parent.mkdir(parents=True, exist_ok=True)
            named.write_text(block["text"])
        print(f"{block['language']}: {'' if block['language'] == 'sh' else named.relative_to(tree)}", flush=True)
    assert commands, "the chapter has no commands"
    return commands


def copy_dependencies(target):
    """Links what cargo has built of other crates: it finds it fresh, and never writes to it."""
    built = ROOT / "target/release"
    if target.exists() or not built.is_dir():
        return
    own = shutil.ignore_patterns("*holdfast*", "incremental", "examples")
    for name in ["deps", "build", ".fingerprint"]:
        if (built / name).is_dir():
            shutil.copytree(built / name, target / "release" / name, copy_function=os.link, ignore=own)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target/recipe")
    target = parser.parse_args().target.resolve()
    copy_dependencies(target)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "holdfast"
        for name in files.split("\0")[:-1]:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
        (tree / ".cargo").mkdir()
        (tree / ".cargo/config.toml").write_text(CONFIGURATION.format(target=target))
        for commands in follow(tree):
            subprocess.run(["sh", "-eux", "-c", commands], cwd=tree, check=True)
    print("the recipe holds")


if __name__ == "__main__":
    main()
