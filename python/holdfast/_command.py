"""The ``holdfast`` command of the package."""

from __future__ import annotations

import os
import signal
import sys

from holdfast import _native


def main() -> int:
    """Run the command with the arguments of the process; return its exit code."""
    # The command takes signals itself, as it does without Python.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.name == "posix" and not os.path.isabs(os.environ.get("XDG_RUNTIME_DIR", "")):
        # Vulkan drivers look there for a display, and complain where there is none.
        os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"
    return _native.main(["holdfast", *sys.argv[1:]])
