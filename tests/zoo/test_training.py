"""Training: models can be trained again, by a rate that warms up, on shuffled batches."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo import load, train
from condsim.zoo.data import fashion_sample
from condsim.zoo.training import ShuffledBatches, learning_rate_factor
from zoo.conftest import IMAGES, TEXT


@pytest.mark.parametrize("name", TEXT)
def test_language_models_can_be_trained_again(name: str, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    path = train(name, steps=2, folder=tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert path.exists()
    assert load(name, folder=tmp_path).inputs


@pytest.mark.parametrize("name", IMAGES)
def test_image_models_can_be_trained_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = fashion_sample()
    module = importlib.import_module(f"condsim.zoo.{name.replace('-', '_')}")
    monkeypatch.setattr(module, "fashion_training", lambda: (images, labels, "0" * 64))
    monkeypatch.setattr(module, "VALIDATION_IMAGES", 500)
    train(name, steps=2, folder=tmp_path)
    assert load(name, folder=tmp_path).inputs


def test_no_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="steps must be at least 1, got 0"):
        train("moe-bytes", steps=0, folder=tmp_path)


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, steps=100) for step in range(101)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[50] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)


def test_an_epoch_visits_every_row_once() -> None:
    torch.manual_seed(0)
    batches = ShuffledBatches(10, 3)
    epochs = [torch.cat([batches(3 * epoch + i) for i in range(3)]) for epoch in range(2)]
    for rows in epochs:
        assert len(rows.unique()) == 9  # a last partial batch is dropped
        assert int(rows.max()) < 10
    assert not torch.equal(*epochs)
