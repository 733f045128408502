"""Notes of a prediction as people read them: what is said of several sites is said once."""

from __future__ import annotations

from collections.abc import Iterable


def said_once(notes: Iterable[str]) -> list[str]:
    """Notes without repeats. Those that say the same of several sites ("SITE: ...") become one."""
    sites_of: dict[str, list[str]] = {}
    for note in notes:
        site, colon, said = note.partition(": ")
        if not colon or " " in site:
            site, said = "", note
        sites = sites_of.setdefault(said, [])
        if site and site not in sites:
            sites.append(site)
    return [_note(said, sites) for said, sites in sites_of.items()]


def _note(said: str, sites: list[str]) -> str:
    if not sites:
        return said
    if len(sites) == 1:
        return f"{sites[0]}: {said}"
    return f"{len(sites)} sites: {said}"
