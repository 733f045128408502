"""The frontier as a whole."""

from __future__ import annotations

import pytest

import condsim
from condsim.resources import resource
from condsim.trace import Trace


def test_the_answer_names_where_it_holds() -> None:
    found = condsim.frontier(
        resource("traces") / "exit-fashion",
        ["raspberry-pi-5", "nvidia-h100-sxm"],
        strategy="compacted",
    )
    assert found.reference == "its own dense network"
    assert "reached at threshold" in found.sentence
    assert "not reached at threshold" in found.sentence
    assert [claim.reached for claim in found.claims] == [True, False]
    assert len(found.to_dict()["points"]) == len(found.points)


def test_experts_are_compared_with_a_dense_network_that_was_trained(experts: Trace) -> None:
    """All experts averaged is no rival."""
    alone = condsim.frontier(experts, "raspberry-pi-5", batches=[1])
    assert any("nobody trained" in note for note in alone.notes)
    rival = condsim.load(resource("traces") / "moe-bytes" / "rivals" / "dense-same-flops")
    found = condsim.frontier(experts, "raspberry-pi-5", batches=[1], rivals=[rival])
    assert found.reference == "dense-same-flops"
    of_rival = found.points[found.points["point"] == rival.name].iloc[0]
    assert (of_rival["loss"], of_rival["speed"]) == (0, pytest.approx(1))


def test_several_batches_are_claims_of_their_own(exits: Trace) -> None:
    found = condsim.frontier(exits, "raspberry-pi-5", batches=[1, 8])
    assert [claim.batch for claim in found.claims] == [1, 8]
    assert "at batch 1," in found.sentence
    assert "at batch 8," in found.sentence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 1.0}, "tolerance is a share"),
        ({"target": 0.0}, "target is a speed"),
        ({"strategy": "looped"}, "no device can be priced"),
    ],
)
def test_bad_questions_are_refused(exits: Trace, options: dict[str, object], message: str) -> None:
    with pytest.raises(condsim.CondsimError, match=message):
        condsim.frontier(exits, "raspberry-pi-5", **options)
