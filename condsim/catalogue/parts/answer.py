"""The answer about a model of the catalogue: does it pay, also over its dense rivals?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from condsim.catalogue.forms import FORMS
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.catalogue.parts.rivals import rivals_of
from condsim.hardware import HardwareProfile
from condsim.runtimes.runtime import SERVED
from condsim.strategies import BASELINES
from condsim.study.answer import Answer, answer
from condsim.trace import Trace


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
    return answer_of(trace, model, question, profile, strategy, baseline, progress, **options)


def answer_of(
    trace: Trace,
    model: CatalogueModel,
    question: Question,
    profile: HardwareProfile,
    strategy: str | None = None,
    baseline: str = BASELINES[0],
    progress: Callable[[str], None] = lambda _name: None,
    **options: Any,
) -> Answer:
    """Predict as `answer_about` does. trace: what it executes, on routing drawn for the
    question."""
    asked = options_of(model, question, profile, options)
    answered = answer(trace, profile, strategy, baseline, **asked)
    return with_rivals(answered, model, question, progress)


def with_rivals(
    answered: Answer,
    model: CatalogueModel,
    question: Question,
    progress: Callable[[str], None] = lambda _name: None,
) -> Answer:
    """Return an answer with the model's dense rivals on the same device, which are recorded the
    first time."""
    rivals = rivals_of(model, answered.prediction, answered.profile, question.of(model), progress)
    return replace(answered, rivals=tuple(rivals))


def options_of(
    model: CatalogueModel, question: Question, profile: HardwareProfile, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return arguments of `condsim.simulate` for a question. options: those that are named."""
    question = question.of(model)
    asked = {**options, "batch": question.batch, "phase": question.phase}
    if asked.get("runtime") is None and SERVED.is_for(profile) and FORMS[model.form].served:
        asked["runtime"] = SERVED.name
    return asked
