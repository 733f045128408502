"""A chunk → its rows: what a worker does.

Every chunk is priced on a trace that remembers nothing of other chunks, so that its numbers are the
same to the last bit whoever prices it, and after whatever.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cloudpickle
import numpy as np
from threadpoolctl import ThreadpoolController

from condsim.decide.code import code_digest
from condsim.decide.subject import Subject
from condsim.decide.sweep.grid import Chunk
from condsim.errors import CondsimError, shortened, summary
from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate_many
from condsim.results import Results
from condsim.scenario import Scenario
from condsim.trace import Trace

Row = dict[str, Any]
FIELDS = (
    "trace", "strategy", "runtime", "dtype", "weights", "phase", "batch", "baseline", "protocol",
    "outputs", "speedup", "verdict", "latency_s", "baseline_s", "energy_j", "baseline_energy_j",
    "flops_ratio", "basis",
)  # fmt: skip
"""Columns that are fields of a prediction."""
MOST_OPEN = 8
"""Traces that a worker keeps at hand."""


def packed(subject: Subject) -> np.ndarray:
    """Return a subject as other processes get it: pickled, uint8 [bytes]."""
    pickled = cloudpickle.dumps(subject.portable())
    content: np.ndarray = np.frombuffer(pickled, np.uint8)
    return content


class _Open:
    """Subjects and traces that this process has at hand, the last ones."""

    def __init__(self) -> None:
        self._kept = Results(MOST_OPEN)
        self._one_at_a_time = threading.Lock()  # a worker of a cluster may have several threads

    def trace(self, chunk: Chunk, content: np.ndarray) -> Trace:
        """The trace of a chunk, which remembers nothing of other chunks."""
        key = (chunk.subject, chunk.group.variant)
        with self._one_at_a_time:
            trace = self._kept.remember(key, lambda: self._made(chunk, content))
            return trace.afresh()

    def _made(self, chunk: Chunk, content: np.ndarray) -> Trace:
        subject: Subject = self._kept.remember(
            chunk.subject, lambda: pickle.loads(content.tobytes())
        )
        return subject.trace(dict(chunk.group.variant))


_open = _Open()
_libraries = ThreadpoolController()


def price(content: np.ndarray, chunk: Chunk) -> tuple[Chunk, list[Row]]:
    """Return a chunk and its rows. content: of `packed`, its subject.

    A point that fails is a row with its error. Raises CondsimError where this process runs other
    code than the one that asks.
    """
    if chunk.code != code_digest():
        raise CondsimError(
            "a worker runs another condsim than this process: install the same version on both"
        )
    with _libraries.limit(limits=1):  # how many threads add decides in which order they add
        try:
            trace = _open.trace(chunk, content)
            profile = chunk.group.profile
        except Exception as error:
            return chunk, [_failed(chunk, asked, error) for asked in chunk.asked]
        return chunk, list(_rows(trace, profile, chunk))


def _rows(trace: Trace, profile: HardwareProfile, chunk: Chunk) -> Iterator[Row]:
    answers = _answers(trace, profile, chunk.scenarios)
    for asked, scenario, answer in zip(chunk.asked, chunk.scenarios, answers, strict=True):
        about = _about(chunk, asked) | {"trace": trace.name, "baseline": scenario.baseline}
        try:
            if isinstance(answer, Exception):
                raise answer
            yield about | _predicted(answer, chunk.details) | _numbers(asked)
        except Exception as error:
            yield _failed(chunk, asked, error) | {"trace": trace.name}


def _answers(
    trace: Trace, profile: HardwareProfile, scenarios: Sequence[Scenario]
) -> list[Prediction | Exception]:
    """A prediction a point, or why there is none: all at once where none fails."""
    try:
        return list(simulate_many(trace, profile, scenarios))
    except Exception:
        return [_answer(trace, profile, scenario) for scenario in scenarios]


def _answer(trace: Trace, profile: HardwareProfile, scenario: Scenario) -> Prediction | Exception:
    try:
        return simulate_many(trace, profile, [scenario])[0]
    except Exception as error:
        return error


def _about(chunk: Chunk, asked: Mapping[str, Any]) -> Row:
    device = {"device": chunk.group.device, "class": chunk.group.base.kind, "chunk": chunk.digest}
    return {**asked, **device}


def _numbers(asked: Mapping[str, Any]) -> Row:
    """Numbers that were asked for, which stand as they were asked."""
    return {name: value for name, value in asked.items() if not isinstance(value, str)}


def _predicted(prediction: Prediction, details: bool) -> Row:
    row: Row = {name: getattr(prediction, name) for name in FIELDS}
    row["low"], row["high"] = prediction.speedup_interval
    row["estimated"] = prediction.estimated.get("estimated", 0.0)
    if details:
        row["peak_bytes"] = prediction.peak_bytes
        row["baseline_peak_bytes"] = prediction.baseline_peak_bytes
        row["fits"] = prediction.memory.fits
        row["main_loss"] = prediction.main_loss
    return row


def _failed(chunk: Chunk, asked: Mapping[str, Any], error: Exception) -> Row:
    said = str(error) if isinstance(error, CondsimError) else summary(error)
    return _about(chunk, asked) | {"error": shortened(" ".join(said.split()))}
