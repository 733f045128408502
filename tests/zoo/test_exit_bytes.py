"""exit-bytes: trained, small, and its exits are worth what they cost."""

from __future__ import annotations

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo import load
from condsim.zoo.base import CHECKPOINTS, DECODERS, read_checkpoint
from condsim.zoo.exit_bytes import ExitBytes, angles, bits_of


@torch.inference_mode()
def test_later_exits_know_more_and_sure_bytes_are_easy() -> None:
    loaded = load("exit-bytes", batch=16, batches=1)
    model, ids = loaded.model, loaded.inputs[0]
    assert isinstance(model, ExitBytes)
    exits = model.every_exit(ids[:, :-1], torch.full_like(ids[:, :-1], 3), "all")
    bits = torch.stack([bits_of(logits, ids[:, 1:]) for logits in exits])
    means = bits.mean((1, 2))
    assert means[-1] < 2.5
    assert (means[:-1] > means[1:]).all()
    sure = exits[0].softmax(-1).amax(-1) > model.threshold
    assert 0.1 < sure.float().mean() < 0.6
    assert bits[0][sure].mean() < 0.5 * bits[0][~sure].mean()


def test_what_is_shipped() -> None:
    assert set(DECODERS) == {"exit-bytes"}
    assert (CHECKPOINTS / "exit-bytes.pt").stat().st_size < 2_000_000
    assert {"steps", "seed", "data_sha256"} <= set(read_checkpoint("exit-bytes")["about"])


def test_a_prompt_leaves_room_for_what_is_decoded() -> None:
    assert load("exit-bytes", batch=2, batches=1).new_tokens == 32
    with pytest.raises(CondsimError, match="seq must be at most 96"):
        load("exit-bytes", seq=97)


@pytest.mark.parametrize("way", ["all", "projected", "copied"])
def test_a_training_step_reaches_every_weight(way: str) -> None:
    torch.manual_seed(0)
    model = ExitBytes(hidden=16, heads=2, width=32, layers=3, exits=(1, 2), max_seq=32)
    ids = torch.randint(0, 256, (2, 9))
    model.loss(ids[:, :-1], ids[:, 1:], way).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_turning_keeps_lengths() -> None:
    cos, sin = angles(8, 5)
    x = torch.randn(5, 1, 8)
    turned = x * cos + x.roll(4, -1) * sin
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1), atol=1e-5)
