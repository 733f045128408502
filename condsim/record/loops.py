"""Iterations of loops over experts that carry no marks, found by how operators repeat."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from condsim.record.events import Enter, Event, ExpertsCall, Leave, RecordedOp, SiteCall
from condsim.record.recorder import Recorder

Signature = tuple[str, tuple[tuple[int, str], ...], bool]
"""Of an operator: name, (dimensions, weight) of its inputs, whether it is a view."""

Periods = dict[str, tuple[int, ...]]
"""moe site → (operators before its unmarked loop, operators of an iteration).

Where iterations without rows are shorter, their operators are a third number; a fourth and a fifth
are those of experts that compute nothing, with rows and without. 0: no such iteration was seen.
"""

FEWEST_ITERATIONS = 3
"""Iterations that show a loop; fewer repeats may be chance."""


def with_marks(
    recorder: Recorder, periods: Periods, events: Sequence[Event] | None = None
) -> list[Event]:
    """The events, with Enter and Leave around the iterations of unmarked loops over experts.

    periods: filled where a loop runs often enough to show itself, used where it runs less often.
    events: those of the recording that are wanted; None for all.
    """
    recorded = recorder.events if events is None else events
    events = list(recorded)
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
    operators = [event for event in events if isinstance(event, RecordedOp)]
    for numbers in NUMBERS:
        signatures = [_signature(operator, numbers) for operator in operators]
        iterations = _uneven_iterations(signatures, site, call, periods)
        if iterations is None and len(periods.get(site, ())) <= len(EVEN):
            iterations = _even_iterations(signatures, site, call, periods)
        if iterations is not None:
            return _Loop(site, call.outer, iterations).marked(events)
    return events


NUMBERS = (r"\.\d+", r"\d+")
"""What may number the experts in names of weights: `experts.3`, else also `experts.expert_3`."""

EVEN = ("before", "iteration")
"""What a period says of a loop whose iterations are alike."""


def _even_iterations(
    signatures: list[Signature], site: str, call: ExpertsCall, periods: Periods
) -> list[_Iteration] | None:
    """Iterations that run the same operators: all of them, or those with rows.

    None where they do not.
    """
    everyone = list(enumerate(call.tokens_per_expert))
    hit = [(expert, tokens) for expert, tokens in everyone if tokens]
    if any(expert in call.idle for expert, _ in hit):
        return None
    period = _find_period(signatures, len(hit), len(everyone), site in periods)
    if period is None and site not in periods:
        return None
    before, length = (period or periods[site])[:2]
    running = hit
    if _repeats(signatures, before, length, len(everyone)):
        running = everyone
    elif not _repeats(signatures, before, length, len(hit)):
        return None
    periods[site] = (before, length)
    return _laid_out(before, [(*one, length) for one in running])


WITH_ROWS, WITHOUT_ROWS, IDLE, IDLE_WITHOUT_ROWS = range(4)
"""Kinds of iterations that may differ in length. Of the idle ones the expert computes nothing."""


def _uneven_iterations(
    signatures: list[Signature], site: str, call: ExpertsCall, periods: Periods
) -> list[_Iteration] | None:
    """Iterations of unlike lengths; None where there are no such."""
    kinds = [_kind(expert, call) for expert in range(len(call.tokens_per_expert))]
    _learn_lengths(signatures, site, kinds, periods)
    before, *lengths = periods.get(site, (0,))
    if len(lengths) < 2:
        return None
    placed = []
    for expert, (tokens, kind) in enumerate(zip(call.tokens_per_expert, kinds, strict=True)):
        if not lengths[kind] and tokens:
            return None
        if lengths[kind]:
            placed.append((expert, tokens, lengths[kind]))
    if before + sum(length for _, _, length in placed) > len(signatures):
        return None
    return _laid_out(before, placed)


def _kind(expert: int, call: ExpertsCall) -> int:
    has_rows = call.tokens_per_expert[expert] > 0
    if expert in call.idle:
        return IDLE if has_rows else IDLE_WITHOUT_ROWS
    return WITH_ROWS if has_rows else WITHOUT_ROWS


def _learn_lengths(
    signatures: list[Signature], site: str, kinds: list[int], periods: Periods
) -> None:
    """Add to `periods` what a run shows of iterations of unlike lengths.

    A loop runs all experts, or, as with idle ones, it may run those that have rows only.
    """
    known = periods.get(site, ())
    has_idle = not {IDLE, IDLE_WITHOUT_ROWS}.isdisjoint(kinds)
    if len(known) > len(EVEN) and not has_idle:
        return
    ways = [kinds]
    if has_idle:
        ways.insert(0, [kind for kind in kinds if kind in (WITH_ROWS, IDLE)])
    for running in ways:
        found = uneven_period(signatures, running)
        if found is None or (known and found[1][WITH_ROWS] != known[1]):
            continue
        lengths = list(known[1:]) + [0] * (4 if has_idle else 2)
        for kind, length in found[1].items():
            lengths[kind] = length
        periods[site] = (found[0], *lengths[: 4 if has_idle else 2])
        return


def uneven_period(
    signatures: list[Signature], kinds: list[int]
) -> tuple[int, dict[int, int]] | None:
    """(operators before the loop, kind → operators of an iteration); None where no such is seen.

    Every iteration begins in the same way: some operator runs once in each, and nowhere else.
    kinds: of each iteration.
    """
    has_idle = not {IDLE, IDLE_WITHOUT_ROWS}.isdisjoint(kinds)
    if len(kinds) < (2 if has_idle else FEWEST_ITERATIONS) or len(set(kinds)) < 2:
        return None
    places: dict[Signature, list[int]] = {}
    for place, signature in enumerate(signatures):
        places.setdefault(signature, []).append(place)
    for starts in places.values():
        if len(starts) != len(kinds):
            continue
        for earlier in reversed(range(_common_before(signatures, starts) + 1)):
            begins = [start - earlier for start in starts]
            lengths = _lengths(signatures, begins, kinds)
            if lengths is not None:
                return begins[0], lengths
    return None


def _common_before(signatures: list[Signature], starts: list[int]) -> int:
    """How many operators before each of the starts are the same."""
    nearest = min(starts[0], *(later - start for start, later in itertools.pairwise(starts)))
    for earlier in range(1, nearest + 1):
        if len({signatures[start - earlier] for start in starts}) > 1:
            return earlier - 1
    return nearest


def _lengths(
    signatures: list[Signature], begins: list[int], kinds: list[int]
) -> dict[int, int] | None:
    """Kind → operators of the iterations that begin there; None where those of a kind differ.

    Where the last iteration ends, another of its kind says; of an idle one, one with rows.
    """
    blocks: dict[int, list[Signature]] = {}
    for kind, (begin, end) in zip(kinds, itertools.pairwise(begins), strict=False):
        block = signatures[begin:end]
        if blocks.setdefault(kind, block) != block:
            return None
    if WITH_ROWS not in blocks:
        return None
    last, rest = kinds[-1], signatures[begins[-1] :]
    if last in (IDLE, IDLE_WITHOUT_ROWS) and last not in blocks:
        blocks[last] = rest[: _shortened(blocks[WITH_ROWS], rest)]
    if last not in blocks or rest[: len(blocks[last])] != blocks[last]:
        return None
    return {kind: len(block) for kind, block in blocks.items()} if _make_sense(blocks) else None


def _make_sense(blocks: dict[int, list[Signature]]) -> bool:
    """Whether iterations differ, and those of computing experts with rows alone read weights.

    Beside idle experts, the others may run without rows as they run with rows.
    """
    with_rows = blocks[WITH_ROWS]
    if len(blocks) < 2 or not all(blocks.values()) or not _reads_weights(with_rows):
        return False
    has_idle = IDLE in blocks or IDLE_WITHOUT_ROWS in blocks
    for kind, block in blocks.items():
        runs_anyway = has_idle and kind == WITHOUT_ROWS and block == with_rows
        if kind != WITH_ROWS and _reads_weights(block) and not runs_anyway:
            return False
    return True


def _shortened(whole: list[Signature], rest: list[Signature]) -> int:
    """How many operators at the start of `rest` are `whole` but for some in its middle.

    The most that are; 0 for none.
    """
    for length in reversed(range(2, min(len(whole), len(rest) + 1))):
        for front in range(1, length):
            back = length - front
            if rest[:front] == whole[:front] and rest[front:length] == whole[-back:]:
                return length
    return 0


def _find_period(
    signatures: list[Signature], hit: int, experts: int, known: bool
) -> tuple[int, int] | None:
    """(operators before the loop, operators of an iteration); None where the loop shows neither.

    hit: experts that have rows. known: whether an earlier run showed it.
    """
    # A loop over all experts, also those without rows, shows itself with few hits too.
    times = hit if hit >= FEWEST_ITERATIONS else experts
    if hit < FEWEST_ITERATIONS and (known or experts < FEWEST_ITERATIONS):
        return None
    period = _period(signatures, times)
    if period is None:
        return None
    before, length = period
    return period if _reads_weights(signatures[before : before + length]) else None


def _reads_weights(signatures: list[Signature]) -> bool:
    """Whether one of the operators reads a weight."""
    return any(weight for _, inputs, _ in signatures for _, weight in inputs)


@dataclass(frozen=True)
class _Iteration:
    """One iteration of a loop over experts. begin, end: operators of the call before them."""

    expert: int
    tokens: int
    begin: int
    end: int


def _laid_out(before: int, lengths: list[tuple[int, int, int]]) -> list[_Iteration]:
    """Iterations one after the other. lengths: (expert, its rows, operators) of each."""
    iterations = []
    begin = before
    for expert, tokens, length in lengths:
        iterations.append(_Iteration(expert, tokens, begin, begin + length))
        begin += length
    return iterations


@dataclass(frozen=True)
class _Loop:
    """An unmarked loop in one call.

    outer: rows that arrive.
    """

    site: str
    outer: int
    iterations: list[_Iteration]

    def marked(self, events: list[Event]) -> list[Event]:
        """The events with a mark at the beginning and end of each iteration."""
        waiting = list(reversed(self.iterations))
        running: _Iteration | None = None
        marked: list[Event] = []
        operators = 0
        for event in events:
            if not isinstance(event, RecordedOp):
                marked.append(event)
                continue
            if waiting and waiting[-1].begin == operators:
                if running is not None:
                    marked.append(self._leave(running))
                running = waiting.pop()
                marked.append(Enter(self.site, running.expert))
            marked.append(event)
            operators += 1
            if running is not None and not waiting and running.end == operators:
                marked.append(self._leave(running))
        return marked

    def _leave(self, iteration: _Iteration) -> Leave:
        return Leave(self.site, self.outer, iteration.tokens)


def _signature(op: RecordedOp, numbers: str) -> Signature:
    """What is equal in all iterations: numbers in names of weights are left out."""
    inputs = []
    for operand in op.inputs:
        weight = re.sub(numbers, ".*", operand.weight)
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
