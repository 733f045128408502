"""The classic mixture of experts: a block that sends rows to the modules of a list.

The rule is the structure: a child list (or dict) of modules of one class, and a linear layer beside
it with as many outputs as the list is long. The decision is seen where the block asks for it:
`topk`, `argmax` or `max` over a last dimension of that size, while the block's own forward runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from condsim.errors import CondsimError
from condsim.live.adapters.base import ADAPTERS, LiveSite, unstacked
from condsim.live.adapters.masked_experts import is_masked
from condsim.live.adapters.own_forward import OwnForward
from condsim.live.adapters.python_decisions import AskingForward
from condsim.live.adapters.structure import expert_list, experts_in, gate_of, instead
from condsim.live.execution import BASELINES, Execution, SiteInfo, current, executing
from condsim.live.expert_calls import recorded_experts
from condsim.live.router_calls import StandIn
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.moe import MixtureOfExperts

CHOOSERS = {
    torch.topk,
    torch.Tensor.topk,
    torch.argmax,
    torch.Tensor.argmax,
    torch.max,
    torch.Tensor.max,
}
"""Functions that choose among the last dimension of their first argument."""
MARK = MECHANISMS[MixtureOfExperts.name].how_to_mark
LOOPED = "looped"
"""The strategy that such a block itself runs."""


@ADAPTERS.register("expert_list")
def find(model: nn.Module) -> list[LiveSite]:
    """Blocks with a list of alike experts and a linear gate of that many outputs."""
    sites: list[LiveSite] = []
    for name, block in model.named_modules():
        child = expert_list(block)
        if child is not None and not is_masked(block.get_submodule(child)):
            sites.append(ExpertList(name, block, child))
    return sites


def look_alikes(model: nn.Module) -> list[str]:
    """Modules whose names speak of experts, the outermost only, for an error message."""
    named = []
    for path, module in model.named_modules():
        *parents, name = path.lower().split(".")
        inside_another = any("expert" in parent for parent in parents)
        if "expert" in name and not inside_another:
            named.append(f"{path} ({type(module).__name__})")
    return named


class ExpertList(LiveSite):
    """One such block of a live model.

    Where its forward can be read (`OwnForward`), it runs under every strategy; else as it is
    written, and baselines run the experts one after the other.
    """

    def __init__(self, name: str, block: nn.Module, child: str) -> None:
        """child: the name of the list of experts."""
        super().__init__(name or child, block)
        self.experts = experts_in(block.get_submodule(child))
        self.branches = len(self.experts)
        self.router = gate_of(block, self.branches)
        self.reader = OwnForward(name, block, self.experts)
        self.asking = AskingForward(name, block)
        self._unplaced = self._parts_beside(child)
        self._is_mixture: bool | None = None  # whether it chooses among them; None: not known yet
        self._seen = False  # whether a decision was ever seen
        self._calls = 0  # of experts, in a forward that was watched
        self._runs_all = False  # whether every expert runs on every row
        self._decided: torch.Tensor | None = None  # the decision of this call
        self._other_results: StandIn | None = None  # for what the block returns beside rows
        self._recording = contextlib.ExitStack()

    def _parts_beside(self, child: str) -> list[str]:
        """Names of parts with parameters that are neither the experts nor the gate."""
        names = []
        for name, module in self.block.named_children():
            has_parameters = any(True for _ in module.parameters())
            if name != child and module is not self.router and has_parameters:
                names.append(name)
        return names

    @property
    def hint(self) -> str:  # type: ignore[override]
        """What the block does that no program holds, and how to mark it."""
        how = f"calls a list of {self.branches} experts in a loop that cannot be told apart"
        if self._runs_all:
            how = (
                f"runs each of its {self.branches} experts on every row and weighs most of the "
                "results by zero: nothing is skipped"
            )
        elif self._calls > 2 * self.branches:
            how = f"calls its {self.branches} experts in a loop over rows, {self._calls} times"
        return f"block {self.name!r} {how}; {MARK}"

    @property
    def decides_for_batch(self) -> bool:  # type: ignore[override]
        """Whether it asks one question of a whole batch."""
        return not self.reader.sites and self.asking.decides_for_batch

    @property
    def sites(self) -> tuple[str, ...]:
        return self.reader.sites or self.asking.sites or (self.name,)

    @property
    def notes(self) -> list[str]:
        for read in (self.reader, self.asking):
            if read.lifted is not None:
                return read.notes
        notes = [unstacked(self.name)]
        if self._runs_all:
            notes.append(f"{self.name} runs every expert on every row: nothing is saved")
        return notes

    def offers(self) -> dict[str, tuple[str, ...]]:
        read = self.reader.offers() or self.asking.offers()
        return read or {MixtureOfExperts.name: (LOOPED,)}

    def prepare(self, execution: Execution) -> None:
        self.reader.prepare(execution)

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return self.reader.named_tensors()

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        execution = current()
        if self.reader.reads(own_forward, args, kwargs):
            return self.reader.run(own_forward, *args, **kwargs)
        if not self._chooses(own_forward, args, kwargs):
            return self.asking.forward(own_forward, *args, **kwargs)
        strategy = execution.asked_strategy(self.name, MixtureOfExperts.name)
        if strategy in BASELINES:
            if not self._seen:
                with executing(Execution()), execution.quiet():
                    self._watched(own_forward, *args, **kwargs)
            if self._seen:
                experts = self.branches if strategy == "same-params" else self.top_k
                return self._dense(experts, *args, **kwargs)
        return self._watched(own_forward, *args, **kwargs)

    def _chooses(
        self, own_forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Whether the block chooses among its experts. The first call finds out."""
        if self._is_mixture is None:
            self._is_mixture = not self._decides_something_else()
            if self._is_mixture:
                with executing(Execution()), current().quiet(), torch.no_grad():
                    self._watched(own_forward, *args, **kwargs)
                self._is_mixture = self._seen
        return self._is_mixture

    def _decides_something_else(self) -> bool:
        """Whether the block was taped, and calls none of its experts after a decision."""
        called = self.reader.taped.called_after_decision
        return called is not None and called.isdisjoint(self.experts)

    def _watched(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._decided = None
        rows_of = RowsOfExperts(self.experts)
        observing = current().observed is not None
        with contextlib.ExitStack() as self._recording, _Watch(self):
            if observing:
                self._recording.enter_context(rows_of.counted())
            out = own_forward(*args, **kwargs)
        if observing and self._decided is not None:
            self._check_rows(rows_of, self._decided)
        if isinstance(out, tuple):
            self._other_results = StandIn.of(args, kwargs, out[1:])
        return out

    def _check_rows(self, rows_of: RowsOfExperts, decided: torch.Tensor) -> None:
        """Raises CondsimError where experts do not run the rows that the decision sends them."""
        self._calls = rows_of.calls
        rows = decided.reshape(-1, decided.shape[-1])
        sent = torch.bincount(rows.reshape(-1), minlength=self.branches).tolist()
        if rows_of.are(sent):
            return
        if rows_of.are([len(rows)] * self.branches):
            self._runs_all = True
            return
        odd = next(expert for expert in range(self.branches) if not rows_of.has(expert, sent))
        raise CondsimError(
            f"block {self.name!r} sends {sent[odd]} rows to expert {odd} and runs it on "
            f"{rows_of.rows[odd]}: rows are dropped, padded or chosen again after the decision; "
            f"{MARK}"
        )

    def _dense(self, experts: int, *args: Any, **kwargs: Any) -> Any:
        """The first so many experts on every row, averaged, in the form of the block's result."""
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        x = tensors[0]
        total = self.experts[0](x)
        for expert in self.experts[1:experts]:
            total = total + expert(x)
        total = total / experts
        if self._other_results is None:
            return total
        with current().quiet():
            return (total, *self._other_results(args, kwargs))

    def awaits_choice(self, scores: torch.Tensor) -> bool:
        """Whether a choice among these scores would be the block's decision."""
        return scores.shape[-1:] == (self.branches,) and self._decided is None

    def choose(self, ids: torch.Tensor) -> torch.Tensor:
        """The block's decision ids [..., k], or the forced one.

        Raises CondsimError where the block has parts that may work on the experts' rows.
        """
        if self._unplaced:
            raise CondsimError(
                f"block {self.name!r} has {self.branches} experts behind a gate, and "
                f"{', '.join(self._unplaced)} whose place beside them cannot be seen; {MARK}"
            )
        execution = current()
        rows = ids.reshape(-1, ids.shape[-1])
        self._seen = True
        self.top_k = rows.shape[1]
        if self.name not in execution.sites:
            execution.sites[self.name] = SiteInfo(
                self.name, MixtureOfExperts.name, self.branches, self.top_k, execution.parents()
            )
        settled, _ = execution.settle(execution.sites[self.name], rows)
        if settled is not rows:
            ids = settled.view(ids.shape)
            rows = ids.reshape(-1, ids.shape[-1])
        self._decided = ids
        self._recording.enter_context(
            recorded_experts(
                execution, self.name, rows, self.branches, has_room=False, unmarked_loop=True
            )
        )
        return ids


class RowsOfExperts:
    """How many rows each expert of a list ran on, in all its calls.

    rows: positions, those in front of the last dimension. items: along the first dimension.
    calls: of all experts.
    """

    def __init__(self, experts: list[nn.Module]) -> None:
        self.experts = experts
        self.rows = [0] * len(experts)
        self.items = [0] * len(experts)
        self.calls = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count, while it lasts."""
        with contextlib.ExitStack() as stack:
            for number, expert in enumerate(self.experts):
                stack.enter_context(instead(expert, partial(self._call, number)))
            yield

    def _call(self, number: int, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        self.calls += 1
        if tensors and tensors[0].ndim:
            shape = tensors[0].shape
            self.rows[number] += shape[:-1].numel()
            self.items[number] += shape[0]
        return own_forward(*args, **kwargs)

    def has(self, number: int, rows: list[int]) -> bool:
        """Whether one expert ran on so many rows."""
        return rows[number] in (self.rows[number], self.items[number])

    def are(self, rows: list[int]) -> bool:
        """Whether every expert ran on so many rows."""
        return rows in (self.rows, self.items)


class _Watch(TorchFunctionMode):
    """Sees the choice among experts, once a forward of the block."""

    def __init__(self, site: ExpertList) -> None:
        super().__init__()
        self.site = site

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func not in CHOOSERS or not args or not self.site.awaits_choice(args[0]):
            return out
        if isinstance(out, tuple):
            return self._values_and_ids(args[0], out)
        if isinstance(out, torch.Tensor) and out.dtype == torch.int64:
            return self._ids(args[0], out)
        return out

    def _values_and_ids(self, scores: torch.Tensor, out: Any) -> Any:
        """A result of topk or max. Where other ids are forced, their scores come with them."""
        _, ids = out
        has_slots = ids.ndim == scores.ndim and ids.shape[-1] != self.site.branches
        wide = ids if has_slots else ids.unsqueeze(-1)
        chosen = self.site.choose(wide)
        execution = current()
        if chosen is wide or not execution.forces:
            return out
        if scores.requires_grad:  # autograd follows what the choice gave
            return type(out)((out[0], chosen if has_slots else chosen.squeeze(-1)))
        with execution.quiet():
            values = scores.gather(-1, chosen)
            if not has_slots:
                values, chosen = values.squeeze(-1), chosen.squeeze(-1)
            return type(out)((values, chosen))

    def _ids(self, scores: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """A result of argmax."""
        wide = ids.unsqueeze(-1) if ids.ndim < scores.ndim else ids
        chosen = self.site.choose(wide)
        return ids if chosen is wide else chosen.view(ids.shape)
