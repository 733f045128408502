"""Probing: sizes, forced decisions, and the names of programs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from condsim.capture.probe import execution_for, key, probing_sizes, rows_per_site
from condsim.capture.sizes import USUAL_LENGTHS, Lengths
from condsim.live.execution import SiteInfo
from condsim.mechanisms import MECHANISMS
from condsim.program.regime import PREFILL, Regime
from condsim.trace.header import ONE_A_POSITION, ONE_A_UNIT

BRANCHES = 4
ROWS = 12


def infos() -> Iterator[SiteInfo]:
    """A site of each mechanism."""
    for name, mechanism in MECHANISMS.items():
        yield SiteInfo(name, name, BRANCHES, top_k=2 if mechanism.mixes_experts else None)


def test_a_program_is_named_after_strategies_and_regime() -> None:
    regime = Regime(PREFILL, single=True)
    assert key({"moe": "grouped"}, regime) == "grouped/prefill-1"
    assert key({"skip": "masked", "moe": "looped"}, regime) == "moe=looped,skip=masked/prefill-1"


@pytest.mark.parametrize("lengths", [USUAL_LENGTHS, Lengths(2, 8), None])
def test_a_single_unit_is_probed_alone(lengths: Lengths | None) -> None:
    single = probing_sizes(Regime(PREFILL, single=True), lengths)
    several = probing_sizes(Regime(PREFILL, single=False), lengths)
    assert {units for units, _ in single} == {1}
    assert min(units for units, _ in several) > 1


@pytest.mark.parametrize("single", [True, False])
def test_lengths_are_spread_over_those_that_the_model_runs(single: bool) -> None:
    sizes = probing_sizes(Regime(PREFILL, single), Lengths(4, 16))
    positions = {positions or 0 for _, positions in sizes}
    assert min(positions) == 4
    assert max(positions) == 16
    assert len(positions) >= 5


def test_rows_are_units_or_positions() -> None:
    sites = {info.name: info for info in infos()}
    unit_rows = {name: ONE_A_POSITION if name == "moe" else ONE_A_UNIT for name in sites}
    rows = rows_per_site(sites, unit_rows, 3, 5)
    assert {name for name, number in rows.items() if number == 15} == {"moe"}
    assert set(rows_per_site(sites, unit_rows, 3, None).values()) == {3}


@pytest.mark.parametrize("info", [*infos()], ids=lambda info: info.name)
def test_forced_decisions_are_decisions_of_every_row(info: SiteInfo) -> None:
    mechanism = MECHANISMS[info.mechanism]
    for run in range(8):
        execution = execution_for({}, {info.name: info}, {info.name: ROWS}, run, {})
        assert execution.forced is not None
        ids = execution.forced[info.name]
        assert len(ids) == ROWS
        kept = execution.rows_kept[info.name]
        if mechanism.keeps_tokens:
            assert set(ids) <= {0, 1}
            assert 1 <= kept[1] <= max(ROWS, 2)
            continue
        assert len(kept) == BRANCHES
        if mechanism.selects_blocks:
            assert ids.shape == (ROWS, BRANCHES)
        else:
            assert ids.min() >= 0
            assert ids.max() < BRANCHES


def test_a_run_is_repeated_exactly() -> None:
    sites = {info.name: info for info in infos()}
    rows = dict.fromkeys(sites, ROWS)
    one, again = (execution_for({}, sites, rows, 3, {}) for _ in range(2))
    assert one.forced is not None
    assert again.forced is not None
    for name in sites:
        np.testing.assert_array_equal(one.forced[name], again.forced[name])
