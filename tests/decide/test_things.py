"""What rows do: branches, sets, transitions, paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from made_traces import make_trace

from condsim.decide.things import BRANCHES, PATHS, SETS, TRANSITIONS, things_of
from condsim.decide.units import Units
from condsim.mechanisms.base import NOT_REACHED
from condsim.trace import Decisions
from condsim.trace.encoding import in_memory


def found() -> dict[tuple[str, str], object]:
    trace = make_trace()
    return {(things.kind, things.site): things for things in things_of(trace, Units.of(trace))}


def test_a_row_does_one_thing_for_each_branch_that_it_takes() -> None:
    trace = make_trace()
    things = next(things_of(trace, Units.of(trace), [BRANCHES]))
    ids = trace.decisions("experts").ids
    assert sorted(things.keys.tolist()) == sorted(ids[ids >= 0].ravel().tolist())
    assert things.possible == 5


def test_sets_do_not_depend_on_the_order_of_choices() -> None:
    trace = make_trace()
    things = next(things_of(trace, Units.of(trace), [SETS]))
    ids = np.sort(trace.decisions("experts").ids, axis=1)
    assert len(np.unique(things.keys)) == len(np.unique(ids, axis=0))
    assert things.possible == 10


def test_a_chain_of_exits_has_one_path_more_than_exits() -> None:
    whole = make_trace()
    exits = tuple(site for site in whole.sites if site.routing.leaves)
    trace = replace(whole, header=whole.header.model_copy(update={"sites": exits}))
    (paths,) = things_of(trace, Units.of(trace), [PATHS])
    assert paths.possible == len(exits) + 1 == 3
    assert len(np.unique(paths.keys)) <= 3


def test_rows_that_are_dropped_take_paths_of_their_own() -> None:
    whole = make_trace()
    experts = tuple(site for site in whole.sites if site.name == "experts")
    ids = whole.decisions("experts").ids.copy()
    ids[0], ids[1, 0] = NOT_REACHED, NOT_REACHED
    header = whole.header.model_copy(update={"sites": experts})
    trace = replace(whole, header=header, reader=in_memory({"experts": Decisions(ids)}))
    (sets,) = things_of(trace, Units.of(trace), [SETS])
    assert sets.possible == 5 + 10  # two experts, or one where the other has no room
    assert len(np.unique(sets.keys)) <= sets.possible


def test_transitions_stand_between_sites_that_see_the_same_rows() -> None:
    places = {site for kind, site in found() if kind == TRANSITIONS}
    assert "exit0 → exit1" in places
    assert not any("experts" in place for place in places)
