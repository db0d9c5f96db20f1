"""What the tests share: the command of the installed package, and files of the repository."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COMMAND = "import sys; from holdfast._command import main; sys.exit(main())"


@pytest.fixture(scope="session")
def fixtures() -> pathlib.Path:
    """Answers of other programs."""
    return REPOSITORY / "tests" / "fixtures"


@pytest.fixture(scope="session")
def mnist() -> str:
    """MNIST of the repository, as `data` names it."""
    return f"mnist={REPOSITORY / 'datasets' / 'mnist'}"


@pytest.fixture
def command(tmp_path):
    """Runs the command of the package in an empty folder, on the CPU engine."""

    def run(*arguments: str, code: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run
