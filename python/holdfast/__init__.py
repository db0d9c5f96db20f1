"""Prune neural networks by what holds still.

Functions on arrays: :func:`stability`, :func:`settle`, :func:`hold`, :func:`envelope`, :func:`frozen`, :func:`ranks` of a history
``[epoch, ...]``, :func:`masks` from scores, and :mod:`holdfast.surgeon`. Whole runs: :func:`train` and :func:`compare`. In a
training of your own: :mod:`holdfast.torch`, :mod:`holdfast.keras`, :mod:`holdfast.lightning`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from holdfast._errors import (
    CopyWarning,
    DataError,
    DeviceError,
    DeviceLostError,
    Error,
    FileError,
    OutOfMemoryError,
    SelfCheckError,
    UsageError,
)
from holdfast._native import envelope, frozen, hold, masks, ranks, settle, stability
from holdfast import surgeon
from holdfast.runs import Run, compare, train

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import what needs another program when it is asked for."""
        if name in {"keras", "lightning", "torch"}:
            return importlib.import_module(f"holdfast.{name}")
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")


__all__ = [
    "CopyWarning",
    "DataError",
    "DeviceError",
    "DeviceLostError",
    "Error",
    "FileError",
    "OutOfMemoryError",
    "Run",
    "SelfCheckError",
    "UsageError",
    "compare",
    "envelope",
    "frozen",
    "hold",
    "masks",
    "ranks",
    "settle",
    "stability",
    "surgeon",
    "train",
]
