"""A model that is spread over devices under several loads: where it pays, and where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from condsim.catalogue.parts.answer import options_of
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import simulate

SEQUENCES_A_DEVICE = (1, 8, 64)


@dataclass(frozen=True)
class Load:
    """One load. batch: sequences of all devices. verdict: of `condsim.predict.verdict`."""

    batch: int
    speedup: float
    latency_s: float
    verdict: str


def loads_of(
    model: CatalogueModel,
    question: Question,
    profile: HardwareProfile,
    strategy: str,
    baseline: str,
    progress: Callable[[str], None] = lambda _name: None,
    **options: Any,
) -> Iterator[Load]:
    """Yield what a model comes to with some sequences a device.

    question: its batch is replaced. options: of `condsim.simulate`. Raises CondsimError as it does.
    """
    for sequences in SEQUENCES_A_DEVICE:
        loaded = replace(question, batch=sequences * question.ranks)
        trace = trace_of(model, loaded, progress)
        asked = options_of(model, loaded, profile, options)
        predicted = simulate(trace, profile, strategy, baseline=baseline, **asked)
        yield Load(loaded.batch, predicted.speedup, predicted.latency_s, predicted.verdict)
