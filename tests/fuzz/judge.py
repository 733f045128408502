"""Which answers are right: one clear line, or numbers that are finite and above zero."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from condsim.errors import CondsimError
from condsim.predict.prediction import Prediction
from fuzz.questions import Answer

LONGEST_LINE = 1000
POSITIVE = ("speedup", "latency_s", "baseline_s", "energy_j", "baseline_energy_j", "flops_ratio")
NOT_NEGATIVE = (
    "peak_bytes",
    "baseline_peak_bytes",
    "executed_flops",
    "baseline_flops",
    "prepare_s",
)
OF_TABLES = ("predicted_speedup", "measured_speedup", "predicted_s", "measured_s", "share", "rows")
SLACK = 1e-6
"""Relative, of sums and products."""


@dataclass(frozen=True)
class Verdict:
    """What an input gave.

    kind: "answered" or "refused", which are right; or what is wrong. place: where, so that like
    ones are counted together. said: the whole message.
    """

    kind: str
    place: str = ""
    said: str = ""

    @property
    def right(self) -> bool:
        return self.kind in ("answered", "refused")


def of_error(error: BaseException) -> Verdict:
    """The verdict on what was raised."""
    if isinstance(error, CondsimError):
        return of_line(str(error))
    if isinstance(error, MemoryError) or "ArrowMemoryError" in type(error).__name__:
        return Verdict("memory", _place(error), _text(error))
    return Verdict("traceback", f"{type(error).__name__} at {_place(error)}", _text(error))


def of_line(message: str) -> Verdict:
    """The verdict on a message for the user."""
    if len(message) > LONGEST_LINE:
        return Verdict("message", f"{len(message)} characters: {message[:60]!a}", message[:2000])
    if "\n" in message:
        return Verdict("message", f"several lines: {message[:60]!a}", message)
    if len(message.split()) < 3:
        return Verdict("message", f"says nothing: {message!a}", message)
    return Verdict("refused", said=message)


def of_answer(answer: Answer) -> Verdict:
    """The verdict on what was answered."""
    if answer.code is not None:
        return _of_command(answer)
    for prediction in answer.predictions:
        for problem in problems(prediction):
            return Verdict("bad number", problem.partition(" = ")[0], problem)
    for table in answer.tables:
        for problem in problems_of_table(table):
            return Verdict("bad number", problem.partition(" = ")[0], problem)
    for value in answer.values:
        for problem in problems_of_value(value):
            return Verdict("bad number", problem.partition(" = ")[0], problem)
    return Verdict("answered")


def problems(p: Prediction) -> Iterator[str]:
    """What is wrong with the numbers of a prediction."""
    for name in POSITIVE:
        yield from _unless(0 < getattr(p, name) < math.inf, name, getattr(p, name))
    for name in NOT_NEGATIVE:
        yield from _unless(0 <= getattr(p, name) < math.inf, name, getattr(p, name))
    for name, point in (("speedup", p.speedup), ("latency", p.latency_s)):
        low, high = getattr(p, f"{name}_interval")
        inside = 0 < low <= point * (1 + SLACK) and point <= high * (1 + SLACK) < math.inf
        yield from _unless(inside, f"{name}_interval", f"{low} {point} {high}")
    product = math.prod(p.waterfall["factor"])
    near = math.isclose(product, p.speedup, rel_tol=1e-6)
    yield from _unless(near, "product of the waterfall", f"{product} of {p.speedup}")
    share = sum(p.estimated.values())
    yield from _unless(math.isclose(share, 1, rel_tol=1e-6), "sum of the shares", share)
    json.dumps(p.to_dict(), default=str, allow_nan=False)


def problems_of_table(table: pd.DataFrame) -> Iterator[str]:
    """What is wrong with the numbers of a comparison or of the routing."""
    for name in OF_TABLES:
        for value in table.get(name, ()):
            yield from _unless(0 <= value < math.inf, f"column {name}", value)


def problems_of_value(value: Any) -> Iterator[str]:
    """What is wrong with the numbers of any other result."""
    if isinstance(value, pd.DataFrame):
        yield from problems_of_table(value)
        yield from problems_of_value(value.to_dict("records"))
    elif hasattr(value, "to_dict"):
        yield from problems_of_value(value.to_dict())
    elif isinstance(value, dict) and not isinstance(value.get("error"), str):
        answers = "latency_s" in value  # others are parts of one, of which some cost nothing
        for name, number in value.items():
            if answers and name in POSITIVE and isinstance(number, (int, float)):
                yield from _unless(0 < number < math.inf, name, number)
            yield from problems_of_value(number)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from problems_of_value(each)


def _unless(right: object, name: str, value: object) -> Iterator[str]:
    if not right:
        yield f"{name} = {value}"


def _of_command(answer: Answer) -> Verdict:
    """The verdict on a command: data and exit code 0, or one line on stderr and 2."""
    if answer.code == 2:
        if answer.out or not answer.err.startswith("error: "):
            return Verdict("message", "refused, and printed", answer.out[:500] + answer.err[:500])
        return of_line(answer.err.removesuffix("\n"))
    required = answer.code == 1 and "itself failed" not in answer.err  # advise --require
    if answer.code != 0 and not required:
        return Verdict("exit code", str(answer.code), answer.err[-2000:])
    if answer.out.startswith("{"):
        for problem in _missing(json.loads(answer.out, parse_constant=_refuse)):
            return Verdict("bad number", problem.partition(" in ")[0], problem)
    unprintable = [c for c in answer.out + answer.err if not c.isprintable() and c != "\n"]
    if unprintable:
        return Verdict("message", f"prints {unprintable[0]!a}", answer.out[:2000])
    return Verdict("answered")


def _missing(value: Any) -> Iterator[str]:
    """Numbers of JSON that are null, as those that are not finite become, where nothing says
    why."""
    inside = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict) and not value.get("error"):
        for name in POSITIVE:
            if value.get(name, 1) is None:
                yield f"{name} = None in {str(value)[:500]}"
    for each in inside:
        if isinstance(each, (dict, list)):
            yield from _missing(each)


def _refuse(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def _place(error: BaseException) -> str:
    """The innermost line of condsim."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/condsim/" in f.filename]
    if not frames:
        return "outside of condsim"
    last = frames[-1]
    return f"{last.filename.rpartition('/condsim/')[2]}:{last.lineno}"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-6000:]
