"""The header of a trace: files of decisions, and what older files say."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from condsim.trace import Header, Provenance, Site
from condsim.trace.header import ONE_A_POSITION, ONE_A_UNIT, UnitRows

PROVENANCE = Provenance(model="m", taken="2026-01-01", versions={})


def header(*sites: Site) -> Header:
    """A header of some sites."""
    return Header(name="t", sites=sites, captured={}, provenance=PROVENANCE)


def test_a_site_is_stored_under_its_own_name() -> None:
    assert Site(name="layers.1/mlp", mechanism="moe", branches=4).stored == "layers.1_mlp"


def test_two_sites_in_one_file_are_refused() -> None:
    one = Site(name="a/b", mechanism="moe", branches=4)
    two = Site(name="a b", mechanism="moe", branches=4)
    with pytest.raises(ValidationError, match="'a/b' and 'a b' are stored in one file, 'a_b'"):
        header(one, two)


def test_exits_of_a_chain_share_a_file() -> None:
    exits = []
    for level in range(2):
        name = f"exit{level}"
        exits.append(
            Site(
                name=name,
                mechanism="early_exit",
                branches=2,
                encoding="depth",
                stored="exits",
                level=level,
            )
        )
    assert len(header(*exits).sites) == 2


@pytest.mark.parametrize(("per_position", "rows"), [(True, ONE_A_POSITION), (False, ONE_A_UNIT)])
def test_older_files_say_whether_rows_are_positions(per_position: bool, rows: UnitRows) -> None:
    fields = {"name": "s", "mechanism": "moe", "branches": 4, "per_position": per_position}
    assert Site.model_validate(fields).unit_rows == rows


def test_rows_of_a_unit_follow_its_positions() -> None:
    assert UnitRows(a_position=1, a_unit=5).of(12) == 17
    assert UnitRows(a_position=0, a_unit=64).of(12) == 64
