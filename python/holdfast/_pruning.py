"""Which weights go, and what those that stay become: over a network that some framework runs. Knows no framework itself.

Weights of a layer are ``[group, input, unit]`` here: one group for all layers but grouped convolutions, whose groups are solved
each for itself. Formulas and their sources stand in the chapter ``docs/kernels/surgeon.md`` of Holdfast.
"""

import contextlib
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy

from . import DataError, Error, UsageError, masks, surgeon
from ._network import SAMPLES, Solved

CRITERIA = ("hold-surgeon", "surgeon", "hold-input", "wanda", "hold", "settle", "stability", "magnitude", "random")
SURGEONS = ("hold-surgeon", "surgeon")
RECORDED = ("hold-surgeon", "hold-input", "hold", "settle", "stability")
CALIBRATED = ("hold-surgeon", "surgeon", "hold-input", "wanda")

#: How many times smaller the layers become together, one stage after the other.
STAGES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
#: The most units * inputs^3 that is begun with: some minutes.
MOST_WORK = 1e12


class Recorded:
    """What a recording knows of a network's layers, in the framework's own order of axes."""

    def __init__(self, recording, names, layers, window, tolerance):
        self.recording, self.names, self.window, self.tolerance = recording, names, window, tolerance
        for name, layer in zip(names, layers):
            found, asked = recording.shape(name), layer.own(layer.weights).shape
            if found != asked:
                raise UsageError(
                    f"{name} was recorded as {found}, and in this model it is {asked}; give the recorder of this model"
                )

    def of(self, kind, place):
        """``hold``, ``settle``, ``stability``, ``frozen`` or ``last`` of a layer."""
        how = {"hold": [self.window], "settle": [self.window], "stability": [self.tolerance], "frozen": [], "last": []}[kind]
        return getattr(self.recording, kind)(self.names[place], *how)

    def ratios(self, layers):
        """How much of its last magnitude each weight held, ``[group, input, unit]`` of each layer."""
        found = []
        for place, layer in enumerate(layers):
            held, last = self.of("hold", place), abs(self.of("last", place))
            with numpy.errstate(divide="ignore", invalid="ignore"):
                ratio = numpy.where(last == 0, 1, numpy.minimum(held / last, 1))
            found.append(layer.arranged(ratio.astype(numpy.float32)))
        return found


@dataclass
class Settings:
    """What is asked for."""

    criterion: str = "hold-surgeon"
    sparsities: list = field(default_factory=list)
    scope: str = "global"
    repair: str | None = None
    seed: int = 0
    samples: int = SAMPLES
    base: str = "last"
    inactive_weight: float = 0.1
    ridge: float = 1e-3
    progress: object = None

    def check(self, is_recorded, is_calibrated):
        """Fails with ``UsageError`` where wishes do not fit together, before anything is computed."""
        if self.criterion not in CRITERIA:
            raise UsageError(f"there is no criterion {self.criterion!r}; there are {', '.join(CRITERIA)}")
        if self.scope not in ("global", "layer", "lamp"):
            raise UsageError(f"there is no scope {self.scope!r}; there are global, layer, lamp")
        if self.repair not in (None, "refit"):
            raise UsageError(f"there is no repair {self.repair!r}; use 'refit', or leave it out")
        if self.base not in ("last", "mean"):
            raise UsageError(f"there is no base {self.base!r}; there are last and mean")
        if not isinstance(self.samples, int) or self.samples < 1:
            raise UsageError(f"{self.samples} samples calibrate nothing; use 1 or more, e.g. {SAMPLES}")
        for sparsity in self.sparsities:
            if not 0 <= sparsity < 1:
                raise UsageError(
                    f"a sparsity of {sparsity} is not possible; write the share of weights that go, e.g. 0.9 for 90 %"
                )
        if self.scope != "global" and self.criterion in (*SURGEONS, "stability"):
            why = "has one order for the weights of all layers" if self.criterion in SURGEONS else "has one threshold for all"
            raise UsageError(f"{self.criterion} {why}, so scope={self.scope!r} is none of its ways; leave it out")
        if self.criterion in RECORDED and not is_recorded:
            others = ", ".join(name for name in CRITERIA if name not in RECORDED)
            raise UsageError(
                f"{self.criterion} looks at how weights moved while they were trained; give the recorder that recorded the "
                f"training, or use a criterion that needs none: {others}"
            )
        if self.base == "mean" and not is_recorded:
            raise UsageError("base='mean' is the mean of recorded epochs; give the recorder that recorded the training")
        if self.needs_rows() and not is_calibrated:
            what = self.criterion if self.criterion in CALIBRATED else "repair='refit'"
            raise UsageError(
                f"{what} looks at what arrives at each layer; give a few thousand training samples: calibration=loader. Labels "
                "are not used"
            )

    def solves(self):
        """Whether weights that stay change."""
        return self.repair is not None or self.criterion in SURGEONS

    def needs_rows(self):
        """Whether the network has to run."""
        return self.solves() or self.criterion in CALIBRATED


def prune(network, settings, recorded=None):
    """Of each sparsity what the layers become: lists of ``Solved``, one for each layer.

    The network has other weights while this runs and when it ends, and whoever calls puts its own back.
    """
    layers = network.layers
    for layer in layers:
        layer.check()
    total = sum(layer.weights.size for layer in layers)
    counts = [total - math.floor(sparsity * total + 0.5) for sparsity in settings.sparsities]
    if settings.criterion in SURGEONS:
        surgery = Surgery(network, settings)
        ratios = recorded.ratios(layers) if settings.criterion == "hold-surgeon" else None
        found = surgery.in_stages(sorted(set(counts), reverse=True), ratios)
        return [found[count] for count in counts]
    cuts = _chosen(network, settings, recorded, counts)
    if settings.repair is None:
        return [
            [Solved(numpy.where(kept, layer.weights, 0), layer.bias, kept) for layer, kept in zip(layers, cut)] for cut in cuts
        ]
    surgery = Surgery(network, settings)
    found = []
    for cut in cuts:
        surgery.put(surgery.dense)
        found.append(surgery.refit(cut))
    return found


def _chosen(network, settings, recorded, counts):
    """For each sparsity which weights of each layer stay, ``[group, input, unit]``."""
    layers, criterion = network.layers, settings.criterion
    gone = [layer.own(~layer.kept) for layer in layers]
    if criterion == "stability":
        own = _by_threshold([recorded.of("stability", place) for place in range(len(layers))], counts)
    else:
        settles = criterion == "settle"
        scores, before = [], []
        draw = numpy.random.default_rng(settings.seed)
        for place, layer in enumerate(layers):
            score = _score(network, place, criterion, recorded, draw)
            # What is gone already stays gone, and is no part of what frozen weights come before.
            scores.append(numpy.where(gone[place], numpy.inf if settles else -1, score).astype(score.dtype))
            frozen = criterion in ("settle", "hold", "hold-input") and layer.learns
            before.append(gone[place] | recorded.of("frozen", place) if frozen else gone[place])
        own = masks(scores, settings.sparsities, settings.scope, largest_first=settles, before=before)
    return [[layer.arranged(mask) & layer.kept for layer, mask in zip(layers, cut)] for cut in own]


def _score(network, place, criterion, recorded, draw):
    layer = network.layers[place]
    if criterion == "settle":
        return recorded.of("settle", place)
    if criterion == "random":
        return draw.random(layer.own(layer.weights).shape, numpy.float32)
    held = criterion in ("hold", "hold-input")
    score = recorded.of("hold", place) if held else layer.own(abs(layer.weights))
    if criterion in ("wanda", "hold-input"):
        rows = _read(network, place)
        squares = numpy.einsum("gri,gri->gi", rows, rows, dtype=float)
        # Where rows were drawn, all of them are stood for by those.
        norms = numpy.sqrt(squares * (network.positions(place) / rows.shape[1])).astype(numpy.float32)
        score = layer.own(layer.arranged(score) * norms[:, :, None])
    return score


def _read(network, place):
    """What a layer reads, which must be numbers."""
    rows = network.rows(place)
    if not numpy.isfinite(rows).all():
        raise DataError(
            f"what layer {network.layers[place].name} reads of the calibration samples holds {rows[~numpy.isfinite(rows)][0]}; "
            "look at the samples, and at the layers before"
        )
    return rows


def _by_threshold(stabilities, counts):
    """The masks of the thresholds that keep a number of weights nearest to those asked, by their ratio."""
    most = max(int(values.max(initial=0)) for values in stabilities)
    kept_at = {least: sum(int((values >= least).sum()) for values in stabilities) for least in range(1, most + 1)}
    found = []
    for count in counts:
        distance = lambda least: abs(math.log(max(kept_at[least], 1) / max(count, 1)))
        least = min(kept_at, key=distance)
        found.append([values >= least for values in stabilities])
    return found


class Surgery:
    """The layers of a network that is cut, with what each unit of the dense network gave."""

    def __init__(self, network, settings):
        self.network, self.layers, self.settings = network, network.layers, settings
        self._check_work()
        self.dense = [Solved(layer.weights, layer.bias, layer.kept) for layer in self.layers]
        self.now = self.dense
        self.first = None
        self.targets, self.active = [], []
        for place, layer in enumerate(self.layers):
            biases = [None] * len(layer.weights) if layer.bias is None else layer.bias
            with _naming(layer):
                groups = zip(self._rows(place), layer.weights, biases)
                self.targets.append([surgeon.pre_activations(*group) for group in groups])
            self.active.append(network.active(place))

    def _check_work(self):
        work = lambda layer: layer.weights.shape[0] * layer.weights.shape[2] * layer.weights.shape[1] ** 3.0
        if sum(map(work, self.layers)) <= MOST_WORK:
            return
        fit, spent = [], 0.0
        for layer in sorted(self.layers, key=work):
            spent += work(layer)
            if spent <= MOST_WORK:
                fit.append(layer.name)
        largest = max(self.layers, key=work)
        names = [layer.name for layer in self.layers if layer.name in fit]
        raise UsageError(
            f"weights that stay are solved anew exactly, and layer {largest.name} has {largest.weights.shape[1]} inputs a unit: "
            "all layers together would take hours; choose by criterion='wanda' without a repair, or "
            + (f"name the layers that can be solved: layers={names}" if names else "prune a smaller network")
        )

    def _rows(self, place):
        # Nothing before the first layer changes.
        if place == 0 and self.first is not None:
            return self.first
        rows = _read(self.network, place)
        if place == 0:
            self.first = rows
        return rows

    def put(self, state):
        """Makes the network one of before."""
        for place, solved in enumerate(state):
            self.network.put(place, solved.weights, solved.bias)
        self.now = list(state)

    def in_stages(self, counts, ratios):
        """For each of these numbers of weights that stay, which fall, what the layers become.

        Order, importance and moments anew from what the stage before left. What lies between two stages goes by the order that
        the later one is cut by. One layer alone has one order, to the end.
        """
        total = sum(layer.weights.size for layer in self.layers)
        sizes = [math.floor(total / times + 0.5) for times in STAGES] if len(self.layers) > 1 else []
        there = sum(int(solved.kept.sum()) for solved in self.now)
        found, left = {}, list(counts)
        for stage in [size for size in sizes if size < there] + [0]:
            if not left:
                break
            order, before = self._order(ratios), self.now
            while left and (left[0] > stage or stage == 0):
                count = left.pop(0)
                found[count] = self.refit(self._cut(order, count))
                self.put(before)
            if left:
                self.refit(self._cut(order, stage))
                if left[0] == stage:
                    found[left.pop(0)] = self.now
        return found

    def _order(self, ratios):
        """The order in which all weights go that are there: ``surgeon.Order``, in which each group is a layer."""
        # One layer alone needs no importance: it would only favour units that the next layer reads strongly.
        importance = self.network.importance() if len(self.layers) > 1 else None
        paths, matters = [], []
        for place, layer in enumerate(self.layers):
            rows, now = self._rows(place), self.now[place]
            for group in range(len(now.weights)):
                with _naming(layer):
                    found = surgeon.path(
                        rows[group],
                        now.weights[group],
                        None if now.bias is None else now.bias[group],
                        self.targets[place][group],
                        ratios=None if ratios is None else ratios[place][group],
                        kept=now.kept[group],
                        **self._how(place, group),
                    )
                # A path holds on to its rows; those of all layers at once would be much.
                paths.append(SimpleNamespace(order=found.order, score=found.score, cost=found.cost))
                if importance is not None:
                    matters.append(importance[place][group])
            self._step()
        return surgeon.merge(paths, None if importance is None else matters)

    def _cut(self, order, count):
        """Which weights of each layer stay where so many stay."""
        masks = iter(order.kept(min(count, len(order.layer))))
        return [numpy.stack([next(masks) for _ in solved.kept]) for solved in self.now]

    def refit(self, cut):
        """Makes the network what a cut leaves: layer after layer, each with what those before it now give."""
        for place, (layer, kept) in enumerate(zip(self.layers, cut)):
            rows, now = self._rows(place), self.now[place]
            weights, bias = numpy.empty_like(now.weights), None if now.bias is None else numpy.empty_like(now.bias)
            for group in range(len(weights)):
                with _naming(layer):
                    weights[group], solved = surgeon.refit(
                        rows[group],
                        now.weights[group],
                        None if bias is None else now.bias[group],
                        self.targets[place][group],
                        kept=kept[group],
                        **self._how(place, group),
                    )
                if bias is not None:
                    bias[group] = solved
            self.network.put(place, weights, bias)
            self.now = [*self.now[:place], Solved(weights, bias, kept), *self.now[place + 1 :]]
            self._step()
        return self.now

    def _how(self, place, group):
        active = self.active[place]
        given = {"inactive_weight": self.settings.inactive_weight, "ridge": self.settings.ridge}
        if isinstance(active, bool):
            return given | {"relu": active}
        return given | {"active": active[group]}

    def _step(self):
        if self.settings.progress is not None:
            self.settings.progress(1)


@contextlib.contextmanager
def _naming(layer):
    """An error says which layer it is about."""
    try:
        yield
    except Error as error:
        raise type(error)(f"layer {layer.name}: {error}") from None
