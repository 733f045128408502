"""What operators cost more when their code was evicted."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch

from condsim.calibrate import evicted_code
from condsim.calibrate.code_locality import calls
from condsim.calibrate.evicted_code import STRAIGHT, EvictedCode, Meanwhile
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Yardstick


def test_costs_rise_with_what_happened_meanwhile() -> None:
    with torch.inference_mode():
        timings = EvictedCode(Pool(), (0.5, 1.0), (1e-4, 2e-4), Yardstick())
        timings.round()
    table = timings.table()
    assert table.distance == [5e5, 1e6]
    assert table.products_s == [1e-4, 2e-4]
    assert table.own_s.keys() == calls(Pool()).keys()
    for rising in (table.shared_s, table.share, table.shared_after_products_s):
        assert rising == sorted(rising)
        assert rising[0] >= 0
    assert table.share[-1] <= 1


def test_what_other_operators_bring_back_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads cost an operator's own code 1 and 2 s, and 4 and 5 s straight after; products 3 and
    7 s."""
    timings = EvictedCode(Pool(), (1.0, 2.0), (0.1,), Yardstick(readings=1))
    own_s, shared_s = [0.0, 1.0, 2.0, 3.0], [0.0, 3.0, 3.0, 4.0]

    def extra_s(way: int, number: int, names: Sequence[str]) -> dict[str, float]:
        seconds = own_s[number] + (shared_s[number] if way == STRAIGHT else 0.0)
        return dict.fromkeys(names, seconds)

    monkeypatch.setattr(timings, "_extra_s", extra_s)
    table = timings.table()
    assert table.shared_s == [3.0, 3.0]
    assert table.share == pytest.approx([0.5, 1.0])
    assert set(table.own_s.values()) == {2.0}
    assert table.shared_after_products_s == [4.0]
    assert table.share_after_products == pytest.approx([1.5])


def test_products_run_for_their_time_after_the_read(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    products = itertools.cycle([lambda: happened.append("a"), lambda: happened.append("b")])
    now = iter([0.0, 0.001, 0.004, 0.007, 0.01])
    monkeypatch.setattr(evicted_code.time, "perf_counter", lambda: next(now))
    Meanwhile(lambda: happened.append("read"), products, 0.01)()
    assert happened == ["read", "a", "b", "a"]
