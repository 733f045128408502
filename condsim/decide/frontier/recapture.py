"""Capture a model again at other settings, and time it there."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from condsim.decide.frontier.settings import CONDITIONAL, DENSE
from condsim.errors import CondsimError
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory
from condsim.trace.spec import CAPACITY, DROPPING, setting_in, with_setting, without_setting
from condsim.trace.store import check_target

Progress = Callable[..., None]
"""(what is done, how much of it, of how much)."""


@dataclass(frozen=True)
class Asked:
    """Settings to capture: values of one name."""

    name: str
    values: Sequence[float]

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Return the settings of "threshold=0.5,0.8". Raises CondsimError for any other text."""
        name, equals, values = text.partition("=")
        try:
            numbers = [float(value) for value in values.split(",")]
        except ValueError:
            numbers = []
        if not equals or not name.strip().isidentifier() or not numbers:
            raise CondsimError(f"settings are NAME=VALUE,VALUE,..., got {text!r}")
        if not all(map(math.isfinite, numbers)):
            raise CondsimError(f"settings are finite numbers, got {text!r}")
        return cls(name.strip(), numbers)

    @property
    def folders(self) -> list[str]:
        """Names of the folders that their traces are kept in."""
        return [f"{self.name}={value:g}" for value in self.values]


def check_targets(beside: Path, asked: Iterable[Asked], force: bool) -> None:
    """Raises CondsimError where traces of settings could not be kept in the folder `beside`, or
    would replace measured ones and `force` is not given."""
    for each in asked:
        for name in each.folders:
            check_target(beside / name, force)


FACTORS = (0.5, 1.0, 1.5, 2.0)
"""Capacity factors to try where a model has nothing but experts."""


def usual(trace: Trace) -> list[Asked]:
    """Return the settings that the zoo knows for its model. Raises CondsimError for any other."""
    from condsim.zoo.base import KINDS, kind_of

    spec = without_setting(trace.header.provenance.spec or "")
    if not any(spec in kinds for kinds in KINDS):
        raise CondsimError(
            f"settings: say what trades the quality of {trace.name!r} for its speed, an argument "
            "of the function that its spec names: --settings NAME=VALUE,VALUE,..."
        )
    knob = kind_of(spec).knob
    asked = [Asked(knob.name, knob.values)]
    pads = any(program.strategy == DROPPING for program in trace.programs.values())
    if pads and all(site.routing.mixes_experts for site in trace.sites):
        asked.append(Asked(CAPACITY, FACTORS))
    return asked


def captured_at(
    trace: Trace, asked: Asked, batches: int | None = None, progress: Progress = lambda *_: None
) -> Iterable[tuple[str, Trace]]:
    """Capture the model of a trace at each setting, one at a time: (name of a folder, trace).

    batches: of the inputs, at most; None for as many as the trace has steps.
    Raises CondsimError where the trace names no spec, and as `condsim.capture` does.
    """
    most = batches or len(trace.steps)
    for name, spec in _specs(trace, asked, progress):
        dropping = asked.name == CAPACITY
        other = _dropping(trace, spec, most) if dropping else _capture(spec, most)
        yield name, lean(other)


def observed_at(
    trace: Trace, asked: Asked, batches: int | None = None, progress: Progress = lambda *_: None
) -> Iterable[tuple[str, Trace]]:
    """Observe the model of a trace on other inputs, as `captured_at` captures it.

    What it executes is not recorded again. asked: noise, or what else changes inputs only.
    """
    from condsim.capture.again import observe_again
    from condsim.zoo.specs import load_spec

    for name, spec in _specs(trace, asked, progress):
        example = load_spec(spec)
        if example.quality is None:
            raise CondsimError(f"{spec} gives no quality: return an Example with quality=")
        inputs = example.inputs[: batches or len(trace.steps)]
        seen = observe_again(trace, example.model, inputs, example.quality, spec)
        yield name, lean(seen)


def _specs(trace: Trace, asked: Asked, progress: Progress) -> Iterator[tuple[str, str]]:
    """(name of a folder, spec) of each setting; raises CondsimError where the trace has no spec."""
    spec = trace.header.provenance.spec
    if spec is None or trace.header.provenance.quality_name is None:
        raise CondsimError(
            f"trace {trace.name!r} was captured in Python, or without quality: capture it from a "
            "spec that gives an Example with quality (docs, does 30 % hold?)"
        )
    for number, (name, value) in enumerate(zip(asked.folders, asked.values, strict=True)):
        progress(asked.name, number, len(asked.values))
        yield name, with_setting(spec, asked.name, value)
    progress(asked.name, len(asked.values), len(asked.values))


def lean(trace: Trace) -> Trace:
    """Return the trace without what no prediction reads: scores, weights that combine experts, and
    the quality at exits."""
    decisions = {}
    for site in trace.sites:
        decisions[site.name] = Decisions(trace.decisions(site.name).ids)
    plain = {"has_weights": False, "has_scores": False}
    sites = tuple(site.model_copy(update=plain) for site in trace.sites)
    quality = trace.quality[[CONDITIONAL, DENSE]]
    header = trace.header.model_copy(update={"sites": sites})
    return replace(trace, header=header, reader=in_memory(decisions), quality=quality)


def _dropping(trace: Trace, spec: str, batches: int) -> Trace:
    """The model of a trace with the experts' room that a spec says."""
    from condsim.capture.again import observe_dropping
    from condsim.zoo.specs import load_spec, settings_of

    (factor,) = settings_of(spec).values()
    if factor <= 0:
        raise CondsimError(f"{CAPACITY} must be above 0, got {factor:g}")
    example = load_spec(without_setting(spec))
    assert example.quality is not None
    inputs = example.inputs[:batches]
    return observe_dropping(trace, example.model, inputs, example.quality, factor)


def _capture(spec: str, batches: int) -> Trace:
    from condsim.api import capture
    from condsim.zoo.specs import load_spec

    example = load_spec(spec)
    return capture(
        example.model,
        example.inputs[:batches],
        measure=False,
        new_tokens=example.new_tokens,
        name=example.name,
        quality=example.quality,
        quality_name=example.quality_name,
        higher_is_better=example.higher_is_better,
        spec=spec,
        command=shlex.join(["condsim", "capture", spec, "-o", "FOLDER", "--no-measure"]),
    )


def timed_at(trace: Trace, batches: Sequence[int], progress: Progress) -> Trace:
    """Time the model of a trace at its setting here, in fresh processes, over the dense network.

    The profile of this machine is left out: the trace beside which this one stands has it. How
    much experts have room for is no setting that a fresh process knows: such a trace stays as it
    is.
    """
    setting = setting_in(trace.header.provenance.spec or "")
    if setting is not None and setting[0] == CAPACITY:
        return trace
    from condsim.measure import measure

    timed = measure(
        trace, batches=list(batches) or None, baselines=["same-params"], progress=progress
    )
    return replace(timed, profile=None)
