"""Masks that move: how many, which go, which come."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from condsim.errors import CondsimError
from condsim.live.mask_updates import GROWTH, erdos_renyi, falling_share, move, move_all


def test_the_smallest_go_and_the_most_wanted_come() -> None:
    weight = torch.tensor([[0.1, -5.0, 3.0], [9.0, -0.2, 9.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    scores = torch.tensor([0.0, 0.0, 0.0, 2.0, 0.0, 1.0])
    move(weight, mask, 2, scores)
    assert mask.tolist() == [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert weight[1].tolist() == [0.0, pytest.approx(-0.2), 0.0]
    assert weight[0, 1].item() == -5.0


@pytest.mark.parametrize("growth", ["set", "rigl"])
def test_as_many_weights_are_there_as_before(growth: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    prune.custom_from_mask(layer, "weight", torch.rand(10, 20) < 0.3)
    layer.weight_orig.grad = torch.randn(10, 20)
    before = layer.weight_mask.clone()
    move_all({"layer": layer}, 0.5, GROWTH[growth]())
    assert layer.weight_mask.sum() == before.sum()
    assert not torch.equal(layer.weight_mask, before)


def test_rigl_needs_gradients() -> None:
    layer = nn.Linear(4, 4)
    prune.identity(layer, "weight")
    with pytest.raises(CondsimError, match="no gradient"):
        move_all({"layer": layer}, 0.5, GROWTH["rigl"]())


def test_the_share_falls_as_a_cosine() -> None:
    assert falling_share(0, 1000) == pytest.approx(0.3)
    assert falling_share(375, 1000) == pytest.approx(0.15)
    assert falling_share(750, 1000) == 0.0


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5, 0.9])
def test_layers_have_as_many_weights_as_asked_for(density: float) -> None:
    shapes = {"wide": (300, 784), "narrow": (100, 300), "tiny": (4, 5)}
    found = erdos_renyi(shapes, density)
    total = sum(found[name] * out * into for name, (out, into) in shapes.items())
    every = sum(out * into for out, into in shapes.values())
    assert total == pytest.approx(density * every)
    assert all(0 < of_layer <= 1 for of_layer in found.values())
    assert found["wide"] <= found["narrow"] <= found["tiny"]
