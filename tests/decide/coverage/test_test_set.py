"""A test set of a trace shows what all of its inputs show."""

from __future__ import annotations

import pytest

from condsim.decide.coverage.test_set import smallest_test_set
from condsim.errors import CondsimError
from condsim.trace import Trace


def test_a_test_set_shows_everything(exits: Trace) -> None:
    chosen = smallest_test_set(exits, "paths")
    assert (len(chosen.units), chosen.gap) == (4, 0)
    depth = sum(exits.decisions(site.name).ids.clip(0) for site in exits.sites)
    assert set(depth[list(chosen.units)]) == set(depth)


def test_bad_input_is_one_line(exits: Trace) -> None:
    with pytest.raises(CondsimError, match="unknown test set 'path'"):
        smallest_test_set(exits, "path")
    with pytest.raises(CondsimError, match="has no sets"):
        smallest_test_set(exits, "sets")
