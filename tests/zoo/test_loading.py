"""Loading: sizes that make sense, and qualities that are right."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo import load
from condsim.zoo.loading import accuracy, bits_a_byte


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("skip-fashion", {"batch": 0}, "batch must be at least 1, got 0"),
        ("skip-fashion", {"batches": 0}, "batches must be at least 1, got 0"),
        ("skip-fashion", {"batch": 2049}, "batch must be at most 2048, got 2049"),
        ("skip-fashion", {"seq": 3}, "have no seq"),
        ("sparse-bytes", {"seq": 300}, "seq must be at most 256, got 300"),
        ("sparse-bytes", {"seq": 0}, "seq must be at least 1, got 0"),
    ],
)
def test_bad_sizes_are_refused(name: str, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        load(name, **sizes)


def test_inputs_have_the_sizes_that_were_asked_for() -> None:
    images = load("skip-fashion", batch=500, batches=9).inputs
    assert [batch.shape for batch in images] == [(500, 1, 28, 28)] * 4
    text = load("moe-bytes", batch=3, batches=2, seq=17).inputs
    assert [batch.shape for batch in text] == [(3, 17)] * 2


def test_quality_is_judged_by_the_labels_of_the_batch() -> None:
    of_images = accuracy((torch.tensor([0, 1]), torch.tensor([1, 1])))
    logits = torch.tensor([[2.0, 1.0], [2.0, 1.0]])
    assert of_images(logits, 0).tolist() == [1.0, 0.0]
    assert of_images(logits, 1).tolist() == [0.0, 0.0]


def test_equal_logits_take_eight_bits_a_byte() -> None:
    of_text = bits_a_byte((torch.zeros(2, 5, dtype=torch.int64),))
    assert of_text(torch.zeros(2, 5, 256), 0).tolist() == pytest.approx([math.log2(256)] * 2)
