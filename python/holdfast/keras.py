"""Recording and pruning Keras models: two lines to record, one to prune.

recorder = holdfast.keras.Recorder()                       # before training
model.fit(..., callbacks=[recorder])
holdfast.keras.prune(model, recorder, sparsity=0.9, calibration=images)
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy

try:
    import keras
except ImportError as error:
    raise ImportError("holdfast.keras needs Keras 3 and a backend, which are not installed: pip install keras torch") from error

from . import UsageError
from ._keras_network import KINDS, KeepPruned, KerasNetwork, array, batches_of
from ._pruned_model import PrunedModel, told, without
from ._network import SAMPLES
from ._pruning import Recorded, Settings
from ._pruning import prune as pruned
from ._recording import MEMORY, Recording, mapped

#: Names or paths of layers, or layers themselves.
Layers = str | keras.Layer | Sequence[str | keras.Layer]

__all__ = ["PrunedModel", "Recorder", "prune"]


class Recorder(keras.callbacks.Callback):
    """A callback that remembers a model's weights after each epoch.

    layers: names or layers of which all weights are recorded; without it those of all layers, so that ``base="mean"`` is
    possible.
    folder, online, epochs, window, memory: as of ``holdfast.torch.Recorder``.

    ``recording`` has what was recorded, by the paths of the variables: ``recording.history("dense/kernel")``.
    ``save_state(file)`` and ``load_state(file)`` go along with a checkpoint.
    """

    def __init__(
        self,
        layers: Layers | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        online: bool = False,
        epochs: int | None = None,
        window: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.recording = Recording(folder, online, epochs, window, memory)

    def on_train_begin(self, logs=None):
        """Refuses a model without a layer that could be pruned."""
        _layers(self.model, self.layers)

    def on_epoch_end(self, epoch, logs=None):
        """Remembers one more epoch."""
        chosen = _layers(self.model, self.layers).values() if self.layers is not None else [self.model]
        variables = [variable for layer in chosen for variable in layer.trainable_variables + layer.non_trainable_variables]
        floats = {variable.path: array(variable) for variable in variables if keras.backend.is_float_dtype(variable.dtype)}
        self.recording.append(floats)

    def save_state(self, file):
        """Writes what was recorded into an ``.npz``; of a ``folder`` only its place."""
        arrays = []

        def number(values):
            arrays.append(values)
            return {"array": len(arrays) - 1}

        told = mapped(self.recording.state(), numpy.ndarray, number)
        numpy.savez(file, state=json.dumps(told), **{f"array_{place}": values for place, values in enumerate(arrays)})

    def load_state(self, file):
        """Goes on from such a file; what was recorded behind it is forgotten."""
        with numpy.load(file) as archive:
            array_of = lambda found: archive[f"array_{found['array']}"] if found.keys() == {"array"} else found
            self.recording.load(json.loads(str(archive["state"]), object_hook=array_of))


def prune(
    model: keras.Model,
    recorder: Recorder | None = None,
    criterion: str = "hold-surgeon",
    sparsity: float | Sequence[float] = 0.9,
    scope: str = "global",
    calibration: Any = None,
    *,
    layers: Layers | None = None,
    base: str = "last",
    repair: str | None = None,
    window: int | None = None,
    tolerance: float = 0.03,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> PrunedModel | list[list[numpy.ndarray]]:
    """Prunes Dense and Conv2D layers of a trained model where they are, without training it again.

    calibration: an array of training samples, or batches of inputs or of (inputs, labels), whose labels are not used. All else
    is as of ``holdfast.torch.prune``; ``base="mean"`` is for models without batch norm.

    Afterwards pruned weights are 0, and a constraint of each kernel keeps them 0 while training goes on: ``fit`` needs no
    line for that. Returns a ``PrunedModel``, which prints as a table. Of a list of sparsities the model stays as it is, and
    for each there is a list that ``model.set_weights`` takes. If anything fails, or is stopped, the model is as it was.

    Fails as ``holdfast.torch.prune`` does.
    """
    several = isinstance(sparsity, list | tuple)
    settings = Settings(
        criterion, list(sparsity) if several else [sparsity], scope, repair, seed, samples, base, progress=progress
    )
    settings.check(recorder is not None, calibration is not None)
    if not model.built:
        raise UsageError("the model has no weights yet; train it, or build it and load them, first")
    recording = getattr(recorder, "recording", recorder)
    named = layers is not None
    chosen = _prunable(model, recorder.layers if not named and recorder is not None else layers, named)
    batches = batches_of(calibration, samples) if settings.needs_rows() else []
    with _as_it_was(model) as kept:
        if base == "mean":
            _to_mean(model, recording)
        network = KerasNetwork(model, chosen, batches, seed)
        never = {name: "it was never called on the calibration samples" for name in chosen if name not in network.names}
        without(chosen, never, named)
        recorded = None
        if recording is not None:
            recorded = Recorded(recording, [layer.kernel.path for layer in network.own], network.layers, window, tolerance)
        results = pruned(network, settings, recorded)
        states = []
        for result in results:
            for place, solved in enumerate(result):
                network.put(place, solved.weights, solved.bias)
            states.append(model.get_weights())
        if several:
            return states
        for layer, own, solved in zip(network.layers, network.own, results[0]):
            own.kernel.constraint = KeepPruned(layer.own(solved.kept), own.kernel.constraint)
        # What was compiled before knows nothing of these constraints.
        model.train_function = None
        kept.clear()
    return told(network, results[0], settings)


def _layers(model, layers):
    """Layers by the paths of their kernels: those that ``layers`` names, or all."""
    found = {layer.path: layer for layer in model._flatten_layers() if isinstance(layer, KINDS)}
    if not found:
        raise UsageError(f"the model {model.name} has no Dense or Conv2D layer, so there is nothing to prune")
    if layers is None:
        return found
    chosen = {}
    for asked in [layers] if isinstance(layers, str | keras.Layer) else layers:
        own = [path for path, layer in found.items() if asked is layer or asked in (layer.name, path)]
        if len(own) != 1:
            told_so = (
                "is no Dense or Conv2D layer of the model" if not own else f"is the name of several layers: {', '.join(own)}"
            )
            raise UsageError(f"{getattr(asked, 'name', asked)} {told_so}; there are {', '.join(found)}")
        chosen[own[0]] = found[own[0]]
    return {path: layer for path, layer in found.items() if path in chosen}


def _prunable(model, layers, named):
    chosen = _layers(model, layers)
    users = {}
    for path, layer in _layers(model, None).items():
        users.setdefault(id(getattr(layer, "kernel", None)), []).append(path)
    reasons = {}
    for path, layer in chosen.items():
        if not layer.built:
            reasons[path] = "it has no weights yet"
        elif getattr(layer, "lora_enabled", False) or getattr(layer, "quantization_mode", None):
            reasons[path] = "its kernel is computed from other weights (LoRA or quantization)"
        elif len(users[id(layer.kernel)]) > 1:
            other = next(user for user in users[id(layer.kernel)] if user != path)
            reasons[path] = f"its kernel is that of {other} too"
    return without(chosen, reasons, named)


def _to_mean(model, recording):
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()):
        raise UsageError(
            "with base='mean' batch norm would need its statistics anew, which is not done for Keras; use base='last'"
        )
    missing = [variable.path for variable in model.trainable_variables if variable.path not in recording.names]
    if missing:
        raise UsageError(
            f"base='mean' needs the mean of all weights, and {missing[0]} was not recorded; record without layers="
        )
    for variable in model.trainable_variables:
        variable.assign(recording.mean(variable.path))


@contextlib.contextmanager
def _as_it_was(model):
    """Puts all weights back unless what it gives is cleared: nothing half done is left, whatever happens."""
    kept = [model.get_weights()]
    try:
        yield kept
    finally:
        for weights in kept:
            model.set_weights(weights)
