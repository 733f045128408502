"""Which question a time answers: what runs between two runs of the same step.

A prediction and a measurement of different protocols answer different questions, and are never
compared. Whoever depends on what runs in between asks the protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from condsim.registry import Registry


class Meanwhile(Enum):
    """What runs between two runs of the same step."""

    OTHER_STEPS = "the other steps of the trace"
    OTHER_SIDE = "the same step of the other side"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Protocol:
    """How steps follow each other.

    question: that its times answer, in a few words.
    """

    name: str
    meanwhile: Meanwhile
    question: str

    @property
    def steps_follow(self) -> bool:
        """Whether the different steps of a trace follow each other."""
        return self.meanwhile is Meanwhile.OTHER_STEPS

    @property
    def loops(self) -> bool:
        """Whether one step runs over and over with nothing in between."""
        return self.meanwhile is Meanwhile.NOTHING

    @property
    def says(self) -> str:
        """The name and the question."""
        return f"{self.name}: {self.question}"


PROTOCOLS: Registry[Protocol] = Registry("protocol")


def _registered(protocol: Protocol) -> Protocol:
    return PROTOCOLS.register(protocol.name)(protocol)


STREAM = _registered(
    Protocol("stream", Meanwhile.OTHER_STEPS, "the steps of the trace one after the other")
)
REPEAT = _registered(
    Protocol("repeat", Meanwhile.OTHER_SIDE, "each step in turn with its dense baseline")
)
LOOP = _registered(
    Protocol("loop", Meanwhile.NOTHING, "one step over and over with nothing in between")
)


def usual(captured_steps: int) -> Protocol:
    """Return what a prediction answers where nothing is asked. captured_steps: of the phase."""
    return LOOP if captured_steps == 1 else STREAM


def usual_measured(captured_steps: int) -> Protocol:
    """Return how a trace is measured where nothing is asked. captured_steps: of the phase."""
    return LOOP if captured_steps == 1 else REPEAT
