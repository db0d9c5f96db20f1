"""One history, its weights and its calibration images, pruned by the command and by the functions on arrays: the same bits."""

import numpy as np
import pytest

import holdfast
from holdfast import surgeon
from holdfast._network import Layer, Network
from holdfast._pruning import RECORDED, SURGEONS, Recorded, Settings, prune
from holdfast._recording import Recording

SIZES = (64, 14, 11, 5)
NAMES = [f"fc{place}" for place in range(3)]
EPOCHS = 25
SPARSITIES = [0.35, 0.6, 0.9]


class Stack(Network):
    """Dense layers with a ReLU between each two, that give what the library gives."""

    def __init__(self, weights, biases, inputs):
        self.inputs = inputs
        self.now = list(zip(weights, biases, strict=True))
        self.layers = [
            Layer(
                name=name,
                weights=kernel[None],
                bias=bias[None],
                kept=np.ones((1, *kernel.shape), bool),
                own=lambda values: values[0],
                arranged=lambda values: values[None],
            )
            for name, (kernel, bias) in zip(NAMES, self.now, strict=True)
        ]

    def rows(self, place):
        values = self.inputs
        for kernel, bias in self.now[:place]:
            values = np.maximum(surgeon.pre_activations(values, kernel, bias), 0)
        return values[None]

    def active(self, place):
        return place + 1 < len(self.layers)

    def positions(self, place):
        return len(self.inputs)

    def put(self, place, weights, bias):
        self.now[place] = (weights[0], bias[0])

    def importance(self):
        found = surgeon.importance(self.inputs, *zip(*self.now, strict=True))
        return [layer[None] for layer in found]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with a history of every tensor, the weights that it ends at, and images; one weight stands still."""
    folder = tmp_path_factory.mktemp("same-bits")
    random = np.random.default_rng(11)
    histories = {}
    for name, inputs, units in zip(NAMES, SIZES, SIZES[1:], strict=False):
        for kind, shape, scale in (("kernel", (inputs, units), inputs**-0.5), ("bias", (units,), 0.1)):
            moved = random.standard_normal((EPOCHS, *shape)).cumsum(0) * np.linspace(0.3, 0.02, EPOCHS).reshape(-1, *[1] * len(shape))
            histories[f"{name}/{kind}"] = (scale * (moved + random.standard_normal(shape))).astype(np.float32)
    histories["fc0/kernel"][:, 7, 3] = 0.4
    histories["fc1/kernel"][-1, 2, 2] = 0
    np.savez(folder / "history.npz", **histories)
    np.savez(folder / "weights.npz", **{name: values[-1] for name, values in histories.items()})
    images = {}
    for part, count in (("train", 300), ("test", 40)):
        # Columns that say much the same, and pixels that are never lit.
        common = random.integers(0, 256, (count, 8, 1)) * random.random((1, 8, 8))
        images[f"{part}_images"] = (common * (np.arange(8) % 5 > 0)).astype(np.uint8)
        images[f"{part}_labels"] = (np.arange(count) % SIZES[-1]).astype(np.uint8)
    np.savez(folder / "images.npz", **images)
    return folder


def by_arrays(folder, criterion, repair, base, scope):
    """At each sparsity the layers that the functions on arrays leave."""
    recording = Recording()
    with np.load(folder / "history.npz") as histories:
        arrays = {name: histories[name] for name in histories.files}
    for epoch in range(EPOCHS):
        recording.append({name: values[epoch] for name, values in arrays.items()})
    own = {name: recording.mean(name) if base == "mean" else recording.last(name) for name in arrays}
    with np.load(folder / "images.npz") as images:
        inputs = images["train_images"].reshape(-1, SIZES[0]).astype(np.float32) * np.float32(1 / 255)
    network = Stack([own[f"{name}/kernel"] for name in NAMES], [own[f"{name}/bias"] for name in NAMES], inputs)
    settings = Settings(criterion, SPARSITIES, scope, repair)
    settings.check(is_recorded=criterion in RECORDED, is_calibrated=True)
    return prune(network, settings, Recorded(recording, [f"{name}/kernel" for name in NAMES], network.layers, None, 0.03))


@pytest.mark.parametrize(
    ("criterion", "repair", "base", "scope"),
    [
        ("surgeon", None, "last", "global"),
        ("surgeon", None, "mean", "global"),
        ("hold-surgeon", None, "last", "global"),
        ("hold-surgeon", None, "mean", "global"),
        ("wanda", None, "last", "global"),
        ("wanda", None, "last", "layer"),
        ("wanda", "refit", "last", "lamp"),
        ("hold-input", None, "last", "global"),
        ("hold-input", "refit", "last", "layer"),
        ("hold", "refit", "last", "global"),
        ("settle", "refit", "last", "layer"),
        ("magnitude", "refit", "last", "global"),
    ],
)
def test_the_networks_of_the_command(files, command, tmp_path, criterion, repair, base, scope):
    options = [] if repair is None else ["--repair", repair]
    options += [] if base == "last" else ["--base", base]
    options += [] if criterion in SURGEONS else ["--scope", scope]
    shares = ",".join(map(str, SPARSITIES))
    command("prune", "--weights", str(files / "weights.npz"), "--history", str(files / "history.npz"), "--axes", "epoch,...",
            "--dense", ",".join(NAMES), "--data", f"any={files / 'images.npz'}", "--criterion", criterion, "--sparsity", shares,
            "--out", "pruned", "--device", "cpu", *options)  # fmt: skip
    for sparsity, layers in zip(SPARSITIES, by_arrays(files, criterion, repair, base, scope), strict=True):
        assert sum(int(layer.kept.sum()) for layer in layers) == round((1 - sparsity) * 1105), sparsity
        places = [tmp_path / "pruned" / f"sparsity-{sparsity}" / file for file in ("mask.npz", "weights.npz")]
        with np.load(places[0]) as masks, np.load(places[1]) as weights:
            for name, layer in zip(NAMES, layers, strict=True):
                assert np.array_equal(layer.kept[0], masks[f"{name}/kernel"] != 0), (sparsity, name)
                for kind, own in (("kernel", layer.weights[0]), ("bias", layer.bias[0])):
                    assert own.tobytes() == weights[f"{name}/{kind}"].tobytes(), (sparsity, name, kind)


def test_the_weights_that_were_stable_for_the_command(files, command, tmp_path):
    command("prune", "--weights", str(files / "weights.npz"), "--history", str(files / "history.npz"), "--axes", "epoch,...",
            "--criterion", "stability", "--tolerance", "0.03", "--min-stability", "2", "--out", "pruned", "--device", "cpu")  # fmt: skip
    with np.load(files / "history.npz") as histories, np.load(tmp_path / "pruned" / "mask.npz") as masks:
        kept = {name: holdfast.stability(histories[name]) >= 2 for name in masks.files}
        assert len(kept) == 3 and 0 < sum(mask.sum() for mask in kept.values()) < 1105
        assert all(np.array_equal(mask, masks[name] != 0) for name, mask in kept.items())
