"""The optimizer of a training step: which updates stand behind which guards.

A weight that only one branch reads has a gradient only where rows took the branch, and else the
optimizer leaves it out. So its update stands behind the branch's guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from condsim.errors import CondsimError
from condsim.record.events import Enter, Event, Leave, RecordedOp
from condsim.record.marked import Marked

STATE = "/"
"""Between the name of a weight and that of what an optimizer keeps for it."""

GuardPath = tuple[tuple[str, int], ...]
"""(site, choice) from the outside in."""

Owners = dict[str, GuardPath]
"""Weight → the guards that all stand behind which read it."""


def learn_owners(forward: Marked, owners: Owners) -> None:
    """Add what one run shows of the guards in front of each weight."""
    for weight in forward.readers:
        path = tuple(forward.guard(place) for place in forward.shared_depth(weight))
        known = owners.get(weight, path)
        length = 0
        while length < min(len(path), len(known)) and path[length] == known[length]:
            length += 1
        owners[weight] = path[:length]


def optimizer_events(
    forward: Marked, optimizer: Sequence[Event], order: Sequence[str], owners: Owners
) -> list[Event]:
    """The events of an optimizer, with the marks of the guards in front of weights.

    order: of the weights in the optimizer. owners: of all runs, or of this one.
    Raises CondsimError where one operator updates several weights, some of which have a gradient
    only where rows took a branch.
    """
    updates = _Updates(set(order))
    updates.read(optimizer)
    guarded = [weight for weight in order if owners.get(weight)]
    if not guarded:
        return list(optimizer)
    if updates.several:
        raise CondsimError(
            f"train: {updates.several} updates all weights in one call, and which of them have a "
            f"gradient depends on the routing ({guarded[0]} only where rows take its branch): pass "
            "an optimizer with foreach=False and fused=False"
        )
    writer = _Writer(forward)
    writer.events += updates.before
    for weight in order:
        path, events = owners.get(weight, ()), updates.of_weight.get(weight, ())
        if path or events:
            writer.go_to(path)
            writer.events += events
    writer.go_to(())
    return writer.events + updates.after


@dataclass
class _Updates:
    """What an optimizer runs, by the weight that it updates.

    weights: their names. before: what runs before the first. after: what runs when all are done.
    several: the operator that updates more than one, or "".
    """

    weights: set[str]
    before: list[Event] = field(default_factory=list)
    after: list[Event] = field(default_factory=list)
    of_weight: dict[str, list[Event]] = field(default_factory=dict)
    several: str = ""

    def read(self, optimizer: Sequence[Event]) -> None:
        """Tell the updates of the weights apart."""
        last = _last_operator(optimizer)
        current = self.before
        for place, event in enumerate(optimizer):
            if place > last:
                self.after.append(event)
                continue
            if isinstance(event, RecordedOp):
                updated = self._updated(event)
                if len(updated) > 1:
                    self.several = event.name
                if updated:
                    current = self.of_weight.setdefault(updated.pop(), [])
            current.append(event)

    def _updated(self, op: RecordedOp) -> set[str]:
        names = {operand.weight.partition(STATE)[0] for operand in op.inputs}
        return names & self.weights


def _last_operator(events: Sequence[Event]) -> int:
    places = [place for place, event in enumerate(events) if isinstance(event, RecordedOp)]
    return places[-1] if places else -1


class _Writer:
    """Writes events behind guards, which open and close as the weights go by."""

    def __init__(self, forward: Marked) -> None:
        self.events: list[Event] = []
        self.path: GuardPath = ()
        self.last: list[tuple[str, int]] = [("", -1)]  # at each depth: the guard that closed last
        self.enters: dict[GuardPath, int] = {}
        open_guards: GuardPath = ()
        self.forward = forward
        for place, event in enumerate(forward.events):
            if isinstance(event, Enter):
                open_guards = (*open_guards, (event.site, event.choice))
                self.enters.setdefault(open_guards, place)
            elif isinstance(event, Leave):
                open_guards = open_guards[:-1]

    def go_to(self, path: GuardPath) -> None:
        """Stand behind these guards, those of them that the forward came to."""
        while self.path and self.path != path[: len(self.path)]:
            self._close()
        if self.path == path:
            self.last[-1] = ("", -1)
        while self.path != path:
            inner = path[: len(self.path) + 1]
            if inner not in self.enters:
                break
            self._open(inner)

    def _open(self, path: GuardPath) -> None:
        site, choice = path[-1]
        last_site, last_choice = self.last[-1]
        again = last_site == site and last_choice >= choice
        self.events.append(self.forward.entered(self.enters[path], new_loop=again))
        self.path = path
        self.last.append(("", -1))

    def _close(self) -> None:
        self.events.append(self.forward.left(self.enters[self.path]))
        self.last.pop()
        self.last[-1] = self.path[-1]
        self.path = self.path[:-1]
