"""Other traces of the library that decide at the same sites."""

from __future__ import annotations

from condsim.dashboard.parts import library
from condsim.decide.same_sites import check_same_sites
from condsim.errors import CondsimError


def traces_like(name: str) -> list[str]:
    """Return the names of traces whose sites are those of one, without itself."""
    trace = library.open_trace(name)
    found = []
    for other in library.traces():
        if other == name:
            continue
        try:
            check_same_sites(trace, library.open_trace(other))
        except CondsimError:
            continue
        found.append(other)
    return found
