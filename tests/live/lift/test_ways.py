import pytest
from live.lift.in_python import (
    Exits,
    LightOrHeavy,
    PatienceOfTensors,
    Same,
    Skips,
    WholeBatch,
    ready,
    run_with,
)
from torch import nn

from condsim.live.lift.ways import OneWay, find_ways


@pytest.mark.parametrize(
    ("kind", "partings", "join_at_end"),
    [(Exits, 2, True), (WholeBatch, 2, True), (Skips, 3, False), (LightOrHeavy, 1, True)],
)
def test_each_way_parts_where_it_was_asked(
    kind: type[nn.Module], partings: int, join_at_end: bool
) -> None:
    ways = find_ways(run_with(ready(kind)))
    assert len(ways.partings) == partings
    end = len(ways.reference.nodes)
    assert all((parting.join == end) == join_at_end for parting in ways.partings)
    for parting in ways.partings:
        assert ways.reference.questions[parting.question].after <= parting.at


def test_code_that_counts_parts_after_several_answers() -> None:
    ways = find_ways(run_with(ready(PatienceOfTensors)))
    assert len(ways.partings) == 3
    heard = [run.answers[ways.partings[0].at] for run in ways.runs if run.parted]
    assert (True, True) in heard


def test_what_calls_the_same_parts_has_one_way() -> None:
    with pytest.raises(OneWay):
        find_ways(run_with(ready(Same)))
    with pytest.raises(OneWay, match="asks no tensor"):
        find_ways(run_with(nn.Linear(6, 6)))
