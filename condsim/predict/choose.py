"""Which strategy each mechanism runs under: what a user names, what a device has, and what a trace
has programs for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.mechanisms import MECHANISMS
from condsim.program import Program
from condsim.program.accumulation import accumulated, accumulates
from condsim.program.regime import Regime
from condsim.runtimes import Runtime, choose_runtime
from condsim.runtimes.quantised import WEIGHT_DTYPES
from condsim.strategies import BASELINES, STRATEGIES, meant, name_of, strategies_for
from condsim.strategies.strategy import program_name
from condsim.trace import Trace

Strategies = dict[str, str]
"""Mechanism → strategy."""


def choose_strategies(trace: Trace, strategy: str | Mapping[str, str] | None) -> Strategies:
    """Return the strategy of each mechanism; None asks for those of the captured model.

    strategy: a name, "mechanism=name,..." or mechanism → name.
    Raises CondsimError for an unknown strategy or one that does not fit the trace.
    """
    trace.require_programs()
    chosen = dict(trace.header.captured)
    if isinstance(strategy, str) and "=" in strategy:
        strategy = _assignments(strategy)
    if isinstance(strategy, str):
        fitting = _mechanisms_of(trace, strategy)
        chosen |= dict.fromkeys(fitting, strategy)
    elif strategy is not None:
        for mechanism, name in strategy.items():
            if mechanism not in chosen:
                raise unknown("mechanism", mechanism, chosen)
            if name in BASELINES or not STRATEGIES[name].is_for(MECHANISMS[mechanism]):
                these = ", ".join(strategies_for(mechanism))
                raise CondsimError(f"strategy {name!r} is not for {mechanism}; these are: {these}")
            chosen[mechanism] = name
    if not has_program(trace, chosen):
        able = ", ".join(probed_strategies(trace))
        raise CondsimError(
            f"trace {trace.name!r} has no program for strategy {name_of(chosen)!r}; it can be run "
            f"as {able}"
        )
    return chosen


def strategies_of_runtime(
    trace: Trace, captured: Strategies, runtime: Runtime, weights: str | None = None
) -> Strategies:
    """Return the strategies that a runtime runs by itself; the captured ones where it has none, or
    the trace has no program for them.

    weights: the dtype that weights are in, which may have kernels of its own.
    """
    chosen = dict(captured)
    for mechanism in captured:
        own = runtime.strategies.get(MECHANISMS[mechanism].family)
        if own is not None:
            chosen[mechanism] = _of_weights(mechanism, weights) or own
    return chosen if has_program(trace, chosen) else dict(captured)


def _of_weights(mechanism: str, weights: str | None) -> str | None:
    """The name of the strategy made for a dtype of weights; None: there is none."""
    for name in strategies_for(mechanism) if weights else ():
        if STRATEGIES[name].weights == weights:
            return name
    return None


def _assignments(text: str) -> Strategies:
    """Return "moe=grouped,skip=wait" as a dictionary. Raises CondsimError for any other form."""
    assigned: Strategies = {}
    for part in text.split(","):
        mechanism, separator, name = part.partition("=")
        if not (separator and mechanism and name):
            raise CondsimError(
                f"strategy {text!r} must be NAME or MECHANISM=NAME,...: got {part!r}"
            )
        if mechanism in assigned:
            raise CondsimError(f"strategy {text!r} names {mechanism} twice")
        assigned[mechanism] = name
    return assigned


def _mechanisms_of(trace: Trace, name: str) -> list[str]:
    """Return the mechanisms of a trace that a strategy is for."""
    strategy = STRATEGIES[name]
    fitting = []
    able: set[str] = set()
    for mechanism in trace.mechanisms:
        if strategy.is_for(MECHANISMS[mechanism]):
            fitting.append(mechanism)
        able.update(strategies_for(mechanism))
    if fitting and name not in BASELINES:
        return fitting
    mechanisms = ", ".join(trace.mechanisms)
    these = ", ".join(sorted(able))
    raise CondsimError(f"strategy {name!r} is not for {mechanisms}; these are: {these}")


def has_program(trace: Trace, strategies: Mapping[str, str]) -> bool:
    """Whether the trace has a program for the strategies, in any regime.

    Strategies that rewrite a program know the kernels of a forward, none of a training step.
    """
    own = name_of(strategies)
    captured = program_name(strategies)
    prefixes = (f"{own}/", f"{captured}/")
    names = [name for name in trace.programs if name.startswith(prefixes)]
    if any(strategy.rewrites for strategy in meant(strategies)):
        names = [name for name in names if not _trains(name)]
    return bool(names)


def _trains(program: str) -> bool:
    """Whether a program is of training steps. program: its name in the trace."""
    _, _, regime = program.rpartition("/")
    return Regime.parse(regime).trains


def probed_strategies(trace: Trace) -> list[str]:
    """Return the names of the strategies that a trace has programs of."""
    names: list[str] = []
    for program in trace.programs:
        name, _, _ = program.partition("/")
        if name not in names and name not in BASELINES:
            names.append(name)
    return names


def strategies_on_kind(trace: Trace, kind: str, static: bool = False) -> list[str]:
    """Return the names of all strategies that a class of device can run a trace with.

    static: the device's runtime fixes all sizes before a run.
    """
    able = []
    for mechanism in trace.mechanisms:
        names = strategies_for(mechanism)
        routing = MECHANISMS[mechanism]
        fitting = [name for name in names if STRATEGIES[name].on(routing).fits_device(kind, static)]
        able.append(fitting)
    possible = []
    for chosen in itertools.product(*able):
        strategies = dict(zip(trace.mechanisms, chosen, strict=True))
        if has_program(trace, strategies):
            possible.append(name_of(strategies))
    return possible


def strategies_on(trace: Trace, profile: HardwareProfile, runtime: str | None = None) -> list[str]:
    """Return the names of all strategies that a device can run a trace with.

    runtime: None for the profile's.
    """
    static = choose_runtime(runtime, profile).static
    able = strategies_on_kind(trace, profile.kind, static)
    return [name for name in able if _has_tables(trace, name, profile)]


def _has_tables(trace: Trace, name: str, profile: HardwareProfile) -> bool:
    """Whether a profile has what the strategies of a name need to know."""
    if not trace.mechanisms:
        return True
    weights = ("", *profile.weight_dtypes)
    for strategy in meant(choose_strategies(trace, name)):
        has_tables = all(table in profile.matmuls for table in strategy.tables)
        if not has_tables or strategy.weights not in weights:
            return False
    return True


def fit_device(strategies: Mapping[str, str], kind: str, static: bool) -> bool:
    """Whether a class of device has all of the strategies."""
    return all(strategy.fits_device(kind, static) for strategy in meant(strategies))


def check_kernels(profile: HardwareProfile, strategies: Mapping[str, str]) -> None:
    """Raises CondsimError where a device lacks the kernels that a strategy is made of."""
    for strategy in meant(strategies):
        if strategy.weights not in ("", *profile.weight_dtypes):
            raise CondsimError(
                f"profile {profile.name!r} has no kernels of strategy {strategy.name!r}, which are "
                f"for weights in {strategy.weights}"
            )


def check_weights(profile: HardwareProfile, weights: str | None) -> None:
    """Raises CondsimError where a device has no kernels for a dtype of weights; None: not asked."""
    if weights is None:
        return
    WEIGHT_DTYPES[weights]
    if weights not in profile.weight_dtypes:
        able = ", ".join(profile.weight_dtypes) or "none"
        raise CondsimError(
            f"profile {profile.name!r} has no kernels for weights in {weights}; it has {able}"
        )


def refusal(
    strategies: Mapping[str, str], trace: Trace, profile: HardwareProfile, static: bool
) -> CondsimError:
    """Return why a device cannot run the strategies, and what it can run."""
    kind = profile.kind
    unfit = [one for one in meant(strategies) if not one.fits_device(kind, static)]
    name = unfit[0].name
    because = f"is not for a {kind}"
    if static and unfit[0].shapes == "any":
        because = "needs sizes that follow the data, and the sizes of a prepared graph are fixed"
    able = ", ".join(strategies_on_kind(trace, kind, static)) or "none"
    return CondsimError(
        f"strategy {name!r} {because}; on {profile.name} trace {trace.name!r} can be run as: {able}"
    )


def program_of(trace: Trace, strategies: Mapping[str, str], regime: str) -> Program:
    """Return the program that runs. Raises CondsimError where it was not probed."""
    trace.require_programs()
    asked = f"{name_of(strategies)}/{regime}"
    if asked in trace.programs:
        return _of_micro_batches(trace, asked)
    captured = f"{program_name(strategies)}/{regime}"
    if captured not in trace.programs:
        raise CondsimError(
            f"trace {trace.name!r} has no program {captured!r}: this regime was not captured"
        )

    def rewritten() -> Program:
        return _rewritten(trace.programs[captured], strategies)

    return trace.results.remember(("program", asked), rewritten)


def _of_micro_batches(trace: Trace, name: str) -> Program:
    """A program of the trace as a step of the trace's micro-batches runs it."""
    program, micro_batches = trace.programs[name], trace.header.accumulate
    if not accumulates(program):
        return program
    key = ("program", name)
    return trace.results.remember(key, lambda: accumulated(program, micro_batches))


def _rewritten(program: Program, strategies: Mapping[str, str]) -> Program:
    for strategy in meant(strategies):
        if strategy.rewrites is not None:
            program = strategy.rewrites(program)
    return program
