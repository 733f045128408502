"""A class of devices that condsim never heard of: one object, and a model where it prices anew.

Everything else is asked of what the object says of itself, so that a device of an invented class
that offers what NPUs offer is answered as an NPU is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import condsim
from condsim.cost.cost_model import device_model
from condsim.cost.cpu.device import CpuModel
from condsim.cost.device import DEVICE_MODELS, Target
from condsim.decide.frontier.claim import MISSED, Claim
from condsim.decide.frontier.sentences import Compared, sentence
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Looped, abilities
from condsim.hardware.device_classes import DEVICE_CLASSES, DeviceClass
from condsim.hardware.device_classes.npu import NPU
from condsim.predict.choose import strategies_on
from condsim.resources import resource
from condsim.runtimes import choose_runtime, runtimes_of
from condsim.trace import Trace

DSP = DeviceClass(
    name="dsp",
    label="DSP",
    priced_as="gpu",
    offers=NPU.offers,
    required_blocks=("graphs",),
)
ABACUS = DeviceClass(
    name="abacus",
    label="abacus",
    priced_as="beads",
    offers=frozenset({abilities.PROGRAMMABLE}),
    is_host=True,
)


class Beads(CpuModel):
    """A device that prices as a CPU does, under a name of its own."""

    @classmethod
    def serves(cls, target: Target) -> bool:
        return target.profile.device_class.priced_as == "beads"


@pytest.fixture(scope="module", autouse=True)
def invented() -> Iterator[None]:
    """The classes and the model, known while the tests of this file run."""
    DEVICE_CLASSES.register("dsp")(DSP)
    DEVICE_CLASSES.register("abacus")(ABACUS)
    DEVICE_MODELS.register("beads")(Beads)
    yield
    del DEVICE_CLASSES._entries["dsp"]
    del DEVICE_CLASSES._entries["abacus"]
    del DEVICE_MODELS._entries["beads"]


@pytest.fixture(scope="module")
def exits() -> Trace:
    return condsim.load(resource("traces") / "exit-fashion")


def of_kind(kind: str, like: str) -> HardwareProfile:
    """A shipped profile, as one of a device of another class."""
    return condsim.hardware(like).replace(kind=kind, name=f"some-{kind}")


@pytest.mark.parametrize("strategy", [None, "select", "cpu_tail"])
def test_a_class_that_offers_what_npus_offer_is_answered_as_one(
    exits: Trace, strategy: str | None
) -> None:
    npu = condsim.hardware("google-edge-tpu")
    dsp = of_kind("dsp", "google-edge-tpu")
    assert runtimes_of(dsp) == runtimes_of(npu)
    assert strategies_on(exits, dsp) == strategies_on(exits, npu)
    expected = condsim.simulate(exits, npu, strategy, batch=8)
    answered = condsim.simulate(exits, dsp, strategy, batch=8)
    assert answered.strategy == expected.strategy
    assert answered.latency_s == expected.latency_s
    assert answered.energy_j == expected.energy_j


def test_what_a_class_does_not_offer_is_refused_in_its_name(exits: Trace) -> None:
    dsp = of_kind("dsp", "google-edge-tpu")
    with pytest.raises(CondsimError, match="strategy 'bucketed' is not for a dsp"):
        condsim.simulate(exits, dsp, "bucketed", batch=8)
    with pytest.raises(CondsimError, match=r"runtime 'xla' is not for a dsp \(it is for tpu"):
        choose_runtime("xla", dsp)


def test_a_class_with_a_model_of_its_own_is_priced_by_it(exits: Trace) -> None:
    cpu = condsim.hardware("raspberry-pi-5")
    abacus = of_kind("abacus", "raspberry-pi-5")
    target = Target(abacus, abacus.dtype, choose_runtime(None, abacus))
    assert isinstance(device_model(target), Beads)
    expected = condsim.simulate(exits, cpu, "compacted", batch=8)
    answered = condsim.simulate(exits, abacus, "compacted", batch=8)
    assert answered.latency_s == expected.latency_s


def test_blocks_of_a_profile_belong_to_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = condsim.hardware("raspberry-pi-5")
    with_a_block = replace(DSP, own_blocks=("looped",))
    monkeypatch.setitem(DEVICE_CLASSES._entries, "dsp", with_a_block)
    with pytest.raises(CondsimError, match="a device of kind dsp needs `graphs`"):
        of_kind("dsp", "raspberry-pi-5")
    with pytest.raises(CondsimError, match="the block looped belongs to a profile of kind dsp"):
        cpu.replace(looped=Looped(distinct=[1.0], share=[1.0]))


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(CondsimError, match="unknown class of devices 'dps'; did you mean 'dsp'"):
        of_kind("dps", "google-edge-tpu")


def test_sentences_call_a_class_by_its_label() -> None:
    claims = [Claim(f"some-dsp-{number}", "dsp", 1, 1.3, MISSED) for number in range(4)]
    assert "any DSP" in sentence(Compared(claims, "accuracy", "the dense model", 0.01, 1.3))


def test_every_need_is_offered_by_some_class() -> None:
    offered = set().union(*(entry.offers for entry in DEVICE_CLASSES.values()))
    known = {value for name, value in vars(abilities).items() if name.isupper()}
    assert offered == known
