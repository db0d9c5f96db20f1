"""Functions on arrays: right numbers, the command's bits, no copy that is not said."""

import csv
import warnings

import numpy as np
import pytest

import holdfast


def weights(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def history() -> np.ndarray:
    """Twelve epochs of 16 x 8 weights, of which four stand still."""
    values = weights(12, 16, 8) * np.linspace(1, 0.01, 12, dtype=np.float32)[:, None, None] + weights(16, 8, seed=2)
    values[:, 3, :4] = values[0, 3, :4]
    return values


@pytest.mark.parametrize("name", ["e12_r1_n5000", "e20_r3_n37", "e60_r2_n900"])
def test_answers_of_another_program(fixtures, name):
    with np.load(fixtures / "stability" / f"{name}.npz") as answers:
        history, tolerances = answers["history"], answers["tolerances"].tolist()
        found = holdfast.stability(history, tolerances)
        sure = ~answers["position_relative_borderline"]
        assert found.dtype == np.uint32 and found.shape == (len(tolerances), *history.shape[1:])
        assert np.array_equal(found[sure], answers["position_relative"][sure])
        assert np.array_equal(holdfast.stability(history, tolerances[1]), found[1])
        ranks = holdfast.ranks(history, axes="epoch,replica,weight")
        assert np.array_equal(np.argsort(ranks, axis=-1), answers["order"])
        for place, window in enumerate(answers["windows"].tolist()):
            minimum, maximum, magnitude = holdfast.envelope(history, window)
            assert np.array_equal(minimum, answers["window_minimum"][place])
            assert np.array_equal(maximum, answers["window_maximum"][place])
            assert np.array_equal(magnitude, answers["window_smallest_magnitude"][place])
            assert np.array_equal(holdfast.hold(history, window), magnitude)
            np.testing.assert_allclose(holdfast.settle(history, window), answers["settling_tolerance"][place], rtol=1e-12)


def test_the_bits_of_the_command(history, command, tmp_path):
    np.save(tmp_path / "history.npy", history)
    command("stability", "history.npy", "--axes", "epoch,out,in", "--tolerance", "0.03,0.1", "--window", "6",
            "--out", "counted", "--device", "cpu")  # fmt: skip
    with (tmp_path / "counted" / "stability.csv").open() as file:
        rows = list(csv.DictReader(file))
    for tolerance in (0.03, 0.1):
        counts = [int(row["stability"]) for row in rows if float(row["tolerance"]) == tolerance]
        assert np.array_equal(holdfast.stability(history, tolerance).ravel(), counts)
    with (tmp_path / "counted" / "envelope.csv").open() as file:
        rows = list(csv.DictReader(file))
    column = lambda name, kind: np.array([kind(row[name]) for row in rows])  # noqa: E731
    for found, name in zip(holdfast.envelope(history, 6), ("minimum", "maximum", "smallest_magnitude"), strict=True):
        assert np.array_equal(found.ravel(), column(name, np.float32))
    assert np.array_equal(holdfast.settle(history, 6).ravel(), column("settling_tolerance", float))
    assert np.array_equal(holdfast.frozen(history).ravel(), column("frozen", lambda text: text == "true"))
    assert holdfast.frozen(history).sum() == 4


@pytest.mark.parametrize("scope", ["layer", "global", "lamp"])
@pytest.mark.parametrize("criterion", ["hold", "settle", "magnitude"])
@pytest.mark.parametrize("sparsity", [0.0, 0.35, 0.9, 0.999, 1.0])
def test_the_masks_of_the_command(history, command, tmp_path, criterion, scope, sparsity):
    if criterion == "settle" and scope == "lamp":
        with pytest.raises(holdfast.UsageError, match="lamp compares"):
            holdfast.masks(holdfast.settle(history), sparsity, scope, largest_first=True)
        return
    tensors = {"a": history, "b": np.round(weights(12, 8, 4, seed=3), 1)}
    np.savez(tmp_path / "history.npz", **tensors)
    np.savez(tmp_path / "weights.npz", **{name: values[-1] for name, values in tensors.items()})
    command("prune", "--history", "history.npz", "--weights", "weights.npz", "--layers", "a,b", "--axes", "epoch,...",
            "--criterion", criterion, "--sparsity", str(sparsity), "--scope", scope, "--out", "pruned",
            "--device", "cpu")  # fmt: skip
    score = {"hold": holdfast.hold, "settle": holdfast.settle, "magnitude": lambda values: abs(values[-1])}[criterion]
    scores = {name: score(values) for name, values in tensors.items()}
    frozen = {name: holdfast.frozen(values) for name, values in tensors.items()}
    before = None if criterion == "magnitude" else frozen
    found = holdfast.masks(scores, sparsity, scope, largest_first=criterion == "settle", before=before)
    with np.load(tmp_path / "pruned" / "mask.npz") as masks:
        for name, mask in found.items():
            assert mask.dtype == bool and np.array_equal(mask, masks[name] != 0), (criterion, scope, name)


def test_masks_have_the_structure_of_the_scores():
    one, two = abs(weights(5, 4)), abs(weights(3, seed=2))
    by_name = holdfast.masks({"one": one, 2: two}, 0.5)
    assert list(by_name) == ["one", 2]
    as_list = holdfast.masks([one, two], 0.5)
    assert np.array_equal(as_list[0], by_name["one"]) and np.array_equal(as_list[1], by_name[2])
    several = holdfast.masks((one, two), [0.25, 0.5])
    assert len(several) == 2 and np.array_equal(several[1][0], as_list[0])
    assert sum(mask.sum() for mask in several[0]) == 17  # 5.75 of 23 go, rounded.
    alone = holdfast.masks(one, [0.5])
    assert len(alone) == 1 and alone[0].shape == one.shape
    # A list of numbers is one array; of equal scores those with a higher index go first.
    assert holdfast.masks([1, 1, 1, 3], 0.5).tolist() == [True, False, False, True]
    assert holdfast.masks([1, 1, 1, 3], 0.5, largest_first=True).tolist() == [False, True, True, False]
    before = [True, False, False, True]
    assert holdfast.masks([1, 1, 1, 3], 0.5, before=before).tolist() == [False, True, True, False]


def test_many_sparsities_at_once_are_each_by_itself():
    scores = [np.round(weights(40, 30), 1), weights(7, 9, 2), np.zeros((3, 5), np.float32)]
    before = [weights(*own.shape, seed=5) > 1 for own in scores]
    sparsities = [0.9, 0.1, 0.5, 0.5, 0.0, 1.0, 0.97]
    for options in ({}, {"before": before}, {"largest_first": True}, {"largest_first": True, "before": before}):
        together = holdfast.masks(scores, sparsities, **options)
        for sparsity, masks in zip(sparsities, together, strict=True):
            alone = holdfast.masks(scores, sparsity, **options)
            assert all(map(np.array_equal, masks, alone)), (sparsity, list(options))
            kept = sum(int(mask.sum()) for mask in masks)
            assert kept == max(sum(own.size for own in scores) - int(sparsity * 1341 + 0.5), 0 if sparsity == 1 else 3)


@pytest.mark.parametrize("scores", [[], {}, "high", None, [[1.0], [2.0, 3.0], "x"], np.array(["a"]), [1 + 2j], [True, False]])
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(holdfast.UsageError):
        holdfast.masks(scores, 0.5)


def test_impossible_masks_are_refused():
    scores = abs(weights(4, 4))
    for sparsity in (-0.1, 1.5, float("nan")):
        with pytest.raises(holdfast.UsageError, match="no share"):
            holdfast.masks(scores, sparsity)
    with pytest.raises(holdfast.UsageError, match="use global, layer or lamp"):
        holdfast.masks(scores, 0.5, "gobal")
    with pytest.raises(holdfast.UsageError, match=r"\[2, 2\].*\[4, 4\]"):
        holdfast.masks(scores, 0.5, before=np.zeros((2, 2), bool))
    with pytest.raises(holdfast.UsageError, match="same keys"):
        holdfast.masks({"a": scores}, 0.5, before={"b": scores > 0})
    scores[1, 2] = np.nan
    with pytest.raises(holdfast.DataError, match="NaN at place 6"):
        holdfast.masks({"a": scores}, 0.5)
    with pytest.raises(TypeError):
        holdfast.masks(abs(weights(4)), "half")


def test_axes_are_asked_for_only_where_they_matter(history):
    assert holdfast.stability(history).shape == (16, 8)
    with pytest.raises(holdfast.UsageError) as refused:
        holdfast.ranks(history)
    message = str(refused.value)
    assert 'axes="epoch,out,in"' in message and 'axes="epoch,replica,weight"' in message and "12 epochs" in message
    together, apart = holdfast.ranks(history, "epoch,out,in"), holdfast.ranks(history, ["epoch", "replica", "weight"])
    assert together.max() == 127 and apart.max() == 7 and together.shape == apart.shape == history.shape
    # One network is one network, whichever of the two readings.
    one = history[:, :1].copy()
    assert np.array_equal(holdfast.ranks(one), holdfast.ranks(one[:, 0])[:, None])
    # A view is turned back where it lies, an array of its own is copied.
    assert np.array_equal(holdfast.stability(np.moveaxis(history, 0, -1), axes="out,in,epoch"), holdfast.stability(history))
    turned = np.moveaxis(history, 0, -1).copy()
    with pytest.warns(holdfast.CopyWarning, match="not in C order"):
        assert np.array_equal(holdfast.stability(turned, axes="out,in,epoch"), holdfast.stability(history))
    with pytest.warns(holdfast.CopyWarning):
        assert np.array_equal(holdfast.ranks(turned, "out,in,epoch"), np.moveaxis(together, 0, -1))
    for axes, words in (("epochs,out,in", "its name is epoch"), ("epoch,in", "3 axes"), ("in,out,k", "none of them is epoch")):
        with pytest.raises(holdfast.UsageError, match=words) as refused:
            holdfast.stability(history, axes=axes)
        assert "--" not in str(refused.value)


def test_float32_in_c_order_is_read_where_it_lies(history):
    history.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = holdfast.hold(history)
        assert np.array_equal(holdfast.hold(memoryview(history)), expected)
        assert np.array_equal(holdfast.hold(history[2:][-12:]), holdfast.hold(history[2:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.asfortranarray, "not in C order"),
        (lambda values: np.concatenate([values, values], axis=2)[:, :, :8], "not in C order"),
        (lambda values: values[::-1][::-1], None),
        (lambda values: values.astype(">f4"), "bytes are in the other order"),
        (lambda values: values.astype(np.float64), "narrowed from float64 to float32, in a copy: every number stays"),
        (lambda values: values.astype(np.float64) + 1e-12, "numbers are rounded"),
        (lambda values: np.lib.stride_tricks.as_strided(
            np.frombuffer(b"x" + values.tobytes(), np.uint8)[1:].view(np.float32), values.shape, values.strides), "copied"),
    ],
)  # fmt: skip
def test_other_arrays_are_copied_and_that_is_said(history, change, words):
    other = change(history)
    expected = holdfast.hold(history)
    if words is None:
        assert np.array_equal(holdfast.hold(other), expected)
        return
    with pytest.warns(holdfast.CopyWarning, match=words) as said:
        found = holdfast.hold(other)
    assert np.array_equal(found, expected) or "rounded" in words
    # The warning points to the line that called.
    assert said[0].filename == __file__ and "history" in str(said[0].message)


def test_half_precision_is_widened(history):
    half = history.astype(np.float16)
    with pytest.warns(holdfast.CopyWarning, match="widened from float16 to float32, in a copy: every number stays"):
        assert np.array_equal(holdfast.hold(half), holdfast.hold(half.astype(np.float32)))


def test_lists_and_whole_numbers_are_histories_too():
    assert holdfast.stability([[1, 2], [1, 3]]).tolist() == [2, 1]
    with pytest.warns(holdfast.CopyWarning, match="2 of 4 numbers are rounded"):
        assert holdfast.stability([[0.1, 2], [0.1, 3]]).tolist() == [2, 1]
    assert holdfast.stability([1, 1, 1]).shape == () and holdfast.stability([1, 1, 1]) == 3


@pytest.mark.parametrize(
    "wrong", [np.ma.masked_array([[1.0]], [[True]]), [["a"]], [[1, 2], [3]], np.array([[object()]]), 3.0, None, [[True]]]
)
def test_what_is_no_history_is_refused(wrong):
    with pytest.raises(holdfast.UsageError, match="history"):
        holdfast.stability(wrong)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_an_empty_history_is_refused(shape):
    with pytest.raises(holdfast.DataError, match="needs"):
        holdfast.stability(np.zeros(shape, np.float32))


def test_weights_that_are_not_finite_are_named(history):
    history[4, 1, 2] = np.nan
    for function in (holdfast.stability, holdfast.hold, holdfast.settle, holdfast.envelope, holdfast.frozen):
        with pytest.raises(holdfast.DataError, match="NaN at epoch 4.*weight 10"):
            function(history)


def test_impossible_settings_are_refused_in_words_of_python(history):
    for arguments, words in (
        ({"tolerance": -1}, "tolerance -1 is not a number of at least 0"),
        ({"tolerance": [0.1, 0.1]}, "given twice"),
        ({"tolerance": float("inf")}, "tolerance inf"),
    ):
        with pytest.raises(holdfast.UsageError, match=words) as refused:
            holdfast.stability(history, **arguments)
        assert "--" not in str(refused.value)
    for window in (0, 13):
        with pytest.raises(holdfast.UsageError, match=f"window {window} does not fit a history of 12 epochs"):
            holdfast.hold(history, window)
    assert issubclass(holdfast.UsageError, ValueError) and holdfast.UsageError("x").exit_code == 2


def test_a_large_history_is_that_of_its_parts():
    history = weights(30, 200_000)
    counted = holdfast.stability(history, 0.5)
    assert np.array_equal(counted[150_000:], holdfast.stability(history[:, 150_000:].copy(), 0.5))


def test_progress_adds_up_and_what_it_raises_comes_out(history):
    told = []
    holdfast.stability(history, progress=told.append)
    assert sum(told) == 128
    told.clear()
    holdfast.ranks(history, "epoch,out,in", progress=told.append)
    assert sum(told) == history.size

    def fail(_):
        raise RuntimeError("the bar is broken")

    with pytest.raises(RuntimeError, match="the bar is broken"):
        holdfast.stability(history, progress=fail)
