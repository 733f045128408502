"""Runnable forms of the mixture-of-experts strategies."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.expert_forms import EXPERT_FORMS, ExpertWeights
from condsim.record.recorder import Recorder


@pytest.mark.parametrize("strategy", EXPERT_FORMS)
def test_outputs_are_in_the_dtype_of_the_inputs(strategy: str) -> None:
    """Routers often give their weights in fp32."""
    weights = ExpertWeights(
        torch.randn(4, 16, 8).bfloat16(), torch.randn(4, 8, 16).bfloat16(), None, None, F.silu
    )
    x, ids = torch.randn(6, 8).bfloat16(), torch.randint(0, 4, (6, 2))
    with torch.inference_mode():
        assert EXPERT_FORMS[strategy](weights, x, ids, torch.rand(6, 2), 6).dtype == torch.bfloat16


class Upcast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.float() * 2).to(x.dtype)


def test_fp32_tensors_of_a_bf16_model_are_recorded_as_such() -> None:
    module = Upcast()
    with torch.inference_mode(), (recorder := Recorder(module, torch.bfloat16)):
        result = module(torch.ones(4, 4).bfloat16())
        recorder.stop()
    del result
    product = next(e for e in recorder.events if getattr(e, "name", "") == "mul")
    assert [t.dtype for t in product.inputs] == ["float32"]
