"""The command inside the package, and its runs as functions."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import holdfast

# A training of a second or two.
SMALL = {"preset": "smoke", "training_images": 300, "epochs": 4, "replicates": 2, "device": "cpu"}
NO_LOADER = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def trained(place, mnist):
    told = []
    run = holdfast.train(mnist, out=place / "train", progress=told.append, **SMALL)
    assert sum(told) > 0
    return run


@pytest.fixture(scope="module")
def compared(place, mnist):
    return holdfast.compare(
        mnist, out=place / "compare", ed_epochs=1, ed_targets=["50%"], calibration_images=64, stages=[2, 4], **SMALL
    )


def test_the_command_is_that_of_the_package(command):
    assert command("--version").stdout.startswith("holdfast ")
    refused = command("train", "--epohcs", "3", code=2)
    assert "--epochs" in refused.stderr
    assert "Usage: holdfast train" in command("train", "--help").stdout


def test_it_works_where_no_driver_is(command, tmp_path):
    np.save(tmp_path / "history.npy", np.ones((3, 4), np.float32))
    done = command("stability", "history.npy", "--json", env=NO_LOADER)
    assert json.loads(done.stdout)["device"]["backend"] == "cpu"
    command("stability", "none.npy", code=5)


def test_a_training_gives_arrays(trained, place):
    assert trained.folder == place / "train" and trained.command == "train" and trained.cells == (trained,)
    assert {name: values.shape for name, values in trained.history.items()}["dense5.weight"] == (4, 2, 30, 30)
    last = trained.history["dense5.weight"][-1]
    assert np.array_equal(last, trained.weights["dense5.weight"]) and last.dtype == np.float32
    assert trained.accuracy.shape == (2,) and ((trained.accuracy > 0) & (trained.accuracy < 1)).all()
    assert trained.metrics["epoch"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    heading, rows = trained.table()
    assert len(rows) == 2 and all(len(row) == len(heading) for row in rows)
    assert "dnn on mnist, 2 replicas, 4 epochs" in repr(trained)
    page = trained._repr_html_()
    assert page.count("<tr>") == 3 and "<script" not in page and "http" not in page


def test_the_arrays_are_those_of_the_command(trained, command, mnist):
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command("train", f"--data={mnist}", "--model=dnn", "--out=train", *arguments)
    run = holdfast.Run(str(trained.folder.parent / "train"))
    assert run.command == "train"
    with pytest.raises(holdfast.DataError, match="does not hold test accuracies"):
        _ = run.accuracy


def test_a_comparison_gives_its_tables_and_figure(compared, command, tmp_path, mnist):
    sweep, ledger = compared.sweep, compared.ledger
    assert sweep["accuracy"].dtype == np.float64 and sweep["replica"].dtype == np.int64
    assert len({len(column) for column in sweep.values()}) == 1 and "hold-surgeon" in sweep["method"]
    assert np.isnan(sweep["tolerance"][sweep["method"] == "magnitude"]).all()
    assert "stability" in ledger["method"] and (ledger["marginal_ms"] > 0).any()
    assert compared.accuracy.shape == (2,) and compared.figure.startswith("<svg")
    heading, rows = compared.table()
    assert heading[1] == "2x smaller" and any("hold-surgeon" in row[0] for row in rows)
    page = compared._repr_html_()
    assert page.count("<img") == 1 and "data:image/svg+xml;base64," in page and "http" not in page
    # The command has the same numbers.
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()]
    command("compare", f"--data={mnist}", "--model=dnn", "--ed-epochs=1", "--ed-targets=50%", "--calibration-images=64",
            "--stages=2,4", "--out=again", *arguments)  # fmt: skip
    again = holdfast.Run(tmp_path / "again")
    for name, column in sweep.items():
        assert np.array_equal(column, again.sweep[name], equal_nan=column.dtype.kind == "f"), name
    # A finished run is read, not made again.
    read = holdfast.compare(
        mnist, out=compared.folder, ed_epochs=1, ed_targets=["50%"], calibration_images=64, stages=[2, 4], **SMALL
    )
    assert any("this run is finished" in notice for notice in read.notices)
    with pytest.raises(holdfast.UsageError):
        holdfast.compare(mnist, out=compared.folder, **{**SMALL, "epochs": 5})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"epohcs": 3}, holdfast.UsageError, "no option epohcs; did you mean epochs"),
        ({"quiet": True}, holdfast.UsageError, "no option quiet"),
        ({"epochs": 0}, holdfast.UsageError, "epochs 0 is not possible"),
        ({"epochs": "three"}, holdfast.UsageError, "three"),
        ({"preset": "quik"}, holdfast.UsageError, "quik"),
        ({"device": "no such device"}, holdfast.DeviceError, "no such device"),
        ({"data": "any=/nonexistent"}, holdfast.DataError, "nonexistent"),
        ({"data": ["mnist", "mnist"]}, holdfast.UsageError, "given twice"),
    ],
)
def test_impossible_runs_are_refused_with_the_commands_sentence(tmp_path, monkeypatch, options, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words) as refused:
        holdfast.train(**{"device": "cpu", **options})
    assert "--" not in str(refused.value)


def test_flags_and_lists_become_arguments():
    from holdfast.runs import _arguments

    options = {"no_bias": True, "fresh": True, "checked_shaders": False, "tolerance": [0.01, np.float64(0.5)], "width": None}
    assert _arguments("train", options) == ["--no-bias=true", "--fresh", "--tolerance=0.01,0.5"]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(holdfast.DataError, match="no folder of a run"):
        holdfast.Run(tmp_path)


def test_several_networks_have_a_run_each(place, mnist):
    run = holdfast.train(mnist, "both", out=place / "both", **{**SMALL, "epochs": 1, "cnn_training_images": 40, "side": 20})
    assert len(run.cells) == 2 and "cnn on mnist" in repr(run) and run._repr_html_().count("<table") == 2
    assert all(len(cell.accuracy) == 2 for cell in run.cells)
    with pytest.raises(holdfast.UsageError, match="take one of its cells"):
        _ = run.history


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to a process in this way only there")
def test_ctrl_c_ends_a_training_that_goes_on_later(tmp_path, mnist):
    script = textwrap.dedent(f"""
        import signal
        import holdfast
        # A job in the background of a shell ignores it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print("begins", flush=True)
            holdfast.train({mnist!r}, out="long", preset="paper", epochs=100000, device="cpu", progress=print)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begins\n"
        # Steps are told: it trains.
        assert int(process.stdout.readline()) > 0
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert output.endswith("interrupted\n") and process.returncode == 0
    assert holdfast.Run(tmp_path / "long").finished is False


def test_an_import_brings_no_framework():
    script = "import sys, holdfast; print([name for name in ('torch', 'keras', 'lightning', 'tqdm') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
