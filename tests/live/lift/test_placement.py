"""What the places of a call's readers have in common."""

from __future__ import annotations

import pytest

from condsim.live.lift.meanings import Decision
from condsim.live.lift.placement import Place, RouterPlace, common_place

OUTER, INNER = (3, 1), (7, 0)
DECISIONS = {
    3: Decision(3, 2, True, ()),
    7: Decision(7, 2, True, (OUTER,)),
}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(OUTER,), (OUTER, INNER)], (OUTER,)),
        ([(OUTER, INNER), (OUTER, (7, 1))], (OUTER,)),
        ([(OUTER,), ((3, 0),)], ()),
        ([RouterPlace(7), RouterPlace(7)], RouterPlace(7)),
        ([RouterPlace(7), RouterPlace(7, base=True)], RouterPlace(7)),
        ([RouterPlace(7, base=True)], (OUTER,)),
        ([RouterPlace(3), RouterPlace(7)], ()),
        ([RouterPlace(7), (OUTER, INNER)], (OUTER,)),
    ],
)
def test_a_call_stands_where_all_its_readers_can_reach_it(
    places: list[Place], expected: Place
) -> None:
    assert common_place(places, DECISIONS) == expected
