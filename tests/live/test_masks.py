"""Masks of a model and their history."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from condsim.errors import CondsimError
from condsim.live.masks import MaskHistory, masked_layers, masks_now


def network(density: float = 0.3) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    prune.custom_from_mask(model[0], "weight", torch.rand(5, 6) < density)
    return model


def test_layers_with_masks_are_found() -> None:
    assert list(masked_layers(network())) == ["0"]
    assert masked_layers(nn.Linear(2, 2)) == {}


def test_another_kind_of_layer_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    prune.identity(model[0], "weight")
    with pytest.raises(CondsimError, match=r"module '0'.*Conv2d.*nn\.Linear"):
        masked_layers(model)


def test_a_history_gives_back_what_was_added() -> None:
    model, history = network(), MaskHistory()
    history.add(model, 0)
    first = masks_now(model)["0"]
    model[0].weight_mask.zero_()[1, 2] = 1.0
    history.add(model, 100)
    assert np.array_equal(history.masks(0)["0"], first)
    assert np.argwhere(history.masks(1)["0"]).tolist() == [[1, 2]]
    assert history.iterations == [0, 100]
    packed = {"0": history.packed("0")}
    again = MaskHistory.unpacked(history.iterations, packed, {"0": 6})
    assert np.array_equal(again.masks(0)["0"], first)
    assert np.array_equal(history.some([1]).masks(0)["0"], history.masks(1)["0"])


def test_iterations_rise() -> None:
    history = MaskHistory()
    history.add(network(), 5)
    with pytest.raises(CondsimError, match="iteration must be above 5, the one before, got 5"):
        history.add(network(), 5)


def test_a_model_without_masks_is_refused() -> None:
    with pytest.raises(CondsimError, match="no layer has weight_orig and weight_mask"):
        MaskHistory().add(nn.Sequential(nn.Linear(2, 2)), 0)


def test_masks_of_another_model_are_refused() -> None:
    history = MaskHistory()
    with pytest.raises(CondsimError, match="no entry"):
        history.check(network())
    history.add(network(), 0)
    other = nn.Sequential(nn.Linear(4, 4))
    prune.identity(other[0], "weight")
    with pytest.raises(CondsimError, match=r"of 0 \[5, 6\], and the model has masks on 0 \[4, 4\]"):
        history.check(other)
    with pytest.raises(CondsimError, match="other layers, or of other sizes"):
        history.put({"0": np.ones((2, 2), bool)}, 1)
