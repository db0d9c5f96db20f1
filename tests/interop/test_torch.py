"""Recording and pruning real PyTorch models: what is hard comes out right, or is said in a sentence."""

import collections
import copy
import csv
import subprocess
import sys
import warnings

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils import prune as masking

import holdfast
import holdfast.torch
from holdfast._torch_network import TorchNetwork, batches_of

# Networks this small gain nothing from more threads.
torch.set_num_threads(1)

FREE = ("surgeon", "wanda", "magnitude", "random")
RECORDED = ("hold-surgeon", "hold-input", "hold", "settle")


class Convolutions(nn.Module):
    """Two convolutions with pools, three dense layers; ReLU as module, in place and as function."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(24, 16), nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, images):
        values = self.pool(self.relu(self.conv1(images)))
        values = functional.relu(functional.max_pool2d(self.conv2(values), 2)).flatten(1)
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(values)))))


LAYERS = ("conv1", "conv2", "fc1", "fc2", "fc3")


def samples(count=400, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 8, 8, generator=generator)
    labels = (images[:, 0, :4].mean((1, 2)) > 0).long() + (images[:, 0, :, :4].mean((1, 2)) > 0).long()
    return images, labels


def trained(model, images, labels, epochs=8, recorder=None):
    optimizer = torch.optim.Adam([values for values in model.parameters() if values.requires_grad], lr=0.005)
    for _ in range(epochs):
        for batch in range(0, len(images), 40):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch : batch + 40]).float(), labels[batch : batch + 40]).backward()
            optimizer.step()
        if recorder is not None:
            recorder.epoch()
    return model


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    model = Convolutions()
    recorder = holdfast.torch.Recorder(model)
    images, labels = samples()
    return trained(model, images, labels, recorder=recorder), recorder, images, labels


def accuracy(model, images, labels):
    with torch.no_grad():
        return (model.eval()(images).argmax(1) == labels).float().mean().item()


def share(model, names=LAYERS):
    weights = [model.get_submodule(name).weight for name in names]
    return sum((weight == 0).sum().item() for weight in weights) / sum(weight.numel() for weight in weights)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def loss(model, dense, images):
    with torch.no_grad():
        return (model.eval()(images) - dense.eval()(images)).square().mean().item()


def test_every_criterion_ends_as_pytorch_prunes(network):
    model, recorder, images, labels = network
    for criterion in FREE + RECORDED:
        own = copy.deepcopy(model).train()
        told = holdfast.torch.prune(own, recorder, criterion, 0.8, calibration=[(images, labels)])
        assert own.training and masking.is_pruned(own), criterion
        assert share(own) == pytest.approx(0.8, abs=1e-3) and told.sparsity == pytest.approx(0.8, abs=1e-3), criterion
        assert [layer.name for layer in told.layers] == list(LAYERS)
        again = copy.deepcopy(model)
        for name in LAYERS:
            masking.identity(again.get_submodule(name), "weight")
        again.load_state_dict(own.state_dict())
        assert torch.equal(again.eval()(images), own.eval()(images)), criterion
        before = own(images)
        for name in LAYERS:
            masking.remove(own.get_submodule(name), "weight")
        assert torch.equal(own(images), before) and share(own) == pytest.approx(0.8, abs=1e-3), criterion


def test_what_a_criterion_only_chooses_keeps_its_bits(network):
    model, recorder, images, _ = network
    own = copy.deepcopy(model)
    holdfast.torch.prune(own, recorder, "hold", 0.5)
    for name in LAYERS:
        module, dense = own.get_submodule(name), model.get_submodule(name)
        assert torch.equal(module.weight_orig, dense.weight) and torch.equal(module.bias, dense.bias), name


def test_global_magnitude_is_that_of_pytorch(network):
    model = network[0]
    own, other = copy.deepcopy(model), copy.deepcopy(model)
    holdfast.torch.prune(own, criterion="magnitude", sparsity=0.7)
    chosen = [(other.get_submodule(name), "weight") for name in LAYERS]
    masking.global_unstructured(chosen, pruning_method=masking.L1Unstructured, amount=0.7)
    assert same(own.state_dict(), other.state_dict())


def test_the_surgeon_keeps_what_magnitude_loses(network):
    model, recorder, images, labels = network
    lost = {}
    for criterion in ("hold-surgeon", "surgeon", "magnitude", "wanda"):
        own = copy.deepcopy(model)
        holdfast.torch.prune(own, recorder, criterion, 0.8, calibration=images)
        lost[criterion] = loss(own, model, samples(400, 2)[0])
    assert max(lost["surgeon"], lost["hold-surgeon"]) < 0.5 * min(lost["magnitude"], lost["wanda"]), lost
    own = copy.deepcopy(model)
    holdfast.torch.prune(own, None, "magnitude", 0.8, calibration=images, repair="refit")
    assert loss(own, model, images) < 0.7 * lost["magnitude"]


def test_a_list_gives_state_dicts_and_leaves_the_model(network):
    model, recorder, images, _ = network
    before = copy.deepcopy(model.state_dict())
    states = holdfast.torch.prune(model, recorder, sparsity=[0.9, 0.5, 0.75], calibration=images)
    assert same(before, model.state_dict())
    own = copy.deepcopy(model)
    kept = []
    for sparsity, state in zip([0.9, 0.5, 0.75], states):
        own.load_state_dict(state)
        assert share(own) == pytest.approx(sparsity, abs=1e-3)
        kept.append({name: own.get_submodule(name).weight != 0 for name in LAYERS})
    for name in LAYERS:
        assert not (kept[0][name] & ~kept[2][name]).any() and not (kept[2][name] & ~kept[1][name]).any(), "nested"
    one = copy.deepcopy(model)
    holdfast.torch.prune(one, recorder, sparsity=0.75, calibration=images)
    assert all(torch.equal(one.get_submodule(name).weight, states[2][f"{name}.weight"]) for name in LAYERS)


def test_rows_are_what_layers_read():
    torch.manual_seed(2)
    modules = [
        nn.Conv2d(6, 4, 3, padding=1),
        nn.Conv2d(6, 8, (3, 2), stride=(2, 1), groups=2, dilation=(1, 2)),
        nn.Conv2d(6, 6, 3, groups=6, padding="same", bias=False),
        nn.Conv2d(6, 4, 3, padding=2, padding_mode="circular"),
        nn.Conv2d(6, 4, 5, padding=(1, 2), padding_mode="reflect"),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="replicate"),
        nn.Linear(9, 4),
    ]
    for module in modules:
        model = nn.Sequential(module)
        values = torch.randn(5, 6, 9, 9)
        network = TorchNetwork(model.eval(), {"0": module}, batches_of(model, values, 5), 0)
        layer = network.layers[0]
        found = network.rows(0) @ layer.weights + (0 if layer.bias is None else layer.bias[:, None])
        output = model(values)
        expected = output if isinstance(module, nn.Linear) else output.movedim(1, -1)
        units = expected.shape[-1]
        numpy.testing.assert_allclose(
            found.transpose(1, 0, 2).reshape(-1, units), expected.detach().reshape(-1, units).numpy(), rtol=0, atol=1e-5
        )
        numpy.testing.assert_array_equal(layer.own(layer.weights), module.weight.detach().numpy())
    line = nn.Conv1d(3, 4, 3, stride=2, padding=1)
    model = nn.Sequential(line)
    network = TorchNetwork(model.eval(), {"0": line}, batches_of(model, values := torch.randn(5, 3, 11), 5), 0)
    found = (network.rows(0) @ network.layers[0].weights + network.layers[0].bias[:, None])[0]
    numpy.testing.assert_allclose(found, model(values).detach().movedim(1, -1).reshape(-1, 4).numpy(), rtol=0, atol=1e-5)


def test_positions_beyond_the_most_are_drawn_by_seed(monkeypatch):
    monkeypatch.setattr("holdfast._network.MOST_ROWS", 50)
    model, images = Convolutions().eval(), samples(20)[0]
    modules = {name: model.get_submodule(name) for name in LAYERS}
    make = lambda seed: TorchNetwork(model, modules, batches_of(model, images.split(7), 20), seed)
    one, again, other = make(0), make(0), make(1)
    assert one.positions(0) == 20 * 64 and one.rows(0).shape == (1, 50, 9)
    numpy.testing.assert_array_equal(one.rows(0), again.rows(0))
    assert not numpy.array_equal(one.rows(0), other.rows(0))
    assert one.active(0).shape == (1, 50, 4)
    # Wide layers get fewer, so that their rows fit in memory.
    monkeypatch.setattr("holdfast._network.MOST_NUMBERS", 24 * 15)
    assert make(0).rows(2).shape == (1, 15, 24)


def seen(model, values, names):
    modules = {name: model.get_submodule(name) for name in names}
    network = TorchNetwork(model.eval(), modules, batches_of(model, values, len(values)), 0)
    return {name: network.active(place) for place, name in enumerate(network.names)}


def test_rows_count_by_the_relu_only_where_it_follows_directly():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain, self.gelu, self.normed, self.skipped, self.added, self.dropped, self.cut, self.last = (
                nn.Linear(6, 6) for _ in range(8)
            )
            self.norm, self.dropout = nn.BatchNorm1d(6), nn.Dropout(0.5)

        def forward(self, x):
            x = self.plain(x).relu()
            x = functional.gelu(self.gelu(x))
            x = torch.relu(self.norm(self.normed(x)))
            z = self.skipped(x)
            x = functional.relu(z) + z
            x = functional.relu(self.added(x) + x)
            x = functional.relu_(self.dropout(self.dropped(x)))
            x = functional.relu(self.cut(x).reshape(-1, 2, 3)).flatten(1)
            return self.last(x)

    names = ("plain", "gelu", "normed", "skipped", "added", "dropped", "cut", "last")
    found = seen(Mixed(), torch.randn(12, 6), names)
    assert [name for name in names if found[name] is True] == ["plain", "dropped", "cut"]
    assert all(found[name] is False for name in ("gelu", "normed", "skipped", "added", "last"))


def test_before_a_pool_the_winner_counts():
    model, images = Convolutions().eval(), samples(10)[0]
    found = seen(model, images, LAYERS)
    assert found["fc1"] is True and found["fc3"] is False
    with torch.no_grad():
        z = model.conv1(images)
        windows = z.reshape(10, 4, 4, 2, 4, 2).permute(0, 1, 2, 4, 3, 5).flatten(-2)
        won = functional.one_hot(windows.argmax(-1), 4).bool() & (windows > 0)
        back = won.reshape(10, 4, 4, 4, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(10, 4, 8, 8)
    numpy.testing.assert_array_equal(found["conv1"][0], back.movedim(1, -1).reshape(-1, 4).numpy())
    assert found["conv2"].shape == (1, 10 * 16, 6)


def test_importance_is_the_mean_of_squared_gradients():
    model, images = Convolutions().eval(), samples(30)[0]
    modules = {name: model.get_submodule(name) for name in LAYERS}
    network = TorchNetwork(model, modules, batches_of(model, images.split(11), 30), 0)
    found = network.importance()
    # By hand for the last but one layer: logits are its ReLU times the last layer's weights.
    kept = []
    handle = model.fc2.register_forward_hook(lambda module, inputs, output: kept.append(output))
    model(images)
    handle.remove()
    expected = (kept[0] > 0).double().mean(0) * model.fc3.weight.double().square().sum(0)
    numpy.testing.assert_allclose(found[3][0], expected.detach().numpy(), rtol=1e-5)
    numpy.testing.assert_allclose(found[4][0], 1, rtol=1e-6)
    assert (found[0] > 0).all()


def test_of_many_outputs_random_signs_have_the_same_mean():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 300)).eval()
    network = TorchNetwork(model, {"0": model[0], "1": model[1]}, batches_of(model, torch.randn(300, 5), 300), 0)
    found = network.importance()[0][0]
    expected = model[1].weight.detach().square().sum(0).numpy()
    numpy.testing.assert_allclose(found, expected, rtol=0.1)


# --- What is hard


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.norm1, self.norm2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, images):
        values = functional.relu(self.norm1(self.stem(images)))
        values = functional.relu(values + self.norm2(self.body(values)))
        return self.head(values.mean((2, 3)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(64, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, images):
        values = functional.gelu(self.first(images.flatten(1)))
        return self.last(torch.relu(self.again(torch.relu(self.again(values)))))


@pytest.mark.parametrize("kind", [Skip, Twice])
def test_skips_batch_norm_gelu_and_layers_used_twice(kind):
    torch.manual_seed(4)
    model, (images, labels) = kind(), samples()
    recorder = holdfast.torch.Recorder(model)
    trained(model, images, labels, recorder=recorder)
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    lost = {}
    for criterion in ("hold-surgeon", "magnitude"):
        own = copy.deepcopy(model)
        holdfast.torch.prune(own, recorder, criterion, 0.6, calibration=images)
        assert share(own, names) == pytest.approx(0.6, abs=0.01)
        lost[criterion] = loss(own, model, images)
    assert lost["hold-surgeon"] < lost["magnitude"], lost
    own = copy.deepcopy(model)
    holdfast.torch.prune(own, recorder, base="mean", sparsity=0.3, calibration=images)
    assert accuracy(own, images, labels) > 0.4


def test_a_frozen_layer_is_pruned_and_stays_frozen(network):
    _, _, images, labels = network
    torch.manual_seed(5)
    model = Convolutions()
    model.fc1.requires_grad_(False)
    recorder = holdfast.torch.Recorder(model)
    trained(model, images, labels, 3, recorder)
    # All of it stood still, which is no reason to take it first.
    holdfast.torch.prune(model, recorder, "hold", 0.5, calibration=images)
    assert not model.fc1.weight_orig.requires_grad and 0.2 < share(model, ["fc1"]) < 0.8
    assert model.fc2.weight_orig.requires_grad


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_stay(network, kind):
    model, recorder, images, labels = network
    own = copy.deepcopy(model).to(kind)
    with warnings.catch_warnings():
        # The network was recorded in single precision.
        warnings.simplefilter("ignore" if kind != torch.float64 else "error")
        holdfast.torch.prune(own, recorder, sparsity=0.5, calibration=images.to(kind))
    assert own.fc1.weight.dtype == own.fc1.weight_orig.dtype == kind and share(own) == pytest.approx(0.5, abs=1e-3)
    assert accuracy(own, images.to(kind), labels) > accuracy(model, images, labels) - 0.1
    half = Convolutions().to(kind)
    recorder = holdfast.torch.Recorder(half)
    recorder.epoch()
    assert recorder.history("conv1.weight").dtype == numpy.float32


def test_loaders_of_many_kinds(network):
    model, _, images, labels = network
    dataset = torch.utils.data.TensorDataset(images, labels)
    state = lambda calibration, own=model: holdfast.torch.prune(own, None, "wanda", [0.5], calibration=calibration)[0]
    expected = state(images)
    for calibration in (
        torch.utils.data.DataLoader(dataset, batch_size=30),
        [[images, labels]],
        [{"images": images, "labels": labels}],
        ({"images": batch} for batch in images.split(100)),
        [({"images": images}, labels)],
        [(images,)],
        (images, labels),
        images.split(150),
    ):
        assert same(expected, state(calibration))
    assert not same(expected, holdfast.torch.prune(model, None, "wanda", [0.5], calibration=images, samples=7)[0])

    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, one, other, scale=1.0):
            return self.layer(one.flatten(1) + other.flatten(1)) * scale

    two = Two()
    found = state([(images, images, labels)], two)
    assert same(found, state([{"one": images, "other": images, "labels": labels}], two))


def refused(match, *args, kind=holdfast.UsageError, **options):
    with pytest.raises(kind, match=match) as caught:
        holdfast.torch.prune(*args, **options)
    assert str(caught.value).count("\n") == 0


def test_what_is_no_calibration_is_said(network):
    model, recorder, images, labels = network
    before = copy.deepcopy(model.state_dict())
    refused("no sample", model, recorder, calibration=[])
    refused("no sample", model, recorder, calibration=images[:0])
    refused("give a few thousand training samples", model, recorder)
    refused("repair='refit' looks at", model, None, "magnitude", repair="refit")
    refused("holds no tensor", model, recorder, calibration=["words"])
    refused("takes images", model, recorder, calibration=[{"pixels": images}])
    refused("give the recorder", model, calibration=images)
    refused("0 samples", model, recorder, calibration=images, samples=0)
    assert same(before, model.state_dict())


def test_wishes_that_do_not_fit_are_said(network):
    model, recorder, images, _ = network
    refused("no criterion 'hold_surgeon'", model, recorder, "hold_surgeon", calibration=images)
    refused("no scope 'all'", model, recorder, scope="all", calibration=images)
    refused("none of its ways", model, recorder, scope="layer", calibration=images)
    refused("sparsity of 90", model, recorder, sparsity=90, calibration=images)
    refused("no base 'best'", model, recorder, base="best", calibration=images)
    refused("is no part of the model; there are conv1", model, recorder, layers=["fc9"], calibration=images)
    refused("is no part of the model", model, recorder, layers=[nn.Linear(2, 2)], calibration=images)
    refused("has no Linear", model, recorder, layers=["pool"], calibration=images)
    refused("window", model, recorder, window=99, calibration=images)
    refused("has no Linear, Conv1d or Conv2d", nn.Sequential(nn.ReLU()), criterion="magnitude")
    with pytest.raises(holdfast.UsageError, match="nothing to prune later"):
        holdfast.torch.Recorder(nn.Sequential(nn.ReLU()))
    other = nn.Sequential(nn.Linear(4, 2))
    refused("was not recorded; there are conv1.weight", other, recorder, "hold")
    silent = holdfast.torch.Recorder(model)
    refused("nothing was recorded yet", model, silent, "hold")


def test_a_model_in_evaluation_mode_stays_in_it(network):
    model, recorder, images, _ = network
    own = copy.deepcopy(model).eval()
    own.fc3.train()
    holdfast.torch.prune(own, recorder, sparsity=0.5, calibration=images)
    assert not own.training and not own.fc2.training and own.fc3.training


def test_pruned_layers_are_pruned_further(network):
    model, recorder, images, _ = network
    for criterion in ("surgeon", "hold", "settle", "magnitude"):
        own = copy.deepcopy(model)
        masking.random_unstructured(own.fc1, "weight", 0.5)
        gone = own.fc1.weight == 0
        holdfast.torch.prune(own, recorder, criterion, 0.8, calibration=images)
        assert share(own) == pytest.approx(0.8, abs=1e-3) and (own.fc1.weight[gone] == 0).all(), criterion
        states = holdfast.torch.prune(own, recorder, criterion, [0.9], calibration=images)
        again = copy.deepcopy(own)
        again.load_state_dict(states[0])
        again(images)
        assert share(again) == pytest.approx(0.9, abs=1e-3), criterion
        holdfast.torch.prune(own, recorder, criterion, 0.9, calibration=images)
        assert share(own) == pytest.approx(0.9, abs=1e-3) and (own.fc1.weight[gone] == 0).all(), criterion


def test_shared_weights_and_layers_never_called_are_left_out_or_refused():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.idle, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(5, 5), nn.Linear(64, 3)
            self.other.weight = self.one.weight

        def forward(self, images):
            return self.last(torch.relu(self.other(torch.relu(self.one(images.flatten(1))))))

    model, images = Tied(), samples(50)[0]
    with pytest.warns(UserWarning, match="one: its weight is that of other.weight too"):
        holdfast.torch.prune(copy.deepcopy(model), None, "magnitude", 0.5)
    with pytest.warns(UserWarning, match="idle: it was never called"):
        holdfast.torch.prune(copy.deepcopy(model), None, "surgeon", 0.5, calibration=images, layers=None)
    refused("one: its weight is that of", model, None, "magnitude", layers=["one", "last"])
    refused("idle: it was never called", model, None, "surgeon", layers=["idle", "last"], calibration=images)
    assert not masking.is_pruned(model)


def test_weights_without_numbers_are_said():
    refused("lazy", nn.Sequential(nn.LazyLinear(3)), criterion="magnitude")
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 3))
    refused("meta device", model, criterion="magnitude")
    with pytest.raises(holdfast.UsageError, match="meta device"):
        holdfast.torch.Recorder(model).epoch()
    model = nn.Sequential(nn.LazyLinear(3))
    recorder = holdfast.torch.Recorder(model)
    with pytest.raises(holdfast.UsageError, match="lazy"):
        recorder.epoch()
    model(torch.ones(1, 4))
    recorder.epoch()
    assert recorder.shape("0.weight") == (3, 4)
    refused(
        "computed from other parameters", nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3))), criterion="magnitude"
    )


class Deciding(nn.Module):
    """A model that returns something else than a number for each class and sample."""

    def __init__(self, what):
        super().__init__()
        self.first, self.last, self.what = nn.Linear(64, 8), nn.Linear(8, 3), what

    def forward(self, images):
        return self.what(self.last(torch.relu(self.first(images.flatten(1)))))


def test_models_that_return_no_logits_are_said_and_common_containers_are_read():
    images = samples(60)[0]
    with_logits = collections.namedtuple("Output", "loss logits")
    for what, match in (
        (lambda logits: logits.argmax(1), "no gradient leads"),
        (lambda logits: logits.mean(), "the model returns a tensor"),
        (lambda logits: {"classes": logits}, "the model returns dict"),
    ):
        refused(match, Deciding(what), None, "surgeon", calibration=images)
    torch.manual_seed(10)
    state = Deciding(lambda logits: logits).state_dict()
    found = []
    for what in (
        lambda z: z,
        lambda z: (z, 1),
        lambda z: {"logits": z},
        lambda z: with_logits(None, z),
        lambda z: z[:, :, None],
    ):
        model = Deciding(what)
        model.load_state_dict(state)
        found.append(holdfast.torch.prune(model, None, "surgeon", [0.5], calibration=images)[0])
    assert all(same(found[0], other) for other in found)


def test_numbers_that_are_none_are_said(network):
    model, recorder, images, _ = network
    own = copy.deepcopy(model)
    with torch.no_grad():
        own.fc2.weight[0, 0] = float("nan")
    for criterion in ("magnitude", "surgeon"):
        refused("layer fc2 hold nan", own, None, criterion, calibration=images, kind=holdfast.DataError)
    refused(
        "layer conv1 reads of the calibration samples holds -?inf",
        model,
        None,
        "surgeon",
        calibration=images * float("inf"),
        kind=holdfast.DataError,
    )


def test_wrapped_models_have_the_names_of_what_they_wrap(network):
    model, recorder, images, _ = network
    own = nn.DataParallel(copy.deepcopy(model))
    wrapped = holdfast.torch.Recorder(own)
    wrapped.epoch()
    assert wrapped.names == recorder.names
    state = holdfast.torch.prune(own, recorder, "hold", [0.5], layers=["module.fc1", own.module.fc2])[0]
    own.load_state_dict(state)
    assert share(own.module, ["fc1", "fc2"]) == 0.5
    holdfast.torch.prune(own, None, "wanda", 0.6, calibration=images)
    assert masking.is_pruned(own)
    # Not compiled until it is called.
    compiled = torch.compile(copy.deepcopy(model))
    holdfast.torch.prune(compiled, recorder, "hold", 0.5)
    assert masking.is_pruned(compiled)


def test_a_transformer_layer_runs_by_its_layers():
    torch.manual_seed(6)
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(40, 3))
    images = torch.randn(60, 5, 8)
    with pytest.warns(UserWarning, match="out_proj: it was never called"):
        told = holdfast.torch.prune(model, None, "surgeon", 0.5, calibration=images)
    assert [layer.name for layer in told.layers] == ["0.linear1", "0.linear2", "2"]
    assert told.layers[0].rows == "where the ReLU lets it through" and torch.backends.mha.get_fastpath_enabled()


def test_wide_layers_are_said_before_anything_is_begun():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 20000), nn.ReLU(), nn.Linear(20000, 2))
    refused("layer 5 has 20000 inputs a unit", model, None, "surgeon", calibration=samples(8)[0])
    refused(r"layers=\['1', '3'\]", model, None, "surgeon", calibration=samples(8)[0])


def test_without_bias_and_one_layer_alone(network):
    _, _, images, labels = network
    torch.manual_seed(7)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 20, bias=False), nn.ReLU(), nn.Linear(20, 3, bias=False))
    trained(model, images, labels)
    before = copy.deepcopy(model.state_dict())
    told = holdfast.torch.prune(model, None, "surgeon", 0.8, calibration=images, layers="1")
    assert [layer.name for layer in told.layers] == ["1"] and model[1].bias is None
    assert torch.equal(model[3].weight, before["3.weight"]), "layers that were not named stay as they are"
    alone = nn.Linear(64, 3)
    holdfast.torch.prune(alone, None, "surgeon", 0.5, calibration=images.flatten(1))
    assert masking.is_pruned(alone) and (alone.weight == 0).sum() == 96


@pytest.mark.parametrize("where", ["data", "progress"])
def test_what_is_stopped_leaves_the_model_as_it_was(network, where):
    model, recorder, images, _ = network
    own = copy.deepcopy(model).train()
    before, calls = copy.deepcopy(own.state_dict()), []

    def stop(_):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt

    def broken():
        yield images
        raise OSError("the disk is gone")

    options = {"calibration": images, "progress": stop} if where == "progress" else {"calibration": broken()}
    with pytest.raises((KeyboardInterrupt, OSError)):
        holdfast.torch.prune(own, recorder, sparsity=0.9, samples=10**6, **options)
    assert same(before, own.state_dict()) and own.training and not masking.is_pruned(own)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in own.modules())
    assert all(values.grad is None or values.grad.isfinite().all() for values in own.parameters())


def test_the_mean_of_the_epochs_is_a_base(network):
    model, recorder, images, labels = network
    own = copy.deepcopy(model)
    holdfast.torch.prune(own, recorder, sparsity=0, base="mean", calibration=images)
    mean = torch.from_numpy(recorder.history("fc1.weight")[-4:].mean(0))
    assert torch.allclose(own.fc1.weight, mean, atol=1e-4)
    some = holdfast.torch.Recorder(model, layers=["fc1"])
    some.epoch()
    refused("conv1.bias was not recorded", model, some, "hold", base="mean")
    refused("give the recorder", model, None, "magnitude", base="mean")


def test_statistics_of_batch_norm_are_taken_anew():
    torch.manual_seed(8)
    model, (images, labels) = Skip(), samples()
    recorder = holdfast.torch.Recorder(model)
    trained(model, images, labels, 4, recorder)
    refused("statistics anew", model, recorder, "hold", base="mean")
    holdfast.torch.prune(model, recorder, "hold", 0, base="mean", calibration=images.split(50))
    with torch.no_grad():
        z = model.stem(images)
    assert torch.allclose(model.norm1.running_mean, z.mean((0, 2, 3)), atol=1e-5)
    assert model.norm1.momentum == 0.1 and model.norm1.training


def test_a_model_changed_after_recording_is_said(network):
    model, recorder, images, _ = network
    own = copy.deepcopy(model)
    with torch.no_grad():
        own.fc1.weight += 1
    with pytest.warns(UserWarning, match="fc1 are not those of the last of the 8 recorded epochs"):
        holdfast.torch.prune(own, recorder, "hold", 0.5)


# --- Recording


def test_recorders_agree_and_go_on_from_a_checkpoint(tmp_path, network):
    images, labels = network[2:]

    def recorders(model, folder):
        return {
            "memory": holdfast.torch.Recorder(model),
            "folder": holdfast.torch.Recorder(model, folder=folder),
            "online": holdfast.torch.Recorder(model, online=True, epochs=6, window=3),
        }

    torch.manual_seed(9)
    model = Convolutions()
    own = recorders(model, tmp_path / "history")
    for epoch in range(6):
        trained(model, images, labels, 1)
        if epoch == 3:
            torch.save({name: one.state_dict() for name, one in own.items()}, tmp_path / "checkpoint.pt")
            weights = copy.deepcopy(model.state_dict())
        [one.epoch() for one in own.values()]
    # Stopped, and begun again from the checkpoint: what came behind it is recorded anew.
    again = recorders(model, tmp_path / "history")
    for name, state in torch.load(tmp_path / "checkpoint.pt").items():
        again[name].load_state_dict(state)
    assert {name: one.epochs for name, one in again.items()} == dict.fromkeys(own, 3)
    assert again["folder"].history("fc1.weight").shape == (3, 16, 24)
    model.load_state_dict(weights)
    [one.epoch() for one in again.values()]
    for _ in range(2):
        trained(model, images, labels, 1)
        [one.epoch() for one in again.values()]
    expected = again["memory"]
    for name in expected.names:
        for other in (again["folder"], again["online"]):
            numpy.testing.assert_array_equal(other.hold(name, 3), expected.hold(name, 3))
            numpy.testing.assert_array_equal(other.settle(name, 3), expected.settle(name, 3))
            numpy.testing.assert_array_equal(other.last(name), expected.last(name))
            numpy.testing.assert_allclose(other.mean(name), expected.mean(name), rtol=1e-5, atol=1e-6)
        numpy.testing.assert_array_equal(again["folder"].history(name), expected.history(name))
    with pytest.raises(holdfast.UsageError, match="kept no history"):
        again["online"].history("fc1.weight")
    with pytest.raises(holdfast.UsageError, match="make it as it was made before"):
        again["online"].load_state_dict(expected.state_dict())


def test_a_hook_of_the_optimizer_records(network):
    images, labels = network[2:]
    model = Convolutions()
    recorder = holdfast.torch.Recorder(model, layers=[model.fc1, "fc2"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(recorder.every(5))
    for step in range(17):
        optimizer.zero_grad()
        functional.cross_entropy(model(images[:40]), labels[:40]).backward()
        optimizer.step()
        if step == 4:
            fifth = model.fc1.weight.detach().clone()
    assert recorder.epochs == 3 and recorder.names == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    assert numpy.array_equal(recorder.history("fc1.weight")[0], fifth.numpy())


def command(*arguments):
    """The command of the package."""
    code = "import sys; from holdfast._command import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("criterion", ["hold", "settle", "magnitude"])
def test_masks_are_those_of_the_command(tmp_path, network, criterion):
    from safetensors.torch import load_file, save_file

    model, recorder, images, _ = network
    recorder.save(tmp_path / "history.npz")
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    history = (
        [] if criterion == "magnitude" else ["--history", tmp_path / "history.npz", "--axes", "epoch,...", "--window", "4"]
    )
    for scope in ("global", "layer", "lamp"):
        if (criterion, scope) == ("settle", "lamp"):
            continue
        asked = ["--criterion", criterion, "--scope", scope, "--sparsity", "70%", "--out", tmp_path / scope]
        command("prune", "--weights", tmp_path / "weights.safetensors", *history, *asked)
        own = copy.deepcopy(model)
        holdfast.torch.prune(own, recorder, criterion, 0.7, scope, window=4)
        masks = load_file(tmp_path / scope / "mask.safetensors")
        for name in LAYERS:
            assert torch.equal(own.get_submodule(name).weight_mask, masks[f"{name}.weight"].float()), (scope, name)


def test_histories_are_read_by_everyone(tmp_path, network):
    model, recorder, images, labels = network
    recorder.save(tmp_path / "history.npz")
    with numpy.load(tmp_path / "history.npz") as archive:
        assert sorted(archive) == sorted(recorder.names)
    own = holdfast.torch.Recorder(model, folder=tmp_path / "history")
    own.epoch()
    own.epoch()
    assert numpy.load(tmp_path / "history/fc1.weight.npy").shape == (2, 16, 24)
    model = copy.deepcopy(model)
    recorder = holdfast.torch.Recorder(model, folder=tmp_path / "grown")
    for _ in range(12):
        trained(model, images, labels, 1, recorder)
    for file, more in (("grown/fc1.weight.npy", []), ("all.npz", ["--history-key", "fc1.weight"])):
        recorder.save(tmp_path / "all.npz")
        asked = [
            "stability",
            tmp_path / file,
            *more,
            "--axes",
            "epoch,out,in",
            "--tolerance",
            "0.1",
            "--out",
            tmp_path / file[:3],
        ]
        command(*asked)
        with open(tmp_path / file[:3] / "stability.csv") as table:
            counted = [int(row["stability"]) for row in csv.DictReader(table)]
        assert counted == recorder.stability("fc1.weight", 0.1).ravel().tolist()
