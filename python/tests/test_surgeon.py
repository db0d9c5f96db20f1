"""The surgeon on one layer, against answers of NumPy in double precision."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import holdfast
from holdfast import surgeon

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "surgeon"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.npz"))


class Case:
    """A layer of the fixtures; what goes into single precision has been rounded to it."""

    def __init__(self, name: str) -> None:
        with np.load(FIXTURES / f"{name}.npz") as arrays:
            self.answers = {key: arrays[key] for key in arrays.files}
        own = lambda key: self.answers[key].astype(np.float32)  # noqa: E731
        self.arrays = (own("inputs"), own("weights"), own("bias"), own("pre_activations"))
        self.ratios = own("holding_ratio")
        self.settings = {"inactive_weight": float(self.answers["inactive_weight"]), "ridge": float(self.answers["ridge"])}
        inputs = self.arrays[0].shape[1]
        # Rounding of single precision, as the condition of the equations lets it grow.
        self.bound = 8 * np.finfo(np.float32).eps * (inputs + 1) / self.settings["ridge"]

    def equations(self, unit: int, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gram matrix and cross moments of a unit's kept inputs and its bias, with their ridge, in double precision."""
        inputs, weights, bias, targets = (array.astype(np.float64) for array in self.arrays)
        columns = np.hstack([inputs[:, kept], np.ones((len(inputs), 1))])
        own = np.append(weights[kept, unit], bias[unit])
        rows = np.where(targets[:, unit] > 0, 1.0, self.settings["inactive_weight"])
        moments = (columns * rows[:, None]).T @ columns / len(columns)
        cross = (columns * rows[:, None]).T @ targets[:, unit] / len(columns)
        mean = np.trace(moments) / len(moments)
        ridge = self.settings["ridge"] * (mean if mean > 0 else np.finfo(np.float32).eps)
        return moments + ridge * np.eye(len(moments)), cross + ridge * own


@pytest.fixture(params=NAMES)
def case(request) -> Case:
    return Case(request.param)


def test_there_are_fixtures():
    assert len(NAMES) >= 5


def test_each_step_takes_the_smallest_score(case):
    found = surgeon.path(*case.arrays, ratios=case.ratios, **case.settings)
    inputs, units = case.arrays[1].shape
    assert found.order.shape == (inputs, units) and found.order.dtype == np.uint32 and len(found) == inputs * units
    for unit in range(units):
        inverse = np.linalg.inv(case.equations(unit, np.ones(inputs, bool))[0])
        weights = np.append(case.arrays[1][:, unit], case.arrays[2][unit]).astype(np.float64)
        ratios = case.ratios[:, unit].astype(np.float64)
        alive = np.ones(inputs, bool)
        median = np.median(case.answers["cost"][:, unit])
        for step, column in enumerate(found.order[:, unit]):
            cost = weights[:inputs] ** 2 / np.diag(inverse)[:inputs]
            score = np.where(alive, ratios**2 * cost, np.inf)
            slack = case.bound * (score.min() + 1e-3 * median)
            assert score[column] <= score.min() + slack, (unit, step)
            weights -= inverse[:, column] * (weights[column] / inverse[column, column])
            inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
            alive[column] = False
            # What is gone is exactly so.
            weights[column], inverse[column], inverse[:, column] = 0, 0, 0
            inverse[column, column] = 1


def test_refits_are_those_of_double_precision(case):
    order, removed, expected = (case.answers[key] for key in ("order", "removed", "refit"))
    inputs, units = case.arrays[1].shape
    cuts = np.ones((len(removed), inputs, units), bool)
    for cut, steps in zip(cuts, removed, strict=True):
        cut[order[:steps], np.arange(units)] = False
    weights, bias = surgeon.refit(*case.arrays, kept=cuts, **case.settings)
    assert weights.shape == cuts.shape and bias.shape == (len(removed), units)
    assert not weights[~cuts].any()
    largest = abs(expected).max()
    found = np.concatenate([weights, bias[:, None]], axis=1)
    for cut, own in zip(cuts, found, strict=True):
        for unit in range(units):
            solved = np.linalg.solve(*case.equations(unit, cut[:, unit]))
            kept = np.append(cut[:, unit], True)
            assert abs(own[kept, unit] - solved).max() <= case.bound * largest
    # Where nothing is cut the ridge is that of the answers, too.
    assert removed[0] > 0 or abs(found[0] - expected[0]).max() <= case.bound * largest
    alone = surgeon.refit(*case.arrays, kept=cuts[-1], **case.settings)
    assert np.array_equal(alone[0], weights[-1]) and np.array_equal(alone[1], bias[-1])


@pytest.fixture
def layer() -> dict[str, np.ndarray]:
    """Forty rows of six inputs for three units."""
    random = np.random.default_rng(3)
    of = lambda *shape: random.standard_normal(shape).astype(np.float32)  # noqa: E731
    return {"inputs": of(40, 6), "weights": of(6, 3), "bias": of(3)}


def test_targets_are_those_of_the_layer_if_none_are_given(layer):
    targets = (layer["inputs"].astype(np.float64) @ layer["weights"] + layer["bias"]).astype(np.float32)
    for relu in (True, False):
        alone, given = (surgeon.path(**layer, pre_activations=own, relu=relu) for own in (None, targets))
        assert np.array_equal(alone.order, given.order)
        np.testing.assert_allclose(alone.cost, given.cost, rtol=1e-4)
    # With every weight kept nothing is to be mended.
    weights, bias = surgeon.refit(**layer, kept=np.ones((6, 3)))
    np.testing.assert_allclose(weights, layer["weights"], atol=1e-3)
    np.testing.assert_allclose(bias, layer["bias"], atol=1e-3)


def test_holding_magnitudes_become_ratios(layer):
    holding = np.linspace(0, 2, 18, dtype=np.float32).reshape(6, 3)
    ratios = np.minimum(1, holding / abs(layer["weights"]))
    by_holding, by_ratio = surgeon.path(**layer, holding=holding), surgeon.path(**layer, ratios=ratios)
    assert np.array_equal(by_holding.order, by_ratio.order) and np.array_equal(by_holding.score, by_ratio.score)
    assert by_holding.order[0, 0] == 0, "a weight that never held goes first"


def test_only_kept_weights_take_part_and_what_is_missing_is_marked(layer):
    kept = np.ones((6, 3), bool)
    kept[[1, 4], 0] = kept[:, 2] = False
    found = surgeon.path(**layer, kept=kept)
    assert sorted(found.order[:, 0].tolist()) == [0, 2, 3, 5, surgeon.NO_STEP, surgeon.NO_STEP]
    assert (found.order[:, 2] == surgeon.NO_STEP).all()
    assert np.isinf(found.score[4:, 0]).all() and np.isinf(found.cost[:, 2]).all()
    assert len(found) == 10 and "10 weights" in repr(found)
    assert np.array_equal(found.kept(10), kept)
    five = found.kept(5)
    assert five.sum() == 5 and not (five & ~kept).any()
    weights, bias = found.refit(5)
    assert np.array_equal(weights != 0, five) and bias.shape == (3,)
    assert np.array_equal(weights, surgeon.refit(**layer, kept=five)[0])


def test_active_rows_and_no_relu_change_what_counts(layer):
    positive = layer["inputs"] @ layer["weights"] + layer["bias"] > 0
    own = surgeon.path(**layer)
    assert np.array_equal(surgeon.path(**layer, active=positive).cost, own.cost)
    everywhere = surgeon.path(**layer, active=np.ones_like(positive)).cost
    np.testing.assert_allclose(surgeon.path(**layer, relu=False).cost, everywhere, rtol=1e-4)
    assert not np.array_equal(own.cost, everywhere)


def test_a_layer_without_bias_has_none(layer):
    del layer["bias"]
    weights, bias = surgeon.refit(**layer, kept=np.eye(6, 3))
    assert bias is None and np.count_nonzero(weights) == 3


def test_layers_are_merged_by_score_and_importance(layer):
    one, two = surgeon.path(**layer), surgeon.path(**layer, relu=False)
    order = surgeon.merge([one, two], [np.ones(3), np.array([1, 1e9, 1e9])])
    assert len(order.layer) == 36 and order.shapes == ((6, 3), (6, 3)) and order.last == 2
    assert (np.diff(order.score[: -order.last]) >= 0).all()
    # What matters most stays longest, but no layer loses its last weight.
    first, second = order.kept(13)
    assert first.sum() == 1 and second.sum() == 12 and second[:, 1:].all()
    assert [mask.sum() for mask in order.kept(1)] == [1, 1] and not any(mask.any() for mask in order.kept(0))
    assert sum(mask.sum() for mask in surgeon.merge([one, two]).kept(20)) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": np.ones((3, 6), np.float32)}, r"\[40, 6\] do not fit weights of \[3, 6\].*transpose"),
        ({"bias": np.ones(4, np.float32)}, r"bias has the sizes \[4\].*\[3\]"),
        ({"pre_activations": np.ones((40, 2), np.float32)}, r"pre_activations has the sizes \[40, 2\].*\[40, 3\]"),
        ({"inputs": np.ones(40, np.float32)}, "no layer"),
        ({"inputs": np.ones((0, 6), np.float32)}, "at least one"),
        ({"kept": np.ones((2, 2), bool)}, r"kept has the sizes \[2, 2\]"),
        ({"kept": np.full((6, 3), 2)}, "other values than true and false"),
        ({"active": np.ones((6, 3), bool)}, r"active has the sizes \[6, 3\].*\[40, 3\]"),
        ({"holding": -np.ones((6, 3), np.float32)}, r"holding has -1 at \[0, 0\]"),
        ({"ratios": np.full((6, 3), 1.5, np.float32)}, r"ratios has 1.5"),
        ({"ridge": 0}, "ridge of 0"),
        ({"inactive_weight": 2}, "inactive rows cannot count 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_sizes(layer, change, words):
    with pytest.raises(holdfast.UsageError, match=words):
        surgeon.path(**{**layer, **change})


def test_the_units_of_a_stack_matter_as_the_derivatives_of_its_outputs_say(layer):
    last = np.float32([[1, -2], [0.5, 0], [3, 1]])
    hidden = surgeon.pre_activations(**layer)
    np.testing.assert_allclose(hidden, layer["inputs"] @ layer["weights"] + layer["bias"], atol=1e-5)
    first, second = surgeon.importance(layer["inputs"], [layer["weights"], last], [layer["bias"], None])
    np.testing.assert_allclose(first, (hidden > 0).mean(0) * np.square(last).sum(1), rtol=1e-6)
    assert second.tolist() == [1, 1] and first.dtype == np.float64
    for inputs, weights, biases, words in (
        (layer["inputs"], [last], None, r"weights\[0\] has the sizes \[3, 2\], and 6 numbers arrive"),
        (layer["inputs"], [layer["weights"][:, :0]], None, r"\[6, 0\]"),
        (layer["inputs"][:0], [layer["weights"]], None, r"inputs have the sizes \[0, 6\]"),
        (layer["inputs"], [layer["weights"]], [np.ones(2, np.float32)], r"biases\[0\] has the sizes \[2\]; give \[3\]"),
        (layer["inputs"], [layer["weights"]], [None, None], "biases are of 2 layers, and weights of 1"),
        (layer["inputs"], [], None, "of no layer"),
    ):
        with pytest.raises(holdfast.UsageError, match=words):
            surgeon.importance(inputs, weights, biases)


def test_other_refusals(layer):
    with pytest.raises(holdfast.UsageError, match="at least one input and one unit"):
        surgeon.path(np.ones((3, 0), np.float32), np.ones((0, 2), np.float32))
    with pytest.raises(holdfast.UsageError, match="one of them"):
        surgeon.path(**layer, holding=layer["weights"], ratios=layer["weights"])
    with pytest.raises(holdfast.UsageError, match=r"several cuts"):
        surgeon.refit(**layer, kept=np.ones((2, 3, 6)))
    with pytest.raises(holdfast.UsageError, match="importance"):
        surgeon.merge([surgeon.path(**layer)], [np.ones(2)])
    with pytest.raises(holdfast.UsageError, match="19 weights cannot stay of 18"):
        surgeon.path(**layer).kept(19)
    layer["inputs"][2, 3] = np.inf
    with pytest.raises(holdfast.DataError, match="inf"):
        surgeon.path(**layer)


def test_progress_is_in_units(layer):
    told = []
    surgeon.path(**layer, progress=told.append)
    assert sum(told) == 3
    told.clear()
    surgeon.refit(**layer, kept=np.ones((4, 6, 3), bool), progress=told.append)
    assert sum(told) == 12


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to a process in this way only there")
def test_ctrl_c_ends_long_work():
    script = textwrap.dedent("""
        import signal
        import numpy as np
        from holdfast import surgeon
        # A job in the background of a shell ignores it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        inputs = np.random.default_rng(1).standard_normal((3000, 2500)).astype(np.float32)
        weights = np.ones((2500, 400), np.float32)
        # A weight is missing, so that every unit has an inverse of its own: hours of work.
        kept = np.ones((2500, 400), bool)
        kept[0, 0] = False
        try:
            print("begins", flush=True)
            surgeon.path(inputs, weights, kept=kept, progress=print)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begins\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert output.endswith("interrupted\n") and process.returncode == 0
