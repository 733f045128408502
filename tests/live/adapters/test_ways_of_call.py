import pytest
import torch
from live.lift.in_python import WIDTH, Exits, Same, ready

from condsim.live.adapters.host_call import HostCall
from condsim.live.adapters.ways_of_call import lift_by_ways
from condsim.live.lift.ways import OneWay


def test_a_call_of_one_row_is_lifted_at_two_sizes() -> None:
    host = ready(Exits)
    call = HostCall(host.forward, (torch.randn(1, WIDTH),), {})
    with torch.no_grad():
        lifted = lift_by_ways(host, "net", call, (8, 11))
    assert [site.name for site in lifted.sites.values()] == ["net.heads.0", "net.heads.1"]
    assert len(lifted.tape.nodes[0].out) == 8


def test_a_forward_of_one_way_is_none() -> None:
    host = ready(Same)
    call = HostCall(host.forward, (torch.randn(2, WIDTH),), {})
    with pytest.raises(OneWay), torch.no_grad():
        lift_by_ways(host, "", call, (8, 11))
