"""A model of the catalogue on many devices: which of them runs it, and where does it pay?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from condsim.catalogue.parts.answer import answer_of, options_of
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.strategies import BASELINES
from condsim.study.ranking import Candidate, candidates

DOES_NOT_FIT = "does not fit"
"""What is said of a device without the memory, in place of a verdict."""


def rows_on(
    model: CatalogueModel,
    question: Question,
    profiles: Iterable[HardwareProfile],
    strategies: Iterable[str | None] | None = (None,),
    baseline: str = BASELINES[0],
    progress: Callable[[str], None] = lambda _name: None,
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Yield a row a device and strategy: `Answer.to_dict`, with the device's class.

    A combination that cannot be predicted is a row with class, profile, strategy, baseline and the
    reason in "error". A device that has not the memory is predicted all the same, as if it had.
    strategies: None = all that a device has; a None among them: the one that runs there by default.
    options: of `condsim.simulate`. Raises CondsimError for a dense model.
    """
    trace = trace_of(model, question, progress)
    for profile in profiles:
        runtime = options_of(model, question, profile, options).get("runtime")
        for candidate in candidates(trace, [profile], strategies, runtime):
            row: dict[str, Any] = {**candidate.named(), "baseline": baseline}
            try:
                _require_able(candidate)
                answered = answer_of(
                    trace,
                    model,
                    question,
                    profile,
                    candidate.strategy,
                    baseline,
                    progress,
                    **options,
                )
            except CondsimError as error:
                yield row | {"error": str(error)}
                continue
            row |= answered.to_dict()
            fits = row["memory"]["fits"]
            yield row | {"verdict": row["verdict"] if fits else DOES_NOT_FIT}


def _require_able(candidate: Candidate) -> None:
    """Raises CondsimError where the device runs no strategy."""
    if candidate.refusal:
        raise CondsimError(candidate.refusal)


def fit_first(row: dict[str, Any]) -> tuple[bool, bool, float]:
    """What rows are sorted by: those that fit, the fastest first; then others; then refused ones.

    row: of `rows_on`.
    """
    refused = "error" in row
    fits = not refused and row["memory"]["fits"]
    return refused, not fits, 0.0 if refused else row["latency_s"]
