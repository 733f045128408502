import pytest
import torch
from live.lift.in_python import (
    WIDTH,
    Exits,
    LightOrHeavy,
    PatienceOfTensors,
    Skips,
    WholeBatch,
    ready,
    run_with,
)
from torch import nn

from condsim.live.equality import same_bits, tensors_of
from condsim.live.execution import Execution, executing
from condsim.live.lift.joined import JoinedWays
from condsim.live.lift.lifted_ways import LiftedWays
from condsim.live.lift.ways import find_ways

KINDS = [Exits, LightOrHeavy, PatienceOfTensors, Skips, WholeBatch]


def lifted(kind: type[nn.Module]) -> LiftedWays:
    host = ready(kind)
    ways, other = find_ways(run_with(host, 8)), find_ways(run_with(host, 11))
    return LiftedWays(host, "", ways, other, (8, 11))


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_gives_its_own_result(kind: type[nn.Module]) -> None:
    forward = lifted(kind)
    x = forward.tape.nodes[0].out
    for strategy in ("wait", "compacted"):
        ways = dict.fromkeys((site.name for site in forward.sites.values()), strategy)
        for trial in forward.trials():
            with executing(Execution(ways, forced=trial.forced)), torch.no_grad():
                assert torch.allclose(forward(x), trial.outputs[0], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_it_decides_as_the_host_does(kind: type[nn.Module]) -> None:
    forward = lifted(kind)
    captured = {site.name: site.captured for site in forward.sites.values()}
    for seed in range(12):
        torch.manual_seed(seed)
        x = torch.randn(1, WIDTH)
        with torch.no_grad(), executing(Execution(captured)):
            assert same_bits(tensors_of(forward(x)), tensors_of(forward.host(x)))


def test_exits_are_a_chain_and_skips_are_not() -> None:
    exits = [site.mechanism for site in lifted(Exits).sites.values()]
    skips = [site.mechanism for site in lifted(Skips).sites.values()]
    branches = [site.mechanism for site in lifted(LightOrHeavy).sites.values()]
    assert (exits, skips, branches) == (["early_exit"] * 2, ["skip"] * 3, ["multi_branch"])


def test_all_ways_stand_on_one_tape() -> None:
    host = ready(LightOrHeavy)
    ways, other = find_ways(run_with(host, 8)), find_ways(run_with(host, 11))
    joined = JoinedWays(ways, other, 8, 11)
    called = [node.module for node in joined.tape.nodes if node.module is not None]
    assert called == [host.heads[0], host.blocks[0], host.blocks[1], host.gates[1], host.gates[0]]
    assert [node.number for node in joined.tape.nodes] == list(range(len(joined.tape.nodes)))
