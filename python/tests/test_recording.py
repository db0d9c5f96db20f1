"""Recordings: the same numbers from memory, from files and without a history."""

import importlib
import subprocess
import sys

import numpy
import pytest

import holdfast
from holdfast import _recording
from holdfast._recording import Recording


def epochs(count=9, seed=1):
    draw = numpy.random.default_rng(seed)
    for _ in range(count):
        arrays = {"first": draw.normal(size=(4, 3)).astype(numpy.float32), "bias": draw.normal(size=3).astype(numpy.float32)}
        arrays["first"][1, 1], arrays["bias"][0] = 0.25, -0.5
        yield arrays


def recorded(count=9, **options):
    recording = Recording(**options)
    for arrays in epochs(count):
        recording.append(arrays)
    return recording


def test_numbers_are_those_of_the_history():
    recording = recorded()
    history = numpy.stack([arrays["first"] for arrays in epochs()])
    numpy.testing.assert_array_equal(recording.history("first"), history)
    numpy.testing.assert_array_equal(recording.hold("first"), holdfast.hold(history, 4))
    numpy.testing.assert_array_equal(recording.hold("first", 9), numpy.abs(history).min(0))
    numpy.testing.assert_array_equal(recording.settle("first", 3), holdfast.settle(history, 3))
    numpy.testing.assert_array_equal(recording.stability("first", 0.5), holdfast.stability(history, 0.5))
    numpy.testing.assert_allclose(recording.mean("first"), history[-4:].mean(0), rtol=1e-6)
    numpy.testing.assert_array_equal(recording.last("first"), history[-1])
    numpy.testing.assert_array_equal(recording.frozen("first"), numpy.arange(12).reshape(4, 3) == 4)
    assert recording.names == ["first", "bias"] and recording.shape("bias") == (3,) and recording.epochs == 9


def test_frozen_looks_at_twenty_epochs():
    recording = Recording()
    for epoch in range(25):
        recording.append({"w": numpy.array([epoch < 5, epoch < 6, 7])})
    assert recording.frozen("w").tolist() == [True, False, True]


@pytest.mark.parametrize("window", [None, 1, 9])
def test_without_a_history_the_same_numbers(window):
    recording, online = recorded(), recorded(online=True, epochs=9, window=window)
    used = window or 4
    for name in recording.names:
        numpy.testing.assert_array_equal(online.hold(name), recording.hold(name, used))
        numpy.testing.assert_array_equal(online.settle(name, used), recording.settle(name, used))
        numpy.testing.assert_array_equal(online.last(name), recording.last(name))
        numpy.testing.assert_allclose(online.mean(name), recording.history(name)[-used:].mean(0), rtol=1e-5, atol=1e-6)
        if used > 1:
            numpy.testing.assert_array_equal(online.frozen(name), recording.frozen(name))


def test_without_a_history_what_needs_one_is_said():
    online = recorded(5, online=True, epochs=9)
    with pytest.raises(holdfast.UsageError, match="5 of the 9 epochs"):
        online.hold("first")
    online = recorded(9, online=True, epochs=9, window=2)
    for call in (lambda: online.stability("first", 0.1), lambda: online.history("first"), lambda: online.save("nowhere.npz")):
        with pytest.raises(holdfast.UsageError, match="kept no history"):
            call()
    with pytest.raises(holdfast.UsageError, match="window recorded is 2, and 3 is asked for"):
        online.hold("first", 3)
    with pytest.raises(holdfast.UsageError, match="one more came"):
        online.append(next(epochs()))
    for options, match in (
        ({"online": True}, "how long training takes"),
        ({"online": True, "epochs": 0}, "how long training takes"),
        ({"online": True, "epochs": 5, "window": 6}, "window of 6 does not fit 5 epochs"),
        ({"online": True, "epochs": 5, "folder": "x"}, "keeps no history"),
        ({"window": 5}, "belong to online=True"),
    ):
        with pytest.raises(holdfast.UsageError, match=match):
            Recording(**options)


def test_files_grow_and_are_numpys(tmp_path):
    recording = Recording(folder=tmp_path / "history")
    expected = []
    for arrays in epochs():
        recording.append(arrays)
        expected.append(arrays["first"])
        numpy.testing.assert_array_equal(numpy.load(tmp_path / "history/first.npy"), expected)
    assert isinstance(recording.history("first"), numpy.memmap)
    whole = recorded()
    for name in whole.names:
        for kind in ("hold", "settle", "frozen", "mean", "last"):
            numpy.testing.assert_array_equal(getattr(recording, kind)(name), getattr(whole, kind)(name))
        numpy.testing.assert_array_equal(recording.stability(name, 0.4), whole.stability(name, 0.4))


def test_beyond_its_memory_a_history_goes_to_files():
    whole = recorded()
    with pytest.warns(UserWarning, match="name a folder to keep it"):
        recording = recorded(memory=5 * 60)
    assert isinstance(recording.history("first"), numpy.memmap)
    for name in whole.names:
        numpy.testing.assert_array_equal(recording.history(name), whole.history(name))
    again = Recording()
    again.load(recording.state())
    numpy.testing.assert_array_equal(again.history("first"), whole.history("first"))


def test_saved_histories_are_read_by_name(tmp_path):
    recorded().save(tmp_path / "history.npz")
    with numpy.load(tmp_path / "history.npz") as archive:
        assert sorted(archive) == ["bias", "first"]
        numpy.testing.assert_array_equal(archive["first"], recorded().history("first"))


@pytest.mark.parametrize("kind", ["memory", "folder", "online"])
@pytest.mark.parametrize("stop", [1, 6])
def test_what_goes_on_from_a_checkpoint_is_what_was_never_stopped(tmp_path, kind, stop):
    options = {"memory": {}, "folder": {"folder": tmp_path}, "online": {"online": True, "epochs": 9, "window": 5}}[kind]
    recording, state = Recording(**options), None
    for place, arrays in enumerate(epochs()):
        if place == stop:
            state = recording.state()
        # Two epochs go on behind the checkpoint, and are lost.
        if place < stop + 2:
            recording.append(arrays)
    again = Recording(**options)
    again.load(state)
    assert again.epochs == stop
    for arrays in list(epochs())[stop:]:
        again.append(arrays)
    whole = recorded(**({} if kind == "folder" else options))
    for name in whole.names:
        for what in ("hold", "settle", "frozen", "mean", "last"):
            numpy.testing.assert_array_equal(getattr(again, what)(name), getattr(whole, what)(name), err_msg=what)


def test_a_checkpoint_of_another_recorder_is_said(tmp_path):
    memory, online = recorded().state(), recorded(online=True, epochs=9).state()
    with pytest.raises(holdfast.UsageError, match="made with online=True, and the checkpoint's with neither folder nor online"):
        Recording(online=True, epochs=9).load(memory)
    with pytest.raises(holdfast.UsageError, match="made with neither folder nor online, and the checkpoint's with online=True"):
        Recording().load(online)
    with pytest.raises(holdfast.UsageError, match="9 epochs with a window of 4, not of 8"):
        Recording(online=True, epochs=8).load(online)
    state = recorded(folder=tmp_path).state()
    (tmp_path / "bias.npy").unlink()
    with pytest.raises(holdfast.UsageError, match="does not have the 9 epochs"):
        Recording(folder=tmp_path).load(state)


def test_what_cannot_be_recorded_is_said():
    recording = Recording()
    for call in (lambda: recording.history("w"), lambda: recording.save("nowhere.npz"), lambda: recording.hold("w")):
        with pytest.raises(holdfast.UsageError, match="nothing was recorded yet"):
            call()
    recording.append({"w": numpy.zeros((2, 3))})
    with pytest.raises(holdfast.UsageError, match="after 1 epochs w is 3 x 2, and it was 2 x 3"):
        recording.append({"w": numpy.zeros((3, 2))})
    with pytest.raises(holdfast.UsageError, match="v is one number, and it was gone"):
        recording.append({"w": numpy.zeros((2, 3)), "v": numpy.float32(1)})
    with pytest.raises(holdfast.UsageError, match="v was not recorded; there are w"):
        recording.history("v")


def test_arrays_of_other_types_and_scalars_are_kept_as_single_precision(tmp_path):
    for recording in (Recording(), Recording(folder=tmp_path)):
        recording.append({"scale": numpy.float64(0.5), "w": numpy.asfortranarray(numpy.ones((2, 3)))})
        recording.append({"scale": numpy.float64(0.25), "w": numpy.zeros((2, 3), numpy.float16)})
        assert recording.history("scale").tolist() == [0.5, 0.25] and recording.history("w").dtype == numpy.float32
    assert _recording.MEMORY == 2**30


@pytest.mark.parametrize(
    ("module", "missing", "match"),
    [
        ("torch", "torch", "holdfast.torch needs PyTorch, which is not installed: pip install torch"),
        ("keras", "keras", "holdfast.keras needs Keras 3 and a backend"),
        ("lightning", "torch", "holdfast.torch needs PyTorch"),
    ],
)
def test_without_a_framework_a_sentence_says_what_to_install(monkeypatch, module, missing, match):
    for name in [name for name in sys.modules if name.split(".")[0] == missing or name == f"holdfast.{module}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "holdfast.torch", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=match):
        importlib.import_module(f"holdfast.{module}")


def test_importing_holdfast_imports_no_framework():
    code = "import sys, holdfast; print([name for name in ('torch', 'keras', 'lightning') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
