"""Recording what Lightning trains, under both of its names."""

import importlib

import numpy
import pytest
import torch
from torch import nn

import holdfast.lightning
import holdfast.torch


def module_of(lightning):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))

        def forward(self, values):
            return self.net(values)

        def training_step(self, batch, place):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.01)

    return Module()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["lightning.pytorch", "pytorch_lightning"])
def test_two_lines_record_and_a_checkpoint_goes_on(name, tmp_path):
    lightning = importlib.import_module(name)
    # Its base is that of what is imported by now.
    importlib.reload(holdfast.lightning)
    torch.manual_seed(1)
    values = torch.randn(200, 8)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(values, values[:, :3].argmax(1)), batch_size=20)

    def trainer(recorder, epochs):
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        return lightning.Trainer(
            max_epochs=epochs, callbacks=[recorder], default_root_dir=tmp_path, enable_checkpointing=False, **quiet
        )

    recorder, module = holdfast.lightning.Recorder(), module_of(lightning)
    assert isinstance(recorder, lightning.Callback)
    first = trainer(recorder, 3)
    first.fit(module, loader)
    first.save_checkpoint(tmp_path / "last.ckpt")
    assert recorder.recorder.epochs == 3
    again, other = holdfast.lightning.Recorder(), module_of(lightning)
    trainer(again, 5).fit(other, loader, ckpt_path=tmp_path / "last.ckpt")
    assert again.recorder.epochs == 5
    before = recorder.recorder.history("net.0.weight")
    numpy.testing.assert_array_equal(again.recorder.history("net.0.weight")[:3], before)
    told = holdfast.torch.prune(other, again, sparsity=0.5, calibration=loader)
    assert told.sparsity == 0.5 and torch.nn.utils.prune.is_pruned(other)
    assert (other(values).argmax(1) == values[:, :3].argmax(1)).float().mean() > 0.5
