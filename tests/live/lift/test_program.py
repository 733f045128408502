"""The function of a call, without changes in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node
from condsim.live.lift.program import functional
from condsim.live.lift.tape import Tape


def last_call(forward: Callable[[torch.Tensor], Any]) -> Node:
    """The last call of a forward on rows [4, 3]."""
    tape = Tape(nn.Identity(), lone=True).run(forward, (torch.ones(4, 3),), {})
    return tape.nodes[-1]


def add_in_place(x: torch.Tensor) -> torch.Tensor:
    x += 1
    return x


@pytest.mark.parametrize(
    ("forward", "arguments", "expected"),
    [
        (lambda x: x.mul_(2), (2,), 2.0),
        (add_in_place, (1,), 2.0),
        (lambda x: torch.relu(x), (), 1.0),
    ],
)
def test_a_call_gives_a_new_tensor(
    forward: Callable[[torch.Tensor], Any], arguments: tuple[Any, ...], expected: float
) -> None:
    function, more = functional(last_call(forward))
    x = torch.ones(4, 3)
    assert (function(x, *arguments, **more) == expected).all()
    assert (x == 1).all()


def test_an_argument_that_asks_for_a_change_is_taken_back() -> None:
    node = last_call(lambda x: nn.functional.relu(x, inplace=True))
    _, more = functional(node)
    assert more == {"inplace": False}


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda x: torch.rand_like(x), "it draws random numbers"),
        (lambda x: x.zero_(), "it changes a tensor in place by zero_"),
        (lambda x: x.__setitem__((0, 0), 2.0), "it writes into single rows or columns"),
    ],
)
def test_what_has_no_such_function_is_refused(
    forward: Callable[[torch.Tensor], Any], reason: str
) -> None:
    with pytest.raises(NotLiftable, match=reason):
        functional(last_call(forward))
