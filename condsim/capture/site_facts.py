"""What adapters tell about a site beside its decisions, for notes and error messages."""

from __future__ import annotations

from dataclasses import dataclass

from condsim.live.adapters import LiveSite


@dataclass(frozen=True)
class SiteFacts:
    """What an adapter says of one site.

    names: of the sites that it stands for. note: what a reader of the trace should know.
    hint: how its decision can be marked. decides: whether it decides something, be it readable or
    not. reason: why it runs as it is written. router_missing: whether its router was looked for and
    is no module.
    """

    names: tuple[str, ...]
    note: str
    hint: str
    decides: bool
    reason: str | None
    router_missing: bool


def facts_of(site: LiveSite) -> SiteFacts:
    """The facts that the site's adapter knows; an adapter need not have all of them."""
    return SiteFacts(
        names=getattr(site, "sites", (site.name,)),
        note=getattr(site, "note", ""),
        hint=getattr(site, "hint", ""),
        decides=getattr(site, "guards", False),
        reason=getattr(site, "reason", None),
        router_missing=getattr(site, "router", site) is None,
    )
