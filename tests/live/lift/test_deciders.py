from live.lift.in_python import Exits, PatienceOfTensors, WholeBatch, ready, run_with
from torch import nn

from condsim.live.lift.deciders import Decider, OfAllAnswers, OfTheBatch, decider
from condsim.live.lift.ways import find_ways


def of(kind: type[nn.Module], number: int = 0) -> Decider:
    host = ready(kind)
    ways, other = find_ways(run_with(host, 8)), find_ways(run_with(host, 11))
    return decider(ways, other, ways.partings[number].at, (8, 11))


def test_one_value_decides_for_the_batch() -> None:
    decides = of(Exits)
    assert isinstance(decides, OfTheBatch)
    assert not decides.stays_on
    assert isinstance(of(WholeBatch), OfTheBatch)


def test_code_that_counts_is_asked_what_it_heard() -> None:
    decides = of(PatienceOfTensors)
    assert isinstance(decides, OfAllAnswers)
    assert decides.stays[True, True] is False
    assert all(stays for answers, stays in decides.stays.items() if answers != (True, True))
