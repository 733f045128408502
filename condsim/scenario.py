"""One question about a trace and a device: what the library, the command line, the dashboard and
"how to reproduce" share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from condsim.errors import CondsimError, unknown
from condsim.steps.extents import CAPACITY_FACTOR
from condsim.strategies import BASELINES

PROTOCOLS = ("stream", "repeat")
ENGINES = ("closed", "events")


@dataclass(frozen=True)
class Scenario:
    """A question; the trace and the device are given apart.

    strategy: a name, "mechanism=name,...", or mechanism → name; None for the captured one.
    batch: units a step; None for the captured one.
    baseline: "same-params" or "same-flops".
    dtype: of the arithmetic; None for the profile's.
    runtime: how operators become kernels; None for the profile's.
    threshold: decide early exits anew.
    phase: "prefill" or "decode"; None where the trace has one.
    protocol: "stream": the trace's steps follow each other; "repeat": each step is repeated in
        turn with its baseline, as a paired measurement does.
    steps: only these steps of those that rebatching makes.
    engine: the "closed" form, or "events" for SimPy, its reference (slow).
    capacity_factor: of `padded`, the rows that an expert has room for over its even share.
    expert_cache: of `offloaded`, the share of the experts' weights that the device keeps; None for
        what its memory has room for.
    """

    strategy: str | Mapping[str, str] | None = None
    batch: int | None = None
    baseline: str = "same-params"
    dtype: str | None = None
    runtime: str | None = None
    threshold: float | None = None
    phase: str | None = None
    protocol: str = "stream"
    steps: Sequence[int] | None = None
    engine: str = "closed"
    capacity_factor: float = CAPACITY_FACTOR
    expert_cache: float | None = None

    def __post_init__(self) -> None:
        """Raises CondsimError for a value that no trace or device could have."""
        _one_of("baseline", self.baseline, BASELINES)
        _one_of("protocol", self.protocol, PROTOCOLS)
        _one_of("engine", self.engine, ENGINES)
        _whole("batch", self.batch)
        if not (math.isfinite(self.capacity_factor) and self.capacity_factor > 0):
            raise CondsimError(f"capacity_factor must be above 0, got {self.capacity_factor}")
        if self.expert_cache is not None and not 0 <= self.expert_cache <= 1:
            raise CondsimError(
                f"expert_cache is a share of the experts, from 0 to 1, got {self.expert_cache}"
            )
        if self.threshold is not None and math.isnan(self.threshold):
            raise CondsimError("threshold must be a number, got nan")
        for step in self.steps or ():
            if step < 0:
                raise CondsimError(f"steps are numbered from 0, got {step}")

    def but(self, **changes: Any) -> Scenario:
        """Return the same question with other values."""
        return replace(self, **changes)

    def arguments(self) -> dict[str, Any]:
        """Return what differs from the defaults: arguments of `condsim.simulate`."""
        different = {}
        for field in fields(Scenario):
            value = getattr(self, field.name)
            if value != field.default:
                different[field.name] = value
        return different


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise unknown(what, value, known)


def _whole(what: str, value: int | None) -> None:
    if value is not None and (value != int(value) or value < 1):
        raise CondsimError(f"{what} must be at least 1, got {value}")
