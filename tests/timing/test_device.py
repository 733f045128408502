"""Measuring on an accelerator: what can be run without one."""

from __future__ import annotations

import pytest
import torch

import condsim
from condsim.hardware import fingerprint
from condsim.live.inputs import as_batches
from condsim.timing.device import identity, placed, the_device, waiting_clock


class Moves(torch.nn.Linear):
    """Says that it is on another device, and notes where it is sent."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.sent: list[str] = []

    def to(self, device: torch.device) -> Moves:  # type: ignore[override]
        self.sent.append(str(device))
        return self


def test_a_model_goes_there_and_comes_back() -> None:
    model = Moves()
    with placed(model, torch.device("cuda")):
        assert model.sent == ["cuda"]
    assert model.sent == ["cuda", "cpu"]
    with pytest.raises(RuntimeError, match="stop"), placed(Moves(), torch.device("cuda")):
        raise RuntimeError("stop")
    with placed(model, torch.device("cpu")), placed(None, torch.device("cuda")):
        assert model.sent == ["cuda", "cpu"]


def test_inputs_go_along() -> None:
    (batch,) = as_batches({"x": torch.ones(3, 2), "scale": 2.0})
    moved = batch.to(torch.device("meta"))
    assert moved.kwargs["x"].device.type == "meta"
    assert moved.kwargs["scale"] == 2.0
    assert (moved.units, moved.seq) == (3, None)


def test_a_cpu_is_itself_and_its_clock_goes_on() -> None:
    cpu = the_device("cpu")
    assert identity(cpu) == fingerprint(1)
    clock = waiting_clock(cpu)
    assert clock() <= clock()


@pytest.mark.parametrize(
    ("name", "said"), [("warp", "no device 'warp'"), ("cuda", "no CUDA device")]
)
def test_what_is_not_there_is_named(name: str, said: str) -> None:
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(condsim.CondsimError, match=said):
        the_device(name)
