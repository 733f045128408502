"""What is to be measured, and how: the plan of one measuring process.

A plan is checked when it is made. Making one needs no torch, so whoever starts a measuring process
can check its plan before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from condsim.errors import CondsimError, unknown
from condsim.program.regime import TRAIN
from condsim.protocols import PROTOCOLS, Protocol, usual_measured
from condsim.strategies import BASELINES
from condsim.trace import Trace

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how many are done, of how many)."""

RUNTIMES = ("eager", "compiled")
DECISIONS = ("natural", "trace")
DENSE_MODULE = "module"
"""The baseline that is a dense module of the user's."""
ALL_BASELINES = (*BASELINES, DENSE_MODULE)
PATIENCE_S = 4.0
"""How long a case waits, in all, for a machine that is disturbed, unless a plan says it."""


@dataclass(frozen=True)
class Plan:
    """What one process measures. Raises CondsimError for a bad or unknown value."""

    batch_sizes: Sequence[int | None] = (None,)
    """Units a step; None: as captured."""
    strategies: Sequence[str] | None = None
    """Names; None: the captured one."""
    baselines: Sequence[str] = BASELINES
    phase: str | None = None
    """None: every phase of the trace."""
    protocol: str | None = None
    """A name in `condsim.protocols`; None: "loop" where a phase was captured as one step, else
    "repeat"."""
    pairs: int = 30
    """At least so many a case: over `steps` steps, or over all there are where they follow each
    other."""
    steps: int = 6
    seed: int = 0
    """Of the order within a pair."""
    decisions: str = "natural"
    """Of DECISIONS: the model's own, or the trace's, which are forced."""
    where: str = "caller"
    """The process that measures: "caller" or "fresh process"."""
    yardstick_s: float | None = None
    """The yardstick when nothing disturbs it, as the calibration of this machine saw it; None: as
    the measuring process sees it."""
    patience_s: float = field(default_factory=lambda: PATIENCE_S)
    """How long a case waits, in all, for a machine that is disturbed."""
    device: str = "cpu"
    """Of torch; model and inputs are moved there."""
    threads: int = 1
    """Of torch; several are timed by the wall clock."""
    runtime: str = "eager"
    """Of RUNTIMES: "compiled" is torch.compile."""

    def __post_init__(self) -> None:
        at_least_one("pairs", self.pairs)
        at_least_one("steps", self.steps)
        at_least_one("threads", self.threads)
        for batch in self.batch_sizes:
            if batch is not None:
                at_least_one("batch", batch)
        if self.protocol is not None:
            one_of("protocol", self.protocol, tuple(PROTOCOLS))
        one_of("runtime", self.runtime, RUNTIMES)
        one_of("decisions", self.decisions, DECISIONS)
        for baseline in self.baselines:
            one_of("baseline", baseline, ALL_BASELINES)
        if self.compiles and self.protocol is not None and PROTOCOLS[self.protocol].steps_follow:
            raise CondsimError(
                f"protocol {self.protocol!r} would time compilations: "
                "measure runtime 'compiled' with 'repeat' or 'loop'"
            )

    def protocol_of(self, trace: Trace, phase: str) -> Protocol:
        """Return what runs between two runs of a step of a phase."""
        if self.protocol is not None:
            return PROTOCOLS[self.protocol]
        return usual_measured(trace.captured_steps(phase))

    @property
    def compiles(self) -> bool:
        """Whether the model runs under torch.compile."""
        return self.runtime == "compiled"

    @property
    def forces_decisions(self) -> bool:
        """Whether the conditional side runs the trace's decisions instead of its own."""
        return self.decisions == "trace"


def at_least_one(what: str, value: int) -> None:
    """Raises CondsimError for a smaller value."""
    if value < 1:
        raise CondsimError(f"{what} must be at least 1, got {value}")


def one_of(what: str, value: str, known: Sequence[str]) -> None:
    """Raises CondsimError for an unknown value, with the nearest known ones."""
    if value not in known:
        raise unknown(what, value, known)


class SegmentOptions(TypedDict, total=False):
    """Keywords of `measure_segments`: fields of `Plan`."""

    baselines: Sequence[str] | None
    phase: str | None
    pairs: int
    steps: int
    seed: int


class ProcessOptions(SegmentOptions, total=False):
    """Keywords of `measure`: fields of `Plan`."""

    protocol: str | None
    decisions: str
    device: str
    threads: int
    runtime: str


class LiveOptions(SegmentOptions, total=False):
    """Keywords of `measure_live`: fields of `Plan`."""

    protocol: str | None
    decisions: str
    threads: int
    runtime: str
    where: str


def plan_fields(
    options: Mapping[str, object],
    keywords: type[SegmentOptions | ProcessOptions | LiveOptions],
    strategies: str | Sequence[str] | None,
) -> dict[str, object]:
    """Fields of a `Plan` from what a measuring function was called with.

    options: its keywords; baselines=None stands for same-params and same-flops. keywords: those
    that it takes. strategies: one name, several, or None for the captured one.
    Raises TypeError for a keyword that the function does not take.
    """
    for name in options:
        if name not in keywords.__annotations__:
            known = ", ".join(keywords.__annotations__)
            raise TypeError(f"unexpected keyword argument {name!r}; also known here: {known}")
    fields = dict(options)
    if fields.get("baselines", ()) is None:
        del fields["baselines"]
    if isinstance(strategies, str):
        strategies = [strategies]
    fields["strategies"] = strategies
    return fields


def trains(trace: Trace) -> bool:
    """Whether the steps of a trace are those of a training."""
    return bool((trace.steps["phase"] == TRAIN).any())


def require_forwards(trace: Trace, what: str) -> None:
    """Raises CondsimError for a trace of training steps. what: times forwards only."""
    if trains(trace):
        raise CondsimError(
            f"trace {trace.name!r} holds training steps, and {what} times forwards only; leave it "
            "out to time whole steps"
        )
