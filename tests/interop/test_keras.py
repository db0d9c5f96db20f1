"""Recording and pruning real Keras models, on the backend that KERAS_BACKEND names."""

import keras
import numpy
import pytest
from keras import layers

import holdfast
import holdfast.keras
from holdfast._keras_network import KINDS, KeepPruned, KerasNetwork, _patched, array, run

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def samples(count=400, seed=1):
    images = numpy.random.default_rng(seed).normal(size=(count, 8, 8, 1)).astype("float32")
    return images, (images[:, :4].mean((1, 2, 3)) > 0).astype("int32") + (images[:, :, :4].mean((1, 2, 3)) > 0)


def network():
    inputs = keras.Input((8, 8, 1), name="images")
    values = layers.Conv2D(4, 3, padding="same", name="conv1")(inputs)
    values = layers.MaxPooling2D(2)(layers.ReLU()(values))
    values = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2")(values)
    values = layers.Flatten()(layers.MaxPooling2D(2)(values))
    values = layers.Dense(16, activation="relu", name="fc1")(values)
    return keras.Model(inputs, layers.Dense(3, name="fc2")(values))


NAMES = ("conv1", "conv2", "fc1", "fc2")


def trained(model, recorder, epochs=8):
    model.compile(keras.optimizers.Adam(0.005), LOSS, metrics=["accuracy"])
    model.fit(*samples(), batch_size=40, epochs=epochs, verbose=0, callbacks=[recorder])
    return model


@pytest.fixture(scope="module")
def recorded():
    keras.utils.set_random_seed(1)
    recorder = holdfast.keras.Recorder()
    model = trained(network(), recorder)
    return model, recorder, model.get_weights()


def fresh(recorded):
    """The trained model again, without constraints of an earlier test."""
    model, recorder, weights = recorded
    own = network()
    own.set_weights(weights)
    own.compile(keras.optimizers.Adam(0.005), LOSS, metrics=["accuracy"])
    return own, recorder


def kernels(model, names=NAMES):
    return [array(model.get_layer(name).kernel) for name in names]


def share(model, names=NAMES):
    found = kernels(model, names)
    return sum((kernel == 0).sum() for kernel in found) / sum(kernel.size for kernel in found)


def loss(model, recorded, images):
    dense, _ = fresh(recorded)
    return numpy.square(array(run(model, images)) - array(run(dense, images))).mean()


def test_every_criterion_leaves_zeros_and_the_surgeon_loses_least(recorded):
    images, lost = samples(400, 2)[0], {}
    for criterion in ("hold-surgeon", "surgeon", "hold-input", "wanda", "hold", "settle", "magnitude", "random"):
        model, recorder = fresh(recorded)
        told = holdfast.keras.prune(model, recorder, criterion, 0.8, calibration=samples()[0])
        assert share(model) == pytest.approx(0.8, abs=2e-3) and told.sparsity == pytest.approx(0.8, abs=2e-3), criterion
        lost[criterion] = loss(model, recorded, images)
    assert max(lost["surgeon"], lost["hold-surgeon"]) < 0.5 * min(lost["magnitude"], lost["wanda"]), lost


def test_what_is_pruned_stays_so_in_training_and_in_files(recorded, tmp_path):
    model, recorder = fresh(recorded)
    model.fit(*samples(), epochs=1, verbose=0)
    holdfast.keras.prune(model, None, "surgeon", 0.7, calibration=samples())
    before = kernels(model)
    model.fit(*samples(), epochs=2, verbose=0)
    for old, new in zip(before, kernels(model)):
        assert (new[old == 0] == 0).all() and (new != old).any()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    numpy.testing.assert_array_equal(array(run(again, samples()[0])), array(run(model, samples()[0])))
    # The constraint is no part of a file: by magnitude at the same sparsity it is back.
    zeros = [kernel == 0 for kernel in kernels(again)]
    holdfast.keras.prune(again, None, "magnitude", 0.7)
    again.fit(*samples(), epochs=1, verbose=0)
    assert all(((kernel == 0) == zero).all() for kernel, zero in zip(kernels(again), zeros))
    holdfast.keras.prune(model, None, "magnitude", 0.85)
    for old, new in zip(before, kernels(model)):
        assert (new[old == 0] == 0).all()
    assert share(model) == pytest.approx(0.85, abs=2e-3)


def test_a_list_gives_weights_and_leaves_the_model(recorded):
    model, recorder = fresh(recorded)
    for sparsity, weights in zip(
        (0.9, 0.5), holdfast.keras.prune(model, recorder, sparsity=[0.9, 0.5], calibration=samples()[0])
    ):
        own, _ = fresh(recorded)
        own.set_weights(weights)
        assert share(own) == pytest.approx(sparsity, abs=2e-3)
    for one, other in zip(model.get_weights(), recorded[2]):
        numpy.testing.assert_array_equal(one, other)
    assert all(model.get_layer(name).kernel.constraint is None for name in NAMES)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_rows_are_what_layers_read(order):
    if order == "channels_first" and keras.backend.backend() != "torch":
        pytest.skip("this backend convolves with channels last only on a processor")
    first = order == "channels_first"
    values = numpy.random.default_rng(1).normal(size=(5, 6, 9, 9) if first else (5, 9, 9, 6)).astype("float32")
    settings = [
        {"padding": "same"},
        {"padding": "valid", "strides": 2},
        {"padding": "same", "strides": (2, 3), "groups": 2},
        {"padding": "same", "dilation_rate": 2},
        {"padding": "same", "kernel_size": (2, 4), "groups": 3, "use_bias": False},
    ]
    for one in settings:
        layer = layers.Conv2D(6, **{"kernel_size": 3, "data_format": order, "activation": "tanh"} | one)
        model = keras.Sequential([keras.Input(values.shape[1:]), layer])
        network, outputs = KerasNetwork(model, {"own": layer}, [(values, 5)], 0), []
        with _patched(layer, lambda _, z: outputs.append(array(z)) or z):
            run(model, values)
        own = network.layers[0]
        found = network.rows(0) @ own.weights + (0 if own.bias is None else own.bias[:, None])
        expected = outputs[0].transpose(0, 2, 3, 1) if first else outputs[0]
        numpy.testing.assert_allclose(found.transpose(1, 0, 2).reshape(-1, 6), expected.reshape(-1, 6), rtol=0, atol=1e-5)
        numpy.testing.assert_array_equal(own.own(own.weights), array(layer.kernel))
    dense = layers.Dense(4, activation="relu")
    model = keras.Sequential([keras.Input(values.shape[1:]), dense])
    own = KerasNetwork(model, {"own": dense}, [(values, 5)], 0)
    assert own.rows(0).shape == (1, 5 * numpy.prod(values.shape[1:-1]), values.shape[-1]) and own.active(0) is True


def test_rows_count_by_the_relu_only_where_it_follows_directly():
    inputs = keras.Input((6,))
    values = layers.Dense(6, activation="relu", name="plain")(inputs)
    values = layers.Dense(6, activation="gelu", name="gelu")(values)
    values = layers.ReLU()(layers.BatchNormalization()(layers.Dense(6, name="normed")(values)))
    z = layers.Dense(6, name="skipped")(values)
    values = layers.Add()([layers.ReLU()(z), z])
    values = layers.Activation("relu")(layers.Dropout(0.5)(layers.Dense(6, name="dropped")(values)))
    values = layers.ReLU(max_value=6)(layers.Dense(6, name="six")(values))
    model = keras.Model(inputs, layers.Dense(2, name="last")(values))
    chosen = {layer.name: layer for layer in model.layers if isinstance(layer, KINDS)}
    network = KerasNetwork(model, chosen, [(numpy.ones((4, 6), "float32"), 4)], 0)
    assert [name for place, name in enumerate(network.names) if network.active(place) is True] == ["plain", "dropped"]
    assert list(chosen) == network.names


def test_before_a_pool_the_winner_counts():
    model, images = network(), samples(10)[0]
    chosen = {name: model.get_layer(name) for name in NAMES}
    own, outputs = KerasNetwork(model, chosen, [(images, 10)], 0), []
    with _patched(chosen["conv1"], lambda _, z: outputs.append(array(z)) or z):
        run(model, images)
    found = own.active(0)[0].reshape(10, 8, 8, 4)
    for sample, y, x, unit in numpy.argwhere(found):
        window = outputs[0][sample, y // 2 * 2 : y // 2 * 2 + 2, x // 2 * 2 : x // 2 * 2 + 2, unit]
        assert outputs[0][sample, y, x, unit] == window.max() > 0
    windows = outputs[0].reshape(10, 4, 2, 4, 2, 4).max((2, 4))
    assert found.sum() == (windows > 0).sum()


def test_importance_is_the_mean_of_squared_gradients():
    model, images = network(), samples(30)[0]
    chosen = {name: model.get_layer(name) for name in NAMES}
    own, z = KerasNetwork(model, chosen, [(images[:20], 20), (images[20:], 10)], 0), []
    with _patched(chosen["fc1"], lambda _, values: z.append(array(values)) or values):
        run(model, images)
    found = own.importance()
    expected = (z[0] > 0).mean(0) * numpy.square(array(chosen["fc2"].kernel)).sum(1)
    numpy.testing.assert_allclose(found[2][0], expected, rtol=1e-4)
    numpy.testing.assert_allclose(found[3][0], 1, rtol=1e-6)
    assert found[0].shape == (1, 4) and (found[0] > 0).any()


def test_recorders_stream_resume_and_know_the_mean(recorded, tmp_path):
    _, recorder, weights = recorded
    keras.utils.set_random_seed(1)
    online = holdfast.keras.Recorder(online=True, epochs=8)
    model = network()
    trained(model, online)
    streamed = holdfast.keras.Recorder(layers=["fc1"], folder=tmp_path / "history")
    for _ in range(2):
        model.fit(*samples(), verbose=0, callbacks=[streamed])
    streamed.save_state(tmp_path / "state.npz")
    model.fit(*samples(), verbose=0, callbacks=[streamed])
    again = holdfast.keras.Recorder(layers=["fc1"], folder=tmp_path / "history")
    again.load_state(tmp_path / "state.npz")
    assert again.recording.epochs == 2 and again.recording.names == ["fc1/kernel", "fc1/bias"]
    recorder.save_state(tmp_path / "whole.npz")
    copied = holdfast.keras.Recorder()
    copied.load_state(tmp_path / "whole.npz")
    numpy.testing.assert_array_equal(copied.recording.history("fc1/kernel"), recorder.recording.history("fc1/kernel"))
    own, _ = fresh(recorded)
    holdfast.keras.prune(own, recorder, "hold", 0, base="mean")
    numpy.testing.assert_allclose(
        array(own.get_layer("fc1").kernel), recorder.recording.history("fc1/kernel")[-4:].mean(0), atol=1e-6
    )
    assert online.recording.hold("fc1/kernel").shape == (24, 16)


class Subclassed(keras.Model):
    """A model without a graph: a layer used twice, and one that is never called."""

    def __init__(self):
        super().__init__()
        self.flat, self.idle = layers.Flatten(), layers.Dense(3, name="idle")
        self.first, self.again, self.last = (
            layers.Dense(size, activation="relu", name=name) for size, name in ((12, "first"), (12, "again"), (3, "last"))
        )
        self.idle.build((None, 3))

    def call(self, inputs):
        values = self.first(self.flat(inputs))
        return self.last(self.again(self.again(values)))


def test_models_without_a_graph_and_layers_used_twice():
    images = samples(200)[0]
    model = Subclassed()
    with pytest.raises(holdfast.UsageError, match="no weights yet"):
        holdfast.keras.prune(model, None, "magnitude", 0.5)
    model(images[:1])
    with pytest.warns(UserWarning, match="idle: it was never called"):
        told = holdfast.keras.prune(model, None, "surgeon", 0.5, calibration=images)
    assert [layer.name.split("/")[-1] for layer in told.layers] == ["first", "again", "last"]
    assert told.sparsity == pytest.approx(0.5, abs=2e-3)


def hard():
    """A skip connection, batch norm, GELU, a layer used twice, and one that does not learn."""
    inputs = keras.Input((8, 8, 1), name="images")
    stem = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="stem")(inputs)))
    body = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="body")(stem))
    values = layers.Flatten()(layers.MaxPooling2D(4)(layers.ReLU()(layers.add([stem, body]))))
    values = layers.Dense(16, activation="gelu", name="smooth")(values)
    again = layers.Dense(16, activation="relu", name="again")
    values = layers.Dense(16, activation="relu", name="frozen", trainable=False)(again(again(values)))
    return keras.Model(inputs, layers.Dense(3, name="last")(values))


def test_skips_batch_norm_gelu_layers_used_twice_and_frozen_ones():
    names = ("stem", "body", "smooth", "again", "frozen", "last")
    keras.utils.set_random_seed(3)
    recorder, images = holdfast.keras.Recorder(), samples()[0]
    model = trained(hard(), recorder)
    weights, dense = model.get_weights(), array(run(model, images))

    def pruned(criterion, sparsity):
        own = hard()
        own.set_weights(weights)
        holdfast.keras.prune(own, recorder, criterion, sparsity, calibration=images)
        assert share(own, names) == pytest.approx(sparsity, abs=0.01)
        # Statistics of batch norm are none of what is pruned, and none are taken while samples go through.
        for variable, before in zip(own.weights, weights):
            assert "moving" not in variable.path or numpy.array_equal(array(variable), before), variable.path
        return own

    lost = {
        criterion: numpy.square(array(run(pruned(criterion, 0.6), images)) - dense).mean()
        for criterion in ("hold-surgeon", "magnitude")
    }
    assert lost["hold-surgeon"] < lost["magnitude"], lost
    # All of the frozen layer stood still, which is no reason to take it first; and it stays frozen.
    own = pruned("hold", 0.5)
    assert 0.2 < share(own, ["frozen"]) < 0.8 and not own.get_layer("frozen").trainable


def refused(match, *args, kind=holdfast.UsageError, **options):
    with pytest.raises(kind, match=match):
        holdfast.keras.prune(*args, **options)


def test_what_does_not_fit_is_said(recorded):
    model, recorder = fresh(recorded)
    images = samples()[0]
    refused("no sample", model, recorder, calibration=[])
    refused("no sample", model, recorder, calibration=images[:0])
    refused("holds no array", model, recorder, calibration=["words"])
    refused("calibration=loader", model, recorder)
    refused("is no Dense or Conv2D layer of the model; there are conv1", model, recorder, layers=["fc9"], calibration=images)
    refused("no Dense or Conv2D", keras.Sequential([keras.Input((2,)), layers.ReLU()]), criterion="magnitude")
    inputs = keras.Input((2,))
    normed = keras.Model(inputs, layers.Dense(2)(layers.BatchNormalization()(inputs)))
    refused("statistics anew", normed, recorder, "hold", base="mean")
    weights = model.get_weights()
    weights[0][0] = numpy.nan
    model.set_weights(weights)
    refused("hold nan", model, None, "magnitude", kind=holdfast.DataError)
    some = holdfast.keras.Recorder(layers=["fc1"])
    trained(network(), some, 1)
    refused("was not recorded; record without layers=", fresh(recorded)[0], some, "hold", base="mean")


def test_loaders_of_many_kinds(recorded):
    model, _ = fresh(recorded)
    images, labels = samples()

    class Sequence(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, place):
            return images[100 * place : 100 * place + 100], labels[100 * place : 100 * place + 100]

    state = lambda calibration: holdfast.keras.prune(model, None, "wanda", [0.5], calibration=calibration)[0]
    for calibration in (
        (images, labels),
        [(images, labels)],
        [(images, labels, numpy.ones(400))],
        [images],
        [{"images": images}],
        [({"images": images}, labels)],
        Sequence(),
        (images[start : start + 50] for start in range(0, 400, 50)),
    ):
        for one, other in zip(state(images), state(calibration)):
            numpy.testing.assert_array_equal(one, other)


def test_what_is_stopped_leaves_the_model_as_it_was(recorded):
    model, recorder = fresh(recorded)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        holdfast.keras.prune(model, recorder, calibration=samples()[0], progress=stop)
    for one, other in zip(model.get_weights(), recorded[2]):
        numpy.testing.assert_array_equal(one, other)
    assert all("call" not in vars(model.get_layer(name)) for name in NAMES)
    assert not isinstance(model.get_layer("fc1").kernel.constraint, KeepPruned)


def test_half_precision_and_many_outputs():
    images = samples(100)[0]
    for policy in ("float16", "mixed_float16"):
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(12, "relu", dtype=policy), layers.Dense(80, dtype=policy)]
        )
        holdfast.keras.prune(model, None, "surgeon", 0.5, calibration=images)
        found = [array(layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]
        assert sum((kernel == 0).sum() for kernel in found) == pytest.approx(0.5 * (64 * 12 + 12 * 80), abs=30)
