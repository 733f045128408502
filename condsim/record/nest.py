"""Events of one run → nested scopes: which operators stand behind which guards, and which lead only to a decision."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from condsim.record.recorder import Died, Enter, Event, Leave, RecordedOp, Recorder, SiteCall


@dataclass(eq=False)
class RunScope:
    """Operators and loops of one run, in order. frees: (after which node, what died)."""

    nodes: list[RecordedOp | RunLoop] = field(default_factory=list)
    frees: list[tuple[int, Died]] = field(default_factory=list)


@dataclass(eq=False)
class Instance:
    """One pass through a guard's body."""

    choice: int
    outer: int
    rows: int
    scope: RunScope
    first: bool = False  # the first of its loop that has rows


@dataclass(eq=False)
class RunLoop:
    """Consecutive bodies of one site."""

    site: str
    instances: list[Instance] = field(default_factory=list)


Signature = tuple[
    str, tuple[tuple[int, str], ...], bool
]  # of an operator: name, (dimensions, weight) of its inputs, whether it is a view
Periods = dict[
    str, tuple[int, int]
]  # moe site → operators before its unmarked loop, operators an iteration


def tree(recorder: Recorder, periods: Periods) -> RunScope:
    """Nest a recording. periods: filled where an unmarked loop runs at least three times, used where it runs less often."""
    _mark_routers(recorder)
    root = RunScope()
    stack = [(root, Instance(0, 0, 0, root))]
    for event in _with_marks(recorder, periods):
        scope = stack[-1][0]
        if isinstance(event, RecordedOp):
            scope.nodes.append(event)
        elif isinstance(event, Died):
            scope = _dies_in(scope, recorder)
            scope.frees.append((len(scope.nodes) - 1, event))
        elif isinstance(event, Enter):
            last = scope.nodes[-1] if scope.nodes else None
            if not (isinstance(last, RunLoop) and last.site == event.site):
                last = RunLoop(event.site)
                scope.nodes.append(last)
            instance = Instance(event.choice, 0, 0, RunScope())
            last.instances.append(instance)
            stack.append((instance.scope, instance))
        elif isinstance(event, Leave):
            _, instance = stack.pop()
            instance.outer, instance.rows = event.outer, event.count
            last = stack[-1][0].nodes[-1]
            assert isinstance(last, RunLoop)
            instance.first = event.count > 0 and not any(i.first for i in last.instances)
    return root


def guarded(
    scope: RunScope, guards: tuple[tuple[str, int], ...] = ()
) -> Iterator[tuple[RecordedOp, tuple[tuple[str, int], ...]]]:
    """Operators in executed order, each with its guards (site, choice) from the outside in."""
    for node in scope.nodes:
        if isinstance(node, RunLoop):
            for i in node.instances:
                yield from guarded(i.scope, (*guards, (node.site, i.choice)))
        else:
            yield node, guards


def _dies_in(scope: RunScope, recorder: Recorder) -> RunScope:
    """Where a death belongs: what dies as a lone guard's body ends (the value that it replaced) dies only if that body ran."""
    last = scope.nodes[-1] if scope.nodes else None
    if isinstance(last, RunLoop) and len(last.instances) == 1 and last.instances[0].scope.nodes:
        call = recorder.calls.get(last.site)
        if call is None or not call.unmarked_loop:
            return _dies_in(last.instances[0].scope, recorder)
    return scope


def _with_marks(recorder: Recorder, periods: Periods) -> list[Event]:
    """The events, with Enter and Leave put around the iterations of unmarked loops over experts."""
    events = recorder.events
    out: list[Event] = []
    i = 0
    while i < len(events):
        event = events[i]
        if (
            isinstance(event, SiteCall)
            and event.begins
            and recorder.calls[event.site].unmarked_loop
        ):
            end = next(j for j in range(i, len(events)) if _ends(events[j], event.site))
            out += _unroll(recorder, event.site, events[i + 1 : end], periods)
            i = end
        else:
            out.append(event)
            i += 1
    return out


def _ends(event: Event, site: str) -> bool:
    return isinstance(event, SiteCall) and not event.begins and event.site == site


def _signature(op: RecordedOp) -> Signature:
    return (
        op.name,
        tuple((len(t.shape), re.sub(r"\.\d+", ".*", t.weight)) for t in op.inputs),
        op.view,
    )


def _unroll(recorder: Recorder, site: str, events: list[Event], periods: Periods) -> list[Event]:
    call = recorder.calls[site]
    hit = [(e, n) for e, n in enumerate(call.tokens_per_expert) if n]
    ops = [e for e in events if isinstance(e, RecordedOp)]
    if len(hit) >= 3:
        period = _period([_signature(op) for op in ops], len(hit))
        if period is not None:
            periods[site] = period
    elif (
        site not in periods and len(call.tokens_per_expert) >= 3
    ):  # a loop over all experts shows itself with few hits too
        signatures = [_signature(op) for op in ops]
        period = _period(signatures, len(call.tokens_per_expert))
        if period is not None and any(
            w for _, inputs, _ in signatures[period[0] : sum(period)] for _, w in inputs
        ):
            periods[site] = period
    if site not in periods:
        return events
    before, length = periods[site]
    everyone = list(enumerate(call.tokens_per_expert))
    if _repeats([_signature(op) for op in ops], before, length, len(everyone)):
        hit = everyone  # a loop over all experts, also those without rows
    out: list[Event] = []
    seen = 0
    for event in events:
        if isinstance(event, RecordedOp):
            at, inside = divmod(seen - before, length)
            if seen >= before and at < len(hit) and inside == 0:
                if at:
                    out.append(Leave(site, call.outer, hit[at - 1][1]))
                out.append(Enter(site, hit[at][0]))
            out.append(event)
            seen += 1
            if seen == before + length * len(hit):
                out.append(Leave(site, call.outer, hit[-1][1]))
        else:
            out.append(event)
    return out


def _period(signatures: list[Signature], times: int) -> tuple[int, int] | None:
    """(before, length) such that signatures[before:] begins with `times` equal runs of `length`; the longest such length; None for none."""
    n = len(signatures)
    for length in range(n // times, 0, -1):
        for before in range(n - length * times + 1):
            if _repeats(signatures, before, length, times):
                return before, length
    return None


def _repeats(signatures: list[Signature], before: int, length: int, times: int) -> bool:
    end = before + length * times
    return end <= len(signatures) and all(
        signatures[i] == signatures[i + length] for i in range(before, end - length)
    )


def _mark_routers(recorder: Recorder) -> None:
    """Give the role "router:SITE" to operators whose results lead to a site's decision and nowhere else."""
    ops = [e for e in recorder.events if isinstance(e, RecordedOp)]
    readers: dict[int, list[tuple[int, RecordedOp]]] = {}
    for i, op in enumerate(ops):
        for t in op.inputs:
            readers.setdefault(t.storage, []).append((i, op))
    goal = {storage: site for site, storages in recorder.routes.items() for storage in storages}
    for i, op in reversed(list(enumerate(ops))):
        if op.role or op.site or not op.outputs:
            continue
        sites = set()
        for t in op.outputs:
            if t.storage in goal:
                sites.add(goal[t.storage])
                continue
            later = [
                r for j, r in readers.get(t.storage, []) if j > i
            ]  # a result that nobody reads says nothing
            sites |= {
                r.role.removeprefix("router:") if r.role.startswith("router:") else ""
                for r in later
            }
        if len(sites) == 1 and (site := sites.pop()):
            op.role = f"router:{site}"
