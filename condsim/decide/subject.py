"""What a question is about: a trace, or a model of the catalogue, whose routing is drawn.

Both give a trace for each *variant*: what differs from the subject as it is. A trace has other
routing (`skew`, `share`); a model also has another `batch`, `context` and `phase`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

from condsim.catalogue import CATALOGUE, CatalogueModel
from condsim.catalogue.parts.answer import answer_about
from condsim.catalogue.parts.programs import digest_of as digest_of_model
from condsim.catalogue.parts.question import Question, trace_of
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile, hardware
from condsim.mechanisms import MECHANISMS
from condsim.predict.simulate import resolve_profile
from condsim.program.regime import DECODE, PREFILL
from condsim.results import Results
from condsim.runtimes.runtime import SERVED
from condsim.scenario import Scenario
from condsim.steps.redraw import redrawn
from condsim.study.answer import Answer, answer
from condsim.study.breakeven import largest_batch
from condsim.study.routing import powers
from condsim.trace import Trace
from condsim.trace.digest import digest_of
from condsim.trace.encoding import in_memory
from condsim.trace.read import load

SKEW, SHARE, CONTEXT = "skew", "share", "context"
MOST_TRACES = 24
MODEL_BATCHES = (1, 4, 16, 64, 256)
"""Sequences of a model at once that are looked at."""
Variant = Mapping[str, Any]
"""Name → value of what differs from the subject as it is."""
Asked = Mapping[str, Any]
"""Fields of a scenario, and what a subject varies → value."""


class Subject(Protocol):
    """What a question is about.

    varies: names of what makes another trace of it. digest: stands for its content.
    """

    varies: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def axes(self) -> tuple[str, ...]:
        """Names in `varies` that mean something of it."""

    def trace(self, variant: Variant) -> Trace:
        """Return its trace in a variant. Raises CondsimError for an impossible one."""

    def device(self, profile: HardwareProfile | str | None) -> HardwareProfile:
        """Return the device that is meant. Raises CondsimError where none is."""

    def scenario(self, scenario: Scenario, profile: HardwareProfile) -> Scenario:
        """Return a scenario with what the subject says where nothing was asked."""

    def answer(self, profile: HardwareProfile, asked: Asked) -> Answer:
        """Return what is predicted and measured of one scenario. asked: fields of a scenario, and
        what the subject varies. Raises CondsimError as `condsim.simulate` does."""

    def phases(self) -> tuple[str, ...]:
        """Return the phases that it has."""

    def most_units(self, phase: str | None) -> int:
        """Return the largest batch that can be asked for."""

    def batches(self, phase: str | None) -> Sequence[int]:
        """Return batches worth asking about, in rising order."""

    def portable(self) -> Subject:
        """Return the subject so that another process can have it."""


@dataclass(frozen=True)
class TraceSubject:
    """A trace."""

    captured: Trace
    varies: ClassVar[tuple[str, ...]] = (SKEW, SHARE)

    @property
    def name(self) -> str:
        return self.captured.name

    @cached_property
    def digest(self) -> str:
        return digest_of(self.captured)

    @property
    def axes(self) -> tuple[str, ...]:
        redrawn_by = {MECHANISMS[site.mechanism].redrawn_by for site in self.captured.sites}
        return tuple(name for name in self.varies if name in redrawn_by)

    def trace(self, variant: Variant) -> Trace:
        if not variant:
            return self.captured
        return redrawn(self.captured, variant.get(SKEW), variant.get(SHARE))

    def device(self, profile: HardwareProfile | str | None) -> HardwareProfile:
        return resolve_profile(self.captured, profile)

    def scenario(self, scenario: Scenario, profile: HardwareProfile) -> Scenario:
        return scenario

    def answer(self, profile: HardwareProfile, asked: Asked) -> Answer:
        variant = {name: value for name, value in asked.items() if name in self.varies}
        others = {name: value for name, value in asked.items() if name not in self.varies}
        if CONTEXT in others:
            raise no_context(CONTEXT)
        return answer(self.trace(variant), profile, **others)

    def phases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.captured.steps["phase"]))

    def most_units(self, phase: str | None) -> int:
        return largest_batch(self.captured, phase)

    def batches(self, phase: str | None) -> Sequence[int]:
        return powers(self.most_units(phase))

    def portable(self) -> TraceSubject:
        """Its decisions go along; measurements and quality do not."""
        decisions = {site.name: self.captured.decisions(site.name) for site in self.captured.sites}
        header, steps = self.captured.header, self.captured.steps
        trace = Trace(header, steps, self.captured.programs, in_memory(decisions))
        return TraceSubject(replace(trace, profile=self.captured.profile))


def no_context(name: str) -> CondsimError:
    """Return the error for a trace that is asked about another context. name: of the option."""
    return CondsimError(
        f"{name} is for models of the catalogue (condsim models); a trace has the positions that "
        "it was captured at"
    )


@dataclass(frozen=True)
class ModelSubject:
    """A model of the catalogue. It runs as serving engines run it where the device can.

    traces: that were made of it last, with what their simulations remember.
    """

    model: CatalogueModel
    traces: Results = field(default_factory=lambda: Results(MOST_TRACES), repr=False, compare=False)
    questions: ClassVar[tuple[str, ...]] = ("batch", CONTEXT, "phase")
    varies: ClassVar[tuple[str, ...]] = (*questions, SKEW)

    @property
    def name(self) -> str:
        return self.model.name

    @cached_property
    def digest(self) -> str:
        return f"{digest_of_model(self.model)} {self.model.routing}"

    @property
    def axes(self) -> tuple[str, ...]:
        return ("batch",) if self.model.images else self.varies

    def trace(self, variant: Variant) -> Trace:
        key = tuple(sorted(variant.items()))
        return self.traces.remember(key, lambda: self._made(variant))

    def _made(self, variant: Variant) -> Trace:
        asked = {name: value for name, value in variant.items() if name != SKEW}
        trace = trace_of(self.model, Question(**asked))
        return redrawn(trace, variant[SKEW]) if SKEW in variant else trace

    def device(self, profile: HardwareProfile | str | None) -> HardwareProfile:
        if profile is None:
            raise CondsimError(
                f"device: name the device that {self.name} would run on (condsim profiles lists "
                "them)"
            )
        return profile if isinstance(profile, HardwareProfile) else hardware(profile)

    def scenario(self, scenario: Scenario, profile: HardwareProfile) -> Scenario:
        if scenario.runtime is None and SERVED.is_for(profile) and not self.model.images:
            return scenario.but(runtime=SERVED.name)
        return scenario

    def answer(self, profile: HardwareProfile, asked: Asked) -> Answer:
        others = dict(asked)
        chosen = {name: others.pop(name) for name in self.questions if name in others}
        if SKEW in others:
            raise CondsimError("skew: an answer about a model is of its own routing")
        return answer_about(self.model, Question(**chosen), profile, **others)

    def phases(self) -> tuple[str, ...]:
        return (PREFILL,) if self.model.images else (PREFILL, DECODE)

    def most_units(self, phase: str | None) -> int:
        return MODEL_BATCHES[-1]

    def batches(self, phase: str | None) -> Sequence[int]:
        return MODEL_BATCHES

    def portable(self) -> ModelSubject:
        return ModelSubject(self.model)


def subject_of(what: Trace | CatalogueModel | Subject | str | Path) -> Subject:
    """Return what is asked about. A text: the name of a model, or the folder of a trace.

    Raises CondsimError for anything else.
    """
    if isinstance(what, (TraceSubject, ModelSubject)):
        return what
    if isinstance(what, Trace):
        return TraceSubject(what)
    if isinstance(what, CatalogueModel):
        return ModelSubject(what)
    if not isinstance(what, (str, Path)):
        raise CondsimError(
            f"name a trace, its folder, or a model (condsim models), got {shown(what)}"
        )
    if isinstance(what, str) and what in CATALOGUE and not Path(what).exists():
        return ModelSubject(CATALOGUE[what])
    return TraceSubject(load(str(what)))
