"""Early exits, branches and skipped layers that nobody marked: read from what the forward itself does.

The rule is the structure: a module with a gate beside what the gate guards, or with a list of heads. Its forward is taped while rows are sent everywhere
(`condsim.live.lift.tape`), read (`reading`) and lifted (`lifted`). A lifted forward stands in for the own one only where it gives the same bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from condsim.errors import CondsimError
from condsim.live.adapters import ADAPTERS
from condsim.live.adapters.structure import could_decide, expert_list, instead
from condsim.live.execution import MARKED, Execution, current, executing
from condsim.live.experts import Experts
from condsim.live.lift.lifted import Lifted, tensor_of
from condsim.live.lift.meanings import Unlike
from condsim.live.lift.tape import CONTAINERS, Ref, Tape

HARMLESS = (torch.Tensor, str, int, float, bool, torch.dtype, torch.device)


@ADAPTERS.register("own_forward")
def find(model: nn.Module) -> list[Any]:
    """Modules that could decide: see `could_decide`."""
    return [
        OwnForward(name, m)
        for name, m in model.named_modules()
        if could_decide(m) and expert_list(m) is None
    ]


class OwnForward:
    """One such module. It is read when it is first called; what cannot be read runs as it is written (reason says why)."""

    top_k = 1

    def __init__(self, name: str, block: nn.Module) -> None:
        self.name, self.block = name, block
        self.lifted: Lifted | None = None
        self.reason: str | None = None
        self.guards = False  # it decides something, whether or not that can be read
        self.after: set[int] | None = (
            None  # submodules that it calls after a decision, by identity; None where it could not be taped
        )
        self.learning = False
        self.constants: Any = None  # arguments that are no tensors
        self.note = ""
        self.hint = ""
        self._offers: dict[str, tuple[str, ...]] = {}

    def offers(self) -> dict[str, tuple[str, ...]]:
        return self._offers

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites in it."""
        return () if self.lifted is None else tuple(s.name for s in self.lifted.sites.values())

    def experts(self) -> list[Experts]:
        """Those of its mixtures that can be stacked."""
        return (
            []
            if self.lifted is None
            else [s.experts for s in self.lifted.sites.values() if s.experts is not None]
        )

    def prepare(self, execution: Execution) -> None:
        for experts in self.experts():
            experts.top_k = self.top_k
            experts.prepare(execution)

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return {name: t for experts in self.experts() for name, t in experts.named().items()}

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        with instead(self.block, self._forward):
            yield

    def _forward(self, own: Any, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs) if self.reads(own, args, kwargs) else own(*args, **kwargs)

    def reads(
        self,
        own: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        mechanisms: tuple[str, ...] = tuple(MARKED),
    ) -> bool:
        """Whether the forward can be lifted; finds out with the first call's arguments. mechanisms: what its sites may be."""
        if self.learning:  # it calls itself
            return False
        if self.lifted is None and self.reason is None:
            self.learning = True
            try:
                with current().quiet(), executing(Execution()):
                    self._learn(own, args, kwargs)
            finally:
                self.learning = False
            self.constants = constants(args, kwargs)
            if self.lifted is not None and not set(self._offers) <= set(mechanisms):
                self.lifted, self._offers, self.note, self.reason = (
                    None,
                    {},
                    "",
                    f"its decision is not {' or '.join(mechanisms)}",
                )
        return self.lifted is not None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The lifted forward."""
        run = current()
        assert self.lifted is not None
        if constants(args, kwargs) != self.constants:
            raise CondsimError(
                f"{self.name or 'the model'} was read when it was called with {self.constants[1]} and is called with {constants(args, kwargs)[1]}; mark its "
                "decision with condsim.route and what it guards with condsim.branch"
            )
        for site in self.lifted.sites.values():
            run.natural[site.name] = site.captured
        return self.lifted(*args, **kwargs)

    def _learn(self, own: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Tape, read, lift, and compare with the own forward."""
        found: list[Lifted] = []
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.ndim]
        if not tensors or not all(
            leaf is None or isinstance(leaf, HARMLESS) for leaf in tree_leaves((args, kwargs))
        ):
            self.reason = "it is called with something that is no tensor"
            return
        longest = max(
            (len(c) for c in self.block.children() if isinstance(c, CONTAINERS)), default=0
        )
        sizes = (12 + 2 * longest, 17 + 2 * longest)
        for lone in (False, True):
            try:
                tape = Tape(self.block, lone, longest).run(
                    own, *resized(args, kwargs, tensors[0], sizes[0])
                )
                decides = next((n.number for n in tape.nodes if n.branches), len(tape.nodes))
                self.guards |= decides < len(tape.nodes)
                self.after = (self.after or set()) | {
                    id(n.module) for n in tape.nodes[decides:] if n.module is not None
                }
                lifted = Lifted(
                    self.block,
                    self.name,
                    sizes[0],
                    tape,
                    self._second(own, args, kwargs, tensors[0], lone, longest, sizes[1]),
                )
                self._verify(lifted, own, args, kwargs)
                found.append(lifted)
            except Unlike as e:
                self.reason = str(e)
            except CondsimError:
                raise
            except (
                Exception
            ) as e:  # whatever a stranger's forward does with batches that it does not expect
                self.reason = f"it fails when rows are sent everywhere ({type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''})"
        if found:
            self._keep(max(found, key=lambda f: (len(f.sites), len(f.place))))
        assert self.lifted is not None or self.reason is not None

    def _second(
        self,
        own: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        first: torch.Tensor,
        lone: bool,
        ways: int,
        rows: int,
    ) -> Tape:
        """A tape at another size, of the sequence too where there is one: it tells sizes from constants."""
        if first.ndim == 3 or (first.ndim == 2 and not first.is_floating_point()):
            with contextlib.suppress(Exception):
                return Tape(self.block, lone, ways).run(
                    own, *resized(args, kwargs, first, rows, int(first.shape[1]) + 3)
                )
        return Tape(self.block, lone, ways).run(own, *resized(args, kwargs, first, rows))

    def _verify(
        self, lifted: Lifted, own: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """The own forward's bits, on this batch and on the tape's, where every branch has rows. Strategies that give another result are dropped."""
        inputs = [t.out for t in lifted.tape.nodes if t.fn is None]
        taped = [
            tensor_of(lifted.tape, ref)
            for ref in tree_leaves(lifted.tape.output)
            if isinstance(ref, Ref)
        ]
        sites = {s.name: s for s in lifted.sites.values()}
        forced = lifted.forced()

        def run(strategies: dict[str, str]) -> list[torch.Tensor]:
            with executing(Execution(strategies, forced=forced, room=len(inputs[0]) * 64)):
                return [t for t in tree_leaves(lifted(*inputs)) if isinstance(t, torch.Tensor)]

        captured = {s.name: s.captured for s in sites.values()}
        if not same(run(captured), taped):
            raise Unlike("what was read from it does not give its own output bit by bit")
        with executing(Execution()):
            natural = [t for t in tree_leaves(own(*args, **kwargs)) if isinstance(t, torch.Tensor)]
        with executing(Execution(captured)):
            again = [t for t in tree_leaves(lifted(*args, **kwargs)) if isinstance(t, torch.Tensor)]
        if not same(natural, again):
            raise Unlike("what was read from it does not give its own output bit by bit")
        lifted.offers = {}
        for mechanism in dict.fromkeys(s.mechanism for s in sites.values()):
            own_way = {s.captured for s in sites.values() if s.mechanism == mechanism}
            if len(own_way) > 1:
                raise Unlike(
                    f"it runs its {mechanism} sites in different ways ({', '.join(sorted(own_way))})"
                )
            stacks = mechanism == "moe" and all(
                s.experts is not None and s.experts.stacks
                for s in sites.values()
                if s.mechanism == "moe"
            )
            others = [
                s
                for s in (("grouped", "batched", "padded") if stacks else MARKED[mechanism])
                if s not in own_way
            ]
            agreeing = [
                s
                for s in others
                if close(
                    run(
                        captured
                        | {n: s for n, site in sites.items() if site.mechanism == mechanism}
                    ),
                    taped,
                )
            ]
            if mechanism != "moe" and "compacted" not in (*own_way, *agreeing):
                raise Unlike(
                    f"its {mechanism} branches give another result when they see their rows alone"
                )
            lifted.offers[mechanism] = (*own_way, *agreeing)

    def _keep(self, lifted: Lifted) -> None:
        self.lifted, self.reason, self._offers = lifted, None, lifted.offers
        self.top_k = max((s.decision.slots for s in lifted.sites.values()), default=0) or 1
        for experts in self.experts():
            experts.top_k = self.top_k
        names = ", ".join(s.name for s in lifted.sites.values())
        self.note = f"{names}: read from the forward of {self.name or 'the model'}, whose gathers and scatters run as index_select, index_copy and where"


def resized(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    first: torch.Tensor,
    rows: int,
    seq: int | None = None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with another number of rows (and positions): what there is is repeated. first: the tensor whose sizes count as rows and positions."""

    def fit(t: Any) -> Any:
        if not isinstance(t, torch.Tensor) or t.ndim == 0 or t.shape[0] != first.shape[0]:
            return t
        t = t[torch.arange(rows, device=t.device) % t.shape[0]]
        if seq is not None and t.ndim > 1 and t.shape[1] == first.shape[1]:
            t = t[:, torch.arange(seq, device=t.device) % t.shape[1]]
        return t.clone()

    return tree_map(fit, (args, kwargs))  # type: ignore[no-any-return]


def constants(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[Any]]:
    """How the arguments are put together, and those that are no tensors."""
    leaves, spec = tree_flatten((args, kwargs))
    return spec, [leaf for leaf in leaves if not isinstance(leaf, torch.Tensor)]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """Bit by bit."""
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    """But for the order of sums."""
    return len(a) == len(b) and all(
        x.shape == y.shape and torch.allclose(x, y, rtol=1e-4, atol=1e-5)
        for x, y in zip(a, b, strict=True)
    )
