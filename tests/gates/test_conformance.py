"""Gate 3: lowering gives what PyTorch runs, under every strategy and both baselines: operators, sizes and weights a segment, synchronisations, peak memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.trace import Trace
from gates.harness import assignments, forced_pairs, own_pairs
from gates.models import NAMES, case


@pytest.fixture(scope="session")
def reloaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trace]:
    """Traces that went through a folder."""
    folder: Path = tmp_path_factory.mktemp("traces")
    return {name: condsim.load(case(name).trace.save(folder / name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_random_decisions(name: str) -> None:
    for strategy in assignments(name):
        for pair in forced_pairs(name, strategy):
            pair.assert_conforms()


@pytest.mark.parametrize("name", NAMES)
def test_decisions_of_the_trace_at_other_batch_sizes(name: str, reloaded: dict[str, Trace]) -> None:
    for strategy in assignments(name):
        for pair in own_pairs(reloaded[name], name, strategy):
            pair.assert_conforms()
