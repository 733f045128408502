"""Noise on the zoo's inputs."""

from __future__ import annotations

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo import load
from condsim.zoo.noise import BLACK, NOISE


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_gaussian_noise_has_its_deviation() -> None:
    clean = torch.zeros(64, 1, 28, 28)
    spoiled = NOISE["gaussian"].spoil(clean, 0.5, random())
    assert spoiled.std().item() == pytest.approx(0.5, rel=0.02)


def test_an_occlusion_hides_a_square_of_each_image() -> None:
    spoiled = NOISE["occlusion"].spoil(torch.ones(32, 1, 28, 28), 8, random())
    hidden = spoiled == torch.tensor(BLACK)
    assert hidden.sum(dim=(1, 2, 3)).tolist() == [64] * 32
    assert (hidden.any(dim=2).sum(dim=-1) == 8).all()


def test_a_share_of_the_bytes_is_replaced() -> None:
    text = torch.full((64, 64), 300)
    spoiled = NOISE["bytes"].spoil(text, 0.2, random())
    assert (spoiled != text).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert spoiled[spoiled != text].max() < 256


def test_an_example_is_noisy_and_repeats() -> None:
    clean = load("exit-fashion", batches=2)
    first, again = (load("exit-fashion", batches=2, settings={"gaussian": 1}) for _ in range(2))
    assert torch.equal(first.inputs[1], again.inputs[1])
    assert not torch.equal(first.inputs[1], clean.inputs[1])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("moe-bytes", {"gaussian": 1}, "is for images, 'moe-bytes' takes text"),
        ("exit-fashion", {"occlusion": 29}, "from 0 to 28, got 29"),
        ("exit-fashion", {"sharpness": 1}, "no setting 'sharpness'; what can be set is threshold"),
        ("moe-bytes", {"top_k": 1.5}, "a whole number from 1 to 8, got 1.5"),
        ("moe-bytes", {"top_k": 9}, "from 1 to 8, got 9"),
    ],
)
def test_what_cannot_be_set_is_refused(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        load(name, batches=1, settings=settings)
