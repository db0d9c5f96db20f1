#!/usr/bin/env python3
"""Runs the guides for other frameworks as they are printed: all blocks of a guide in order, in an empty folder.

Usage: cargo build --release && python3 -m venv /tmp/interop && /tmp/interop/bin/pip install torch keras jax safetensors
       KERAS_BACKEND=jax /tmp/interop/bin/python tests/interop/run.py [GUIDE...]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(guide):
    blocks = BLOCK.findall((ROOT / "docs/guide" / f"{guide}.md").read_text())
    assert {language for language, _ in blocks} == {"python", "sh"}, f"{guide}: no blocks of both kinds"
    names = {"__name__": guide}
    for language, text in blocks:
        if language == "python":
            exec(compile(text, f"{guide}.md", "exec"), names)
        else:
            subprocess.run(["sh", "-eu", "-c", text], check=True)
    print(f"{guide}: {len(blocks)} blocks ran")


def main():
    os.environ["PATH"] = f"{ROOT / 'target/release'}{os.pathsep}{os.environ['PATH']}"
    for guide in sys.argv[1:] or ["pytorch", "keras"]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            run(guide)
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
