"""What a model raises is one line that names the module, with the error as its cause."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.failures import one_line


def test_the_innermost_module_is_named_and_the_cause_is_kept() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(3, 3)))
    match = r"^1\.0: the forward fails \(RuntimeError: mat1 .*\); look at it$"
    with (
        pytest.raises(CondsimError, match=match) as error,
        one_line(model, "the forward", "look at it"),
    ):
        model(torch.ones(2, 4))
    assert isinstance(error.value.__cause__, RuntimeError)


def test_a_refusal_stays_as_it_is() -> None:
    with pytest.raises(CondsimError, match=r"^no$"), one_line(nn.Identity(), "", ""):
        raise CondsimError("no")
