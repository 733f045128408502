"""Whether two traces decide at the same sites, so that they can be compared."""

from __future__ import annotations

from condsim.errors import CondsimError
from condsim.trace import Trace

Choices = tuple[str, int, int | None]
"""Mechanism, branches and top-k of a site."""


def check_same_sites(one: Trace, other: Trace) -> None:
    """Raises CondsimError unless two traces decide at the same sites."""
    one.require_decisions()
    other.require_decisions()
    of_one, of_other = _sites(one), _sites(other)
    for name in {**of_one, **of_other}:
        in_first, in_second = of_one.get(name), of_other.get(name)
        if in_first != in_second:
            raise CondsimError(
                f"traces {one.name!r} and {other.name!r} have different sites: {name!r} is "
                f"{_said(in_first)} in the first, {_said(in_second)} in the second; compare two "
                "traces of one model"
            )


def _sites(trace: Trace) -> dict[str, Choices]:
    """Site → what it chooses from."""
    return {site.name: (site.mechanism, site.branches, site.top_k) for site in trace.sites}


def _said(site: Choices | None) -> str:
    if site is None:
        return "not there"
    mechanism, branches, top_k = site
    top = f", top {top_k}" if top_k else ""
    return f"{mechanism} of {branches} branches{top}"
