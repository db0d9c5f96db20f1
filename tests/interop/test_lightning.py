"""Recording what Lightning trains, under both of its names."""

import copy
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


@pytest.mark.filterwarnings("ignore")
def test_what_is_hard_is_pruned_by_what_the_callback_recorded():
    import lightning

    importlib.reload(holdfast.lightning)

    class Hard(lightning.LightningModule):
        """A skip connection, batch norm, GELU, a layer used twice, and one that does not learn; batches are dicts."""

        def __init__(self):
            super().__init__()
            self.stem, self.body, self.norm = nn.Linear(8, 12), nn.Linear(12, 12), nn.BatchNorm1d(12)
            self.again, self.frozen, self.last = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 3)
            self.frozen.requires_grad_(False)

        def forward(self, values):
            values = nn.functional.gelu(self.stem(values))
            values = torch.relu(values + self.norm(self.body(values)))
            values = torch.relu(self.again(torch.relu(self.again(values))))
            return self.last(torch.relu(self.frozen(values)))

        def training_step(self, batch, place):
            return nn.functional.cross_entropy(self(batch["values"]), batch["labels"])

        def configure_optimizers(self):
            return torch.optim.Adam((own for own in self.parameters() if own.requires_grad), lr=0.01)

    torch.manual_seed(2)
    values = torch.randn(200, 8)
    rows = [{"values": row, "labels": label} for row, label in zip(values, values[:, :3].argmax(1))]
    loader = torch.utils.data.DataLoader(rows, batch_size=20)
    recorder, module = holdfast.lightning.Recorder(), Hard()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    lightning.Trainer(max_epochs=8, callbacks=[recorder], enable_checkpointing=False, **quiet).fit(module, loader)
    module.eval()
    dense, statistics = module(values).detach(), module.norm.running_mean.clone()
    lost = {}
    for criterion in ("hold-surgeon", "magnitude"):
        own = copy.deepcopy(module)
        told = holdfast.torch.prune(own, recorder, criterion, 0.6, calibration=loader)
        assert told.sparsity == pytest.approx(0.6, abs=2e-3) and [layer.name for layer in told.layers][-2:] == ["frozen", "last"]
        assert not own.training and not own.frozen.weight_orig.requires_grad and torch.equal(own.norm.running_mean, statistics)
        lost[criterion] = (own(values) - dense).square().mean()
    assert lost["hold-surgeon"] < lost["magnitude"], lost
    with pytest.raises(holdfast.UsageError, match="no sample"):
        holdfast.torch.prune(module, recorder, calibration=torch.utils.data.DataLoader(rows[:0]))


@pytest.mark.filterwarnings("ignore")
def test_half_precision_is_recorded_and_pruned():
    import lightning

    importlib.reload(holdfast.lightning)
    values = torch.randn(100, 8, dtype=torch.bfloat16)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(values, values[:, :3].argmax(1)), batch_size=20)
    recorder, module = holdfast.lightning.Recorder(), module_of(lightning)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = lightning.Trainer(max_epochs=2, precision="bf16-true", callbacks=[recorder], enable_checkpointing=False, **quiet)
    trainer.fit(module, loader)
    module.to(torch.bfloat16)
    assert recorder.recorder.history("net.0.weight").dtype == numpy.float32
    holdfast.torch.prune(module, recorder, sparsity=0.5, calibration=loader)
    assert module.net[0].weight.dtype == torch.bfloat16 and sum((own.weight == 0).sum() for own in module.net[::2]) == 66
