"""The surgeon on one layer: which weight of a unit goes first, and what the others become without it.

A layer has ``inputs`` ``[row, input]``, what it reads of calibration samples, and ``weights`` ``[input, unit]`` (those of PyTorch
transposed). Each unit loses one weight after the other, each time the one whose loss changes its pre-activation least once the
others have taken over (Hassibi & Stork 1993; Frantar & Alistarh 2022). With ``holding`` magnitudes the weights that held still
go last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from holdfast import _native
from holdfast._errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

NO_STEP = 2**32 - 1
"""What :attr:`Path.order` has behind the last step of a unit that keeps fewer weights than others."""


class Path:
    """In which order the weights of a layer go.

    ``order`` uint32 ``[step, unit]``: the input whose weight goes at each step. ``score`` float32 ``[step, unit]``: what it was
    chosen by, ``(rho w)^2 / H_pp`` with the holding ratio rho. ``cost`` float32 ``[step, unit]``: what its loss adds to the mean
    squared error of the unit's pre-activation, ``w^2 / H_pp``. Where a unit had fewer weights than there are inputs, the steps
    behind its last are marked: ``order`` is ``surgeon.NO_STEP``, ``score`` and ``cost`` are infinite.
    """

    order: NDArray[np.uint32]
    score: NDArray[np.float32]
    cost: NDArray[np.float32]

    def __init__(self, layer: dict[str, Any], settings: dict[str, Any], arrays: tuple[Any, Any, Any]) -> None:
        self._layer = layer
        self._settings = settings
        self.order, self.score, self.cost = arrays

    def __len__(self) -> int:
        """Weights that there are."""
        return int(np.count_nonzero(self.order != NO_STEP))

    def __repr__(self) -> str:
        steps, units = self.order.shape
        return f"Path of {len(self)} weights: {units} units of {steps} inputs"

    @property
    def inputs(self) -> NDArray[np.float32]:
        """What the layer reads ``[row, input]``, as it was given."""
        return np.asarray(self._layer["inputs"])

    def kept(self, count: int) -> NDArray[np.bool_]:
        """Which ``count`` weights stay ``[input, unit]``, those that go last in all units taken together.

        The layer keeps its last weight unless ``count`` is 0. Raises ``UsageError`` if there are fewer.
        """
        return merge([self]).kept(count)[0]

    def refit(
        self, count: int, *, progress: Callable[[int], object] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Weights ``[input, unit]`` and biases ``[unit]``, solved anew where ``count`` weights stay; see :func:`refit`."""
        return _native.refit(self._layer, self._settings, self.kept(count), progress)


class Order(NamedTuple):
    """The weights of one layer or of several in the order in which they go."""

    layer: NDArray[np.uint32]
    """Which of the layers."""
    unit: NDArray[np.uint32]
    """The unit that it belongs to."""
    input: NDArray[np.uint32]
    """The input that it weights."""
    score: NDArray[np.float64]
    """What the order is by: the running maximum of the unit's scores, times the unit's importance."""
    cost: NDArray[np.float64]
    """What its loss alone adds to the mean squared error of the unit's pre-activation."""
    shapes: tuple[tuple[int, int], ...]
    """``(inputs, units)`` of each layer."""
    last: int
    """How many stand at the end that go only all together: the last weight of each layer."""

    def kept(self, count: int) -> list[NDArray[np.bool_]]:
        """Which weights stay where ``count`` of all stay: ``[input, unit]`` of each layer.

        No layer loses its last weight unless ``count`` is 0. Raises ``UsageError`` if there are fewer than ``count``.
        """
        size = len(self.layer)
        if not 0 <= count <= size:
            raise UsageError(f"{count} weights cannot stay of {size}; ask for 0 to {size}")
        masks = [np.zeros(shape, dtype=bool) for shape in self.shapes]
        gone = size - count if count == 0 else min(size - count, size - self.last)
        stays = slice(gone, None)
        for place, mask in enumerate(masks):
            own = self.layer[stays] == place
            mask[self.input[stays][own], self.unit[stays][own]] = True
        return masks


def path(
    inputs: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    pre_activations: ArrayLike | None = None,
    holding: ArrayLike | None = None,
    *,
    ratios: ArrayLike | None = None,
    kept: ArrayLike | None = None,
    active: ArrayLike | None = None,
    relu: bool = True,
    inactive_weight: float = 0.1,
    ridge: float = 1e-3,
    progress: Callable[[int], object] | None = None,
) -> Path:
    """In which order the weights of each unit of a layer go.

    ``inputs`` ``[row, input]`` and ``weights`` ``[input, unit]``, with a ``bias`` ``[unit]`` that stays. ``pre_activations``
    ``[row, unit]`` are what the units should give, those of the dense network; without them they are those of all ``weights``
    on ``inputs``. ``holding`` ``[input, unit]`` are holding magnitudes h: weights are compared by rho = min(1, h / \\|w\\|) times
    themselves; ``ratios`` are rho itself, where w is not the weight that h is of. ``kept`` bool ``[input, unit]``: only these
    weights take part.

    Rows count in full where a unit's pre-activation is above 0, and by ``inactive_weight`` elsewhere; in full everywhere with
    ``relu=False``, where no ReLU follows; or where ``active`` bool ``[row, unit]`` says so, as before a max pool. ``ridge`` is
    the share of the mean of the Gram matrix' diagonal that is added to it. Layers so wide that one Gram matrix for each unit is
    too much work share one, in which all rows count in full.

    ``progress`` is called with numbers of units. Raises ``UsageError`` where shapes do not fit, ``DataError`` where a number is
    not finite or a unit's inputs determine no weights.
    """
    if holding is not None and ratios is not None:
        raise UsageError("holding and ratios say the same in two ways; give one of them")
    layer = {"inputs": inputs, "weights": weights, "bias": bias, "pre_activations": pre_activations, "active": active}
    settings = {"relu": relu, "inactive_weight": inactive_weight, "ridge": ridge}
    return Path(layer, settings, _native.path(layer, settings, holding, ratios, kept, progress))


def refit(
    inputs: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    pre_activations: ArrayLike | None = None,
    *,
    kept: ArrayLike,
    active: ArrayLike | None = None,
    relu: bool = True,
    inactive_weight: float = 0.1,
    ridge: float = 1e-3,
    progress: Callable[[int], object] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Weights ``[input, unit]`` and biases ``[unit]``, or None, solved anew: those of ``kept`` take over what the others did.

    Weights that are not kept are exactly 0. Of several cuts ``kept`` ``[cut, input, unit]`` the results have that axis too, and
    the moments of the inputs are added up once for all. All else as for :func:`path`; ``progress`` is called with numbers of
    units times cuts.
    """
    layer = {"inputs": inputs, "weights": weights, "bias": bias, "pre_activations": pre_activations, "active": active}
    settings = {"relu": relu, "inactive_weight": inactive_weight, "ridge": ridge}
    return _native.refit(layer, settings, kept, progress)


def merge(paths: Sequence[Path], importance: Sequence[ArrayLike] | None = None) -> Order:
    """One order for the weights of several layers, by score.

    ``importance`` has for each layer an array ``[unit]``: how much an error of each pre-activation matters to the network's
    outputs; 1 if not given. Ties go by layer, unit and step.
    """
    layers = list(paths)
    if importance is None:
        importance = [np.ones(own.order.shape[1]) for own in layers]
    if len(importance) != len(layers):
        raise UsageError(f"importance is of {len(importance)} layers, and there are paths of {len(layers)}; give one for each")
    arrays = [(own.order, own.score, own.cost) for own in layers]
    (layer, unit, source), (score, cost), last = _native.merge(
        arrays, [np.asarray(own, dtype=np.float64) for own in importance]
    )
    shapes = tuple((own.order.shape[0], own.order.shape[1]) for own in layers)
    return Order(layer, unit, source, score, cost, shapes, last)


def pre_activations(inputs: ArrayLike, weights: ArrayLike, bias: ArrayLike | None = None) -> NDArray[np.float32]:
    """What the units of a layer give of ``inputs`` ``[row, input]``, before a ReLU: ``[row, unit]``.

    To the bit what the command and the library compute, which the last digits of ``inputs @ weights + bias`` are not.
    """
    layer = {"inputs": inputs, "weights": weights, "bias": bias, "pre_activations": None, "active": None}
    return _native.pre_activations(layer, {"relu": True, "inactive_weight": 1.0, "ridge": 1.0})


def importance(
    inputs: ArrayLike, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike | None] | None = None
) -> list[NDArray[np.float64]]:
    """How much an error of each pre-activation matters to the outputs of dense layers with a ReLU between each two.

    ``weights`` ``[input, unit]`` and ``biases`` ``[unit]`` of each layer, ``inputs`` ``[row, input]`` of the first. For each layer
    ``[unit]``: the mean over rows of the sum over outputs of ``(d output / d pre-activation)^2``, as :func:`merge` takes it.
    Raises ``UsageError`` where shapes do not fit.
    """
    layers = list(weights)
    biases = [None] * len(layers) if biases is None else list(biases)
    if len(biases) != len(layers):
        raise UsageError(f"biases are of {len(biases)} layers, and weights of {len(layers)}; give one for each, or None")
    return _native.importance(inputs, layers, biases)
