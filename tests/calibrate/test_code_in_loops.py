"""What is left of what calls cost more among others where they run over and over."""

from __future__ import annotations

import pytest
import torch

from condsim.calibrate import code_in_loops
from condsim.calibrate.code_in_loops import LoopsOfCode, loop_seconds
from condsim.hardware import Among
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Yardstick


def test_a_loop_runs_its_sequence_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_in_loops, "WARM_CALLS", 5)
    monkeypatch.setattr(code_in_loops, "STRETCH_CALLS", 4)
    monkeypatch.setattr(code_in_loops, "STRETCHES", 3)
    called: list[str] = []
    seconds = loop_seconds([lambda: called.append("a"), lambda: called.append("b")])
    assert seconds > 0
    assert called == ["a", "b"] * (3 + 3 * 2)


def test_the_share_is_of_what_all_others_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence that takes half as much more than each alone as among all has half of it left."""
    monkeypatch.setattr(code_in_loops, "DISTINCT", (2,))
    monkeypatch.setattr(code_in_loops, "DRAWS", 1)
    monkeypatch.setattr(code_in_loops, "measure", lambda calls, *_, **__: dict.fromkeys(calls, 1.0))
    monkeypatch.setattr(code_in_loops, "loop_seconds", lambda calls: 1.5 * len(calls))
    with torch.inference_mode():
        loops = LoopsOfCode(Pool(), Yardstick(readings=1))
        loops.round()
    names = code_in_loops.light_operators()
    extra_s = dict.fromkeys([*names, *loops._calls], 1.0)
    among = Among(extra_s=extra_s, other_s=1.0, distinct=[1.0], share=[1.0])
    table = loops.table(among)
    assert table.distinct == [1.0, 2.0, float(len(names))]
    assert table.share == pytest.approx([0.0, 0.5, 0.5])
