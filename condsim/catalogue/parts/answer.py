"""The answer about a model of the catalogue: does it pay, also over its dense rivals?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.catalogue.parts.rivals import rivals_of
from condsim.hardware import HardwareProfile
from condsim.runtimes.runtime import SERVED
from condsim.strategies import BASELINES
from condsim.study.answer import Answer, answer


def answer_about(
    model: CatalogueModel,
    question: Question,
    profile: HardwareProfile,
    strategy: str | None = None,
    baseline: str = BASELINES[0],
    progress: Callable[[str], None] = lambda _name: None,
    **options: Any,
) -> Answer:
    """Predict a model and its dense rivals on one device.

    progress: called with the name of each program that is recorded.
    options: of `condsim.simulate`; a device that serving engines run on runs as they do unless
        `runtime` says otherwise.
    Raises CondsimError as `condsim.simulate` does.
    """
    trace = trace_of(model, question, progress)
    asked = options_of(question, profile, options)
    answered = answer(trace, profile, strategy, baseline, **asked)
    rivals = rivals_of(model, answered.prediction, profile, question, progress)
    return replace(answered, rivals=tuple(rivals))


def options_of(
    question: Question, profile: HardwareProfile, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return arguments of `condsim.simulate` for a question. options: those that are named."""
    asked = {**options, "batch": question.batch, "phase": question.phase}
    if asked.get("runtime") is None and SERVED.is_for(profile):
        asked["runtime"] = SERVED.name
    return asked
