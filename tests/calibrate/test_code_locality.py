"""What operators cost more among others than alone."""

from __future__ import annotations

import numpy as np
import torch

from condsim.calibrate.code_locality import (
    AmongOthers,
    calls,
    cycle,
    light_operators,
    middle,
    visits,
)
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Yardstick


def test_every_operator_that_is_drawn_has_a_call() -> None:
    assert set(light_operators()) < set(calls(Pool()))


def test_every_call_runs() -> None:
    with torch.inference_mode():
        for call in calls(Pool()).values():
            call()


def test_a_cycle_runs_its_calls_in_order() -> None:
    called: list[str] = []
    order = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    times, readings = visits(order, Yardstick(), 3)
    assert called == ["a", "b"] * 3
    assert times.shape == (3, 2)
    assert readings.shape == (3,)
    assert cycle(order, Yardstick(), 4).keys() == order.keys()


def test_disturbed_cycles_do_not_count_where_others_are_left() -> None:
    yardstick = Yardstick(readings=5)
    fast, slow = yardstick.limit_s, 2 * yardstick.limit_s
    times = np.array([[1.0, 2.0], [9.0, 9.0]])
    assert middle(times, np.array([fast, slow]), yardstick).tolist() == [1.0, 2.0]
    assert middle(times, np.array([slow, slow]), yardstick).tolist() == [5.0, 5.5]


def test_all_of_the_extra_appears_among_all_operators() -> None:
    with torch.inference_mode():
        among = AmongOthers(Pool(), 2, Yardstick())
        among.round()
    table = among.table()
    assert table.extra_s.keys() == calls(Pool()).keys()
    assert table.distinct[-1] == len(table.extra_s)
    assert table.share == sorted(table.share)
    assert table.share[-1] == 1.0
    assert min(table.extra_s.values()) >= 0
