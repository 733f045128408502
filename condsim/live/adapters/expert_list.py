"""The classic mixture of experts: a block whose forward sends rows to the modules of a list, by the top-k of a linear gate beside it.

The rule is the structure: a child list (or dict) of modules of one class, and a sibling linear layer with as many outputs as the list is long. The decision
is seen where the block asks for it: `topk`, `argmax` or `max` over a last dimension of that size, while the block's own forward runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from condsim.errors import CondsimError
from condsim.live.adapters import ADAPTERS
from condsim.live.adapters.own_forward import OwnForward
from condsim.live.adapters.structure import expert_list, gate_of, instead
from condsim.live.execution import BASELINES, Execution, SiteInfo, current, executing
from condsim.live.marks import observe

CHOOSERS = {
    torch.topk,
    torch.Tensor.topk,
    torch.argmax,
    torch.Tensor.argmax,
    torch.max,
    torch.Tensor.max,
}
MARK = "mark the decision: ids, weights = condsim.route('NAME', 'moe', ids, weights, branches=E), and each expert: with condsim.branch('NAME', e): ..."


@ADAPTERS.register("expert_list")
def find(model: nn.Module) -> list[Any]:
    """Blocks with a list of alike experts and a linear gate of that many outputs."""
    return [
        ExpertList(name, block, child)
        for name, block in model.named_modules()
        if (child := expert_list(block)) is not None
    ]


def look_alikes(model: nn.Module) -> list[str]:
    """What looks like experts and is none that an adapter knows, for an error message."""
    found = []
    for name, m in model.named_modules():
        if "expert" in name.rpartition(".")[2].lower() and not any(
            "expert" in p.lower() for p in name.split(".")[:-1]
        ):
            found.append(f"{name} ({type(m).__name__})")
    return found


class ExpertList:
    """One such block of a live model. It runs as it is written."""

    captured = "looped"

    def __init__(self, name: str, block: nn.Module, child: str) -> None:
        self.name = name or child
        self.block = block
        self.experts = list(block.get_submodule(child).children())
        self.branches = len(self.experts)
        self.top_k = 1  # known once it has run
        self.seen = False
        gate = gate_of(block, self.branches)
        self.beside = [
            n
            for n, m in block.named_children()
            if n != child and m is not gate and any(True for _ in m.parameters())
        ]
        self.decided: torch.Tensor | None = None
        self.extra: tuple[Any, ...] | None = None
        self.stack = contextlib.ExitStack()
        self.reader = OwnForward(name, block)
        self.hint = f"block {self.name!r} calls a list of {self.branches} experts in a loop that cannot be told apart into experts; {MARK}"
        self.slow = f"baselines run the experts of {self.name} one after the other: its list of modules was not stacked into one matmul a projection"

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of its sites."""
        return self.reader.sites or (self.name,)

    @property
    def note(self) -> str:
        """What a reader of the trace should know."""
        return self.reader.note or self.slow

    def offers(self) -> dict[str, tuple[str, ...]]:
        return self.reader.offers() or {"moe": (self.captured,)}

    def prepare(self, execution: Execution) -> None:
        self.reader.prepare(execution)

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return self.reader.named_tensors()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        with instead(self.block, self._forward):
            yield

    def _strategy(self, run: Execution) -> str:
        return (
            run.strategies.get(self.name)
            or run.strategies.get("moe")
            or run.strategies.get("*")
            or self.captured
        )

    def _forward(self, own: Any, *args: Any, **kwargs: Any) -> Any:
        run = current()
        if self.reader.reads(own, args, kwargs, ("moe",)):
            return self.reader.run(*args, **kwargs)
        if self.reader.after is not None and not any(
            id(e) in self.reader.after for e in self.experts
        ):
            return own(*args, **kwargs)  # what it decides is not which of these run
        strategy = self._strategy(run)
        if strategy in BASELINES:
            if not self.seen:
                with executing(Execution()), run.quiet():
                    self._watched(own, *args, **kwargs)
            if self.seen:
                return self._dense(
                    self.branches if strategy == "same-params" else self.top_k, *args, **kwargs
                )
        return self._watched(own, *args, **kwargs)

    def _watched(self, own: Any, *args: Any, **kwargs: Any) -> Any:
        self.decided = None
        with contextlib.ExitStack() as self.stack, _Watch(self):
            out = own(*args, **kwargs)
        self.extra = out[1:] if isinstance(out, tuple) else None
        return out

    def _dense(self, experts: int, *args: Any, **kwargs: Any) -> Any:
        """The first so many experts on every row, averaged, in the form of the block's own result."""
        x = next(t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor))
        total = self.experts[0](x)
        for expert in self.experts[1:experts]:
            total = total + expert(x)
        total = total / experts
        return total if self.extra is None else (total, *self.extra)

    def choose(self, ids: torch.Tensor) -> torch.Tensor:
        """The block's decision ids [..., k], or the forced one."""
        run = current()
        if self.beside:
            raise CondsimError(
                f"block {self.name!r} has {self.branches} experts behind a gate, and {', '.join(self.beside)} whose place beside them cannot be seen; {MARK}"
            )
        self.seen = True
        rows = ids.reshape(-1, ids.shape[-1])
        self.top_k = rows.shape[1]
        if self.name not in run.sites:
            parents = tuple((f.site, f.choice) for f in run.frames)
            run.sites[self.name] = SiteInfo(self.name, "moe", self.branches, rows.shape[1], parents)
        if run.recorder is not None:
            run.recorder.decided(self.name, ids)
        forced, _ = run.forced_now(run.sites[self.name], rows)
        if forced is not None:
            ids = run.replaced(rows, forced).view(ids.shape)
            rows = ids.reshape(-1, ids.shape[-1])
        self.decided = ids
        if run.observed is not None:
            observe(run, self.name, rows, None, None)
        if run.recorder is not None:
            with run.quiet():
                tokens_per_expert = torch.bincount(
                    rows.reshape(-1), minlength=self.branches
                ).tolist()
            self.stack.enter_context(
                run.recorder.experts(
                    self.name, tokens_per_expert, rows.shape[0], unmarked_loop=True
                )
            )
        return ids


class _Watch(TorchFunctionMode):
    """Sees the choice among experts, once a forward of the block."""

    def __init__(self, site: ExpertList) -> None:
        super().__init__()
        self.site = site

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if (
            func not in CHOOSERS
            or not args
            or args[0].shape[-1:] != (self.site.branches,)
            or self.site.decided is not None
        ):
            return out
        scores = args[0]
        if isinstance(out, tuple):
            _, ids = out
            single = ids.ndim == scores.ndim and ids.shape[-1] != self.site.branches
            new = self.site.choose(ids if single else ids.unsqueeze(-1))
            if new is ids or (current().forced is None and current().decide is None):
                return out
            with current().quiet():
                picked = scores.gather(-1, new)
                return type(out)((picked, new) if single else (picked.squeeze(-1), new.squeeze(-1)))
        if not isinstance(out, torch.Tensor) or out.dtype != torch.int64:
            return out
        wide = out.unsqueeze(-1) if out.ndim < scores.ndim else out
        new = self.site.choose(wide)
        return out if new is wide else new.view(out.shape)
