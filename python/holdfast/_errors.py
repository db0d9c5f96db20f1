"""What holdfast raises: each error keeps its sentence, and the exit code that the command has for it."""

from __future__ import annotations


class Error(Exception):
    """Every error of holdfast. ``exit_code`` is what the command would end with."""

    exit_code: int = 1


class UsageError(Error, ValueError):
    """An argument that is impossible, or that does not fit the others."""

    exit_code = 2


class DeviceError(Error, RuntimeError):
    """The device that was asked for does not exist, or cannot run the kernels."""

    exit_code = 3


class SelfCheckError(Error, RuntimeError):
    """A device computes something else than the definition."""

    exit_code = 4


class DataError(Error, ValueError):
    """Data that are missing, malformed or not finite."""

    exit_code = 5


class DeviceLostError(Error, RuntimeError):
    """The device went away in the middle of the work."""

    exit_code = 6


class OutOfMemoryError(Error, MemoryError):
    """The work does not fit the memory."""


class FileError(Error, OSError):
    """A file could not be read or written."""


class CopyWarning(UserWarning):
    """An array was copied to be read: it was not ``float32`` in C order. The message says what that changed."""


for _class in list(globals().values()):
    if isinstance(_class, type) and issubclass(_class, (Error, CopyWarning)):
        _class.__module__ = "holdfast"
del _class
