"""A model with its sites: run it under an execution, watched or recorded, and leave nothing behind."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from condsim.errors import CondsimError
from condsim.live.adapters import LiveSite, find_sites
from condsim.live.execution import BASELINES, MARKED, NATURAL, Execution, SiteInfo, executing
from condsim.live.inputs import Batch
from condsim.record.recorder import Recorder


@dataclass
class LiveModel:
    """A model in evaluation mode and the sites that adapters found. infos: all sites, marked ones too, once it has run."""

    model: torch.nn.Module
    sites: list[LiveSite] = field(default_factory=list)
    infos: dict[str, SiteInfo] = field(default_factory=dict)

    @classmethod
    def of(cls, model: torch.nn.Module) -> LiveModel:
        """Raises CondsimError where a parameter is not finite: no timing of such a model means anything."""
        for name, p in model.named_parameters():
            if not p.is_meta and not bool(torch.isfinite(p).all()):
                raise CondsimError(
                    f"model: parameter {name!r} holds NaN or infinite values; load finite weights before capturing"
                )
        return cls(model, find_sites(model))

    @contextlib.contextmanager
    def prepared(self, execution: Execution) -> Iterator[None]:
        """Sites installed, `execution` in force, no autograd."""
        for site in self.sites:
            site.prepare(execution)
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            for site in self.sites:
                stack.enter_context(site.installed())
            execution.sites.update(self.infos)
            stack.enter_context(executing(execution))
            yield
        for name, info in execution.sites.items():
            self.infos.setdefault(name, info)

    def run(self, batch: Batch, execution: Execution | None = None, **more: Any) -> Any:
        """One forward pass."""
        with self.prepared(execution or Execution()):
            return batch.call(self.model, **more)

    def record(self, batch: Batch, execution: Execution, **more: Any) -> Recorder:
        """One forward pass under the recorder; its result is dropped inside, as a caller would drop it."""
        recorder = Recorder(
            self.model,
            next(
                (p.dtype for p in self.model.parameters() if p.is_floating_point()), torch.float32
            ),
        )
        for site in self.sites:
            site.prepare(execution)
            recorder.name_weights(site.named_tensors())
        execution.recorder = recorder
        with self.prepared(execution), recorder:
            result = batch.call(self.model, **more)
            recorder.stop()
        del result
        execution.recorder = None
        return recorder

    @property
    def captured(self) -> dict[str, str]:
        """Mechanism → the strategy that the model itself runs."""
        return {
            m: self._offered(m)[0] for m in dict.fromkeys(i.mechanism for i in self.infos.values())
        }

    def _offered(self, mechanism: str) -> tuple[str, ...]:
        """Strategies that all sites of a mechanism can run, the model's own first."""
        offers = [offered[mechanism] for s in self.sites if mechanism in (offered := s.offers())]
        adapted = {name for s in self.sites for name in getattr(s, "sites", (s.name,))}
        marked = [
            i for i in self.infos.values() if i.mechanism == mechanism and i.name not in adapted
        ]
        if marked:  # a body that gathers its rows itself can run in no other way
            offers.append(
                MARKED[mechanism] if all(i.selects for i in marked) else (NATURAL[mechanism],)
            )
        return tuple(s for s in offers[0] if all(s in other for other in offers))

    def assignments(self) -> list[dict[str, str]]:
        """Every way to run this model: mechanism → strategy, all combinations; then the baselines."""
        mechanisms = list(self.captured)
        ways = [
            dict(zip(mechanisms, c, strict=True))
            for c in itertools.product(*map(self._offered, mechanisms))
        ]
        return ways + [dict.fromkeys(mechanisms, b) for b in BASELINES]
