"""Whole runs from Python: the command's ``train`` and ``compare``, with their results as arrays."""

from __future__ import annotations

import base64
import csv
import html
import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast import _native
from holdfast._errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]

# Options that are no settings: of how a command prints, and those that have arguments of their own.
_NOT_OPTIONS = {"json", "quiet", "verbose", "dry-run", "print-config", "help", "version", "data", "model", "preset", "out"}
# Sizes and sparsities that a table shows.
_SIZES = (2.0, 4.0, 6.0, 8.0, 10.0)
_SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9)


class Run:
    """The results of a run: files of its folder as arrays, read when they are asked for.

    ``folder`` is where they are, ``command`` which run it was, ``notices`` what the user should know. A run of several networks
    or data sets has one ``Run`` for each in ``cells``; what belongs to one of them is asked of that.
    """

    folder: Path
    command: str
    notices: tuple[str, ...]

    def __init__(
        self, folder: str | os.PathLike[str], result: dict[str, Any] | None = None, notices: Iterable[str] = ()
    ) -> None:
        """Open the folder of a run that ``train``, ``compare`` or the command has left.

        Raises ``DataError`` if it is none.
        """
        self.folder = Path(folder)
        self.notices = tuple(notices)
        self._result = result or {}
        top = self._top()
        try:
            manifest = json.loads((top / "manifest.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder} is no folder of a run ({error}); name one that train or compare has made") from None
        self.command = str(manifest.get("command", ""))
        self.finished = manifest.get("finished") is not None

    def _top(self) -> Path:
        """The folder of the whole run."""
        return self.folder.parent.parent if self.folder.parent.name == "cells" else self.folder

    @cached_property
    def cells(self) -> tuple[Run, ...]:
        """A run for each network and data set; itself, if it is of one."""
        places = sorted(place for place in (self.folder / "cells").glob("*") if (place / "metrics.csv").is_file())
        return tuple(Run(place, self._result) for place in places) or (self,)

    def _file(self, name: str) -> Path:
        if self.cells != (self,):
            several = ", ".join(cell.folder.name for cell in self.cells)
            raise UsageError(f"this run is of several networks or data sets ({several}); take one of its cells")
        path = self.folder / name
        if not path.is_file():
            raise DataError(f"{self.folder} has no {name}: {self.command} does not write it, or has not come so far")
        return path

    @cached_property
    def history(self) -> dict[str, NDArray[np.float32]]:
        """The recorded weights by name, ``[epoch, replica, ...]``; those of a dense layer are ``[input, unit]``."""
        with np.load(self._file("history.npz")) as arrays:
            return {name: arrays[name] for name in arrays.files}

    @cached_property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """All weights and biases of the trained networks by name, ``[replica, ...]``."""
        return _safetensors(self._file("weights.safetensors"))

    @cached_property
    def metrics(self) -> Columns:
        """Loss and training accuracy of each epoch: columns of ``metrics.csv``."""
        return _columns(self._file("metrics.csv"))

    @cached_property
    def sweep(self) -> Columns:
        """Every pruned network of a comparison: columns of ``sweep.csv``, of equal length. ``pandas.DataFrame`` takes them."""
        return _columns(self._file("sweep.csv"))

    @cached_property
    def ledger(self) -> Columns:
        """What each method of a comparison was charged for: columns of ``ledger.csv``."""
        return _columns(self._file("ledger.csv"))

    @cached_property
    def accuracy(self) -> NDArray[np.float64]:
        """Test accuracy ``[replica]`` of the trained networks, before anything is pruned; 0 to 1."""
        if (self.folder / "sweep.csv").is_file():
            sweep = self.sweep
            dense = (sweep["method"] == "dense") & (sweep["rule"] == "") & (sweep["layers"] == sweep["layers"][0])
            return np.asarray(sweep["accuracy"][dense], dtype=np.float64)
        metrics = self.metrics
        own = (str(metrics["model"][0]), str(metrics["data_set"][0]))
        for cell in self._result.get("cells", []):
            if (cell.get("model"), cell.get("data_set")) == own:
                return np.asarray(cell["test_accuracies"], dtype=np.float64)
        raise DataError(f"{self.folder} does not hold test accuracies; holdfast.train gives them when it trains")

    @cached_property
    def figure(self) -> str | None:
        """The figure as SVG; None where the command draws none."""
        path = self.folder / "figures" / "figure4.svg"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heading and rows of the main table: of a comparison mean test accuracy by size, of a training each replica's end."""
        if (self.folder / "sweep.csv").is_file():
            return _accuracy_table(self.sweep)
        metrics = self.metrics
        last = metrics["epoch"] == [metrics["epoch"][metrics["replica"] == own].max() for own in metrics["replica"]]
        rows = [[f"{metrics[name][place]:g}" for name in ("replica", "epoch")] for place in np.flatnonzero(last)]
        for row, place in zip(rows, np.flatnonzero(last), strict=True):
            row += [f"{metrics['loss'][place]:.4g}", f"{100 * metrics['accuracy'][place]:.2f} %"]
        heading = ["replica", "epochs", "loss", "training accuracy"]
        if self._result:
            heading.append("test accuracy")
            for row, value in zip(rows, self.accuracy, strict=True):
                row.append(f"{100 * value:.2f} %")
        return heading, rows

    def _title(self) -> str:
        metrics = self.metrics
        replicas = len(np.unique(metrics["replica"]))
        name = f"{metrics['model'][0]} on {metrics['data_set'][0]}"
        return f"{self.command}: {name}, {replicas} replicas, {metrics['epoch'].max():g} epochs"

    def __repr__(self) -> str:
        names = "; ".join(cell._title() for cell in self.cells)
        return f"<Run {names}; in {self.folder}{'' if self.finished else ', not finished'}>"

    def _repr_html_(self) -> str:
        return "".join(cell._part() for cell in self.cells)

    def _part(self) -> str:
        """One network: heading, figure, table, on a white ground of its own, so that a dark notebook shows it as it is."""
        heading, rows = self.table()
        cell = "padding:2px 10px;text-align:right;border-bottom:1px solid #ddd;color:#111;background:#fff"
        head = "".join(f'<th style="{cell}" scope="col">{html.escape(name)}</th>' for name in heading)
        body = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{html.escape(value)}</td>' for value in row) + "</tr>" for row in rows
        )
        title = html.escape(self._title())
        picture = ""
        if self.figure is not None:
            # As an image the figure brings no styles, ids or scripts into the page.
            data = base64.b64encode(self.figure.encode()).decode()
            picture = f'<img alt="{title}: accuracy by size" style="max-width:100%" src="data:image/svg+xml;base64,{data}">'
        return (
            f'<div style="background:#fff;color:#111;padding:8px;overflow-x:auto"><p><b>{title}</b></p>{picture}'
            f'<table style="border-collapse:collapse;background:#fff;color:#111"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def train(
    data: str | Iterable[str] = "mnist",
    model: str = "dnn",
    preset: str = "quick",
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Any,
) -> Run:
    """Train replicas of a network, and keep the recorded weights after each epoch: ``holdfast train``.

    ``data`` names sets as the command does (``mnist``, ``any=PATH``, ...), ``model`` is ``dnn``, ``cnn`` or ``both``, ``preset``
    is ``smoke``, ``quick`` or ``paper``. ``options`` are those of ``holdfast train --help`` with ``_`` for ``-``; lists stand for
    commas. ``out`` is the folder of the results, ``runs/train-HASH`` if not given. ``progress`` is called with numbers of steps.

    Raises ``UsageError`` for impossible options, ``DataError`` for data that are missing, and what else the command ends with.
    """
    return _run("train", data, model, preset, out, progress, options)


def compare(
    data: str | Iterable[str] = "mnist",
    model: str = "dnn",
    preset: str = "quick",
    out: str | os.PathLike[str] | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Any,
) -> Run:
    """Train a network, prune it by every method to many sizes, and exponential decay beside it: ``holdfast compare``.

    Arguments and errors are those of :func:`train`. A folder that holds a finished run with the same settings is read, unless
    ``fresh=True``.
    """
    return _run("compare", data, model, preset, out, progress, options)


def _run(
    command: str,
    data: str | Iterable[str],
    model: str,
    preset: str,
    out: str | os.PathLike[str] | None,
    progress: Callable[[int], object] | None,
    options: dict[str, Any],
) -> Run:
    sets = data if isinstance(data, str) else ",".join(data)
    arguments = ["holdfast", command, "--json", f"--data={sets}", f"--model={model}", f"--preset={preset}"]
    if out is not None:
        arguments.append(f"--out={os.fspath(out)}")
    arguments += _arguments(command, options)
    text, notices = _native.run(arguments, progress)
    result = json.loads(text)
    return Run(result["folder"], result, notices)


def _arguments(command: str, options: dict[str, Any]) -> list[str]:
    """The command's arguments for options in Python's words."""
    known = {name.replace("-", "_"): (name, takes) for name, takes in _native.options_of(command) if name not in _NOT_OPTIONS}
    arguments = []
    for key, value in options.items():
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"holdfast {command} --help lists them"
            raise UsageError(f"{command} has no option {key}; {hint}")
        name, takes_value = known[key]
        if value is None or (value is False and not takes_value):
            continue
        arguments.append(f"--{name}={_text(value)}" if takes_value else f"--{name}")
    return arguments


def _text(value: Any) -> str:
    """A value as the command line has it."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return ",".join(_text(one) for one in value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, np.generic):
        return str(value.item())
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _columns(path: Path) -> Columns:
    """The columns of a table: whole numbers, numbers (nothing is NaN), or texts."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows:
        raise DataError(f"{path} is empty; make the run again")
    return {name: _column([row[place] for row in rows[1:]]) for place, name in enumerate(rows[0])}


def _column(entries: list[str]) -> NDArray[Any]:
    if any(entries):
        try:
            return np.array([int(entry) for entry in entries], dtype=np.int64)
        except ValueError:
            pass
        try:
            return np.array([float(entry) if entry else np.nan for entry in entries], dtype=np.float64)
        except ValueError:
            pass
    return np.array(entries, dtype=np.str_)


def _safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """The arrays of a file of our own: eight bytes for the length of a header in JSON, the header, the numbers."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        header.pop("__metadata__", None)
        arrays = {}
        for name, entry in header.items():
            first, end = entry["data_offsets"]
            numbers = np.frombuffer(content[start + first : start + end], dtype="<f4")
            arrays[name] = numbers.astype(np.float32).reshape(entry["shape"])
        return arrays
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}); make the run again") from None


def _accuracy_table(sweep: Columns) -> tuple[list[str], list[list[str]]]:
    """Mean test accuracy of each method: of the whole network by how many times smaller it is, or of a layer by sparsity."""
    is_all = sweep["layers"] == "all"
    if is_all.any():
        by, points, names = sweep["smaller"], _SIZES, [f"{size:g}x smaller" for size in _SIZES]
        own = is_all
    else:
        by, points, names = sweep["sparsity"], _SPARSITIES, [f"{sparsity:.0%} removed" for sparsity in _SPARSITIES]
        own = ~is_all
    # Of several settings those of the headline: the tolerance of the paper, the window of half of the epochs.
    tolerance, window = sweep["tolerance"], sweep["window"]
    if tolerance.dtype.kind == "f":
        own = own & (np.isnan(tolerance) | (tolerance == 0.03))
    if window.dtype.kind == "f":
        own = own & (np.isnan(window) | (window == np.maximum(sweep["epochs"] // 2, 1)))
    own = own & (sweep["method"] != "dense")
    labels = np.array(
        [
            " ".join(filter(None, (method, rule))) + (", refit" if repair == "refit" and "surgeon" not in method else "")
            for method, rule, repair in zip(sweep["method"], sweep["rule"], sweep["repair"], strict=True)
        ]
    )
    rows = []
    for label in dict.fromkeys(labels[own]):
        row = [str(label)]
        for point in points:
            here = own & (labels == label) & (np.abs(by - point) < 0.005 * point)
            accuracies = sweep["accuracy"][here]
            row.append(f"{100 * accuracies.mean():.2f} %" if len(accuracies) else "–")
        if any(value != "–" for value in row[1:]):
            rows.append(row)
    return ["test accuracy", *names], rows
