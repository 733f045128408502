"""The options that say how a trace is run: each is defined once, for all commands that take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_at_least_one, check_known
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.trace import Trace

BASELINES = ("same-params", "same-flops")
"""As in condsim.strategies, which would bring NumPy into --help."""
ALL = "all"
ALWAYS_PASSED = ("batch", "dtype", "runtime", "threshold", "phase", "protocol")
"""Options that are arguments of `condsim.simulate`, where None is as captured."""
PASSED_IF_NAMED = ("capacity_factor", "weights", "caches", "expert_cache", "accumulate")
"""Options that are arguments of `condsim.simulate`, whose defaults stand there."""


@dataclass(frozen=True, kw_only=True)
class ScenarioOptions:
    """How a trace is run, and on what. The texts below are the command line's help.

    Parameters
    ----------
    device
        A profile (condsim profiles lists them), a YAML file, this-machine, or all. Default: where
        the trace was measured, else this machine.
    strategy
        How sites execute (looped, compacted, ...), or all.
    batch
        Units a step: images, sequences, or sequences at one decode position, of all devices
        together. Default: as captured; of a model of the catalogue, one a device.
    baseline
        What the speedup is over: same-params or same-flops.
    dtype
        Default: what the profile names.
    weights
        Dtype of the weights of layers: fp8, int8, int4, mxfp4; fp8_block and mxfp4_mxfp8, which are
        multiplied as they are. Default: as the arithmetic.
    caches
        Dtype of kept keys and values: fp8, int8, bf16, fp16. Default: as the arithmetic.
    runtime
        How operators become kernels. Default: what the profile names.
    threshold
        Decide anew at early exits that kept their scores.
    capacity_factor
        Rows that an expert has room for over its even share, where the strategy is padded.
        Default: 1.25.
    expert_cache
        Share of the experts' weights that the device keeps, where the strategy is offloaded.
        Default: what its memory has room for.
    parallel
        Spread the experts over devices: expert=8, or expert=8,placement=eplb,slots=80. Also nodes,
        groups, fabric and overlap=shared-experts; placement is in-order, by-load, eplb or a file of
        expert and slot. Or cut every layer of a model by name: tensor=8.
    phase
        prefill, decode or train, where a trace has several.
    protocol
        stream: the steps of the trace one after the other. repeat: each step in turn with its
        baseline, as in a paired measurement. loop: one step over and over, as in a timing loop.
        Default: loop where one step was captured, else stream.
    accumulate
        Micro-batches of a training step, of a trace that was captured with some; --batch is the
        units of one. Default: as captured.
    context
        Positions that attention sees in a decode step, or positions of a prompt, of a model of the
        catalogue. Default: 4096.
    """

    device: str | None = None
    strategy: str | None = None
    batch: int | None = None
    baseline: str = BASELINES[0]
    dtype: str | None = None
    weights: str | None = None
    caches: str | None = None
    runtime: str | None = None
    threshold: float | None = None
    capacity_factor: float | None = None
    expert_cache: float | None = None
    parallel: str | None = None
    phase: str | None = None
    protocol: str | None = None
    accumulate: int | None = None
    context: int | None = None

    @property
    def names_all(self) -> bool:
        """Whether all devices or all strategies are asked for."""
        return ALL in (self.device, self.strategy)

    def check(self) -> None:
        """Raises CondsimError for what no trace could be run with."""
        from condsim.scenario import Scenario

        check_at_least_one("batch", self.batch)
        check_known("baseline", self.baseline, BASELINES)
        Scenario(baseline=self.baseline, **self.keywords())

    def check_with(self, trace: Trace) -> None:
        """Raises CondsimError for what no device could run, before anything is calibrated."""
        if self.context is not None:
            raise _no_context()
        from condsim.predict.choose import choose_strategies
        from condsim.steps.rebatch import rebatch

        if self.strategy != ALL:
            choose_strategies(trace, self.strategy)
        rebatch(trace, self.batch, self.phase, self.threshold)

    def keywords(self) -> dict[str, Any]:
        """Arguments of `condsim.simulate` besides trace, profile, strategy and baseline."""
        keywords = {name: getattr(self, name) for name in ALWAYS_PASSED}
        for name in PASSED_IF_NAMED:
            value = getattr(self, name)
            if value is not None:
                keywords[name] = value
        if self.parallel is not None:
            from condsim.parallel import Parallel

            keywords["parallel"] = Parallel.parse(self.parallel)
        return keywords

    def given(self) -> dict[str, Any]:
        """What was named of `keywords`, baseline, strategy and context."""
        chosen = self.keywords() | {"strategy": self.strategy, "context": self.context}
        named = {name: value for name, value in chosen.items() if value is not None}
        return named | {"baseline": self.baseline}


AS_CAPTURED = ScenarioOptions()


@dataclass(frozen=True, kw_only=True)
class OneScenarioOptions(ScenarioOptions):
    """The scenario that is looked at: one device and one strategy.

    Parameters
    ----------
    device
        A profile (condsim profiles lists them), a YAML file, or this-machine. Default: where the
        trace was measured, else this machine.
    strategy
        How sites execute (looped, compacted, ...). Default: as captured.
    """

    device: str | None = None
    strategy: str | None = None

    def check_one(self, instead: str) -> None:
        """Raises CondsimError for all devices or strategies, and for what no trace could be run
        with. instead: what the command does with one, or the way out."""
        if self.names_all:
            raise CondsimError(f"--device and --strategy: {instead}")
        self.check()

    def given_of_trace(self) -> dict[str, Any]:
        """What was named, of a trace. Raises CondsimError for what is of the catalogue's models."""
        given = self.given()
        if "context" in given:
            raise _no_context()
        return given


ONE_AS_CAPTURED = OneScenarioOptions()


@dataclass(frozen=True, kw_only=True)
class OneDeviceOptions(OneScenarioOptions):
    """The scenario of a trace on one device, as it was captured.

    Parameters
    ----------
    batch
        Units a step. Default: as captured.
    """

    batch: int | None = None
    capacity_factor: Annotated[float | None, Parameter(parse=False)] = None
    expert_cache: Annotated[float | None, Parameter(parse=False)] = None
    context: Annotated[None, Parameter(parse=False)] = None
    parallel: Annotated[str | None, Parameter(parse=False)] = None


ON_ONE_DEVICE = OneDeviceOptions()


def _no_context() -> CondsimError:
    from condsim.decide.subject import no_context

    return no_context("--context")
