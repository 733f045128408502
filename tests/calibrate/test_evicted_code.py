"""What operators cost more when data evicted their code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condsim.calibrate.code_locality import calls
from condsim.calibrate.evicted_code import AFTER_OTHERS, STRAIGHT, AfterOtherData
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Yardstick


def test_costs_rise_with_the_bytes_that_were_read() -> None:
    with torch.inference_mode():
        timings = AfterOtherData(Pool(), (0.5, 1.0), Yardstick())
        timings.round()
    table = timings.table()
    assert table.distance == [5e5, 1e6]
    assert table.own_s.keys() == calls(Pool()).keys()
    assert table.shared_s == sorted(table.shared_s)
    assert table.share == sorted(table.share)
    assert all(0 <= share <= 1 for share in table.share)


def test_what_other_operators_bring_back_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    timings = AfterOtherData(Pool(), (1.0, 2.0), Yardstick(readings=1))
    one_for_each_operator = np.ones(len(calls(Pool())))
    extra_s = {
        STRAIGHT: np.outer([5.0, 7.0], one_for_each_operator),
        AFTER_OTHERS: np.outer([1.0, 2.0], one_for_each_operator),
    }
    monkeypatch.setattr(timings, "_extra_s", extra_s.get)
    table = timings.table()
    assert table.shared_s == [4.0, 5.0]
    assert table.share == pytest.approx([0.5, 1.0])
    assert set(table.own_s.values()) == {2.0}
