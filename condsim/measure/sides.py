"""The two sides of a pair: a model under the strategies that are timed, and its dense baseline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, executing
from condsim.live.model import SEED, LiveModel
from condsim.live.train_step import train_once, trained_weights
from condsim.measure.compiled import compiled
from condsim.measure.plan import ALL_BASELINES, Plan
from condsim.measure.replay import Replay, Step
from condsim.strategies import name_of
from condsim.timing.clock import WALL, Clock, pauses


class Side:
    """A model that runs steps of a replay in one way.

    strategies: mechanism → strategy; of a baseline, every mechanism → the baseline's name.
    module: a dense module that runs instead of the model. optimizer: of its weights, while the
    sites of a model in training are installed.
    """

    optimizer: torch.optim.Optimizer | None = None

    def __init__(
        self,
        replay: Replay,
        strategies: Mapping[str, str],
        plan: Plan,
        module: torch.nn.Module | None = None,
    ) -> None:
        self.replay = replay
        self.strategies = dict(strategies)
        self.module = module
        self.forces_decisions = plan.forces_decisions and not self._is_baseline()
        model = replay.live.model if module is None else module
        self.model = compiled(model) if plan.compiles else model
        self._executions: dict[int, Execution] = {}

    def execution(self, step: Step) -> Execution:
        """What is in force in a step; made once, outside of the clock."""
        if step.index not in self._executions:
            execution = self._execution_of(step)
            execution.sites.update(self.replay.live.infos)
            self._executions[step.index] = execution
        return self._executions[step.index]

    def run(self, step: Step, clock: Clock) -> float:
        """Seconds of one forward, or of one training step."""
        call = self._call(step)
        with executing(self.execution(step)):
            start = clock()
            output = call()
            seconds = clock() - start
        del output
        return seconds

    def _call(self, step: Step) -> Callable[[], Any]:
        """What is timed of a step.

        What a call uses up is made before it, and it draws the random numbers of every other call.
        """
        training = self.replay.live.training
        if training is None:
            return partial(step.batch.call, self.model, **step.cache(self.strategies))
        assert self.optimizer is not None
        torch.manual_seed(SEED)
        return partial(train_once, training, self.model, self.optimizer, step.batch)

    def share_cache(self, step: Step) -> None:
        """Let the calls of a step that runs again and again share what they leave of its cache."""
        cache = step.cache_of(self.strategies)
        if cache.arguments:
            with executing(self.execution(step)):
                cache.share(name_of(self.strategies), partial(step.batch.call, self.model))

    def warm_up(self, step: Step, calls: int = 1) -> list[int]:
        """Run a step once, and then so many times.

        Returns how often each of the later calls paused. Raises CondsimError for an output that is
        NaN.
        """
        with executing(self.execution(step)):
            output = step.call(self.model, self.strategies)
        if has_nan(output):
            raise CondsimError(
                f"the output of step {step.index} is NaN ({name_of(self.strategies)}): "
                "no timing of such a model means anything"
            )
        return [pauses(partial(self.run, step, WALL)) for _ in range(calls)]

    def _is_baseline(self) -> bool:
        return set(self.strategies.values()) <= set(ALL_BASELINES)

    def _forces_everywhere(self, baseline: str) -> bool:
        return set(self.strategies.values()) == {baseline}

    def _execution_of(self, step: Step) -> Execution:
        if self.module is not None:
            return Execution()
        if self._forces_everywhere("same-params"):
            costliest = self.replay.trace.header.costliest
            return Execution({"*": "same-params"}, costliest=costliest)
        if self._forces_everywhere("same-flops"):
            return Execution({"*": "same-flops"}, rows_kept=step.kept)
        if self.forces_decisions:
            forced = {}
            for site, ids in step.ids.items():
                forced[site] = forcible(ids)
            return Execution(self.strategies, forced=forced, rows_kept=step.kept)
        return Execution(self.strategies, rows_kept=step.kept)


@contextlib.contextmanager
def installed(sides: Sequence[Side], steps: Sequence[Step]) -> Iterator[None]:
    """The sites of the model obey whichever execution is in force inside.

    Weights that a side needs are stacked before, and trained where the model is in training.
    """
    live = sides[0].replay.live
    executions = [side.execution(steps[0]) for side in sides if side.module is None]
    if live.training is not None:
        with torch.inference_mode(False), torch.enable_grad():
            _prepare(live, executions)
            with live.installed(executions[0]), _trained(sides, live):
                yield
        return
    _prepare(live, executions)
    with live.prepared(executions[0]):
        yield


def _prepare(live: LiveModel, executions: Sequence[Execution]) -> None:
    """Build what sites need."""
    with torch.no_grad():
        for execution in executions:
            for site in live.sites:
                site.prepare(execution)


@contextlib.contextmanager
def _trained(sides: Sequence[Side], live: LiveModel) -> Iterator[None]:
    """While it lasts, sides have optimizers: one for the model, one for each dense module."""
    training = live.training
    assert training is not None
    with trained_weights(live) as weights:
        of_model = training.optimizer_of(weights)
        for side in sides:
            side.optimizer = of_model
            if side.module is not None:
                side.optimizer = training.optimizer_of(list(side.module.named_parameters()))
        try:
            yield
        finally:
            for side in sides:
                side.optimizer = None


def forcible(ids: np.ndarray) -> np.ndarray:
    """Decisions in the type that models use.

    A row that never got to an experts layer takes expert 0, where a strategy runs it all the same.
    """
    if ids.dtype == bool:
        return ids
    if ids.ndim == 2:
        ids = np.where(ids < 0, 0, ids)
    return ids.astype(np.int64)


def has_nan(output: Any) -> bool:
    """Whether a tensor of a model's output holds NaN."""
    if isinstance(output, Mapping):
        parts = list(output.values())
    elif isinstance(output, (tuple, list)):
        parts = list(output)
    else:
        parts = [output]
    for part in parts:
        if isinstance(part, torch.Tensor) and part.is_floating_point() and bool(part.isnan().any()):
            return True
    return False
