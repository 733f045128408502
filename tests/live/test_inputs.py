"""Batches: the forms that inputs come in, and other sizes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condsim.errors import CondsimError
from condsim.live.inputs import as_batches, require_arguments, stretched

IMAGES = torch.randn(4, 1, 6, 6)
TOKENS = torch.arange(12).view(3, 4)
VECTORS = torch.randn(2, 5, 8)


@pytest.mark.parametrize(
    ("inputs", "units", "seq"),
    [
        (IMAGES, 4, None),
        (TOKENS, 3, 4),
        (VECTORS, 2, 5),
        ((VECTORS, 1.5), 2, 5),
        ({"input_ids": TOKENS, "use_cache": False}, 3, 4),
        ({"inputs_embeds": torch.randn(3, 4, 8), "input_ids": TOKENS}, 3, 4),
    ],
    ids=["images", "tokens", "vectors", "tuple", "dict", "vectors and tokens"],
)
def test_units_and_positions_are_found(inputs: Any, units: int, seq: int | None) -> None:
    (batch,) = as_batches(inputs)
    assert (batch.units, batch.seq) == (units, seq)


def test_lists_may_be_nested() -> None:
    assert [batch.units for batch in as_batches([TOKENS, [VECTORS, IMAGES]])] == [3, 2, 4]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "empty list"),
        ("text", "got str"),
        ({"use_cache": True}, "no tensor with a batch dimension"),
        (torch.zeros(0, 3), r"empty \(0 units\)"),
        (torch.tensor([[float("nan")]]), "NaN or infinite"),
    ],
)
def test_bad_inputs_are_named(inputs: Any, message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        as_batches(inputs)


@given(units=st.integers(1, 9), seq=st.integers(1, 9))
def test_resizing_changes_what_has_units_and_positions(units: int, seq: int) -> None:
    mask = torch.ones(3, 4, dtype=torch.int64)
    temperature = torch.ones(1)
    (batch,) = as_batches({"input_ids": TOKENS, "mask": mask, "temperature": temperature})
    resized = batch.resized(units, seq)
    assert (resized.units, resized.seq) == (units, seq)
    assert resized.kwargs["input_ids"].shape == resized.kwargs["mask"].shape == (units, seq)
    assert resized.kwargs["temperature"] is temperature


def test_resizing_keeps_the_positions_unless_asked() -> None:
    (batch,) = as_batches(TOKENS)
    resized = batch.resized(2)
    assert torch.equal(resized.args[0], TOKENS[:2])
    assert resized.seq == 4


def test_padding_stays_in_every_size() -> None:
    mask = torch.ones(3, 8, dtype=torch.int64)
    mask[1, :1] = 0
    mask[2, :6] = 0
    (batch,) = as_batches({"input_ids": torch.arange(24).view(3, 8), "mask": mask})
    assert batch.has_padding
    for units, seq in ((1, 3), (1, 30), (2, 8), (7, 5)):
        resized = batch.resized(units, seq)
        assert resized.has_padding
        places = resized.kwargs["input_ids"]
        assert torch.equal(resized.kwargs["mask"], mask.view(-1)[places])
    (whole,) = as_batches({"input_ids": TOKENS, "mask": torch.ones(3, 4, dtype=torch.int64)})
    assert not whole.has_padding


@pytest.mark.parametrize(
    ("more", "shape"),
    [
        (torch.arange(4)[None], (1, 6)),
        (torch.arange(4), (6,)),
        (torch.ones(4, 4, dtype=torch.bool), (6, 6)),
        (torch.ones(3, 4, 4, dtype=torch.bool), (2, 6, 6)),
        (torch.ones(3, 1, 4, 4), (2, 1, 6, 6)),
        (torch.ones(3, 4, 4), (2, 6, 4)),
        (torch.ones(3), (2,)),
        (torch.ones(5, 7), (5, 7)),
    ],
    ids=["a row", "places", "pairs", "pairs of units", "4D", "vectors", "of units", "neither"],
)
def test_what_follows_the_length_is_told_by_its_shape(
    more: torch.Tensor, shape: tuple[int, ...]
) -> None:
    (batch,) = as_batches((TOKENS, more))
    assert batch.resized(2, 6).args[1].shape == shape


def test_another_axis_may_hold_the_positions() -> None:
    signals, mask = torch.randn(2, 3, 16), torch.ones(2, 16)
    (batch,) = as_batches((signals, mask), sequence_axis=2)
    assert batch.seq == 16
    assert [value.shape for value in batch.resized(4, 9).args] == [(4, 3, 9), (4, 9)]
    (fixed,) = as_batches((signals, mask), sequence_axis=None)
    assert fixed.seq is None
    assert fixed.resized(4).args[0].shape == (4, 3, 16)


def test_inputs_with_labels_are_no_two_batches() -> None:
    with pytest.raises(CondsimError, match=r"\(inputs, labels\) of a DataLoader"):
        as_batches([[IMAGES, torch.zeros(4)], [IMAGES, torch.zeros(4)]])


def test_what_forward_does_not_take_is_named() -> None:
    model = torch.nn.Linear(8, 8)
    require_arguments(model, as_batches(VECTORS))
    with pytest.raises(CondsimError, match=r"Linear takes .*batch 1 does not fit .*too many"):
        require_arguments(model, as_batches([VECTORS, (VECTORS, TOKENS)]))
    with pytest.raises(CondsimError, match="unexpected keyword argument 'mask'"):
        require_arguments(model, as_batches({"input": VECTORS, "mask": TOKENS}))


def test_some_units() -> None:
    (batch,) = as_batches((TOKENS, torch.tensor(1.0)))
    some = batch.rows(1, 3)
    assert torch.equal(some.args[0], TOKENS[1:3])
    assert some.args[1].ndim == 0
    assert some.units == 2


@given(rows=st.integers(1, 9), positions=st.integers(1, 9))
def test_stretching_repeats_or_cuts(rows: int, positions: int) -> None:
    result = stretched(TOKENS, rows, positions)
    for row in range(rows):
        for position in range(positions):
            assert result[row, position] == TOKENS[row % 3, position % 4]
