"""The header of a captured trace."""

from __future__ import annotations

import pytest
from gates.models import case

from condsim.capture.header import Labels, chained_exits
from condsim.errors import CondsimError
from condsim.live.execution import SiteInfo
from condsim.trace.header import ONE_A_POSITION, ONE_A_UNIT

FIRST = SiteInfo("first", "early_exit", 2)
SECOND = SiteInfo("second", "early_exit", 2, parents=(("first", 1),))
APART = SiteInfo("apart", "early_exit", 2)
SKIP = SiteInfo("skip", "skip", 2, parents=(("first", 1),))


def chain(*infos: SiteInfo, positions: str = "") -> list[str]:
    """The chain of exits. positions: the site whose rows are positions."""
    by_name = {info.name: info for info in infos}
    unit_rows = {name: ONE_A_POSITION if name == positions else ONE_A_UNIT for name in by_name}
    return chained_exits(by_name, unit_rows)


def test_exits_behind_one_another_are_one_number_a_row() -> None:
    assert chain(SECOND, FIRST) == ["first", "second"]
    assert chain(FIRST, SKIP) == ["first"]


def test_exits_beside_one_another_are_no_chain() -> None:
    assert chain(FIRST, APART) == []


def test_exits_of_positions_are_no_chain() -> None:
    assert chain(FIRST, positions="first") == []


def test_sites_say_what_a_row_costs() -> None:
    header = case("marked").trace.header
    sites = {site.name: site for site in header.sites}
    assert sites["exit"].encoding == "depth"
    assert sites["mix"].top_k == 2
    assert len(set(sites["mix"].branch_flops)) == 1
    assert sites["jump"].branch_flops[0] == 0
    assert sites["jump"].branch_flops[1] > 0
    assert header.provenance.model.endswith("Marked")
    assert header.provenance.parameters == sum(p.numel() for p in case("marked").model.parameters())


@pytest.mark.parametrize("name", ["x" * 201, "two\nlines", "\x1b[2J"])
def test_a_name_that_no_trace_can_have_is_refused_before_anything_runs(name: str) -> None:
    with pytest.raises(CondsimError, match="name: it must"):
        Labels(name)
