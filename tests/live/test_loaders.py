import operator

import torch
from live.lift.in_python import WIDTH, WholeBatch, ready
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import condsim
from condsim.live.loaders import without_labels


class Two(nn.Module):
    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return x * scale


class PassesOn(nn.Module):
    """A wrapper as those of PEFT."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: torch.Tensor, **kwargs: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.model(*args, **kwargs)
        return result


X, Y = torch.randn(6, WIDTH), torch.arange(6)


def test_labels_of_a_loader_are_left_out() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=3)
    model = ready(WholeBatch)
    for inputs in (loader, list(loader), [tuple(item) for item in loader]):
        batches = without_labels(model, inputs)
        assert [[len(tensor) for tensor in batch] for batch in batches] == [[3], [3]]
    assert len(without_labels(Two(), loader)[0]) == 2


def test_one_item_of_a_loader_is_one_batch() -> None:
    item = next(iter(DataLoader(TensorDataset(X, Y), batch_size=3)))
    for inputs in (item, tuple(item)):
        ((batch,),) = without_labels(ready(WholeBatch), inputs)
        assert len(batch) == 3


def test_labels_of_a_wrapped_model_are_left_out() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=3)
    for wrapped in (nn.DataParallel(ready(WholeBatch)), PassesOn(ready(WholeBatch))):
        assert [len(batch) for batch in without_labels(wrapped, loader)] == [1, 1]


def test_other_inputs_are_left_alone() -> None:
    for inputs in (X, (X, X), [X, X], [[X, X]], [{"x": X}], [[X, "y"]]):
        kept = without_labels(ready(WholeBatch), inputs)
        assert kept is inputs or all(map(operator.is_, kept, inputs))


def test_a_loader_is_captured() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=3)
    trace = condsim.capture(ready(WholeBatch), loader, measure=False)
    assert len(trace.steps) == 2
