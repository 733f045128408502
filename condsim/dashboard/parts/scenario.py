"""A scenario: what a page asks of one trace, as plain values, and as the query of a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import condsim.scenario
from condsim.hardware import HardwareProfile
from condsim.strategies import BASELINES
from condsim.trace import Trace

OPTIONS = ("batch", "dtype", "runtime", "threshold", "phase", "protocol")
"""Arguments of `condsim.simulate` beside trace, profile, strategy and baseline."""
FIELDS = ("device", "strategy", "baseline", *OPTIONS)
"""What is asked beside the trace; named alike in a link, on the command line and in Python."""
IN_LINK = ("trace", *FIELDS)
"""Names in the query of a link that belong to the scenario."""


@dataclass(frozen=True, kw_only=True)
class Scenario(condsim.scenario.Scenario):
    """The library's question, and the trace and the device that it is asked of.

    name: of the trace in the library. where: what the command line is given for that trace, a name
    or a folder. device: name of a profile; None: the one that the trace was measured on.
    """

    name: str
    where: str
    device: str | None = None
    strategy: str | None = None

    def options(self) -> dict[str, Any]:
        """Arguments of `condsim.simulate` beside trace, profile, strategy and baseline."""
        return {name: getattr(self, name) for name in OPTIONS}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults, in the order of FIELDS."""
        fields = {name: getattr(self, name) for name in FIELDS}
        defaults = dict.fromkeys(FIELDS) | {"baseline": BASELINES[0]}
        return {name: value for name, value in fields.items() if value != defaults[name]}

    def profile(
        self, trace: Trace, find: Callable[[str], HardwareProfile]
    ) -> HardwareProfile | None:
        """The device's profile, the trace's own where no device is named. find: name → profile."""
        own: HardwareProfile | None = trace.profile
        return own if self.device is None else find(self.device)

    def query_fields(self) -> dict[str, str]:
        """What the address of a link to this scenario says, by name."""
        changed = self.changed()
        changed.pop("baseline", None)
        fields = {"trace": self.name, **changed, "baseline": self.baseline}
        return {name: str(value) for name, value in fields.items()}

    def query(self) -> str:
        """The query of a link to this scenario."""
        return urlencode(self.query_fields())
