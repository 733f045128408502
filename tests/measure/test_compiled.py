"""Under torch.compile a graph ends at each site: no mark or adapter is traced."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.measure import protocol
from condsim.measure.compiled import compiled, compiling
from condsim.measure.plan import Plan
from condsim.measure.protocol import measure_cases
from condsim.measure.replay import Captured

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler"
)


@needs_compiler
def test_a_compiled_model_runs_its_graphs_and_its_sites(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.utils import counters

    monkeypatch.setattr(protocol.yardsticks, "read", lambda: {"read_64mb": 1.0})
    counters.clear()
    plan = Plan(pairs=1, steps=1, runtime="compiled")
    measured = measure_cases(leaving.trace, leaving.live, leaving.inputs, plan)
    assert {row["runtime"] for row in measured.rows} == {"compiled"}
    assert counters["stats"]["unique_graphs"] > 1
    assert not counters["inline_call"]  # by name: no site was traced


class Untraceable(nn.Module):
    """Raises what torch.compile raises when it fails."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        from torch._dynamo.exc import TorchDynamoException

        raise TorchDynamoException("no way\nthrough")


def test_a_model_that_cannot_be_compiled_says_so_in_one_line() -> None:
    message = r"^torch\.compile failed: no way; measure without --runtime compiled$"
    with pytest.raises(CondsimError, match=message), compiling():
        Untraceable()(torch.ones(1))


@needs_compiler
def test_a_compiled_model_gives_the_same_output() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    x = torch.ones(2, 4)
    with compiling(), torch.inference_mode():
        assert torch.allclose(compiled(model)(x), model(x))
