"""Each method trains its model for a few steps, and its routing is watched."""

import pytest
import torch

import condsim.zoo.methods._skips as skips
from condsim.decide.methods.run import train_all, train_by
from condsim.errors import CondsimError
from condsim.zoo.data import fashion_sample
from condsim.zoo.methods.base import METHODS


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = fashion_sample()
    monkeypatch.setattr(skips, "fashion_training", lambda: (images, labels, "0" * 64))
    monkeypatch.setattr(skips, "VALIDATION_IMAGES", 500)


def test_a_training_is_watched_and_judged() -> None:
    state = torch.get_rng_state()
    found = train_all(["skip-reinforce"], steps=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.quality["model"].tolist() == ["skip-fashion"]
    assert 0 <= found.quality["quality"][0] <= 1
    assert found.history["trained"].unique().tolist() == [0, 1]
    assert found.history["site"].nunique() == 8


def test_no_steps_and_unknown_methods_are_refused() -> None:
    with pytest.raises(CondsimError, match="steps must be at least 1, got 0"):
        train_by("moe-unbalanced", steps=0)
    with pytest.raises(CondsimError, match="training method 'moe-magic'"):
        train_by("moe-magic")


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("skip")])
def test_gates_of_skips_get_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    method = METHODS[name]()
    method.loss(0, 10).backward()  # type: ignore[no-untyped-call]
    gates = [weight for name, weight in method.in_use().named_parameters() if "gates" in name]
    trained = [weight for weight in method.parameters() if weight.grad is not None]
    assert gates
    assert any(weight.grad.abs().sum() > 0 for weight in trained)
