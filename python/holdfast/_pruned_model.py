"""What pruning says: which layers are left out, and what became of the others. Knows no framework."""

import warnings

from . import UsageError


class PrunedLayer:
    """What became of a layer: ``name``, ``weights``, ``kept``, and ``rows``, in which of them a unit counted in full."""

    def __init__(self, name, weights, kept, rows):
        self.name, self.weights, self.kept, self.rows = name, weights, kept, rows


class PrunedModel:
    """What ``prune`` did, layer by layer; it prints as a table."""

    def __init__(self, layers):
        self.layers = layers

    @property
    def sparsity(self):
        """The share of the layers' weights that are zero."""
        return 1 - sum(layer.kept for layer in self.layers) / sum(layer.weights for layer in self.layers)

    def __repr__(self):
        width = max(len("layer"), *(len(layer.name) for layer in self.layers))
        lines = [f"{'layer':<{width}}  {'weights':>10}  {'kept':>10}  {'sparsity':>8}  rows that count in full"]
        for layer in self.layers:
            share = 1 - layer.kept / max(layer.weights, 1)
            lines.append(f"{layer.name:<{width}}  {layer.weights:>10,}  {layer.kept:>10,}  {share:>8.1%}  {layer.rows}")
        return "\n".join(lines)


def told(network, result, settings):
    """What became of each layer of a network."""
    rows = [network.told(place) if settings.needs_rows() else "-" for place in range(len(network.layers))]
    return PrunedModel(
        [
            PrunedLayer(layer.name, layer.weights.size, int(solved.kept.sum()), how)
            for layer, solved, how in zip(network.layers, result, rows)
        ]
    )


def without(layers, reasons, named):
    """Layers by name, without those that cannot be pruned: an error if they were named, else said by a warning."""
    if reasons:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        rest = [name for name in layers if name not in reasons]
        if named or not rest:
            raise UsageError(f"these layers cannot be pruned: {why}; name others: layers={rest or '[...]'}")
        warnings.warn(
            f"these layers are left out: {why}; name the layers to be pruned to hear no warning: layers={rest}", stacklevel=4
        )
    return {name: layer for name, layer in layers.items() if name not in reasons}
