"""A Keras 3 model as ``_pruning`` sees it, on any of its backends."""

import contextlib
import itertools

import keras
import numpy

from . import UsageError
from ._network import IMPORTANCE_SAMPLES, MOST_OUTPUTS, Layer, Network, drawn, mean_importance, shares_gram, without_labels

#: Layers that can be pruned.
KINDS = (keras.layers.Dense, keras.layers.Conv2D)
#: Samples that go through a model together.
BATCH = 256


def array(values):
    """A tensor as 32-bit floats of NumPy."""
    return numpy.asarray(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32")))


def layer_of(name, layer):
    """A layer as it is now."""
    kernel = array(layer.kernel)
    shape, groups = kernel.shape, getattr(layer, "groups", 1)
    arranged = lambda values: numpy.ascontiguousarray(values.reshape(-1, groups, shape[-1] // groups).transpose(1, 0, 2))
    constraint = layer.kernel.constraint
    kept = constraint.kept if isinstance(constraint, KeepPruned) else numpy.ones(shape, bool)
    return Layer(
        name=name,
        weights=arranged(kernel),
        bias=array(layer.bias).reshape(groups, -1).copy() if layer.use_bias else None,
        kept=arranged(kept),
        own=lambda values: numpy.ascontiguousarray(values.transpose(1, 0, 2).reshape(shape)),
        arranged=arranged,
        learns=layer.trainable,
    )


class KeepPruned:
    """A constraint of a kernel: pruned weights stay 0 while training goes on, beside the constraint that the kernel had."""

    def __init__(self, kept, before):
        self.kept = kept
        self.before = before.before if isinstance(before, KeepPruned) else before

    def __call__(self, kernel):
        kernel = keras.ops.convert_to_tensor(kernel if self.before is None else self.before(kernel))
        return keras.ops.where(keras.ops.convert_to_tensor(self.kept), kernel, keras.ops.zeros_like(kernel))


def batches_of(calibration, samples):
    """The first ``samples`` samples, batch by batch: arrays, or what the model takes in place of one."""
    calibration = without_labels(calibration)
    if hasattr(calibration, "shape"):
        whole = calibration
        calibration = (whole[start : start + BATCH] for start in range(0, len(whole), BATCH))
    elif isinstance(calibration, keras.utils.PyDataset):
        sequence = calibration
        calibration = (sequence[place] for place in range(sequence.num_batches))
    found, there = [], 0
    for batch in calibration:
        inputs = batch[0] if isinstance(batch, tuple | list) and batch else batch
        leaves = keras.tree.flatten(inputs)
        if not leaves or not all(hasattr(leaf, "shape") and len(leaf.shape) for leaf in leaves):
            raise UsageError(
                f"a batch of the calibration data holds no array that the model could be called with, but "
                f"{type(batch).__name__}; give an array, or batches of inputs or of (inputs, labels)"
            )
        take = min(len(leaves[0]), samples - there)
        if take:
            found.append((keras.tree.map_structure(lambda leaf: leaf[:take], inputs), take))
        there += take
        if there == samples:
            break
    if not there:
        raise UsageError("the calibration data have no sample; give a few thousand training samples")
    return found


class KerasNetwork(Network):
    """A model that runs on calibration samples, eagerly."""

    def __init__(self, model, layers, batches, seed):
        self.model, self.batches, self.seed = model, batches, seed
        self.calls = {name: [] for name in layers}
        self.names = self._look(layers) if batches else list(layers)
        self.own = [layers[name] for name in self.names]
        self.layers = [layer_of(name, layers[name]) for name in self.names]
        self.chosen = [drawn(self.calls[layer.name], layer, seed, place) for place, layer in enumerate(self.layers)]
        self.followers = _followers(model)

    def _look(self, layers):
        order = []

        def watching(name):
            def see(before, values):
                if name not in order:
                    order.append(name)
                self.calls[name][-1].append(values.shape[0] * _rows(layers[name], before.shape))
                return values

            return see

        with contextlib.ExitStack() as patches:
            for name, layer in layers.items():
                patches.enter_context(_patched(layer, watching(name)))
            for batch, _ in self.batches:
                for calls in self.calls.values():
                    calls.append([])
                run(self.model, batch)
        return order

    def positions(self, place):
        return sum(map(sum, self.calls[self.names[place]]))

    def _gathered(self, place, take):
        """What ``take`` makes of what goes into each call of a layer and what comes out before its activation."""
        parts = []
        for (batch, _), calls in zip(self.batches, self.chosen[place]):
            chosen = iter(calls)

            def see(before, values, chosen=chosen):
                parts.append(take(array(before), values, next(chosen)))
                return values

            with _patched(self.own[place], see):
                run(self.model, batch)
        rows, groups = numpy.concatenate(parts), len(self.layers[place].weights)
        return rows, groups

    def rows(self, place):
        layer = self.own[place]
        rows, groups = self._gathered(place, lambda before, _, chosen: _rows_of(layer, before, chosen))
        if groups == 1:
            return rows.reshape(1, len(rows), -1)
        # A row is ``[place in the window, channel]``, and a group has its own channels of each place.
        split = rows.reshape(len(rows), -1, groups, rows.shape[-1] // groups)
        return numpy.ascontiguousarray(split.transpose(2, 0, 1, 3).reshape(groups, len(rows), -1))

    def active(self, place):
        relu, pool = self._behind(place)
        if pool is None:
            return relu
        first = self.own[place].data_format == "channels_first"
        rows, groups = self._gathered(place, lambda _, values, chosen: _winners(array(values), pool.pool_size, first)[chosen])
        return numpy.ascontiguousarray(rows.reshape(len(rows), groups, -1).transpose(1, 0, 2))

    def _behind(self, place):
        """Whether a ReLU follows directly, and the max pool that alone reads what it gives."""
        layer = self.own[place]
        relu = layer.activation is keras.activations.relu
        next_one = _only(self.followers, layer)
        if not relu and layer.activation is keras.activations.linear and _is_relu(next_one):
            relu, next_one = True, _only(self.followers, next_one)
        pools = relu and isinstance(layer, keras.layers.Conv2D) and isinstance(next_one, keras.layers.MaxPooling2D)
        plain = pools and next_one.padding == "valid" and tuple(next_one.strides) == tuple(next_one.pool_size)
        return relu, next_one if plain and next_one.data_format == layer.data_format else None

    def put(self, place, weights, bias):
        layer = self.own[place]
        layer.kernel.assign(self.layers[place].own(weights))
        if bias is not None:
            layer.bias.assign(bias.reshape(-1))

    def importance(self):
        sums = [0.0] * len(self.layers)
        random = numpy.random.default_rng(self.seed)
        samples = 0
        for batch, size in self.batches:
            places, slopes = _slopes(self.model, self.own, batch, size, random)
            for place, slope in zip(places, slopes):
                sums[place] = sums[place] + slope
            samples += size
            if samples >= IMPORTANCE_SAMPLES:
                break
        return mean_importance(self.layers, sums, samples)


def run(model, inputs):
    """What a model returns in evaluation mode; no gradient is kept."""
    if keras.backend.backend() == "torch":
        import torch

        with torch.no_grad():
            return model(inputs, training=False)
    return model(inputs, training=False)


@contextlib.contextmanager
def _patched(layer, see):
    """A layer that hands what goes into it, and what comes out before its activation, to ``see``, and goes on with what that
    returns."""
    call, activation, before = layer.call, layer.activation, []

    def watched(inputs, *args, **kwargs):
        before.append(inputs)
        return call(inputs, *args, **kwargs)

    def seen(values):
        return activation(see(before.pop(), values))

    layer.call, layer.activation = watched, seen
    try:
        yield
    finally:
        layer.activation = activation
        del layer.call


def _rows(layer, shape):
    """Rows of a sample."""
    if isinstance(layer, keras.layers.Dense):
        return int(numpy.prod(shape[1:-1]))
    output = layer.compute_output_shape(tuple(shape))
    spatial = output[2:] if layer.data_format == "channels_first" else output[1:-1]
    return int(numpy.prod(spatial))


def _rows_of(layer, values, chosen):
    """The chosen rows of what a layer reads: features, or ``[row, place in the window, channel]``, flattened but for groups."""
    if isinstance(layer, keras.layers.Dense):
        return values.reshape(-1, values.shape[-1])[chosen]
    if layer.data_format == "channels_first":
        values = values.transpose(0, 2, 3, 1)
    outputs = layer.compute_output_shape(values.shape) if layer.data_format == "channels_last" else None
    sizes = values.shape[1:3]
    reach = [(kernel - 1) * dilation + 1 for kernel, dilation in zip(layer.kernel_size, layer.dilation_rate)]
    if layer.padding == "same":
        counts = [-(-size // stride) for size, stride in zip(sizes, layer.strides)]
        # TensorFlow's rule: what is odd goes behind.
        missing = [max((n - 1) * s + r - size, 0) for n, s, r, size in zip(counts, layer.strides, reach, sizes)]
        values = numpy.pad(values, ((0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)))
    else:
        counts = [(size - r) // s + 1 for size, r, s in zip(sizes, reach, layer.strides)]
    assert outputs is None or tuple(outputs[1:3]) == tuple(counts)
    rest, x = chosen // counts[1], chosen % counts[1]
    sample, y = rest // counts[0], rest % counts[0]
    at = [
        place[:, None] * stride + numpy.arange(kernel) * dilation
        for place, stride, kernel, dilation in zip((y, x), layer.strides, layer.kernel_size, layer.dilation_rate)
    ]
    taken = values[sample[:, None, None], at[0][:, :, None], at[1][:, None, :]]
    return taken.reshape(len(chosen), -1, values.shape[-1]) if layer.groups > 1 else taken.reshape(len(chosen), -1)


def _winners(values, size, channels_first):
    """``[row, unit]``: where a position is the first of the largest in its window and above 0."""
    if channels_first:
        values = values.transpose(0, 2, 3, 1)
    n, height, width, units = values.shape
    rows, columns = size
    whole = values[:, : height // rows * rows, : width // columns * columns]
    windows = whole.reshape(n, height // rows, rows, width // columns, columns, units).transpose(0, 1, 3, 5, 2, 4)
    flat = windows.reshape(*windows.shape[:4], -1)
    won = (flat.argmax(-1)[..., None] == numpy.arange(rows * columns)) & (flat > 0)
    back = won.reshape(windows.shape).transpose(0, 1, 4, 2, 5, 3).reshape(whole.shape)
    found = numpy.zeros(values.shape, bool)
    found[:, : whole.shape[1], : whole.shape[2]] = back
    return found.reshape(-1, units)


def _followers(model):
    """Of each layer of a functional or sequential model, by identity, what reads its output."""
    found = {}
    for graph in (
        layer for layer in model._flatten_layers() if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional")
    ):
        graph = getattr(graph, "_functional", None) or graph
        for node in itertools.chain(*getattr(graph, "_nodes_by_depth", {}).values()):
            for tensor in node.input_tensors:
                found.setdefault(id(tensor._keras_history.operation), []).append(node.operation)
        # An output of the model is read by whoever calls it.
        for tensor in getattr(graph, "_outputs", []):
            found.setdefault(id(tensor._keras_history.operation), []).append(None)
    return found


def _only(followers, layer):
    """What alone reads a layer's output, or None; dropout hands on the same numbers."""
    found = followers.get(id(layer), [])
    if len(found) == 1 and isinstance(found[0], keras.layers.Dropout | keras.layers.SpatialDropout2D):
        return _only(followers, found[0])
    return found[0] if len(found) == 1 else None


def _is_relu(layer):
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.relu


def _slopes(model, layers, batch, size, random):
    """Of each call of a layer its place, and of each of its units the sum over samples, outputs and positions of squared
    slopes."""
    places, shapes = [], []

    def running(see_of):
        with contextlib.ExitStack() as patches:
            for place, layer in enumerate(layers):
                patches.enter_context(_patched(layer, see_of(place)))
            return _logits(model(batch, training=False), size)

    def look_of(place):
        def look(_, values):
            places.append(place)
            shapes.append(tuple(values.shape))
            return values

        return look

    logits = running(look_of)
    outputs = logits.shape[1]

    def of(added):
        """The outputs where so much is added to each call's pre-activations."""
        given = iter(added)
        return running(lambda _: lambda _, values: values + keras.ops.cast(next(given), values.dtype))

    vectors = list(_projections((size, outputs), random))
    sums = [0.0] * len(shapes)
    for slopes in _gradients(of, shapes, vectors):
        for call, slope in enumerate(slopes):
            if slope is not None:
                slope = array(slope)
                last = slope.ndim == 4 and layers[places[call]].data_format == "channels_first"
                units = (numpy.moveaxis(slope, 1, -1) if last else slope).reshape(-1, slope.shape[1 if last else -1])
                sums[call] = sums[call] + numpy.square(units, dtype=float).sum(0) / (
                    MOST_OUTPUTS if outputs > MOST_OUTPUTS else 1
                )
    return places, sums


def _gradients(of, shapes, vectors):
    """For each vector the slopes of its product with the outputs along what is added: the only part that knows backends."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        added = [keras.ops.zeros(shape).requires_grad_() for shape in shapes]
        outputs = of(added)
        for vector in vectors:
            product = (outputs * torch.as_tensor(vector, device=outputs.device)).sum()
            yield torch.autograd.grad(product, added, retain_graph=True, allow_unused=True)
    elif backend == "jax":
        import jax

        outputs, slopes = jax.vjp(of, [keras.ops.zeros(shape) for shape in shapes])
        for vector in vectors:
            yield slopes(keras.ops.cast(vector, outputs.dtype))[0]
    elif backend == "tensorflow":
        import tensorflow

        added = [keras.ops.zeros(shape) for shape in shapes]
        with tensorflow.GradientTape(persistent=True) as tape:
            tape.watch(added)
            outputs = of(added)
        for vector in vectors:
            yield tape.gradient(outputs, added, output_gradients=keras.ops.cast(vector, outputs.dtype))
    else:
        raise UsageError(
            f"Keras' backend {backend} knows no gradients, which pruning several layers by a "
            "surgeon takes; use torch, jax or tensorflow"
        )


def _logits(output, samples):
    """``[sample, output]`` of what a model returns."""
    leaves = keras.tree.flatten(output)
    if len(leaves) != 1 or not len(leaves[0].shape) or leaves[0].shape[0] != samples:
        raise UsageError(
            f"the model returns {len(leaves)} arrays for a batch of {samples} samples; prune one that returns one: "
            "[sample, output]"
        )
    return keras.ops.reshape(leaves[0], (samples, -1))


def _projections(shape, random):
    """Of few outputs each by itself; of many as many random signs as there may be, whose squares have the same mean."""
    samples, outputs = shape
    if outputs <= MOST_OUTPUTS:
        for place in range(outputs):
            yield numpy.tile(numpy.eye(outputs, dtype=numpy.float32)[place], (samples, 1))
    else:
        for _ in range(MOST_OUTPUTS):
            yield random.choice(numpy.array([-1, 1], numpy.float32), shape)
