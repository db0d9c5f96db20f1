"""What pruning must be told of a network, and what of that is the same in all frameworks."""

from dataclasses import dataclass, field

import numpy

from . import DataError

#: The most rows of a layer, and the most numbers that they may have: what is beyond is drawn at random.
MOST_ROWS, MOST_NUMBERS = 60_000, 100_000_000
#: Samples that calibrate, and those of them that the importance of units is taken from.
SAMPLES, IMPORTANCE_SAMPLES = 4096, 1024
#: The most outputs of a network of which each has a backward pass of its own.
MOST_OUTPUTS = 64


def shares_gram(inputs, units):
    """Whether the engine lets all units of a layer share one Gram matrix, in which all rows count alike."""
    return inputs > 1024 or units * inputs**3 > 2e10


@dataclass
class Layer:
    """A layer that takes part, as it was when pruning began."""

    name: str
    #: ``[group, input, unit]``
    weights: numpy.ndarray
    #: ``[group, unit]``, or None.
    bias: numpy.ndarray | None
    #: Which weights are there, as ``weights``.
    kept: numpy.ndarray
    #: What the framework has as the order of axes: from ``[group, input, unit]`` and back.
    own: object = field(repr=False)
    arranged: object = field(repr=False)
    #: Whether training moves it; what it says nothing of cannot be called frozen.
    learns: bool = True

    def check(self):
        """Fails with ``DataError`` if a weight is no number."""
        for what, values in (("weights", self.weights), ("biases", self.bias)):
            if values is not None and not numpy.isfinite(values).all():
                value = values[~numpy.isfinite(values)][0]
                raise DataError(f"the {what} of layer {self.name} hold {value}: training diverged; prune an earlier checkpoint")


@dataclass
class Solved:
    """What a layer becomes; weights that are not kept are exactly 0."""

    weights: numpy.ndarray
    bias: numpy.ndarray | None
    kept: numpy.ndarray


class Network:
    """What a framework must tell: a base for its own class.

    ``layers`` in the order in which they are called first. Rows of a layer are those that ``rows`` draws once and for all.
    """

    layers: list

    def rows(self, place):
        """What a layer now reads, ``[group, row, input]``, from the layers before as they now are."""
        raise NotImplementedError

    def active(self, place):
        """In which rows a unit counts in full: True where its pre-activation is above 0, because a ReLU follows directly; False:
        in all; or ``[group, row, unit]`` where a pool follows. Asked of the network as it was."""
        raise NotImplementedError

    def _behind(self, place):
        """Whether a ReLU follows a layer directly, and the pool behind that, or None."""
        raise NotImplementedError

    def told(self, place):
        """The same as :meth:`active`, in words."""
        _, inputs, units = self.layers[place].weights.shape
        if shares_gram(inputs, units):
            return "all (one Gram matrix for all units)"
        relu, pool = self._behind(place)
        return (
            "where it wins its pool and the ReLU lets it through"
            if pool
            else "where the ReLU lets it through"
            if relu
            else "all"
        )

    def positions(self, place):
        """How many rows there would be if none were drawn."""
        raise NotImplementedError

    def put(self, place, weights, bias):
        """Changes a layer."""
        raise NotImplementedError

    def importance(self):
        """Of each layer ``[group, unit]``: the mean over samples of the sum over outputs, and over positions, of the square of
        d output / d pre-activation."""
        raise NotImplementedError


def drawn(counts, layer, seed, place):
    """Which rows of each batch and call of a layer count, ``counts`` of which there are: of many as many as are allowed, drawn at
    random, ascending."""
    total = sum(map(sum, counts))
    rows = numpy.arange(total)
    groups, inputs, _ = layer.weights.shape
    most = min(MOST_ROWS, max(MOST_NUMBERS // (groups * inputs), 1))
    if total > most:
        rows = numpy.sort(numpy.random.default_rng([seed, place]).choice(total, most, replace=False))
    found, start = [], 0
    for calls in counts:
        found.append([])
        for count in calls:
            found[-1].append(rows[numpy.searchsorted(rows, start) : numpy.searchsorted(rows, start + count)] - start)
            start += count
    return found


def mean_importance(layers, sums, samples):
    """Of each layer ``[group, unit]`` from the sums over samples ``[unit]``."""
    found = []
    for layer, total in zip(layers, sums):
        groups, _, units = layer.weights.shape
        mean = numpy.broadcast_to(numpy.asarray(total, float) / samples, groups * units).reshape(groups, units)
        if not numpy.isfinite(mean).all():
            raise DataError(
                f"how much the units of layer {layer.name} matter is not finite: gradients overflow its number type; prune in "
                "float32"
            )
        found.append(mean.copy())
    return found


def without_labels(calibration):
    """The samples of a pair of arrays, samples and their labels: as many, but of another shape. All else is as it was given."""
    shapes = [getattr(part, "shape", None) for part in calibration] if isinstance(calibration, tuple) else []
    is_pair = len(shapes) == 2 and all(shapes) and shapes[0] != shapes[1] and shapes[0][0] == shapes[1][0]
    return calibration[0] if is_pair else calibration
