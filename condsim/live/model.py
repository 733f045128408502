"""A model with its sites: run under an execution, watched or recorded, and left as it was."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from condsim.errors import CondsimError
from condsim.live.adapters import LiveSite, find_sites
from condsim.live.equality import tensors_of
from condsim.live.execution import BASELINES, Execution, SiteInfo, executing
from condsim.live.failures import one_line
from condsim.live.inputs import Batch
from condsim.live.training import Training
from condsim.live.wrappers import unwrapped
from condsim.mechanisms import MECHANISMS
from condsim.program.regime import DECODE, PREFILL, TRAIN
from condsim.record.on_meta import OnMeta, is_on_meta
from condsim.record.recorder import Recorder

SEED = 0
"""Of the random numbers that a model draws in training."""


@dataclass
class LiveModel:
    """A model in evaluation mode and its sites.

    sites: what adapters found. infos: all sites by name, marked ones too, once the model has run.
    left_out: strategies that no program fits → why, once they were probed.
    training: how it is trained, where its steps are those of a training.
    """

    model: torch.nn.Module
    sites: list[LiveSite] = field(default_factory=list)
    infos: dict[str, SiteInfo] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    training: Training | None = None

    @classmethod
    def of(cls, model: torch.nn.Module, training: Training | None = None) -> LiveModel:
        """The model with the sites that adapters find.

        Of a compiled or a parallel one, the module inside. Raises CondsimError for
        what is no eager module, and where a parameter has no size yet or is not finite: no timing
        of such a model means anything.
        """
        model = unwrapped(model)
        _refuse_scripts(model)
        for name, parameter in model.named_parameters():
            if is_lazy(parameter):
                raise CondsimError(
                    f"model: parameter {name!r} has no size yet, as those of lazy layers; run the "
                    "model once on a batch before capturing"
                )
            if not parameter.is_meta and not bool(torch.isfinite(parameter).all()):
                raise CondsimError(
                    f"model: parameter {name!r} holds NaN or infinite values; "
                    "load finite weights before capturing"
                )
        return cls(model, find_sites(model), training=training)

    @contextlib.contextmanager
    def prepared(self, execution: Execution) -> Iterator[None]:
        """While it lasts, the sites obey `execution`, and nothing is kept for autograd."""
        for site in self.sites:
            site.prepare(execution)
        with self._without_autograd(), self.installed(execution):
            yield

    @contextlib.contextmanager
    def installed(self, execution: Execution) -> Iterator[None]:
        """While it lasts, sites that are prepared obey `execution`."""
        with contextlib.ExitStack() as stack:
            for site in self.sites:
                stack.enter_context(site.installed())
            stack.enter_context(self.in_force(execution))
            yield

    def _without_autograd(self) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, nothing is kept for autograd.

        What is made in inference mode can never be trained. A model in training may draw random
        numbers: each of its runs draws the same ones.
        """
        if self.training is None:
            return torch.inference_mode()
        torch.manual_seed(SEED)
        return torch.no_grad()

    @property
    def phase(self) -> str:
        """What a step is in which the model decides: of whole inputs, where it does so there."""
        if self.training is not None:
            return TRAIN
        return DECODE if self.decides_while_decoding else PREFILL

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step; 1 where it is no training step."""
        return 1 if self.training is None else self.training.accumulate

    @property
    def decides_while_decoding(self) -> bool:
        """Whether its sites decide in decode steps only. Raises CondsimError where some do."""
        kinds = {MECHANISMS[info.mechanism].while_decoding for info in self.infos.values()}
        if len(kinds) > 1:
            names = ", ".join(sorted(self.infos))
            raise CondsimError(
                f"some of the sites {names} decide in every step, and some while decoding only: "
                "capture the two apart, each without the marks of the other"
            )
        return kinds == {True}

    @property
    def on_meta(self) -> bool:
        """Whether the weights have shapes and no numbers."""
        return is_on_meta(self.model)

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """While it lasts, a model without numbers runs; any other one as ever."""
        return OnMeta() if self.on_meta else contextlib.nullcontext()

    @contextlib.contextmanager
    def in_force(self, execution: Execution) -> Iterator[None]:
        """While it lasts, sites that are prepared obey `execution`; they are learnt from it."""
        execution.sites.update(self.infos)
        with executing(execution):
            yield
        for name, info in execution.sites.items():
            self.infos.setdefault(name, info)

    def run_bare(self, batch: Batch) -> list[torch.Tensor]:
        """The tensors that the model gives for a batch by itself, without its sites."""
        running = _running(batch, Execution())
        with self._without_autograd(), one_line(self.model, *running), self.computing():
            return tensors_of(batch.call(self.model))

    def run(self, batch: Batch, execution: Execution | None = None, **more: Any) -> Any:
        """The result of one forward pass. more: arguments beside those of the batch."""
        execution = execution or Execution()
        with (
            one_line(self.model, *_running(batch, execution)),
            self.prepared(execution),
            self.computing(),
        ):
            return batch.call(self.model, **more)

    def record(self, batch: Batch, execution: Execution, **more: Any) -> Recorder:
        """One forward pass under the recorder.

        The result is dropped while the recorder still runs, but is not part of the recording: it
        belongs to the caller. more: arguments beside those of the batch.
        """
        recorder = Recorder(self.model, self.float_dtype())
        with one_line(self.model, *_running(batch, execution)):
            for site in self.sites:
                site.prepare(execution)
                recorder.name_weights(site.named_tensors())
            execution.recorder = recorder
            with self.prepared(execution), self.computing(), recorder:
                result = batch.call(self.model, **more)
                recorder.stop()
            del result
        execution.recorder = None
        return recorder

    def record_bare(self, batch: Batch) -> Recorder:
        """One forward pass of the model by itself, without its sites, under the recorder."""
        recorder = Recorder(self.model, self.float_dtype())
        running = _running(batch, Execution())
        with (
            one_line(self.model, *running),
            executing(Execution()),
            self._without_autograd(),
            self.computing(),
            recorder,
        ):
            batch.call(self.model)
        return recorder

    def float_dtype(self) -> torch.dtype:
        """The dtype of the first floating-point parameter, fp32 where there is none."""
        for parameter in self.model.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
        return torch.float32

    @property
    def captured(self) -> dict[str, str]:
        """Mechanism → the strategy that the model itself runs."""
        mechanisms = dict.fromkeys(info.mechanism for info in self.infos.values())
        return {mechanism: self._offered(mechanism)[0] for mechanism in mechanisms}

    def _offered(self, mechanism: str) -> tuple[str, ...]:
        """Strategies that all sites of a mechanism can run, the model's own first."""
        offers: list[tuple[str, ...]] = []
        adapted: set[str] = set()
        for site in self.sites:
            offered = site.offers()
            if mechanism in offered:
                offers.append(offered[mechanism])
                adapted |= set(site.sites)
        marked = []
        for info in self.infos.values():
            if info.mechanism == mechanism and info.name not in adapted:
                marked.append(info)
        if marked:
            offers.append(_offered_by_marks(mechanism, marked))
        common = []
        for strategy in offers[0]:
            if all(strategy in offered for offered in offers):
                common.append(strategy)
        return tuple(common)

    def assignments(self) -> list[dict[str, str]]:
        """Every way to run this model: mechanism → strategy, all of them; then the baselines."""
        mechanisms = list(self.captured)
        offered = [self._offered(mechanism) for mechanism in mechanisms]
        ways = []
        for strategies in itertools.product(*offered):
            ways.append(dict(zip(mechanisms, strategies, strict=True)))
        for baseline in BASELINES:
            ways.append(dict.fromkeys(mechanisms, baseline))
        return ways


def _refuse_scripts(model: torch.nn.Module) -> None:
    """Raises CondsimError for a model that runs, even in part, without Python."""
    if not isinstance(model, torch.nn.Module):
        raise CondsimError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        where = f"module {name!r} of the model" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise CondsimError(
                f"{where} is TorchScript, which cannot be watched while it runs; "
                "pass the torch.nn.Module that it was scripted or traced from"
            )
        if isinstance(module, torch.fx.GraphModule):
            raise CondsimError(
                f"{where} is an exported graph, whose decisions are not Python's any more; "
                "pass the torch.nn.Module that it was exported from"
            )


def _running(batch: Batch, execution: Execution) -> tuple[str, str]:
    """What a forward pass is, and what a user can do where it fails; for a message."""
    sizes = f"{batch.units} units" + (f" of {batch.seq} positions" if batch.seq else "")
    if execution.strategies:
        ways = ", ".join(f"{place}={way}" for place, way in execution.strategies.items())
        return (
            f"a forward of {sizes} with forced decisions ({ways})",
            "capture runs a model at other sizes and with other decisions than its own: its "
            "forward must take them",
        )
    return f"the forward of {sizes}", "check that model(*inputs) runs in evaluation mode"


def _offered_by_marks(mechanism: str, sites: list[SiteInfo]) -> tuple[str, ...]:
    """Strategies of marked sites. A body that gathers its rows itself can run in no other way."""
    kind = MECHANISMS[mechanism]
    marked = kind.marked
    if kind.fixed and any(site.fixed for site in sites):
        _refuse_unlike_sites(sites)
        others = [strategy for strategy in marked if strategy != kind.fixed]
        return (kind.fixed, *others)
    return marked if all(site.selects for site in sites) else marked[:1]


def _refuse_unlike_sites(sites: list[SiteInfo]) -> None:
    """Raises CondsimError where some sites keep as many tokens in every unit, and others do not."""
    for site in sites:
        if not site.fixed:
            raise CondsimError(
                f"site {site.name!r} keeps a number of tokens of its own in each unit, and others "
                "keep as many in all (kept=): mark all sites of one mechanism alike"
            )
