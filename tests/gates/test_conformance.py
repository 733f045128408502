"""Gate 3: lowering gives what PyTorch runs, under every strategy and both baselines.

Operators with sizes and weights of each segment, host synchronisations, peak memory.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from gates.harness import assignments, forced_pairs, own_pairs
from gates.models import NAMES, case


@pytest.mark.parametrize("name", NAMES)
def test_random_decisions(name: str) -> None:
    for strategy in assignments(name):
        for pair in forced_pairs(name, strategy):
            pair.assert_conforms()


@pytest.mark.parametrize("name", NAMES)
def test_decisions_of_the_trace_at_other_batch_sizes(name: str, tmp_path: Path) -> None:
    reloaded = condsim.load(case(name).trace.save(tmp_path / name))
    for strategy in assignments(name):
        for pair in own_pairs(reloaded, name, strategy):
            pair.assert_conforms()
