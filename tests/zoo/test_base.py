"""Checkpoints: what is saved is built again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo.base import build, read_checkpoint, save_checkpoint
from condsim.zoo.sparse_bytes import SparseBytes


def test_a_checkpoint_rebuilds_the_model_in_half_precision(tmp_path: Path) -> None:
    model = SparseBytes(blocks=(3, 5))
    save_checkpoint(model, {"steps": 7}, tmp_path / "new" / "sparse-bytes.pt")
    checkpoint = read_checkpoint("sparse-bytes", tmp_path / "new")
    assert checkpoint["about"] == {"steps": 7}
    built = build("sparse-bytes", checkpoint)
    assert built.config == model.config
    assert not built.training
    for name, weight in model.state_dict().items():
        assert torch.equal(built.state_dict()[name], weight.half().float())


def test_a_missing_checkpoint_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match=r"train it: python -m condsim\.zoo train moe-bytes"):
        read_checkpoint("moe-bytes", tmp_path)
