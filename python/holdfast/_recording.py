"""What a training is remembered by: the weights after each epoch, or what of them a criterion needs. Knows no framework."""

import io
import os
import pathlib
import shutil
import tempfile
import warnings
import weakref

import numpy

from . import UsageError, frozen, hold, settle, stability

#: Bytes of history beyond which it goes to files, unless a folder was named from the start.
MEMORY = 1 << 30


class Recording:
    """Named arrays after each epoch, as 32-bit floats: ``[epoch, ...]`` of each.

    They stay in memory up to ``memory`` bytes, then they go to files, one ``NAME.npy`` for each array, which grow. With
    ``folder`` they go there from the start. With ``online`` no history is kept, but over the last ``window`` of ``epochs``
    epochs each weight's minimum, maximum and smallest magnitude, and its mean.
    """

    def __init__(self, folder=None, online=False, epochs=None, window=None, memory=MEMORY):
        self.epochs = 0
        self._folder = None if folder is None else pathlib.Path(folder)
        self._kept_by_user = folder is not None
        self._memory = memory
        self._arrays = {}
        self._shapes = {}
        self._online = _Window(epochs, window) if online else None
        if online and folder is not None:
            raise UsageError("online=True keeps no history, so there is nothing to write to a folder; leave one of them out")
        if not online and (epochs is not None or window is not None):
            raise UsageError("epochs and window belong to online=True; a whole history takes any window later")

    def append(self, arrays):
        """Remembers one more epoch: ``arrays`` by name, the same names and shapes each time."""
        arrays = {name: numpy.asarray(values, numpy.float32, order="C") for name, values in arrays.items()}
        shapes = {name: values.shape for name, values in arrays.items()}
        if self.epochs and shapes != self._shapes:
            changed = sorted(name for name in shapes.keys() | self._shapes.keys() if shapes.get(name) != self._shapes.get(name))
            raise UsageError(
                f"after {self.epochs} epochs {changed[0]} is {_shape(shapes.get(changed[0]))}, and it was "
                f"{_shape(self._shapes.get(changed[0]))}; record one model, whose layers stay as they are"
            )
        self._shapes = shapes
        if self._online:
            self._online.append(arrays)
        else:
            self._append_history(arrays)
        self.epochs += 1

    def _append_history(self, arrays):
        size = sum(values.nbytes for values in arrays.values())
        if self._folder is None and size * (self.epochs + 1) > self._memory:
            self._leave_memory()
        if self._folder is None:
            for name, values in arrays.items():
                self._arrays.setdefault(name, []).append(values.copy())
            return
        for name, values in arrays.items():
            _write_epoch(self._file(name), values, self.epochs)

    def _leave_memory(self):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-history-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        warnings.warn(
            f"the history has more than {self._memory} bytes and goes on in temporary files; name a folder to keep it, or use "
            "online=True, which keeps no history",
            stacklevel=4,
        )
        for name, epochs in self._arrays.items():
            for place, values in enumerate(epochs):
                _write_epoch(self._file(name), values, place)
        self._arrays = {}

    def _file(self, name):
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{name.replace('/', '_')}.npy"

    @property
    def names(self):
        """Names of what was recorded."""
        return list(self._shapes)

    def shape(self, name):
        """Shape of an array, without the epochs."""
        self._known(name)
        return self._shapes[name]

    def history(self, name):
        """``[epoch, ...]``, from a file if it lies there."""
        self._known(name)
        if self._online:
            raise UsageError("online=True kept no history; record without it for stability, ranks or a file of all epochs")
        if self._folder is not None:
            return numpy.load(self._file(name), mmap_mode="r")
        return numpy.stack(self._arrays[name])

    def last(self, name):
        """The array after the last epoch."""
        self._known(name)
        if self._online:
            return self._online.finished().last[name]
        if self._folder is not None:
            return numpy.array(self.history(name)[-1])
        return self._arrays[name][-1]

    def hold(self, name, window=None):
        """Holding magnitudes over a window of last epochs, of half of them if none is named."""
        if self._online:
            self._known(name)
            return self._online.finished(window).smallest[name]
        return hold(self.history(name), window or self._half())

    def settle(self, name, window=None):
        """Settling tolerances over a window of last epochs, of half of them if none is named."""
        if not self._online:
            return settle(self.history(name), window or self._half())
        self._known(name)
        of = self._online.finished(window)
        last = of.last[name].astype(float)
        moved = numpy.maximum(of.largest[name] - last, last - of.least[name])
        with numpy.errstate(divide="ignore", invalid="ignore"):
            return numpy.where(moved == 0, 0.0, moved / abs(last))

    def stability(self, name, tolerance):
        """For how many last epochs in a row each weight stayed within the tolerance."""
        return stability(self.history(name), tolerance)

    def mean(self, name):
        """The mean over the last half of the epochs; over the window if no history was kept."""
        if self._online:
            self._known(name)
            return self._online.finished().mean[name]
        return self.history(name)[-self._half() :].mean(0, dtype=float).astype(numpy.float32)

    def frozen(self, name):
        """Which weights did not change by one bit in the last 20 epochs, or in all, if there are fewer; over the window if no
        history was kept."""
        self._known(name)
        if self._online:
            of = self._online.finished()
            return of.least[name] == of.largest[name]
        return frozen(self.history(name))

    def save(self, file):
        """Writes all histories into one ``.npz`` that ``holdfast stability`` and ``holdfast prune --history`` read."""
        histories = {name: self.history(name) for name in self.names}
        if not histories:
            raise UsageError("nothing was recorded yet; call epoch() after each epoch")
        numpy.savez(file, **histories)

    def state(self):
        """What a checkpoint keeps: numbers and arrays, and of a history in a folder that was named only its place."""
        state = {"epochs": self.epochs, "names": self.names, "shapes": [list(shape) for shape in self._shapes.values()]}
        if self._online:
            return state | {"online": self._online.state()}
        if self._kept_by_user:
            return state | {"folder": os.fspath(self._folder)}
        return state | {"history": {name: self.history(name) for name in self.names}}

    def load(self, state):
        """Goes on from a checkpoint; what was recorded behind it is forgotten.

        Fails with ``UsageError`` if the checkpoint is that of another kind of recorder, or files of its folder are gone.
        """
        kind = "online" if self._online else "folder" if self._kept_by_user else "history"
        if kind not in state:
            found = next((name for name in ("online", "folder", "history") if name in state), "nothing")
            how = {"online": "online=True", "folder": "folder=...", "history": "neither folder nor online"}
            raise UsageError(
                f"this recorder was made with {how[kind]}, and the checkpoint's with {how.get(found, 'another version')}; "
                "make it as it was made before"
            )
        names, shapes = state["names"], [tuple(shape) for shape in state["shapes"]]
        epochs = int(state["epochs"])
        self._shapes = dict(zip(names, shapes))
        if kind == "online":
            self._online.load(state["online"], epochs)
        elif kind == "folder":
            for name in names:
                _cut(self._file(name), epochs, self._shapes[name])
        else:
            self._folder = None
            self._arrays = {
                name: [numpy.array(epoch, numpy.float32) for epoch in history] for name, history in state["history"].items()
            }
        self.epochs = epochs

    def _half(self):
        return max(self.epochs // 2, 1)

    def _known(self, name):
        if not self.epochs:
            raise UsageError("nothing was recorded yet; call epoch() after each epoch")
        if name not in self._shapes:
            raise UsageError(f"{name} was not recorded; there are {', '.join(self.names)}")


class _Window:
    """What is known of each weight over the last epochs of a training whose length is known."""

    def __init__(self, epochs, window):
        if not isinstance(epochs, int) or epochs < 1:
            raise UsageError(f"online=True needs to know how long training takes, e.g. epochs=100; it was told {epochs}")
        self.epochs, self.window = epochs, max(epochs // 2, 1) if window is None else window
        if not 1 <= self.window <= epochs:
            raise UsageError(f"a window of {window} does not fit {epochs} epochs; use 1 to {epochs}")
        self.done = 0
        self.least, self.largest, self.smallest, self.mean, self.last = {}, {}, {}, {}, {}

    def append(self, arrays):
        if self.done == self.epochs:
            raise UsageError(f"all {self.epochs} epochs that were announced are recorded, and one more came; announce more")
        self.done += 1
        within = self.done - (self.epochs - self.window)
        for name, values in arrays.items():
            if within == 1:
                self.least[name], self.largest[name] = values.copy(), values.copy()
                self.smallest[name], self.mean[name] = abs(values), values.copy()
            elif within > 1:
                numpy.minimum(self.least[name], values, out=self.least[name])
                numpy.maximum(self.largest[name], values, out=self.largest[name])
                numpy.minimum(self.smallest[name], abs(values), out=self.smallest[name])
                self.mean[name] += (values - self.mean[name]) / numpy.float32(within)
            if self.done == self.epochs:
                self.last[name] = values.copy()

    def finished(self, window=None):
        """This, once training is over."""
        if self.done < self.epochs:
            raise UsageError(
                f"{self.done} of the {self.epochs} epochs that were announced are recorded; prune when training is over"
            )
        if window not in (None, self.window):
            raise UsageError(f"the window recorded is {self.window}, and {window} is asked for; record with window={window}")
        return self

    KEPT = ("least", "largest", "smallest", "mean", "last")

    def state(self):
        return {
            "epochs": self.epochs,
            "window": self.window,
            **{kind: mapped(getattr(self, kind), numpy.ndarray, numpy.copy) for kind in self.KEPT},
        }

    def load(self, state, done):
        if (state["epochs"], state["window"]) != (self.epochs, self.window):
            raise UsageError(
                f"the checkpoint is that of {state['epochs']} epochs with a window of {state['window']}, not of {self.epochs} "
                f"with {self.window}; record with these"
            )
        self.done = done
        for kind in self.KEPT:
            setattr(self, kind, {name: numpy.array(values) for name, values in state[kind].items()})


def mapped(values, kind, change):
    """Nested dicts with all values of a kind changed."""
    if isinstance(values, dict):
        return {name: mapped(value, kind, change) for name, value in values.items()}
    return change(values) if isinstance(values, kind) else values


def _shape(shape):
    return "gone" if shape is None else " x ".join(map(str, shape)) or "one number"


def _header(epochs, shape):
    """The beginning of a ``.npy`` file, always of the same length, so that it can be written anew where a file grows."""
    text = io.BytesIO()
    numpy.lib.format.write_array_header_1_0(text, {"descr": "<f4", "fortran_order": False, "shape": (10**15, *shape)})
    length = len(text.getvalue())
    told = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(epochs, *shape)}, }}"
    return text.getvalue()[:10] + told.ljust(length - 11).encode() + b"\n"


def _write_epoch(file, values, place):
    """Puts epoch ``place`` into a file that has those before it."""
    begin = _header(place + 1, values.shape)
    with open(file, "r+b" if place else "wb") as target:
        target.seek(len(begin) + place * values.nbytes)
        target.write(values.astype("<f4").tobytes())
        target.flush()
        # Behind the numbers, so that a stopped program leaves the epochs before whole.
        target.seek(0)
        target.write(begin)


def _cut(file, epochs, shape):
    begin = _header(epochs, shape)
    length = len(begin) + 4 * epochs * int(numpy.prod(shape))
    if not epochs:
        return
    if not file.exists() or file.stat().st_size < length:
        raise UsageError(f"{file} does not have the {epochs} epochs of the checkpoint; restore the folder, or record anew")
    with open(file, "r+b") as target:
        target.write(begin)
        target.truncate(length)
