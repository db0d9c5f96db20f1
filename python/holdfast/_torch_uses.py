"""What becomes of the output of a PyTorch layer, seen while the model runs: modules, functions and methods alike."""

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Uses(TorchFunctionMode):
    """What becomes of a layer's output: whether a ReLU takes all of it, and a max pool what that gives, in either order."""

    #: Functions that hand on the same numbers, and those that also keep where they lie.
    SAME_NUMBERS = ("flatten", "reshape", "view", "contiguous", "squeeze", "unsqueeze", "unflatten")
    SAME = ("dropout", "dropout1d", "dropout2d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout")
    POOLS = {"max_pool1d": functional.max_pool1d, "max_pool2d": functional.max_pool2d}

    def __init__(self):
        super().__init__()
        self.done = False
        self.known, self.alive = {}, []
        self.found, self.pools = {}, {}

    def begin(self, output, name):
        if not self.done:
            self._follow(output, (name, "", True))

    def _follow(self, tensor, entry):
        self.known[id(tensor)] = entry
        # While a tensor lives, no other has its id.
        self.alive.append(tensor)

    def forget(self):
        self.known, self.alive = {}, []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        taken = [] if self.done else [self.known[id(value)] for value in _flat((args, kwargs)) if id(value) in self.known]
        output = function(*args, **kwargs)
        if (
            isinstance(output, torch.Tensor)
            or isinstance(output, tuple | list)
            and any(isinstance(one, torch.Tensor) for one in output)
        ):
            for entry in taken:
                self._use(entry, function.__name__, args, kwargs, output)
        return output

    def _use(self, entry, function, args, kwargs, output):
        name, stage, in_place = entry
        if function in self.SAME or function in self.SAME_NUMBERS:
            self._follow(output, (name, stage, in_place and function in self.SAME))
            return
        function = function.rstrip("_")
        use = "relu" if function == "relu" else "pool" if function in self.POOLS and in_place else "other"
        if use == "pool":
            settings = {key: value for key, value in kwargs.items() if key not in ("input", "return_indices")}
            values = args[1:] if args else ()
            pool = self.POOLS[function]
            self.pools[name] = lambda z: pool(z, *values, **settings, return_indices=True)[1]
        self.found.setdefault((name, stage), set()).add(use)
        if use != "other" and isinstance(output, torch.Tensor):
            self._follow(output, (name, stage + use, in_place))

    def behind(self, name):
        """Whether a ReLU follows directly, and the places that win where a max pool stands behind or before it."""
        first, after_relu, after_pool = (self.found.get((name, stage), set()) for stage in ("", "relu", "pool"))
        pooled = first == {"relu"} and after_relu == {"pool"} or first == {"pool"} and after_pool == {"relu"}
        return first == {"relu"} or pooled, self.pools.get(name) if pooled else None


def _flat(values):
    """All that stands in nested tuples, lists and dicts."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, tuple | list | dict):
            yield from _flat(value)
        else:
            yield value
