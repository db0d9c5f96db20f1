"""Recording models that Lightning trains; ``holdfast.torch.prune`` prunes them.

recorder = holdfast.lightning.Recorder()                   # before training
trainer = lightning.Trainer(callbacks=[recorder])
holdfast.torch.prune(model, recorder, sparsity=0.9, calibration=loader)
"""

import importlib
import sys

from . import torch as _torch
from ._recording import MEMORY

#: Lightning is installed under one of two names; what the trainer is taken from is imported already.
_NAMES = ("lightning.pytorch", "pytorch_lightning")


def _bases():
    imported = [sys.modules[name].Callback for name in _NAMES if name in sys.modules]
    for name in [] if imported else _NAMES:
        try:
            return (importlib.import_module(name).Callback,)
        except ImportError:
            continue
    if not imported:
        raise ImportError("holdfast.lightning needs Lightning, which is not installed: pip install lightning")
    return tuple(imported)


class Recorder(*_bases()):
    """A callback that remembers a module's parameters after each training epoch.

    layers: names; folder, online, epochs, window, memory: as of ``holdfast.torch.Recorder``, which ``recorder`` then is. What was
    recorded stands in the trainer's checkpoints, and training that goes on from one goes on recording.
    """

    def __init__(self, layers=None, *, folder=None, online=False, epochs=None, window=None, memory=MEMORY):
        super().__init__()
        self.recorder = None
        self._settings = {
            "layers": layers,
            "folder": folder,
            "online": online,
            "epochs": epochs,
            "window": window,
            "memory": memory,
        }
        self._state = None

    def on_fit_start(self, trainer, module):
        """Makes the recorder of the module, as far as a checkpoint has it."""
        if self.recorder is None:
            self.recorder = _torch.Recorder(module, **self._settings)
        if self._state is not None:
            self.recorder.load_state_dict(self._state)
            self._state = None

    def on_train_epoch_end(self, trainer, module):
        """Remembers one more epoch; where several processes train together, the first does."""
        if trainer.is_global_zero:
            self.recorder.epoch()

    def state_dict(self):
        """For the trainer's checkpoints."""
        return {} if self.recorder is None else self.recorder.state_dict()

    def load_state_dict(self, state_dict):
        """From the trainer's checkpoints, which are read before the module is known to this."""
        self._state = state_dict or None
