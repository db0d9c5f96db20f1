"""Recording and pruning PyTorch models: two lines to record, one to prune.

recorder = holdfast.torch.Recorder(model)      # before training
recorder.epoch()                               # after each epoch
holdfast.torch.prune(model, recorder, sparsity=0.9, calibration=loader)
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy

try:
    import torch
except ImportError as error:
    raise ImportError("holdfast.torch needs PyTorch, which is not installed: pip install torch") from error
from torch.nn.utils import prune as masking

from . import UsageError
from ._pruned_model import PrunedModel, told, without
from ._network import SAMPLES
from ._pruning import Recorded, Settings
from ._pruning import prune as pruned
from ._recording import MEMORY, Recording, mapped
from ._torch_network import KINDS, TorchNetwork, array, batches_of, check_there, plain_reason, run, unwrapped, weight_of

#: Names of layers, or layers themselves; one stands for all within it.
Layers = str | torch.nn.Module | Sequence[str | torch.nn.Module]

__all__ = ["PrunedModel", "Recorder", "prune"]


class Recorder(Recording):
    """Remembers a model's parameters after each epoch.

    model: a ``torch.nn.Module``, on any device, of any floating type; histories are 32-bit floats.
    layers: names (those of ``model.named_modules()``) or modules whose weights and biases are recorded. Without it all
        parameters are, so that ``base="mean"`` is possible, and all Linear, Conv1d and Conv2d layers can be pruned.
    folder: where histories go from the start, a file ``NAME.npy`` for each parameter, which grows with each epoch and is read
        as any NumPy file. Without it they stay in memory up to ``memory`` bytes, and then go to temporary files.
    online, epochs, window: keep no history, but over the last ``window`` of ``epochs`` epochs (half of them) each number's
        minimum, maximum and smallest magnitude, and its mean: enough for settle, hold, hold-input, hold-surgeon and
        ``base="mean"``.

    ``history(name)``, ``hold(name)``, ``settle(name)``, ``stability(name, tolerance)``, ``mean(name)`` give arrays in
    PyTorch's own order of axes.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        layers: Layers | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        online: bool = False,
        epochs: int | None = None,
        window: int | None = None,
        memory: int = MEMORY,
    ) -> None:
        super().__init__(folder, online, epochs, window, memory)
        self.model, _ = unwrapped(model)
        self._chosen = None if layers is None else list(_modules(self.model, layers))
        self._steps = 0
        if not any(isinstance(module, KINDS) for module in self.model.modules()):
            raise UsageError(
                f"{type(model).__name__} has no Linear, Conv1d or Conv2d layer, so there is nothing to prune later"
            )

    def epoch(self) -> None:
        """Call it after each epoch."""
        self.append({name: array(values) for name, values in self._parameters()})

    def every(self, steps: int) -> Callable[..., None]:
        """The same as a hook: ``optimizer.register_step_post_hook(recorder.every(len(loader)))`` records after so many steps."""

        def after_step(*_):
            self._steps += 1
            if self._steps % steps == 0:
                self.epoch()

        return after_step

    def state_dict(self) -> dict[str, Any]:
        """For the training's checkpoint; ``torch.load`` reads it with ``weights_only=True``. Of a ``folder`` only the place."""
        return mapped(
            self.state() | {"steps": self._steps}, numpy.ndarray, lambda values: torch.from_numpy(numpy.array(values))
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint; what was recorded behind it is forgotten."""
        self.load(mapped(state, torch.Tensor, array))
        self._steps = state["steps"]

    def _parameters(self):
        for path, module in self.model.named_modules():
            if self._chosen is not None and path not in self._chosen:
                continue
            for name, values in module.named_parameters(recurse=False):
                check_there(path or type(module).__name__, values)
                if values.is_floating_point():
                    plain = name.removesuffix("_orig")
                    yield (
                        f"{path}.{plain}".removeprefix("."),
                        weight_of(module) if plain == "weight" and plain != name else values,
                    )


def prune(
    model: torch.nn.Module,
    recorder: Recorder | None = None,
    criterion: str = "hold-surgeon",
    sparsity: float | Sequence[float] = 0.9,
    scope: str = "global",
    calibration: Iterable[Any] | torch.Tensor | None = None,
    *,
    layers: Layers | None = None,
    base: str = "last",
    repair: str | None = None,
    window: int | None = None,
    tolerance: float = 0.03,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> PrunedModel | list[dict[str, torch.Tensor]]:
    """Prunes Linear, Conv1d and Conv2d layers of a trained model where they are, without training it again.

    recorder: what recorded the training (the callback of ``holdfast.lightning`` too); stability, settle, hold, hold-input and
        hold-surgeon look at it.
    criterion: ``hold-surgeon`` and ``surgeon`` solve the weights that stay anew, so that each unit gives what it gave before;
        ``hold-input``, ``wanda``, ``hold``, ``settle``, ``stability``, ``magnitude`` and ``random`` only choose.
    sparsity: the share of the layers' weights that are zero afterwards, weights that were pruned before among them. Of a list
        the model stays as it is, and for each there is a state dict that ``model.load_state_dict`` takes, pruned weights 0.
    scope: ``global``: all layers together; ``layer``: the same share of each; ``lamp``: all together, beside their layer (Lee
        et al. 2021).
    calibration: a loader of training samples, or a tensor of them: what surgeons, wanda, hold-input and ``repair`` look at.
        Batches are tensors, tuples that begin with what the model takes, or dicts by the names of its arguments. Labels are
        not used. The first ``samples`` are.
    layers: names or modules; else the recorder's, else all that can be pruned.
    base: ``last``, the weights as they are, or ``mean``: all parameters become their mean over the last half of the recorded
        epochs first, mostly the better network; statistics of batch norm are then taken anew from the calibration samples.
    repair: ``refit`` solves the weights that stay anew, with every criterion.
    window: of hold, hold-input, hold-surgeon and settle: the last half of the epochs if not given.
    tolerance: of stability, which has only the sparsities of its thresholds: the nearest is taken.
    progress: called with 1 for each layer that was solved, e.g. ``tqdm().update``.

    Afterwards the layers are as ``torch.nn.utils.prune`` leaves them: ``weight_orig``, ``weight_mask``, ``is_pruned``,
    ``remove``. Returns a ``PrunedModel``, which prints as a table, or a list of state dicts. Mode, device, types and
    gradients' flags stay. If anything fails, or is stopped, the model is as it was.

    Fails with ``holdfast.UsageError`` if wishes do not fit together or the model cannot be pruned so, and with
    ``holdfast.DataError`` where weights or activations are not finite.
    """
    recorder = getattr(recorder, "recorder", recorder)
    several = isinstance(sparsity, list | tuple)
    settings = Settings(
        criterion, list(sparsity) if several else [sparsity], scope, repair, seed, samples, base, progress=progress
    )
    settings.check(recorder is not None, calibration is not None)
    inner, prefix = unwrapped(model)
    named = layers is not None
    if layers is None and recorder is not None:
        layers = recorder._chosen
    modules = _prunable(inner, layers, named)
    if base == "mean":
        _check_mean(inner, recorder, calibration)
    is_read = settings.needs_rows() or base == "mean" and calibration is not None
    batches = batches_of(inner, calibration, samples) if is_read else []
    if recorder is not None and base == "last":
        _check_recorded(recorder, modules)
    with _as_it_was(inner, modules, every=base == "mean") as kept:
        if base == "mean":
            _to_mean(inner, recorder, batches)
        inner.eval()
        network = _network(inner, modules, batches if settings.needs_rows() else [], seed, named)
        dense = [_tensors(module) for module in network.modules]
        recorded = None if recorder is None else _recorded(recorder, network, window, tolerance)
        results = pruned(network, settings, recorded)
        _restore(dense)
        solves = settings.solves()
        if several:
            return [_state(model, prefix, network, result, solves) for result in results]
        for place, solved in enumerate(results[0]):
            _apply(network, place, solved, solves)
        kept.clear()
    return told(network, results[0], settings)


def _modules(model, layers):
    """Layers by name: those that ``layers`` names, or all within what it names; all of the model without it."""
    all_modules = dict(model.named_modules())
    names = {id(module): name for name, module in all_modules.items()}
    if layers is None:
        return {name: module for name, module in all_modules.items() if isinstance(module, KINDS)}
    found = {}
    for asked in [layers] if isinstance(layers, str | torch.nn.Module) else layers:
        if isinstance(asked, torch.nn.Module):
            path = names.get(id(asked))
        else:
            path = next((path for path in (asked, asked.removeprefix("module.")) if path in all_modules), None)
        own = (
            {}
            if path is None
            else {
                f"{path}.{name}".strip("."): module
                for name, module in all_modules[path].named_modules()
                if isinstance(module, KINDS)
            }
        )
        if not own:
            what = "is no part of the model" if path is None else "has no Linear, Conv1d or Conv2d layer"
            raise UsageError(
                f"{asked if isinstance(asked, str) else type(asked).__name__} {what}; there are "
                f"{', '.join(_modules(model, None))}"
            )
        found |= own
    return {name: module for name, module in all_modules.items() if name in found}


def _prunable(model, layers, named):
    """The layers that take part; those that cannot are an error if they were named, else they are left out with a warning."""
    modules = _modules(model, layers)
    if not modules:
        raise UsageError(f"{type(model).__name__} has no Linear, Conv1d or Conv2d layer, so there is nothing to prune")
    for path, values in model.named_parameters():
        check_there(path, values)
    users = {}
    # A module that has two names is one layer, which is called twice; two modules that share a weight are not.
    for path, module in model.named_modules():
        for name, values in module.named_parameters(recurse=False):
            users.setdefault(id(values), []).append(f"{path}.{name}")
    reasons = {}
    for name, module in modules.items():
        own = module.weight_orig if hasattr(module, "weight_mask") else module._parameters.get("weight")
        others = [path for path in users.get(id(own), []) if path.removesuffix("_orig") != f"{name}.weight"]
        if (reason := plain_reason(module)) is not None:
            reasons[name] = reason
        elif others:
            reasons[name] = f"its weight is that of {others[0]} too"
    return without(modules, reasons, named)


def _network(model, modules, batches, seed, named):
    network = TorchNetwork(model, modules, batches, seed)
    never = {name: "it was never called on the calibration samples" for name in modules if name not in network.names}
    without(modules, never, named)
    return network


def _recorded(recorder, network, window, tolerance):
    names = [f"{name}.weight".removeprefix(".") for name in network.names]
    return Recorded(recorder, names, network.layers, window, tolerance)


def _check_recorded(recorder, modules):
    """Warns where a model was changed after it was recorded."""
    for name, module in modules.items():
        last = recorder.last(f"{name}.weight".removeprefix("."))
        if not hasattr(module, "weight_mask") and not numpy.array_equal(array(module.weight), last):
            warnings.warn(
                f"the weights of layer {name} are not those of the last of the {recorder.epochs} recorded epochs: the criterion "
                "looks at another network's past",
                stacklevel=3,
            )
            return


def _tensors(module):
    """What pruning changes of a layer, with its numbers."""
    changed = [module.weight_orig if hasattr(module, "weight_orig") else module.weight, module.bias]
    return [(tensor, tensor.detach().clone()) for tensor in changed if tensor is not None]


def _restore(layers):
    with torch.no_grad():
        for tensor, values in (pair for layer in layers for pair in layer):
            tensor.copy_(values)


@contextlib.contextmanager
def _as_it_was(model, modules, every):
    """Puts modes back in any case, and numbers unless what it gives is cleared: nothing half done is left, whatever happens."""
    modes = [(module, module.training) for module in model.modules()]
    if every:
        kept = [[(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]]
    else:
        kept = [_tensors(module) for module in modules.values()]
    # The fused path of transformers calls no layer.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield kept
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        _restore(kept)
        for module, training in modes:
            module.training = training


def _check_mean(model, recorder, calibration):
    names = {name.removesuffix("_orig") for name, values in model.named_parameters() if values.is_floating_point()}
    missing = sorted(names - set(recorder.names))
    if missing:
        raise UsageError(
            f"base='mean' needs the mean of all parameters, and {missing[0]} was not recorded; record without layers="
        )
    if calibration is None and any(_has_statistics(module) for module in model.modules()):
        raise UsageError("with base='mean' batch norm needs its statistics anew; give training samples: calibration=loader")


def _has_statistics(module):
    return isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None


def _to_mean(model, recorder, batches):
    """Gives all parameters their mean over the last half of the epochs, and batch norm the statistics that belong to it."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if values.is_floating_point():
                values.copy_(torch.from_numpy(recorder.mean(name.removesuffix("_orig"))))
    norms = [module for module in model.modules() if _has_statistics(module)]
    momenta = [module.momentum for module in norms]
    model.eval()
    try:
        for module in norms:
            module.reset_running_stats()
            # None: the mean of all batches alike.
            module.momentum, module.training = None, True
        for batch in batches if norms else []:
            run(model, batch)
    finally:
        for module, momentum in zip(norms, momenta):
            module.momentum = momentum


def _pruned_weight(network, place, solved, solves, gone):
    """The weight tensor: solved where it is kept, and where it is not ``gone``, or as it was if that is None."""
    layer, module = network.layers[place], network.modules[place]
    old = (module.weight_orig if hasattr(module, "weight_orig") else module.weight).detach()
    kept = torch.from_numpy(layer.own(solved.kept)).to(old.device)
    new = torch.from_numpy(layer.own(solved.weights)).to(old.device, old.dtype) if solves else old
    return torch.where(kept, new, old if gone is None else torch.tensor(gone, dtype=old.dtype, device=old.device)), kept


def _bias(module, solved):
    return torch.from_numpy(solved.bias.reshape(-1)).to(module.bias.device, module.bias.dtype)


def _apply(network, place, solved, solves):
    """Leaves a layer as ``torch.nn.utils.prune`` would."""
    module = network.modules[place]
    weight, kept = _pruned_weight(network, place, solved, solves, None)
    with torch.no_grad():
        (module.weight_orig if hasattr(module, "weight_orig") else module.weight).copy_(weight)
        if solves and module.bias is not None:
            module.bias.copy_(_bias(module, solved))
        # Without a gradient until the model is called again, so that a model that was just pruned can be copied.
        masking.custom_from_mask(module, "weight", kept)


def _state(model, prefix, network, result, solves):
    """The state dict of the model with weights that go at 0."""
    state = model.state_dict()
    for key in state:
        state[key] = state[key].detach().clone()
    for place, (name, module, solved) in enumerate(zip(network.names, network.modules, result)):
        weight, kept = _pruned_weight(network, place, solved, solves, 0.0)
        path = f"{prefix}{name}." if name else prefix
        masked = hasattr(module, "weight_orig")
        state[f"{path}weight_orig" if masked else f"{path}weight"] = weight
        if masked:
            state[f"{path}weight_mask"] = kept.to(weight.dtype)
        if solves and module.bias is not None:
            state[f"{path}bias"] = _bias(module, solved)
    return state
