"""Steps that are planned while the one before runs."""

from __future__ import annotations

from serve.runs import TextCosts, arriving, serve_text

from condsim.serve.requests import Requests
from condsim.serve.service import Service


def steps_of(requests: Requests, scheduler: str, max_batch: int = 8) -> list[tuple[int, list[int]]]:
    """What each step runs: (answers, tokens of chunks)."""
    costs = TextCosts()
    serve_text(requests, Service(scheduler, max_batch=max_batch, token_budget=64), costs=costs)
    return costs.steps


def test_who_arrives_during_a_step_waits_for_another_one() -> None:
    """A step takes at least 1/16 s: the second request arrives during the first step."""
    requests = arriving([0.0, 1 / 32], prompts=4, answers=4)
    assert steps_of(requests, "chunked")[:3] == [(0, [4]), (1, [4]), (2, [])]
    assert steps_of(requests, "ahead")[:3] == [(0, [4]), (1, []), (1, [4])]


def test_an_idle_replica_takes_who_is_there() -> None:
    requests = arriving([0.0, 9.0], prompts=4, answers=2)
    assert steps_of(requests, "ahead") == steps_of(requests, "chunked")


def test_a_seat_is_free_a_step_later() -> None:
    """Two seats, three requests: the first ends after its first token."""
    columns = arriving([0.0, 0.0, 0.0], prompts=4, answers=3)
    columns.output_tokens[0] = 1
    assert steps_of(columns, "chunked", 2)[:2] == [(0, [4, 4]), (1, [4])]
    assert steps_of(columns, "ahead", 2)[:3] == [(0, [4, 4]), (1, []), (1, [4])]


def test_a_step_that_would_be_empty_takes_what_is_there() -> None:
    requests = arriving([0.0, 1 / 32], prompts=4, answers=1)
    assert steps_of(requests, "ahead", 1) == [(0, [4]), (0, [4])]
