"""What `parallel=` says, and which fabric links a device."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.hardware import hardware, profiles
from condsim.parallel import Parallel
from condsim.parallel.exchange import EXCHANGES
from condsim.parallel.fabric import fabric, fabric_of, fabrics


def test_text_says_what_arguments_say() -> None:
    parsed = Parallel.parse("expert=8, placement=eplb,slots=80")
    assert parsed == Parallel(expert=8, placement="eplb", slots=80)
    assert Parallel.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8", "name=value"),
        ("expert=", "name=value"),
        ("experts=8", "did you mean 'expert'"),
        ("expert=8,expert=4", "stands twice"),
        ("expert=many", "whole number"),
        ("expert=0", "at least 1"),
        ("expert=8,placement=epbl", "did you mean 'eplb'"),
    ],
)
def test_what_text_cannot_say(text: str, says: str) -> None:
    with pytest.raises(CondsimError, match=says):
        Parallel.parse(text)


def test_a_given_placement_names_every_site() -> None:
    given = Parallel(expert=2, placement={"a": [1, 0]})
    assert given.placements({"a": np.ones(2)})["a"].expert_of.tolist() == [1, 0]
    with pytest.raises(CondsimError, match="nothing of site 'b'"):
        given.placements({"b": np.ones(2)})


def test_every_fabric_is_valid_and_links_devices_that_exist() -> None:
    for name in fabrics():
        found = fabric(name)
        assert set(found.exchanges.values()) <= set(EXCHANGES)
        assert found.name == name
        assert set(found.devices) <= set(profiles())


def test_nodes_of_a_fabric() -> None:
    nvlink = fabric("nvlink-4")
    assert [nvlink.nodes(ranks) for ranks in (1, 4, 8, 16)] == [1, 1, 1, 2]
    with pytest.raises(CondsimError, match="no whole number of nodes"):
        nvlink.nodes(12)
    with pytest.raises(CondsimError, match="links nodes"):
        fabric("nvlink-3").nodes(16)


def test_a_device_without_links() -> None:
    with pytest.raises(CondsimError, match="no fabric links devices of profile 'raspberry-pi-5'"):
        fabric_of(hardware("raspberry-pi-5"), None)
