"""The steps of all replicas, as a file that ui.perfetto.dev opens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from condsim.files import write_whole
from condsim.serve.outcome import Outcome
from condsim.serve.serving import Serving

MOST_REQUESTS_DRAWN = 500
"""Requests of each side that have a lane entry of their own."""


def write_chrome_trace(serving: Serving, path: str | Path) -> Path:
    """Write the first steps and requests of every side in the Chrome trace event format.

    A side is a process; a replica is a thread of it, requests follow as asynchronous slices, and
    the number of those that wait is a counter. Raises CondsimError where the path cannot be
    written.
    """
    events: list[dict[str, Any]] = []
    for number, (name, side) in enumerate(serving.sides.items()):
        events += _process(number, f"{name}: {side.strategy} on {serving.profile}", side)
    content = {"traceEvents": events, "displayTimeUnit": "ms"}
    return write_whole(path, json.dumps(content))


def _process(number: int, label: str, side: Outcome) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": label}}
    for replica in sorted({step.replica for step in side.kept_steps}):
        lane = {"name": f"replica {replica}"}
        yield {"ph": "M", "name": "thread_name", "pid": number, "tid": replica, "args": lane}
    for step in side.kept_steps:
        details = {"rows": step.rows, "requests": step.requests, "waiting": step.waiting}
        yield {
            "ph": "X",
            "name": step.name,
            "cat": "step",
            "pid": number,
            "tid": step.replica,
            "ts": step.start_s * 1e6,
            "dur": step.seconds * 1e6,
            "args": details,
        }
        yield {
            "ph": "C",
            "name": f"waiting, replica {step.replica}",
            "pid": number,
            "ts": step.start_s * 1e6,
            "args": {"requests": step.waiting},
        }
    yield from _requests(number, side)


def _requests(number: int, side: Outcome) -> Iterator[dict[str, Any]]:
    """Waiting and running of the first requests."""
    last_s = max((step.start_s + step.seconds for step in side.kept_steps), default=0.0)
    arrival_s = side.requests.arrival_s
    for request in range(min(len(arrival_s), MOST_REQUESTS_DRAWN)):
        if side.finished_s[request] > last_s:
            continue
        spans = (
            ("waits", arrival_s[request], side.started_s[request]),
            ("runs", side.started_s[request], side.finished_s[request]),
        )
        for name, begin_s, end_s in spans:
            common = {"name": name, "cat": "request", "pid": number, "id": f"{number}.{request}"}
            yield {**common, "ph": "b", "ts": float(begin_s) * 1e6, "args": {"request": request}}
            yield {**common, "ph": "e", "ts": float(end_s) * 1e6}
