"""Which operators of a recording belong to a site's router."""

from __future__ import annotations

from condsim.record.events import RecordedOp
from condsim.record.recorder import Recorder
from condsim.record.step_events import forward_operators

ROUTER = "router:"
"""Begins the role of a router's operator; the site's name follows."""

Readers = dict[int, list[tuple[int, RecordedOp]]]
"""Number of a storage → the operators that read it, each with its place in the stream."""


def mark_routers(recorder: Recorder) -> None:
    """Give the role "router:SITE" to operators that lead to a site's decision and nowhere else.

    Goes back from the decisions: an operator belongs to a router if all that read its results do.
    """
    ops = forward_operators(recorder)
    readers = _readers(ops)
    decided_by: dict[int, str] = {}
    for site, storages in recorder.routes.items():
        decided_by |= dict.fromkeys(storages, site)
    for place in reversed(range(len(ops))):
        op = ops[place]
        if op.role or op.site:
            continue
        sites: set[str] = set()
        for output in op.outputs:
            if output.storage in decided_by:
                sites.add(decided_by[output.storage])
            else:
                sites |= _sites_of_readers(readers.get(output.storage, []), place)
        if len(sites) == 1 and "" not in sites:
            op.role = ROUTER + sites.pop()


def _readers(ops: list[RecordedOp]) -> Readers:
    readers: Readers = {}
    for place, op in enumerate(ops):
        for operand in op.inputs:
            readers.setdefault(operand.storage, []).append((place, op))
    return readers


def _sites_of_readers(readers: list[tuple[int, RecordedOp]], place: int) -> set[str]:
    """The sites whose routers read a result; "" for a reader that belongs to none.

    place: of the operator that wrote it; who read the storage before that read something else. A
    result that nobody reads says nothing.
    """
    sites = set()
    for reader_place, reader in readers:
        if reader_place > place:
            in_router = reader.role.startswith(ROUTER)
            of_router = reader.role.removeprefix(ROUTER) if in_router else ""
            sites.add(of_router)
    return sites
