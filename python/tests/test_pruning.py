"""The core of pruning in place, on networks by hand: what a framework has to tell is told by NumPy."""

import pathlib

import numpy
import pytest

import holdfast
from holdfast import _pruning
from holdfast._pruned_model import told, without
from holdfast._network import Layer, Network, Solved
from holdfast._pruning import Recorded, Settings, prune
from holdfast._recording import Recording

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests/fixtures/surgeon_network"


class ByHand(Network):
    """Dense layers with a ReLU between each two; weights `[input, unit]`."""

    def __init__(self, weights, biases, inputs):
        self.inputs = inputs
        self.now = [(kernel.copy(), None if bias is None else bias.copy()) for kernel, bias in zip(weights, biases)]
        self.layers = [
            Layer(
                name=f"dense{place}",
                weights=kernel[None].copy(),
                bias=None if bias is None else bias[None].copy(),
                kept=numpy.ones((1, *kernel.shape), bool),
                own=lambda values: values[0],
                arranged=lambda values: values[None],
            )
            for place, (kernel, bias) in enumerate(self.now)
        ]

    def forward(self, until=None, inputs=None):
        """What layer `until` reads, or the logits."""
        values = self.inputs if inputs is None else inputs
        for place, (kernel, bias) in enumerate(self.now[:until]):
            values = values @ kernel + (0 if bias is None else bias)
            if place + 1 < len(self.now):
                values = numpy.maximum(values, 0)
        return values

    def rows(self, place):
        return numpy.ascontiguousarray(self.forward(place)[None], numpy.float32)

    def active(self, place):
        return place + 1 < len(self.layers)

    def positions(self, place):
        return len(self.inputs)

    def put(self, place, weights, bias):
        self.now[place] = (weights[0], None if bias is None else bias[0])

    def importance(self):
        slopes = numpy.broadcast_to(numpy.eye(self.now[-1][0].shape[1]), (len(self.inputs), *[self.now[-1][0].shape[1]] * 2))
        found = [numpy.square(slopes).sum(1).mean(0)[None]]
        for place in range(len(self.now) - 1, 0, -1):
            slopes = (slopes @ self.now[place][0].T) * (self.forward(place) > 0)[:, None, :]
            found.insert(0, numpy.square(slopes).sum(1).mean(0)[None])
        return found

    def told(self, place):
        return "all"


class Ratios:
    """A recording that knows how much of each weight was held, and nothing else."""

    def __init__(self, ratios):
        self.given = [numpy.ascontiguousarray(ratio[None], numpy.float32) for ratio in ratios]

    def ratios(self, layers):
        return self.given


def two_layers(seed=1, rows=300, inputs=14, units=10, outputs=4):
    """A network whose inputs say much the same, so that some can stand for others."""
    draw = numpy.random.default_rng(seed)
    mix = draw.normal(size=(5, inputs))
    values = draw.normal(size=(rows, 5)) @ mix + 0.3 * draw.normal(size=(rows, inputs))
    weights = [draw.normal(size=(inputs, units)) / 4, draw.normal(size=(units, outputs)) / 3]
    biases = [draw.normal(size=units) / 4, draw.normal(size=outputs) / 4]
    single = lambda arrays: [array.astype(numpy.float32) for array in arrays]
    return ByHand(single(weights), single(biases), values.astype(numpy.float32))


def recorded_of(network, epochs=8, seed=2, window=None, tolerance=0.03):
    """A history of so many epochs that ends at the network's weights; one weight of the first layer stands still."""
    draw = numpy.random.default_rng(seed)
    recording = Recording()
    for epoch in range(epochs):
        arrays = {}
        for layer in network.layers:
            noise = draw.normal(size=layer.weights[0].shape) * 0.2 * (epoch + 1 < epochs)
            arrays[layer.name] = (layer.weights[0] * (1 + noise)).astype(numpy.float32)
        arrays["dense0"][3, 2] = network.layers[0].weights[0, 3, 2]
        recording.append(arrays)
    return Recorded(recording, [layer.name for layer in network.layers], network.layers, window, tolerance)


def settings(criterion="surgeon", *sparsities, **others):
    return Settings(criterion=criterion, sparsities=list(sparsities) or [0.6], **others)


def after(network, solved):
    """The logits of a network whose layers became these."""
    for place, layer in enumerate(solved):
        network.put(place, layer.weights, layer.bias)
    return network.forward()


def lost(network, solved):
    dense = [Solved(layer.weights, layer.bias, layer.kept) for layer in network.layers]
    return numpy.square(after(network, solved) - after(network, dense)).mean()


def kept_of(solved):
    return numpy.concatenate([layer.kept.ravel() for layer in solved])


@pytest.mark.parametrize("name", ["mlp_20_12_8_5", "mlp_20_12_8_5_holding_no_bias"])
def test_stages_are_those_of_the_independent_solution(name, monkeypatch):
    with numpy.load(FIXTURES / f"{name}.npz") as archive:
        fixture = dict(archive)
    has_bias = bool(fixture["has_bias"])
    weights = [fixture[f"weight{place}"].astype(numpy.float32) for place in range(3)]
    biases = [fixture[f"bias{place}"].astype(numpy.float32) if has_bias else None for place in range(3)]
    network = ByHand(weights, biases, fixture["inputs"].astype(numpy.float32))
    stages = [int(stage) for stage in fixture["stages"]]
    monkeypatch.setattr(_pruning, "STAGES", stages)
    total = sum(kernel.size for kernel in weights)
    sparsities = [1 - numpy.floor(total / stage + 0.5) / total for stage in stages]
    asked = settings(
        "hold-surgeon", *sparsities, inactive_weight=float(fixture["inactive_weight"]), ridge=float(fixture["ridge"])
    )
    found = prune(network, asked, Ratios([fixture[f"holding_ratio{place}"] for place in range(3)]))
    for stage, solved in zip(stages, found):
        expected = numpy.concatenate([fixture[f"stage{stage}.keep{place}"].astype(bool).ravel() for place in range(3)])
        # No choice is so near that single precision turns it, and the condition of these layers costs three digits of seven.
        numpy.testing.assert_array_equal(kept_of(solved), expected)
        logits = fixture[f"stage{stage}.logits"]
        numpy.testing.assert_allclose(after(network, solved), logits, rtol=0, atol=1e-3 * numpy.abs(logits).max())


def test_points_between_stages_nest_and_do_not_depend_on_others():
    network = two_layers()
    together = prune(network, settings("surgeon", 0.9, 0.3, 0.55, 0.3))
    masks = [kept_of(solved) for solved in together]
    assert [int(mask.sum()) for mask in masks] == [18, 126, 81, 126]
    assert not (masks[0] & ~masks[2]).any() and not (masks[2] & ~masks[1]).any()
    for sparsity, solved in zip((0.9, 0.3, 0.55), together):
        alone = prune(two_layers(), settings("surgeon", sparsity))[0]
        for one, other in zip(solved, alone):
            numpy.testing.assert_array_equal(one.weights, other.weights)
            numpy.testing.assert_array_equal(one.bias, other.bias)
    for solved in together:
        assert all((layer.weights[~layer.kept] == 0).all() for layer in solved)


def test_every_criterion_keeps_as_much_as_was_asked():
    network = two_layers()
    recorded = recorded_of(network)
    for criterion in set(_pruning.CRITERIA) - {"stability"}:
        for scope in ("global", "layer") if criterion not in _pruning.SURGEONS else ("global",):
            half, most = prune(network, settings(criterion, 0.5, 0.8, scope=scope), recorded)
            assert [int(kept_of(half).sum()), int(kept_of(most).sum())] == [90, 36], (criterion, scope)
            if scope == "layer":
                assert [int(layer.kept.sum()) for layer in half] == [70, 20]


def test_surgeons_lose_less_than_scores_and_repair_helps_every_score():
    network = two_layers()
    recorded = recorded_of(network)
    of = lambda criterion, repair=None: lost(network, prune(network, settings(criterion, 0.6, repair=repair), recorded)[0])
    surgeon = max(of("surgeon"), of("hold-surgeon"))
    for criterion in ("magnitude", "wanda", "hold", "hold-input", "settle", "random"):
        cut, repaired = of(criterion), of(criterion, "refit")
        assert surgeon < repaired < cut, (criterion, surgeon, repaired, cut)


def test_scores_are_what_they_are_said_to_be():
    network = two_layers()
    recorded = recorded_of(network)
    weights = [layer.weights[0] for layer in network.layers]
    norms = [numpy.sqrt(numpy.square(network.forward(place)).sum(0)) for place in range(2)]
    held = [numpy.abs(recorded.recording.history(f"dense{place}")[-4:]).min(0) for place in range(2)]
    frozen = numpy.zeros((14, 10), bool)
    frozen[3, 2] = True
    by = {
        "magnitude": [numpy.abs(own) for own in weights],
        "wanda": [numpy.abs(own) * norm[:, None] for own, norm in zip(weights, norms)],
        "hold": [numpy.where(frozen, -1, held[0]), held[1]],
        "hold-input": [numpy.where(frozen, -1, held[0] * norms[0][:, None]), held[1] * norms[1][:, None]],
    }
    for criterion, scores in by.items():
        found = prune(network, settings(criterion, 0.4), recorded)[0]
        flat = numpy.concatenate([score.ravel() for score in scores])
        numpy.testing.assert_array_equal(kept_of(found), flat >= numpy.sort(flat)[72], err_msg=criterion)
        for layer, solved in zip(network.layers, found):
            numpy.testing.assert_array_equal(solved.weights, numpy.where(solved.kept, layer.weights, 0))


def test_a_layer_that_does_not_learn_has_no_frozen_weights():
    network = two_layers()
    recorded = recorded_of(network)
    assert not prune(network, settings("hold", 0.01), recorded)[0][0].kept[0, 3, 2]
    network.layers[0].learns = False
    held = recorded.of("hold", 0)
    assert prune(network, settings("hold", 0.01), recorded)[0][0].kept[0, 3, 2] == (held[3, 2] > numpy.sort(held.ravel())[1])


def test_stability_takes_the_nearest_threshold():
    network = two_layers()
    recorded = recorded_of(network, tolerance=0.2)
    counts = [recorded.of("stability", place) for place in range(2)]
    found = kept_of(prune(network, settings("stability", 0.5), recorded)[0])
    possible = {least: sum(int((count >= least).sum()) for count in counts) for least in range(1, 9)}
    nearest = min(possible, key=lambda least: abs(numpy.log(possible[least] / 90)))
    numpy.testing.assert_array_equal(found, numpy.concatenate([(count >= nearest).ravel() for count in counts]))


def test_what_was_pruned_stays_pruned_and_counts():
    for criterion in ("surgeon", "magnitude", "hold", "settle"):
        network = two_layers()
        recorded = recorded_of(network)
        gone = numpy.zeros((1, 14, 10), bool)
        gone[0, :, :5] = numpy.arange(14)[:, None] % 2
        network.layers[0].kept = ~gone
        network.layers[0].weights[gone] = 0
        network.put(0, network.layers[0].weights, network.layers[0].bias)
        few, many = prune(network, settings(criterion, 0.1, 0.7), recorded)
        assert int(kept_of(few).sum()) == 180 - 35, criterion
        assert int(kept_of(many).sum()) == 54 and not many[0].kept[gone].any(), criterion


def test_one_layer_alone_is_cut_by_one_order_to_the_end():
    network = two_layers()
    whole = Network.__new__(ByHand)
    whole.__dict__ = network.__dict__ | {"layers": network.layers[:1]}
    whole.importance = lambda: pytest.fail("one layer needs no importance")
    found = prune(whole, settings("surgeon", 0.5, 0.99))
    assert [int(solved[0].kept.sum()) for solved in found] == [70, 1]


def test_groups_are_solved_each_for_itself():
    network = two_layers()
    inputs = network.inputs

    class Grouped(ByHand):
        """The first layer in two groups: each reads a half of the inputs."""

        def rows(self, place):
            if place:
                return super().rows(place)
            return numpy.ascontiguousarray(inputs.reshape(len(inputs), 2, 7).transpose(1, 0, 2))

        def put(self, place, weights, bias):
            if place:
                super().put(place, weights, bias)
            else:
                kernel = numpy.zeros((14, 10), numpy.float32)
                kernel[:7, :5], kernel[7:, 5:] = weights
                self.now[0] = (kernel, bias.reshape(-1))

        def importance(self):
            first, second = super().importance()
            return [first.reshape(2, 5), second]

    kernel, bias = network.now[0]
    grouped = Grouped([numpy.zeros_like(kernel), network.now[1][0]], [bias, network.now[1][1]], inputs)
    layer = grouped.layers[0]
    layer.weights = numpy.stack([kernel[:7, :5], kernel[7:, 5:]])
    layer.bias, layer.kept = bias.reshape(2, 5), numpy.ones((2, 7, 5), bool)
    grouped.put(0, layer.weights, layer.bias)
    found = prune(grouped, settings("surgeon", 0.5))[0]
    assert found[0].kept.shape == (2, 7, 5) and int(kept_of(found).sum()) == 55
    cut = [Solved(numpy.where(own.kept, old.weights, 0), old.bias, own.kept) for own, old in zip(found, grouped.layers)]
    assert lost(grouped, found) < lost(grouped, cut)


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        (settings("surgery"), "no criterion 'surgery'; there are hold-surgeon, surgeon"),
        (settings(scope="both"), "no scope 'both'"),
        (settings(repair="cut"), "no repair 'cut'"),
        (settings("surgeon", 1.0), "sparsity of 1.0 is not possible"),
        (settings("surgeon", 0.5, -0.1), "sparsity of -0.1 is not possible"),
        (settings("surgeon", float("nan")), "sparsity of nan"),
        (settings(scope="lamp"), "surgeon has one order"),
        (settings("stability", scope="layer"), "stability has one threshold"),
        (settings(base="best"), "no base 'best'"),
        (settings(samples=0), "0 samples calibrate nothing"),
    ],
)
def test_wishes_that_do_not_fit_are_said(asked, match):
    with pytest.raises(holdfast.UsageError, match=match) as caught:
        asked.check(is_recorded=True, is_calibrated=True)
    assert isinstance(caught.value, ValueError) and caught.value.exit_code == 2


def test_what_is_missing_is_said():
    with pytest.raises(
        holdfast.UsageError, match="give the recorder that recorded the training.*surgeon, wanda, magnitude, random"
    ):
        settings("hold").check(is_recorded=False, is_calibrated=True)
    with pytest.raises(holdfast.UsageError, match="calibration=loader"):
        settings("surgeon").check(is_recorded=True, is_calibrated=False)
    with pytest.raises(holdfast.UsageError, match="repair='refit' looks at"):
        settings("magnitude", repair="refit").check(is_recorded=False, is_calibrated=False)
    settings("magnitude").check(is_recorded=False, is_calibrated=False)


def test_errors_name_the_layer():
    network = two_layers()
    network.layers[1].weights[0, 0, 0] = numpy.inf
    with pytest.raises(holdfast.DataError, match="weights of layer dense1 hold inf"):
        prune(network, settings())
    network = two_layers()
    network.inputs = network.inputs * numpy.float32("nan")
    for criterion in ("surgeon", "wanda"):
        with pytest.raises(holdfast.DataError, match="what layer dense0 reads of the calibration samples holds nan"):
            prune(network, settings(criterion))
    network = two_layers()
    with pytest.raises(holdfast.UsageError, match=r"layer dense0: .*ridge of -1"):
        prune(network, settings(ridge=-1.0))
    wide = two_layers()
    wide.layers[0].weights = numpy.broadcast_to(numpy.float32(0), (1, 40_000, 10))
    with pytest.raises(holdfast.UsageError, match=r"dense0 has 40000 inputs a unit.*layers=\['dense1'\]"):
        prune(wide, settings())


def test_progress_counts_layers():
    steps = []
    prune(two_layers(), settings("surgeon", 0.5, progress=steps.append))
    # One order and one refit of two layers.
    assert steps == [1] * 4


def test_what_is_told_prints_as_a_table():
    network = two_layers()
    solved = prune(network, settings("magnitude", 0.5))[0]
    lines = repr(told(network, solved, settings("magnitude"))).splitlines()
    assert lines[0].split()[:4] == ["layer", "weights", "kept", "sparsity"] and len(lines) == 3
    assert lines[1].split()[:2] == ["dense0", "140"] and lines[1].endswith("-")
    assert told(network, solved, settings()).sparsity == 0.5


def test_layers_that_cannot_be_pruned_are_said():
    assert without({"a": 1, "b": 2}, {}, named=True) == {"a": 1, "b": 2}
    with pytest.warns(UserWarning, match="left out: a: it is tied"):
        assert without({"a": 1, "b": 2}, {"a": "it is tied"}, named=False) == {"b": 2}
    with pytest.raises(holdfast.UsageError, match=r"cannot be pruned: a: it is tied; name others: layers=\['b'\]"):
        without({"a": 1, "b": 2}, {"a": "it is tied"}, named=True)


def test_a_recording_of_another_model_is_said():
    network = two_layers()
    recording = Recording()
    recording.append({"dense0": numpy.zeros((3, 3)), "dense1": numpy.zeros((10, 4))})
    with pytest.raises(holdfast.UsageError, match="dense0 was recorded as .3, 3., and in this model it is .14, 10."):
        Recorded(recording, ["dense0", "dense1"], network.layers, None, 0.03)
    with pytest.raises(holdfast.UsageError, match="dense9 was not recorded; there are dense0, dense1"):
        Recorded(recording, ["dense9"], network.layers, None, 0.03)
