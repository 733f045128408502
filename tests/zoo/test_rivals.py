"""Dense rivals: smaller than the model, and kept as what they execute and how good they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import condsim
from condsim.errors import CondsimError
from condsim.zoo import ZOO
from condsim.zoo.loading import load
from condsim.zoo.rivals import train_rival
from zoo.conftest import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_rivals_take_what_the_model_takes(name: str) -> None:
    example = load(name, batch=2, batches=1)
    assert example.quality is not None
    whole = sum(parameter.numel() for parameter in example.model.parameters())
    for rival in ZOO[name].rivals().values():
        with torch.inference_mode():
            quality = example.quality(rival.eval()(example.inputs[0]), 0)
        assert quality.shape == (2,)
        assert sum(parameter.numel() for parameter in rival.parameters()) < 1.01 * whole


@pytest.mark.slow
def test_a_rival_is_trained_and_kept(tmp_path: Path) -> None:
    folder = train_rival("moe-bytes", "dense-same-flops", tmp_path, steps=1)
    trace = condsim.load(folder)
    assert set(trace.programs) == {"dense/prefill-n", "dense/prefill-1"}
    assert 6 < trace.quality["dense"].mean() < 10
    assert "trained 1 steps" in trace.header.notes[-1]


def test_what_is_no_rival_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="unknown rival 'dense-same-flop'"):
        train_rival("moe-bytes", "dense-same-flop", tmp_path)
    with pytest.raises(CondsimError, match="steps must be at least 1"):
        train_rival("moe-bytes", "dense-same-flops", tmp_path, steps=0)
