"""Iterations of loops over experts that carry no marks, found by how operators repeat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from condsim.record.events import Enter, Event, Leave, RecordedOp, SiteCall
from condsim.record.recorder import Recorder

Signature = tuple[str, tuple[tuple[int, str], ...], bool]
"""Of an operator: name, (dimensions, weight) of its inputs, whether it is a view."""

Periods = dict[str, tuple[int, int]]
"""moe site → (operators before its unmarked loop, operators of an iteration)."""

FEWEST_ITERATIONS = 3
"""Iterations that show a loop; fewer repeats may be chance."""


def with_marks(recorder: Recorder, periods: Periods) -> list[Event]:
    """The events, with Enter and Leave around the iterations of unmarked loops over experts.

    periods: filled where a loop runs often enough to show itself, used where it runs less often.
    """
    events = recorder.events
    marked: list[Event] = []
    position = 0
    while position < len(events):
        event = events[position]
        if not _begins_unmarked_loop(event, recorder):
            marked.append(event)
            position += 1
            continue
        assert isinstance(event, SiteCall)
        end = _end_of_call(events, position, event.site)
        marked += _mark_iterations(recorder, event.site, events[position + 1 : end], periods)
        position = end
    return marked


def _begins_unmarked_loop(event: Event, recorder: Recorder) -> bool:
    if not isinstance(event, SiteCall) or not event.begins:
        return False
    return recorder.calls[event.site].unmarked_loop


def _end_of_call(events: Sequence[Event], start: int, site: str) -> int:
    """Where the call of a site's experts ends."""
    for position in range(start, len(events)):
        event = events[position]
        if isinstance(event, SiteCall) and not event.begins and event.site == site:
            return position
    raise ValueError(f"the experts of site {site!r} begin and do not end")


def _mark_iterations(
    recorder: Recorder, site: str, events: list[Event], periods: Periods
) -> list[Event]:
    """The events of one call with marks; as they are where no iteration can be told."""
    call = recorder.calls[site]
    everyone = list(enumerate(call.tokens_per_expert))
    hit = [(expert, tokens) for expert, tokens in everyone if tokens]
    signatures = [_signature(event) for event in events if isinstance(event, RecordedOp)]
    period = _find_period(signatures, len(hit), len(everyone), site in periods)
    if period is not None:
        periods[site] = period
    if site not in periods:
        return events
    before, length = periods[site]
    if _repeats(signatures, before, length, len(everyone)):
        hit = everyone
    loop = _Loop(site, call.outer, before, length, hit)
    return loop.marked(events)


def _find_period(
    signatures: list[Signature], hit: int, experts: int, known: bool
) -> tuple[int, int] | None:
    """(operators before the loop, operators of an iteration); None where the loop shows neither.

    hit: experts that have rows. known: whether an earlier run showed it.
    """
    if hit >= FEWEST_ITERATIONS:
        return _period(signatures, hit)
    if known or experts < FEWEST_ITERATIONS:
        return None
    # A loop over all experts, also those without rows, shows itself with few hits too.
    period = _period(signatures, experts)
    if period is None:
        return None
    before, length = period
    iteration = signatures[before : before + length]
    for _, inputs, _ in iteration:
        if any(is_weight for _, is_weight in inputs):
            return period
    return None


@dataclass(frozen=True)
class _Loop:
    """An unmarked loop in one call.

    outer: rows that arrive. before: operators before it. length: operators of an iteration.
    experts: (expert, its rows) of each iteration.
    """

    site: str
    outer: int
    before: int
    length: int
    experts: list[tuple[int, int]]

    def marked(self, events: list[Event]) -> list[Event]:
        """The events with a mark at the beginning and end of each iteration."""
        end = self.before + self.length * len(self.experts)
        marked: list[Event] = []
        operators = 0
        for event in events:
            if not isinstance(event, RecordedOp):
                marked.append(event)
                continue
            iteration, inside = divmod(operators - self.before, self.length)
            if 0 <= iteration < len(self.experts) and inside == 0:
                if iteration > 0:
                    marked.append(self._leave(iteration - 1))
                expert, _ = self.experts[iteration]
                marked.append(Enter(self.site, expert))
            marked.append(event)
            operators += 1
            if operators == end:
                marked.append(self._leave(len(self.experts) - 1))
        return marked

    def _leave(self, iteration: int) -> Leave:
        _, tokens = self.experts[iteration]
        return Leave(self.site, self.outer, tokens)


def _signature(op: RecordedOp) -> Signature:
    """What is equal in all iterations: numbers in names of weights are left out."""
    inputs = []
    for operand in op.inputs:
        weight = re.sub(r"\.\d+", ".*", operand.weight)
        inputs.append((len(operand.shape), weight))
    return (op.name, tuple(inputs), op.view)


def _period(signatures: list[Signature], times: int) -> tuple[int, int] | None:
    """(before, length) such that signatures[before:] begins with `times` equal runs of `length`.

    The longest such length, the fewest before it; None for none.
    """
    total = len(signatures)
    for length in range(total // times, 0, -1):
        for before in range(total - length * times + 1):
            if _repeats(signatures, before, length, times):
                return before, length
    return None


def _repeats(signatures: list[Signature], before: int, length: int, times: int) -> bool:
    """Whether signatures[before:] begins with `times` equal runs of `length`."""
    end = before + length * times
    if end > len(signatures):
        return False
    for position in range(before, end - length):
        if signatures[position] != signatures[position + length]:
            return False
    return True
