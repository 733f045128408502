"""One operator of several passes."""

from __future__ import annotations

import pytest

from condsim.capture.fit_operator import (
    KnownForms,
    Misfit,
    OperatorFit,
    ScopePass,
    common_name,
)
from condsim.record.events import RecordedOp, RecordedTensor
from condsim.record.nest import RunScope


def linear(rows: int, weight: str = "body.weight", width: int = 4) -> RecordedOp:
    """A linear layer on so many rows."""
    inputs = [RecordedTensor((rows, 3), "float"), RecordedTensor((width, 3), "float", weight)]
    outputs = [RecordedTensor((rows, width), "float")]
    allocs = [(rows * width, "float")]
    return RecordedOp(
        "linear", inputs, outputs, (), "", "", "body", 1, 40 + rows, False, False, allocs
    )


def passes(*rows: int) -> list[ScopePass]:
    """A pass for each number of rows."""
    return [ScopePass(RunScope(), {"batch": number}, {}) for number in rows]


def test_sizes_become_forms() -> None:
    fit = OperatorFit([linear(2), linear(3), linear(7)], passes(2, 3, 7), KnownForms())
    fitted = fit.fitted()
    assert fit.exact
    assert fitted.inputs[0].shape({"batch": 50}) == (50, 3)
    assert fitted.inputs[1].weight == "body.weight"
    assert fitted.allocs[0][0]({"batch": 50}) == 200
    assert fitted.instructions == 42


def test_a_size_without_a_form_is_kept_and_said() -> None:
    fit = OperatorFit([linear(4), linear(9), linear(49)], passes(2, 3, 7), KnownForms())
    assert fit.fitted().inputs[0].shape({"batch": 50}) == (49, 3)
    assert not fit.exact


def test_different_weights_are_different_operators() -> None:
    with pytest.raises(Misfit, match="operator 'linear' in body differs between runs"):
        OperatorFit([linear(2), linear(3, "other.weight")], passes(2, 3), KnownForms())


@pytest.mark.parametrize(
    ("names", "choices", "expected"),
    [
        (["a.b", "a.b"], [0, 1], "a.b"),
        (["layers.0.experts.0.up", "layers.0.experts.1.up"], [0, 1], "layers.0.experts.*.up"),
        (["experts.expert_0.wi", "experts.expert_11.wi"], [0, 11], "experts.expert_*.wi"),
        (["experts.expert_0", "experts.expert_11"], [0, 1], None),
        (["0.experts.0", "0.experts.0"], [0, 0], "0.experts.0"),
        (["experts.0", "experts.2"], [0, 1], None),
        (["a", "b"], [-1, -1], None),
    ],
)
def test_the_number_of_the_choice_is_a_star(
    names: list[str], choices: list[int], expected: str | None
) -> None:
    assert common_name(names, choices) == expected
