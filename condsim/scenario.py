"""One question about a trace and a device: what the library, the command line, the dashboard and
"how to reproduce" share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from condsim import checks
from condsim.errors import CondsimError, shown
from condsim.parallel import Parallel
from condsim.program.accumulation import check_accumulate
from condsim.protocols import PROTOCOLS
from condsim.steps.extents import CAPACITY_FACTOR
from condsim.strategies import BASELINES

ENGINES = ("closed", "events")
MOST_CAPACITY_FACTOR = 10_000


@dataclass(frozen=True)
class Scenario:
    """A question; the trace and the device are given apart.

    strategy: a name, "mechanism=name,...", or mechanism → name; None for the captured one.
    batch: units a step; None for the captured one.
    baseline: "same-params" or "same-flops".
    dtype: of the arithmetic; None for the profile's.
    weights: dtype of the weights of layers' products; None for the same.
    caches: dtype of the keys and values that runtime `served` keeps; None for the same.
    runtime: how operators become kernels; None for the profile's.
    threshold: decide early exits anew.
    phase: "prefill" or "decode"; None where the trace has one.
    protocol: what runs between two runs of a step (`condsim.protocols`). "stream": the trace's
        other steps, which follow each other; "repeat": its baseline, as in a paired measurement;
        "loop": nothing, as in a timing loop. None: "loop" where the phase was captured as one
        step, else "stream".
    steps: only these steps of those that rebatching makes.
    engine: the "closed" form, or "events" for SimPy, its reference (slow).
    capacity_factor: of `padded`, the rows that an expert has room for over its even share.
    expert_cache: of `offloaded`, the share of the experts' weights that the device keeps; None for
        what its memory has room for.
    parallel: devices that the model is spread over; None for one.
    accumulate: micro-batches of a training step, where the trace was captured with some; `batch` is
        the units of one. None: as captured.
    """

    strategy: str | Mapping[str, str] | None = None
    batch: int | None = None
    baseline: str = "same-params"
    dtype: str | None = None
    runtime: str | None = None
    threshold: float | None = None
    phase: str | None = None
    protocol: str | None = None
    steps: Sequence[int] | None = None
    engine: str = "closed"
    capacity_factor: float = CAPACITY_FACTOR
    expert_cache: float | None = None
    weights: str | None = None
    caches: str | None = None
    parallel: Parallel | None = None
    accumulate: int | None = None

    def __post_init__(self) -> None:
        """Raises CondsimError for a value that no trace or device could have."""
        checks.one_of("baseline", self.baseline, BASELINES)
        if self.protocol is not None:
            checks.one_of("protocol", self.protocol, PROTOCOLS)
        checks.one_of("engine", self.engine, ENGINES)
        for name in ("dtype", "runtime", "phase", "weights", "caches"):
            checks.name(name, getattr(self, name))
        self._check_strategy()
        if self.batch is not None:
            checks.whole("batch", self.batch, least=1)
        if self.accumulate is not None:
            check_accumulate(self.accumulate)
        self._check_numbers()
        if self.steps is not None:
            self._check_steps(self.steps)
        if self.parallel is not None and not isinstance(self.parallel, Parallel):
            raise CondsimError(
                f"parallel must be condsim.Parallel(expert=...), got {shown(self.parallel)}"
            )

    def _check_strategy(self) -> None:
        if not isinstance(self.strategy, Mapping):
            checks.name("strategy", self.strategy)
            return
        for mechanism, name in self.strategy.items():
            if not isinstance(mechanism, str) or not isinstance(name, str):
                raise CondsimError(
                    f"strategy: a mapping is mechanism → name, got {shown(self.strategy)}"
                )

    def _check_numbers(self) -> None:
        checks.number("capacity_factor", self.capacity_factor)
        if not 0 < self.capacity_factor <= MOST_CAPACITY_FACTOR:
            raise CondsimError(
                f"capacity_factor must be above 0 and at most {MOST_CAPACITY_FACTOR}, "
                f"got {self.capacity_factor}"
            )
        if self.threshold is not None:
            checks.number("threshold", self.threshold)
        if self.expert_cache is not None:
            checks.number("expert_cache", self.expert_cache)
            if not 0 <= self.expert_cache <= 1:
                raise CondsimError(
                    f"expert_cache is a share of the experts, from 0 to 1, got {self.expert_cache}"
                )

    def _check_steps(self, steps: Sequence[int]) -> None:
        if isinstance(steps, (str, bytes)) or not hasattr(steps, "__len__"):
            raise CondsimError(f"steps must be a list of whole numbers, got {shown(steps)}")
        if len(steps) == 0:
            raise CondsimError("steps: got none; name at least one, or leave steps out for all")
        for step in steps:
            checks.whole("steps", step, least=0)

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
