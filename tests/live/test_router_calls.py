"""What stands in for a router in a baseline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from condsim.live.router_calls import RouterCall, StandIn


@pytest.mark.parametrize("flat", [True, False])
def test_a_stand_in_has_as_many_rows_as_its_call(flat: bool) -> None:
    def scores(units: int) -> torch.Tensor:
        return torch.ones(units * 3, 5) if flat else torch.ones(units, 3, 5)

    stand_in = StandIn.of((torch.ones(2, 3, 8),), {}, (scores(2), torch.tensor(1.5), "kept"))
    logits, loss, kept = stand_in((), {"x": torch.ones(4, 3, 8)})
    assert logits.shape == scores(4).shape
    assert not logits.any()
    assert loss.shape == ()
    assert kept == "kept"


def test_only_a_call_that_gives_ids_may_be_a_routers() -> None:
    module, x = nn.Identity(), torch.ones(2, 4)
    ids: Any = torch.zeros(2, 1, dtype=torch.int64)
    call = RouterCall.of(module, (x,), {}, (x, ids))
    assert call is not None
    assert call.gave(ids)
    assert not call.gave(ids.clone())
    assert RouterCall.of(module, (x,), {}, x) is None
