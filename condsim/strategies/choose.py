"""Which strategy each mechanism runs under: what the user names, what a device has, what a trace has programs for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.program import Program
from condsim.runtimes import the_runtime
from condsim.steps.rebatch import Steps
from condsim.strategies import BASELINES, STRATEGIES, name_of, program_name
from condsim.trace import Trace


def the_strategies(trace: Trace, strategy: str | Mapping[str, str] | None) -> dict[str, str]:
    """Mechanism → strategy; None: as captured. Raises CondsimError for an unknown strategy or one that does not fit the trace."""
    chosen = dict(trace.header.captured)
    if isinstance(strategy, str) and "=" in strategy:
        strategy = dict(part.split("=", 1) for part in strategy.split(","))
    if isinstance(strategy, str):
        fits = [m for m in trace.mechanisms if m in STRATEGIES[strategy].mechanisms]
        if not fits or strategy in BASELINES:
            able = sorted(
                n
                for n, s in STRATEGIES.items()
                if set(s.mechanisms) & set(trace.mechanisms) and n not in BASELINES
            )
            raise CondsimError(
                f"strategy {strategy!r} is not for {', '.join(trace.mechanisms)}; these are: {', '.join(able)}"
            )
        chosen |= dict.fromkeys(fits, strategy)
    elif strategy is not None:
        for m, s in strategy.items():
            if m not in chosen:
                raise unknown("mechanism", m, chosen)
            if m not in STRATEGIES[s].mechanisms:
                raise CondsimError(f"strategy {s!r} is not for {m}")
            chosen[m] = s
    if not has_program(trace, chosen):
        raise CondsimError(
            f"trace {trace.name!r} has no program for strategy {name_of(chosen)!r}; it can be run as {', '.join(strategies_of(trace))}"
        )
    return chosen


def has_program(trace: Trace, strategies: Mapping[str, str]) -> bool:
    """Whether the trace has a program for them, in any regime."""
    return any(
        k.startswith((f"{name_of(strategies)}/", f"{program_name(strategies)}/"))
        for k in trace.programs
    )


def strategies_of(trace: Trace, kind: str | None = None, static: bool = False) -> list[str]:
    """Names of all strategies that the trace has programs for: the probed ones, and with a kind those that this class of device has.

    static: the runtime fixes all sizes before a run.
    """
    probed = list(
        dict.fromkeys(k.split("/")[0] for k in trace.programs if k.split("/")[0] not in BASELINES)
    )
    if kind is None:
        return probed
    able = [
        [
            n
            for n, s in STRATEGIES.items()
            if m in s.mechanisms and n not in BASELINES and s.fits(kind, static)
        ]
        for m in trace.mechanisms
    ]
    ways = [dict(zip(trace.mechanisms, names, strict=True)) for names in itertools.product(*able)]
    return [name_of(way) for way in ways if has_program(trace, way)]


def able_on(trace: Trace, profile: HardwareProfile, runtime: str | None = None) -> list[str]:
    """Names of all strategies that a trace can be run with on a device. runtime: None = the profile's."""
    return strategies_of(
        trace, profile.kind, the_runtime(runtime, profile.runtime, profile.kind).static
    )


def fitting(strategies: Mapping[str, str], kind: str, static: bool) -> bool:
    """Whether a class of device has all of them."""
    return all(STRATEGIES[s].fits(kind, static) for s in strategies.values())


def refusal(
    strategies: Mapping[str, str], trace: Trace, device: str, kind: str, static: bool
) -> CondsimError:
    """Why a device cannot run them, and what it can."""
    s = next(s for s in strategies.values() if not STRATEGIES[s].fits(kind, static))
    able = ", ".join(strategies_of(trace, kind, static)) or "none"
    because = (
        "needs sizes that follow the data, and the sizes of a prepared graph are fixed"
        if static and STRATEGIES[s].shapes == "any"
        else f"is not for a {kind}"
    )
    return CondsimError(
        f"strategy {s!r} {because}; on {device} trace {trace.name!r} can be run as: {able}"
    )


def program_of(trace: Trace, strategies: Mapping[str, str], cut: Steps) -> Program:
    """The program that runs. Raises CondsimError where it was not probed."""
    own, key = (f"{name}/{cut.regime}" for name in (name_of(strategies), program_name(strategies)))
    if own in trace.programs:
        return trace.programs[own]
    if key not in trace.programs:
        raise CondsimError(
            f"trace {trace.name!r} has no program {key!r}: this regime was not captured"
        )
    program, cached = trace.programs[key], ("program", own)
    if cached not in trace._cache:
        for rewrite in (
            r for s in strategies.values() if (r := STRATEGIES[s].rewrites) is not None
        ):
            program = rewrite(program)
        trace._cache[cached] = program
    return trace._cache[cached]  # type: ignore[no-any-return]
