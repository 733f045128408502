"""A model on several devices in words: shares add up, and every load has its verdict."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from condsim.catalogue.parts.loads import Load
from condsim.predict.verdict import FASTER, SLOWER
from condsim.show.ranks import loads_lines, waits_line


def test_the_shares_of_a_step_are_of_the_whole() -> None:
    devices = pd.DataFrame(
        {
            "rank": [0, 1],
            "seconds": [0.004, 0.006],
            "waiting_s": [0.002, 0.0],
            "communication_s": [0.002, 0.002],
        }
    )
    line = waits_line(devices)
    shares = [float(share) for share in re.findall(r"([\d.]+)%", line)]
    assert shares == [62.5, 12.5, 25.0]
    assert sum(shares) == pytest.approx(100)
    assert "rank 1 works longest (6.00 ms)" in line


def test_each_load_has_its_verdict() -> None:
    loads = [Load(8, 0.5, 0.004, SLOWER), Load(512, 2.0, 0.01, FASTER)]
    slow, fast = loads_lines(loads, "same-params")
    assert slow.startswith("batch 8: 0.50x over same-params")
    assert slow.endswith("does not pay")
    assert fast.endswith("10.0 ms a step: pays")
