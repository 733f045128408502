"""What adapters tell of a site beside its decisions."""

from __future__ import annotations

from typing import Any

from condsim.capture.site_facts import facts_of


class Silent:
    """A site of an adapter that has nothing to say."""

    name = "gate"
    top_k = 1


class Telling(Silent):
    sites = ("first", "second")
    note = "read from its forward"
    hint = "mark it"
    guards = True
    reason = "it draws random numbers"
    router: Any = None


def test_an_adapter_need_not_say_anything() -> None:
    facts = facts_of(Silent())  # type: ignore[arg-type]
    assert facts.names == ("gate",)
    assert (facts.note, facts.hint, facts.reason) == ("", "", None)
    assert not facts.decides
    assert not facts.router_missing


def test_what_it_says_is_kept() -> None:
    facts = facts_of(Telling())  # type: ignore[arg-type]
    assert facts.names == ("first", "second")
    assert facts.note == "read from its forward"
    assert facts.hint == "mark it"
    assert facts.reason == "it draws random numbers"
    assert facts.decides
    assert facts.router_missing
