"""Seconds of every operator of a call, by PyTorch's profiler, and what the profiler itself costs.

An operator's time is from the end of the one before it to its own end: what Python does in between
is part of it, and the times of a call sum up to the call, but for what Python does after the last
one. The profiler writes down the beginning and the end of each operator and of those that it calls
inside. What that costs is measured on micro-benchmarks, not on the model that is timed: sequences
of small operators run with the profiler and without (`measure_profiler_cost`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.autograd.profiler import profile

from condsim.calibrate.code_locality import calls as tiny_calls
from condsim.timing.cases import Pool, typical
from condsim.timing.clock import CPU
from condsim.timing.yardstick import Call, Yardstick

MARKER = "digamma"
"""The operator that stands around a timed call; a model that uses it cannot be told apart."""
MADE_BEFORE_LIFT = ("empty", "to")
"""What runs before `lift_fresh` in `torch.tensor`."""
_ONE = torch.ones(1)

OPERATORS_A_SEQUENCE = 80
SEQUENCES = 12
VISITS = 6
CALLS_A_VISIT = 4


@dataclass(frozen=True)
class ProfilerCost:
    """What the profiler costs.

    operator_s: each operator that Python calls. event_s: each operator that is written down, these
    and those that they call inside.
    """

    operator_s: float
    event_s: float

    def of(self, events: np.ndarray) -> np.ndarray:
        """Seconds for operators with so many events each, float [n]."""
        seconds: np.ndarray = self.operator_s + self.event_s * events
        return seconds


@dataclass(frozen=True)
class ProfiledCall:
    """One call.

    names: the operators that Python called, in order. seconds: of each, from the end of the one
    before, the profiler's cost included, float [n]. events: of each, int [n].
    """

    names: tuple[str, ...]
    seconds: np.ndarray
    events: np.ndarray


@dataclass(frozen=True)
class Outermost:
    """An operator that no other one calls. events: itself and those that it calls."""

    name: str
    end_ns: int
    events: int


def mark() -> float:
    """Read a clock (of the CPU) that leaves marks.

    Read it before and after what is to be timed, while `profile_calls` runs.
    """
    now = CPU()
    torch.digamma(_ONE)
    torch.digamma(_ONE)  # the first one finds its code evicted, and ends late
    return now


def profile_calls(run: Callable[[], object]) -> list[ProfiledCall]:
    """What ran between the marks of a function: one call for each pair of marks.

    What Python does after the last operator of a call is in no operator's time.
    """
    with profile(use_kineto=True) as profiled:
        run()
    assert profiled.kineto_results is not None
    operators = _outermost(profiled.kineto_results.events())
    markers = []
    for number, operator in enumerate(operators):
        if operator.name == MARKER:
            markers.append(number)
    assert len(markers) % 4 == 0, "a call stands between two marks of two operators each"
    calls: list[ProfiledCall] = []
    for last_before, first_after in zip(markers[1::4], markers[2::4], strict=True):
        inside = operators[last_before + 1 : first_after]
        ends_ns = [operator.end_ns for operator in operators[last_before:first_after]]
        names = tuple(operator.name for operator in inside)
        events = np.array([operator.events for operator in inside])
        calls.append(ProfiledCall(names, np.diff(ends_ns) / 1e9, events))
    return calls


def _outermost(events: Sequence[Any]) -> list[Outermost]:
    """The outermost operators in order, of the thread that marks."""
    marks = [event for event in events if event.name() == f"aten::{MARKER}"]
    threads = {mark.start_thread_id() for mark in marks}
    timed = [event for event in events if event.start_thread_id() in threads]
    timed.sort(key=_begin_then_longest)
    operators: list[Outermost] = []
    for event in timed:
        if operators and event.start_ns() < operators[-1].end_ns:
            outer = operators[-1]
            operators[-1] = replace(outer, events=outer.events + 1)
        else:
            name = event.name().rpartition("::")[2]
            operators.append(Outermost(name, event.end_ns(), 1))
    return _with_made_tensors(operators)


def _begin_then_longest(event: Any) -> tuple[int, int, str]:
    """Sort key that puts an operator before those that it calls."""
    return event.start_ns(), -event.end_ns(), event.name()


def _with_made_tensors(operators: Sequence[Outermost]) -> list[Outermost]:
    """The same with one operator for each `torch.tensor`.

    Of what `torch.tensor` runs, a recorder below Python sees only the last operator.
    """
    merged: list[Outermost] = []
    for operator in operators:
        before = merged[-2:]
        names_before = tuple(other.name for other in before)
        if operator.name == "lift_fresh" and names_before == MADE_BEFORE_LIFT:
            events = operator.events + sum(other.events for other in before)
            operator = replace(operator, events=events)
            del merged[-2:]
        merged.append(operator)
    return merged


def measure_profiler_cost(pool: Pool, yardstick: Yardstick) -> ProfilerCost:
    """Time sequences of small operators with the profiler and without.

    The operators are drawn at random: few events in the first sequences, many in the last ones.
    Each sequence is timed as a whole. Must run under inference mode.
    """
    calls = tiny_calls(pool)
    events = {}
    for name, call in calls.items():
        events_of_call = _profile_once(call)
        events[name] = int(events_of_call.sum())
    by_events = sorted(calls, key=events.__getitem__)
    sizes: list[list[int]] = []
    extra_s: list[float] = []
    for number in range(SEQUENCES):
        names = _draw_sequence(by_events, number)
        events_of_sequence = sum(events[name] for name in names)
        sequence = [calls[name] for name in names]
        sizes.append([len(names), events_of_sequence])
        extra_s.append(_extra_s(sequence, yardstick))
    coefficients = np.array(sizes, float)
    solution, *_ = np.linalg.lstsq(coefficients, np.array(extra_s), rcond=None)
    operator_s, event_s = solution
    return ProfilerCost(float(operator_s), float(event_s))


def _draw_sequence(by_events: Sequence[str], number: int) -> list[str]:
    """Names of operators around the place that a sequence's number has in the order by events."""
    rng = random.Random(number)
    count = len(by_events)
    middle = count * (number + 0.5) / SEQUENCES
    names: list[str] = []
    for _ in range(OPERATORS_A_SEQUENCE):
        drawn = int(rng.gauss(middle, count / 4))
        names.append(by_events[min(max(drawn, 0), count - 1)])
    return names


def _profile_once(call: Call) -> np.ndarray:
    """Events of each operator of a call, int [n]."""

    def marked() -> None:
        mark()
        call()
        mark()

    call()
    return profile_calls(marked)[0].events


def _extra_s(sequence: Sequence[Call], yardstick: Yardstick) -> float:
    """Seconds that a sequence takes longer while it is profiled."""
    plain: list[tuple[float, float]] = []
    profiled: list[tuple[float, float]] = []
    for _ in range(VISITS):
        plain += _visit(sequence, yardstick())
        reading_s = yardstick()  # while it is profiled it would read more
        with profile(use_kineto=True):
            profiled += _visit(sequence, reading_s)
    return typical(profiled, yardstick) - typical(plain, yardstick)


def _visit(sequence: Sequence[Call], reading_s: float) -> list[tuple[float, float]]:
    """(seconds of the whole sequence, the yardstick's reading before) of each run but the first."""
    runs: list[tuple[float, float]] = []
    for _ in range(CALLS_A_VISIT):
        start = CPU()
        for call in sequence:
            call()
        runs.append((CPU() - start, reading_s))
    return runs[1:]
