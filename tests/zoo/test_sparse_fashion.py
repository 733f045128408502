"""The shipped RigL training: its network, its masks."""

from __future__ import annotations

import numpy as np
import torch

from condsim.live.masks import masks_now
from condsim.zoo import load
from condsim.zoo.sparse_fashion import SparseFashion


def test_it_has_learned_with_one_weight_in_ten() -> None:
    example = load("sparse-fashion", batches=4)
    right = []
    with torch.no_grad():
        for number, images in enumerate(example.inputs):
            assert example.quality is not None
            right.append(example.quality(example.model(images), number))
    assert np.concatenate(right).mean() > 0.85


def test_its_masks_over_the_training_are_kept() -> None:
    example = load("sparse-fashion", batches=1)
    history = example.masks
    assert history is not None
    assert history.iterations[0] == 0
    last = history.masks(len(history) - 1)
    for name, mask in masks_now(example.model).items():
        assert np.array_equal(last[name], mask)
    weights = sum(mask.size for mask in last.values())
    for entry in range(len(history)):
        there = sum(int(mask.sum()) for mask in history.masks(entry).values())
        assert abs(there / weights - 0.1) < 1e-4


def test_masks_are_drawn_at_the_density_that_is_asked_for() -> None:
    torch.manual_seed(0)
    model = SparseFashion((40, 20), density=0.25)
    model.begin()
    masks = masks_now(model)
    there = sum(int(mask.sum()) for mask in masks.values())
    assert abs(there / (784 * 40 + 40 * 20) - 0.25) < 1e-3


def test_a_dense_network_has_no_masks() -> None:
    assert masks_now(SparseFashion((8, 4), density=1.0)) == {}
