"""A PyTorch model as ``_pruning`` sees it: what its layers read, what follows them, and how much their units matter."""

import inspect
import itertools

import numpy
import torch
from torch.nn import functional

from . import UsageError
from ._network import IMPORTANCE_SAMPLES, MOST_OUTPUTS, Layer, Network, drawn, mean_importance, shares_gram, without_labels
from ._torch_uses import Uses

#: Layers that can be pruned.
KINDS = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)
#: Names of labels in batches that are dicts.
LABELS = ("label", "labels", "target", "targets")
#: Samples that go through a model together where calibration is one tensor.
BATCH = 256


def unwrapped(model):
    """The model itself, without what ``DataParallel`` or ``torch.compile`` put around it, and the prefix that they give names."""
    prefix = ""
    while True:
        if isinstance(model, torch.nn.parallel.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model, prefix = model.module, f"{prefix}module."
        elif isinstance(getattr(model, "_orig_mod", None), torch.nn.Module):
            model, prefix = model._orig_mod, f"{prefix}_orig_mod."
        else:
            return model, prefix


def array(tensor):
    """A tensor as 32-bit floats of NumPy; bfloat16 and float16 lose nothing by that."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def weight_of(module):
    """The weight that is used, where ``torch.nn.utils.prune`` masked it too."""
    if hasattr(module, "weight_orig") and hasattr(module, "weight_mask"):
        return module.weight_orig * module.weight_mask
    return module.weight


def plain_reason(module):
    """Why the weight of a layer cannot be set, or None."""
    if isinstance(getattr(module, "weight_orig", None), torch.nn.Parameter) and hasattr(module, "weight_mask"):
        return None
    if isinstance(module._parameters.get("weight"), torch.nn.Parameter):
        return None
    return "its weight is computed from other parameters (weight_norm, spectral_norm or another parametrization)"


def check_there(name, tensor):
    """Fails with ``UsageError`` where a parameter has no numbers yet."""
    if isinstance(tensor, torch.nn.parameter.UninitializedParameter):
        raise UsageError(
            f"layer {name} has no weights yet: run the model once on a batch, so that its lazy layers know their sizes"
        )
    if tensor.is_meta:
        raise UsageError(
            f"layer {name} is on the meta device, where weights have no numbers; load them first: "
            "model.to_empty, then load_state_dict"
        )


def layer_of(name, module):
    """A layer as it is now."""
    weight, groups = weight_of(module), getattr(module, "groups", 1)
    shape, fan_in = tuple(weight.shape), weight[0].numel()
    arranged = lambda values: numpy.ascontiguousarray(values.reshape(groups, -1, fan_in).transpose(0, 2, 1))
    mask = getattr(module, "weight_mask", None)
    kept = numpy.ones(shape, bool) if mask is None else mask.detach().cpu().numpy() != 0
    return Layer(
        name=name,
        weights=arranged(array(weight)),
        bias=None if module.bias is None else array(module.bias).reshape(groups, -1).copy(),
        kept=arranged(kept),
        own=lambda values: numpy.ascontiguousarray(values.transpose(0, 2, 1).reshape(shape)),
        arranged=arranged,
        learns=(getattr(module, "weight_orig", None) if mask is not None else module.weight).requires_grad,
    )


def batches_of(model, calibration, samples):
    """The first ``samples`` samples as a list of what ``model`` is called with: ``(args, kwargs)``, and how many each has."""
    calibration = without_labels(calibration)
    if isinstance(calibration, torch.Tensor):
        calibration = calibration.split(BATCH)
    found, there = [], 0
    for batch in calibration:
        args, kwargs = _inputs(model, batch)
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        if not tensors or not tensors[0].dim():
            raise UsageError(
                f"a batch of the calibration data holds no tensor that the model could be called with, but "
                f"{type(batch).__name__}; give a loader of tensors, of tuples that begin with one, or of dicts with the "
                "names of the model's arguments"
            )
        size = len(tensors[0])
        take = min(size, samples - there)
        cut = lambda value: value[:take] if isinstance(value, torch.Tensor) and value.dim() and len(value) == size else value
        if take < size:
            args, kwargs = [cut(value) for value in args], {name: cut(value) for name, value in kwargs.items()}
        if take:
            found.append((args, kwargs, take))
        there += take
        if there == samples:
            break
    if not there:
        raise UsageError("the calibration data have no sample; give a loader with a few thousand training samples")
    return found


def _inputs(model, batch):
    """What of a batch a model is called with: of a tuple as many as ``forward`` must have, of a dict what it names but labels."""
    wanted = inspect.signature(model.forward).parameters.values()
    if isinstance(batch, torch.Tensor):
        return [batch], {}
    if isinstance(batch, tuple | list) and batch:
        needed = [
            one for one in wanted if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        ]
        first = batch[0]
        return _inputs(model, first) if isinstance(first, dict) else (list(batch[: max(len(needed), 1)]), {})
    if hasattr(batch, "keys"):
        names = {one.name for one in wanted} - set(LABELS)
        given = {name: batch[name] for name in batch.keys() if name in names}
        if not given:
            raise UsageError(
                f"a batch of the calibration data has {', '.join(map(str, batch.keys()))}, and the model takes "
                f"{', '.join(sorted(names)) or 'nothing'}; give what it takes, e.g. "
                "calibration=(batch['image'] for batch in loader)"
            )
        return [], given
    return [], {}


class _Reached(Exception):
    """All that was wanted of a pass has come by."""


def run(model, batch, grad=False):
    """What a model returns for a batch; None if a hook had enough before."""
    args, kwargs, _ = batch
    device = next(itertools.chain(model.parameters(), model.buffers())).device
    here = lambda value: value.to(device) if isinstance(value, torch.Tensor) else value
    try:
        with torch.set_grad_enabled(grad):
            return model(*map(here, args), **{name: here(value) for name, value in kwargs.items()})
    except _Reached:
        return None


class TorchNetwork(Network):
    """A model that runs on calibration samples. Whoever makes one puts its modules into evaluation mode."""

    def __init__(self, model, modules, batches, seed):
        self.model, self.batches, self.seed = model, batches, seed
        self.calls = {name: [] for name in modules}
        self.uses = Uses()
        order = self._look(modules) if batches else list(modules)
        self.names = order
        self.modules = [modules[name] for name in order]
        self.layers = [layer_of(name, modules[name]) for name in order]
        self.chosen = [drawn(self.calls[layer.name], layer, seed, place) for place, layer in enumerate(self.layers)]

    def _look(self, modules):
        """One pass: which layers are called, in which order, with how many positions, and what follows."""
        order = []

        def hook_of(name):
            def see(module, _, output):
                if name not in order:
                    order.append(name)
                self.calls[name][-1].append(output.numel() // (output.shape[-1] if _is_linear(module) else module.out_channels))
                self.uses.begin(output, name)

            return see

        with _hooks(module.register_forward_hook(hook_of(name)) for name, module in modules.items()):
            for place, batch in enumerate(self.batches):
                for calls in self.calls.values():
                    calls.append([])
                if place:
                    self.uses.done = True
                with self.uses:
                    run(self.model, batch)
        self.uses.forget()
        return order

    def positions(self, place):
        return sum(map(sum, self.calls[self.names[place]]))

    def _gathered(self, place, take, after=False):
        """What ``take`` makes of each call of a layer, before or after it, one below the other."""
        parts = []
        for batch, calls in zip(self.batches, self.chosen[place]):
            if not calls:
                continue
            seen = itertools.count(1)

            def hook(module, args, kwargs, output=None, calls=calls, seen=seen):
                call = next(seen)
                value = output if after else args[0] if args else kwargs["input"]
                parts.append(array(take(module, value, torch.from_numpy(calls[call - 1]).to(value.device))))
                if call == len(calls):
                    raise _Reached

            register = self.modules[place].register_forward_hook if after else self.modules[place].register_forward_pre_hook
            with _hooks([register(hook, with_kwargs=True)]):
                run(self.model, batch)
        return numpy.concatenate(parts)

    def rows(self, place):
        groups = len(self.layers[place].weights)
        rows = self._gathered(place, _rows_of)
        return numpy.ascontiguousarray(rows.reshape(len(rows), groups, -1).transpose(1, 0, 2))

    def active(self, place):
        relu, pool = self._behind(place)
        if pool is None:
            return relu

        def winners(module, output, chosen):
            flat = output.flatten(2)
            won = torch.zeros_like(flat, dtype=torch.bool).scatter_(2, pool(output).flatten(2), True) & (flat > 0)
            return won.movedim(1, -1).reshape(-1, output.shape[1])[chosen]

        rows = self._gathered(place, winners, after=True) != 0
        groups = len(self.layers[place].weights)
        return numpy.ascontiguousarray(rows.reshape(len(rows), groups, -1).transpose(1, 0, 2))

    def _behind(self, place):
        return self.uses.behind(self.names[place])

    def put(self, place, weights, bias):
        layer, module = self.layers[place], self.modules[place]
        weight = module.weight_orig if hasattr(module, "weight_orig") else module.weight
        with torch.no_grad():
            weight.copy_(torch.from_numpy(layer.own(weights)))
            if bias is not None:
                module.bias.copy_(torch.from_numpy(bias.reshape(-1)))

    def importance(self):
        sums = [0.0] * len(self.layers)
        random = torch.Generator().manual_seed(self.seed)
        samples = 0
        for batch in self.batches:
            seen = []

            def hook_of(place):
                def keep(module, _, output):
                    # A copy goes on, so that a ReLU in place does not write over what the gradient is asked of.
                    seen.append((place, output if output.requires_grad else output.requires_grad_()))
                    return output.clone()

                return keep

            with _hooks(module.register_forward_hook(hook_of(place)) for place, module in enumerate(self.modules)):
                logits = _logits(run(self.model, batch, grad=True), batch[2])
            if not logits.requires_grad:
                raise UsageError(
                    "no gradient leads from what the model returns back to its layers; let its forward "
                    "return logits, before any argmax"
                )
            for vector in _projections(logits, random):
                slopes = torch.autograd.grad(
                    (logits * vector).sum(), [z for _, z in seen], retain_graph=True, allow_unused=True
                )
                scale = MOST_OUTPUTS if logits.shape[1] > MOST_OUTPUTS else 1
                for (place, z), slope in zip(seen, slopes):
                    if slope is not None:
                        units = (
                            slope.float().flatten(0, -2)
                            if _is_linear(self.modules[place])
                            else slope.float().movedim(1, -1).flatten(0, -2)
                        )
                        sums[place] = sums[place] + units.square().sum(0, dtype=torch.float64).cpu().numpy() / scale
            samples += batch[2]
            if samples >= IMPORTANCE_SAMPLES:
                break
        return mean_importance(self.layers, sums, samples)


def _hooks(handles):
    """Hooks that are gone when it is left."""
    return _Handles(list(handles))


class _Handles:
    def __init__(self, handles):
        self.handles = handles

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def _is_linear(module):
    return isinstance(module, torch.nn.Linear)


def _rows_of(module, values, chosen):
    """The chosen rows ``[row, channel and place in the window]`` of what a layer reads."""
    if _is_linear(module):
        return values.reshape(-1, values.shape[-1])[chosen]
    axes = len(module.kernel_size)
    if values.dim() == axes + 1:
        values = values[None]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    values = functional.pad(values, module._reversed_padding_repeated_twice, mode)
    settings = list(zip(values.shape[2:], module.kernel_size, module.stride, module.dilation))
    outputs = [(size - dilation * (kernel - 1) - 1) // stride + 1 for size, kernel, stride, dilation in settings]
    rest, index = chosen, []
    for place, (_, kernel, stride, dilation) in reversed(list(enumerate(settings))):
        rest, at = rest // outputs[place], rest % outputs[place]
        at = at[:, None] * stride + torch.arange(kernel, device=at.device) * dilation
        index.insert(0, at.reshape(len(chosen), *(kernel if axis == place else 1 for axis in range(axes))))
    # An index on each side of a slice: the channels come last.
    taken = values[(rest.reshape(-1, *[1] * axes), slice(None), *index)]
    return taken.movedim(-1, 1).flatten(1)


def _logits(output, samples):
    """``[sample, output]`` of what a model returns."""
    for name in ("logits", "last_hidden_state"):
        if hasattr(output, name):
            output = getattr(output, name)
        elif isinstance(output, dict) and name in output:
            output = output[name]
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor) or not output.dim() or len(output) != samples:
        found = f"a tensor {list(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
        raise UsageError(
            f"the model returns {found} for a batch of {samples} samples, and not a number of outputs for each; wrap "
            "it in a module whose forward returns its logits [sample, output]"
        )
    return output.flatten(1) if output.dim() > 1 else output[:, None]


def _projections(logits, random):
    """Of few outputs each by itself; of many as many random signs as there may be, whose squares have the same mean."""
    if logits.shape[1] <= MOST_OUTPUTS:
        for place in range(logits.shape[1]):
            yield torch.zeros_like(logits).index_fill_(1, torch.tensor([place], device=logits.device), 1)
    else:
        for _ in range(MOST_OUTPUTS):
            signs = torch.randint(0, 2, logits.shape, generator=random) * 2 - 1
            yield signs.to(logits.device, logits.dtype)
