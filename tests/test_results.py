"""A bounded memory of results."""

from __future__ import annotations

from condsim.results import Results


def test_a_result_is_made_once() -> None:
    made: list[int] = []
    results = Results()
    for _ in range(2):
        assert results.remember("key", lambda: made.append(1) or "made") == "made"
    assert made == [1]


def test_what_was_asked_for_longest_ago_is_forgotten_first() -> None:
    results = Results(most=2)
    results.remember("a", lambda: 1)
    results.remember("b", lambda: 2)
    results.remember("a", lambda: 3)
    results.remember("c", lambda: 4)
    assert "a" in results
    assert "b" not in results
    assert len(results) == 2


def test_a_result_that_is_forgotten_is_made_again() -> None:
    results = Results()
    results.remember("key", lambda: 1)
    results.forget("key")
    results.forget("never there")
    assert results.remember("key", lambda: 2) == 2
