"""What happens between the kernels of prepared graphs: decisions are read back, graphs started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from condsim.cost.static.partition import steering
from condsim.hardware import HardwareProfile
from condsim.lowered import Call, Lowered
from condsim.scope_calls import ScopeCalls


@dataclass
class DecisionsInTime:
    """What happens before the calls of one step."""

    lowered: Lowered
    profile: HardwareProfile

    def __post_init__(self) -> None:
        self.branches_run: dict[tuple[int, int], set[int]] = {}
        self.companion_started = False

    def before(self, call: Call) -> Iterator[str]:
        """Yield "read" (a decision is read back), "start" (another graph begins), "device" (a
        conditional)."""
        for depth, calls in enumerate(self._scopes_of(call)):
            site, _ = calls.guards[-1]
            loop = (calls.placed.parent, calls.placed.loop)
            follower = steering(self.lowered.strategy_of(site), self.profile)
            first = loop not in self.branches_run
            run = self.branches_run.setdefault(loop, set())
            if first and follower == "device":
                yield "device"
            if follower == "companion" and not self.companion_started:
                self.companion_started = True
                yield "read"
            if follower != "host":
                continue
            if first:
                yield "read"
                yield "start"
            innermost = depth == len(call.guards) - 1
            choice = call.guards[depth][1]
            if innermost and call.bindings["rows"] > 0 and choice not in run:
                run.add(choice)
                if len(run) > 1:
                    yield "start"

    def _scopes_of(self, call: Call) -> list[ScopeCalls]:
        """The guarded scopes that a call stands in, from the outside in."""
        found = []
        number = call.scope
        while self.lowered.scopes[number].parent >= 0:
            found.append(self.lowered.scopes[number])
            number = self.lowered.scopes[number].parent
        return found[::-1]
