"""What a recording holds of operators, weights and storages."""

from __future__ import annotations

import torch
from torch import nn

from condsim.record.events import Died, Enter, Leave, RecordedOp
from condsim.record.recorder import Recorder


def recorded(model: nn.Module, x: torch.Tensor) -> Recorder:
    """One forward pass, whose result nobody drops while it is recorded."""
    with torch.inference_mode(), Recorder(model) as recorder:
        result = model(x)
        recorder.stop()
    del result
    return recorder


def operators(recorder: Recorder) -> list[RecordedOp]:
    """The operators of a recording."""
    return [event for event in recorder.events if isinstance(event, RecordedOp)]


def test_weights_have_the_names_of_the_model() -> None:
    (linear,) = operators(recorded(nn.Sequential(nn.Linear(3, 4)), torch.ones(2, 3)))
    assert linear.name == "linear"
    assert [operand.weight for operand in linear.inputs] == ["", "0.weight", "0.bias"]
    assert linear.outputs[0].shape == (2, 4)
    assert linear.allocs == [(8, "float")]


def test_what_is_written_and_read_again_is_one_storage() -> None:
    linear, relu = operators(
        recorded(nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), torch.ones(2, 3))
    )
    assert relu.inputs[0].storage == linear.outputs[0].storage
    assert relu.allocs == []
    assert not relu.view


def test_a_storage_dies_when_nobody_owns_it() -> None:
    recorder = recorded(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.ones(2, 3))
    linear, relu, died = recorder.events
    assert isinstance(relu, RecordedOp)
    assert isinstance(died, Died)
    assert died.op is linear
    assert recorder.peak_bytes == 2 * (2 * 4 * 4)


class Pieces(nn.Module):
    """Cuts its rows."""

    def forward(self, x: torch.Tensor) -> None:
        x.unbind(0)


def test_pieces_are_one_output_with_their_number_in_front() -> None:
    (unbind,) = operators(recorded(Pieces(), torch.ones(5, 3)))
    assert [output.shape for output in unbind.outputs] == [(5, 3)]
    assert unbind.view


class Waits(nn.Module):
    """Asks for the rows that are positive."""

    def forward(self, x: torch.Tensor) -> None:
        torch.where(x > 0)


def test_the_host_waits_for_row_numbers() -> None:
    assert [op.sync for op in operators(recorded(Waits(), torch.ones(4)))] == [False, True]


def test_what_runs_while_paused_is_not_recorded() -> None:
    x = torch.ones(2)
    with torch.inference_mode(), Recorder(nn.Identity()) as recorder:
        with recorder.paused():
            x + x
        x * x
    assert [op.name for op in operators(recorder)] == ["mul"]


def test_guards_are_noted_in_order() -> None:
    recorder = Recorder(nn.Identity())
    recorder.enter("outer", 1)
    recorder.enter("inner", 0)
    recorder.leave(3, 2)
    recorder.leave(None, None)
    kinds = [(type(event), getattr(event, "site", "")) for event in recorder.events]
    assert kinds == [(Enter, "outer"), (Enter, "inner"), (Leave, "inner"), (Leave, "outer")]
