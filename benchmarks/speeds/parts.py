"""The parts that `benchmarks.speed` measures, each in a process of its own.

    python benchmarks/speeds/parts.py PART [ARGUMENT...]

prints the part's figures as JSON. It is run as a file, not as a module, so that `condsim` is what
PYTHONPATH says: this one or an earlier one, from whose folder it is run.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from either import first_of

SHIPPED = Path("traces")
BATCHES = (2, 3, 4, 6, 8, 12, 16)
"""Configurations that are asked one by one."""
SWEPT = {
    "strategy": ("looped", "grouped", "batched", "padded"),
    "baseline": ("same-params", "same-flops"),
    "batch": range(1, 25),
}
"""Configurations that are asked in one call: each with each."""
SWEPT_TRACE = "moe-bytes"
PROFILE_OF = "moe-bytes"
"""The shipped trace whose machine is that of traces that carry none."""
STARTS = 5
PAIRS = 20
"""Forward passes that are timed, as they are and observed."""

HELP = "from condsim.cli import main; main()"

Figures = dict[str, float]


def timed(action: Callable[[], Any]) -> float:
    """Return the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


# Shipped traces


def one(name: str) -> Figures:
    """Time single configurations of a shipped trace that was simulated once at another batch."""
    import condsim

    trace = condsim.load(SHIPPED / name)
    profile = trace.profile or condsim.load(SHIPPED / PROFILE_OF).profile
    phase = trace.steps["phase"].iloc[0]
    condsim.simulate(trace, profile, phase=phase)
    seconds = []
    for batch in BATCHES:
        start = time.perf_counter()
        condsim.simulate(trace, profile, batch=batch, phase=phase)
        seconds.append(time.perf_counter() - start)
    return {"ms": statistics.median(seconds) * 1e3}


def many() -> Figures:
    """Time many configurations of a trace that was just opened."""
    import condsim

    trace = condsim.load(SHIPPED / SWEPT_TRACE)
    questions = []
    for values in itertools.product(*SWEPT.values()):
        questions.append(dict(zip(SWEPT, values, strict=True)))
    ask = asked_at_once()
    seconds = timed(lambda: ask(trace, questions))
    return {"a_second": len(questions) / seconds}


def asked_at_once() -> Callable[[Any, list[dict[str, Any]]], Any]:
    """Return what asks many questions: one call, or a loop where condsim has no such call."""
    import condsim

    def loop(trace: Any, questions: list[dict[str, Any]]) -> Any:
        return [condsim.simulate(trace, trace.profile, **question) for question in questions]

    try:
        from condsim.predict.simulate import simulate_many
        from condsim.scenario import Scenario
    except ImportError:
        return loop

    def call(trace: Any, questions: list[dict[str, Any]]) -> Any:
        scenarios = [Scenario(**question) for question in questions]
        return simulate_many(trace, trace.profile, scenarios)

    return call


# Large traces


def build(tokens: str) -> Figures:
    """Build a large trace where there is none yet."""
    from large import large_trace

    large_trace(int(tokens))
    return {}


def replay(tokens: str, strategy: str) -> Figures:
    """Open a large trace and simulate it at batch 1."""
    from large import large_trace

    import condsim

    folder = large_trace(int(tokens))
    profile = condsim.load(SHIPPED / PROFILE_OF).profile
    return simulated(condsim.load(folder), profile, strategy)


def build_rows(rows: str) -> Figures:
    """Build a trace of many rows where there is none yet."""
    from many_rows import many_rows

    many_rows(int(rows))
    return {}


def replay_rows(rows: str) -> Figures:
    """Open a trace of many rows and simulate it at a row a step."""
    from many_rows import DRAWN_FROM, many_rows

    import condsim

    folder = many_rows(int(rows))
    profile = condsim.load(DRAWN_FROM).profile
    return simulated(condsim.load(folder), profile, None)


def simulated(trace: Any, profile: Any, strategy: str | None) -> Figures:
    """Simulate a trace at batch 1."""
    import condsim

    start = time.perf_counter()
    prediction = condsim.simulate(trace, profile, strategy, 1)
    seconds = time.perf_counter() - start
    return {"s": seconds, "gib": peak_gib(), "speedup": prediction.speedup}


def peak_gib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def count_files(tokens: str) -> Figures:
    """Count all decisions of a large trace, as they are stored."""
    from large import large_trace

    import condsim

    return counted(condsim.load(large_trace(int(tokens))))


def count_memory(tokens: str) -> Figures:
    """Count all decisions of a large trace that are in memory."""
    from large import large_trace

    import condsim

    stored = condsim.load(large_trace(int(tokens)))
    decisions = {site.name: stored.decisions(site.name) for site in stored.sites}
    in_memory = first_of("in_memory", "condsim.trace.encoding", "condsim.store")
    return counted(dataclasses.replace(stored, reader=in_memory(decisions)))


def counted(trace: Any) -> Figures:
    """Count the decisions at each site. A row of top-2 has two."""
    seconds, decisions = 0.0, 0
    for site in trace.sites:
        start = time.perf_counter()
        counts = trace.unit_counts(site.name)
        seconds += time.perf_counter() - start
        decisions += int(counts.sum())
    return {"millions_a_second": decisions / seconds / 1e6}


# Starting


def starting() -> Figures:
    """Time how long the command and the library take to start."""
    show_help = [sys.executable, "-c", HELP, "--help"]
    import_library = [sys.executable, "-c", "import condsim"]
    return {"help_ms": started(show_help) * 1e3, "import_s": started(import_library)}


def started(command: list[str]) -> float:
    """Return the median seconds of a few starts, after one that is not timed."""

    def start() -> None:
        subprocess.run(command, check=True, capture_output=True)

    start()
    return statistics.median(timed(start) for _ in range(STARTS))


# Observing


def observing(name: str) -> Figures:
    """Time forward passes of a model of the zoo, each as it is and then observed."""
    import torch

    from condsim.zoo import load

    execution = first_of("Execution", "condsim.live.execution", "condsim.capture.execution")
    live_model = first_of("LiveModel", "condsim.live.model", "condsim.capture.live")
    as_batches = first_of("as_batches", "condsim.live.inputs", "condsim.capture.inputs")
    torch.set_num_threads(1)
    example = load(name)
    live, batch = live_model.of(example.model), as_batches(example.inputs[0])[0]
    live.run(batch)

    def forward() -> None:
        batch.call(example.model)

    plain, ratios = [], []
    for _ in range(PAIRS):
        with torch.inference_mode():
            plain_s = timed(forward)
        with live.prepared(execution(observed={})):
            observed_s = timed(forward)
        plain.append(plain_s)
        ratios.append(observed_s / plain_s)
    overhead = statistics.median(ratios) - 1
    return {"forward_ms": statistics.median(plain) * 1e3, "overhead_percent": overhead * 100}


PARTS: dict[str, Callable[..., Figures]] = {
    "one": one,
    "many": many,
    "build": build,
    "replay": replay,
    "build-rows": build_rows,
    "replay-rows": replay_rows,
    "count-files": count_files,
    "count-memory": count_memory,
    "starting": starting,
    "observing": observing,
}


def main(part: str, *arguments: str) -> None:
    """Measure a part and print its figures."""
    print(json.dumps(PARTS[part](*arguments)))


if __name__ == "__main__":
    main(*sys.argv[1:])
