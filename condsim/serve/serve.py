"""Trace + profile + requests → what serving comes to, as the model is and as its baselines."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from condsim import checks
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile
from condsim.scenario import Scenario
from condsim.serve.checked_question import checked_question
from condsim.serve.outcome import Limits
from condsim.serve.question import Progress
from condsim.serve.request_table import checked_requests, read_requests
from condsim.serve.requests import Requests
from condsim.serve.service import Service
from condsim.serve.serving import Serving
from condsim.strategies import BASELINES
from condsim.trace import Trace
from condsim.trace.model import check_trace

SERVICE = tuple(each.name for each in fields(Service) if each.name != "scheduler")
SCENARIO = (
    "strategy", "baseline", "dtype", "runtime", "threshold", "phase", "capacity_factor",
    "expert_cache", "engine", "parallel",
)  # fmt: skip
"""Fields of a scenario that mean something here."""


def _silent(_what: str, _done: float, _of: float, /) -> None:
    """Progress where nobody watches."""


def serve(
    trace: Trace,
    profile: HardwareProfile | str | None,
    requests: Requests | pd.DataFrame | str | Path,
    scheduler: str | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008 (it is frozen)
    seed: int = 0,
    progress: Progress = _silent,
    **options: Any,
) -> Serving:
    """Serve requests with a captured model, and with its dense baselines under the same arrivals.

    profile: a device; None as in `condsim.simulate`.
    requests: of `condsim.serve.requests`, a table, or a file of such. A trace with decode steps
        answers them token by token if they have lengths, any other trace in one forward.
    scheduler: who runs in the next step (`condsim.serve.schedulers`).
    limits: what an answer must keep to count as good.
    seed: of the routing that each request is given out of the trace.
    options: of `condsim.serve.service.Service` (max_batch, max_wait_s, token_budget, kv_tokens,
        kv_block, exits, regroup_s, overhead_s, cache, dispatch, replicas) and of `condsim.Scenario`
        (strategy, baseline, dtype, runtime, threshold, phase, capacity_factor, expert_cache;
        engine: "events" for SimPy; parallel: tensor=... or expert=..., the devices of a
        replica).
    Raises CondsimError for what no server could do, naming the way out.
    """
    check_trace(trace)
    checks.whole("seed", seed, least=0)
    service = Service(scheduler, **_taken(options, SERVICE))
    asked = _scenario(options)
    known = _known_requests(requests)
    question = checked_question(trace, profile, known, service, asked)
    sides = {}
    baselines = BASELINES if trace.sites else ()
    for name in ("conditional", *baselines):
        progress(name, 0, len(known))
        sides[name] = question.outcome(name, limits, seed, progress)
    return question.serving(sides)


def _taken(options: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: options.pop(name) for name in names if name in options}


def _scenario(options: dict[str, Any]) -> Scenario:
    for name in options:
        if name not in SCENARIO:
            listed = ", ".join((*SERVICE, *SCENARIO))
            raise TypeError(f"serve() has no argument {name!r}; it has {listed}")
    return Scenario(**options)


def _known_requests(requests: Any) -> Requests:
    if isinstance(requests, Requests):
        return requests
    if isinstance(requests, pd.DataFrame):
        return checked_requests(requests)
    if isinstance(requests, (str, Path)):
        return read_requests(requests)
    raise CondsimError(
        f"requests are a file, a table, or what condsim.serve.requests draws, got {shown(requests)}"
    )
