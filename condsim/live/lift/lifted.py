"""A module's forward, lifted: the calls of its tape put behind `condsim.route` and `condsim.branch`, so that it can run under every strategy and baseline.

Nothing is added to what the forward does and no call is changed but those that gather and scatter rows. In-place changes become new tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from condsim.live.execution import current
from condsim.live.experts import Experts
from condsim.live.lift.meanings import (
    Context,
    Decision,
    Leak,
    Mixture,
    Plain,
    Select,
    Sum,
    Taken,
    Unknown,
    Unlike,
    Value,
    context_of,
)
from condsim.live.lift.reader import Reading, is_value
from condsim.live.lift.tape import INPLACE_OPERATORS, Node, Ref, Tape
from condsim.live.marks import branch, route

LIKE = {
    "zeros_like",
    "empty_like",
    "ones_like",
    "full_like",
    "new_zeros",
    "new_empty",
    "new_ones",
    "new_full",
}
RANDOM = {
    "rand",
    "randn",
    "rand_like",
    "randn_like",
    "randint",
    "bernoulli",
    "multinomial",
    "uniform",
    "normal",
    "exponential",
    "gumbel_softmax",
}
Key = tuple[Any, Context]
Env = dict[Any, Any]


@dataclass(frozen=True)
class Leads:
    """The place of a call that only leads to a decision; to what rows have that leave there, if base."""

    decision: int
    base: bool = False


Place = Context | Leads


@dataclass
class Step:
    """One thing to do. reads, writes: keys of the environment."""

    run: Callable[[Env], None]
    reads: set[Key] = field(default_factory=set)
    writes: set[Key] = field(default_factory=set)


@dataclass
class LiftedSite:
    """A decision that guards something. works: the branch that a row enters (None: every branch does something)."""

    name: str
    mechanism: str
    decision: Decision
    works: int | None
    scores: Any = None
    captured: str = "compacted"
    experts: Experts | None = None


class Lifted:
    """Call it in place of the host's forward. sites: what it decides. Raises Unlike where a needed call cannot be read."""

    def __init__(self, host: nn.Module, path: str, rows: int, tape: Tape, other: Tape) -> None:
        self.host, self.tape, self.other = host, tape, other
        if [n.name or n.module for n in tape.nodes] != [n.name or n.module for n in other.nodes]:
            raise Unlike("it makes other calls for other batch sizes")
        self.paths = {id(m): f"{path}.{name}".strip(".") for name, m in host.named_modules()}
        self.reading = Reading(tape, rows)
        self.decisions = self.reading.decisions
        self.ancestors: dict[int, set[int]] = {}
        self.place: dict[int, Place] = {}
        self.selects: list[Select] = []
        self.sites: dict[int, LiftedSite] = {}
        self._place_calls()
        if not self.sites:
            raise Unlike("no decision guards a call of it")
        self.inputs = sum(node.fn is None for node in tape.nodes)
        self.defined: set[Key] = {((i, None), ()) for i in range(self.inputs)}
        self.blocks: dict[Context, list[Step]] = {}
        self.output, self.output_spec = tree_flatten(self.reading.output, is_leaf=is_value)
        steps = self._block(())
        keys = [self._key(v, ()) if is_value(v) else None for v in self.output]
        self.results = keys
        self.offers: dict[
            str, tuple[str, ...]
        ] = {}  # known once it has been compared with the own forward
        self.program = freed(steps, {k for k in keys if k is not None})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        env: Env = {((i, None), ()): t for i, t in enumerate(tensors)}
        del tensors
        for step in self.program:
            step(env)
        return tree_unflatten(
            [
                env[k] if k is not None else v
                for k, v in zip(self.results, self.output, strict=True)
            ],
            self.output_spec,
        )

    def forced(self) -> dict[str, np.ndarray]:
        """Site → branch of each row of the tape, int64 [rows]; 0 where a row does not get there."""
        taken: dict[int, np.ndarray] = {}
        for number, site in sorted(self.sites.items()):
            decided = self.tape.nodes[number].out
            own = (
                (
                    decided
                    if isinstance(decided, torch.Tensor)
                    else tree_leaves(decided)[self.tape.nodes[number].decides or 0]
                )
                .reshape(-1)
                .long()
                .numpy()
            )
            if site.decision.slots:
                own = own.reshape(-1, site.decision.slots)
            if site.decision.context:
                outer, choice = site.decision.context[-1]
                taken[number] = np.full((len(taken[outer]), *own.shape[1:]), -1)
                taken[number][taken[outer] == choice] = own
            else:
                taken[number] = own
        return {
            s.name: (
                np.maximum(taken[n], 0)
                if s.works is None
                else (taken[n] == s.works).astype(np.int64)
            )
            for n, s in self.sites.items()
        }

    # --- where each call belongs ------------------------------------------------------------------------------------------------------

    def _ancestors(self, node: int) -> set[int]:
        if node not in self.ancestors:
            found = {node}
            for leaf in tree_leaves((self.tape.nodes[node].args, self.tape.nodes[node].kwargs)):
                if isinstance(leaf, Ref):
                    found |= self._ancestors(leaf.node)
            self.ancestors[node] = found
        return self.ancestors[node]

    def _made_of(self, value: Any) -> set[int]:
        """Nodes whose rows a value is made of."""
        found: set[int] = set()
        open_ = [p.ref.node for p in plains(value)]
        while open_:
            node = open_.pop()
            if node not in found:
                found.add(node)
                arguments = tree_leaves(self.reading.arguments[node], is_leaf=is_value)
                open_ += [p.ref.node for v in arguments if is_value(v) for p in plains(v)]
        return found

    def _works(self, value: Any, decision: int) -> bool:
        """Whether a branch does something of its own: more than to hand on what was there before the decision."""
        while isinstance(value, Taken):
            value = value.of
        if isinstance(value, Plain):
            node = self.tape.nodes[value.ref.node]
            return (
                node.fn is not None
                and node.number not in self._ancestors(decision)
                and not self._blank(value)
            )
        return value is not None

    def _blank(self, value: Any) -> bool:
        """Whether a value is a new tensor of a constant."""
        if not isinstance(value, Plain):
            return False
        node = self.tape.nodes[value.ref.node]
        return node.fn is not None and (
            node.name in LIKE
            or not any(isinstance(leaf, Ref) for leaf in tree_leaves((node.args, node.kwargs)))
        )

    def _place_calls(self) -> None:
        """Go back from the output: a call belongs behind the guard that all its readers stand behind; one that only a decision reads belongs to its router."""
        uses: dict[Any, list[Place]] = {}
        waiting: dict[int, list[Any]] = {}

        def need(value: Any, place: Place) -> None:
            if isinstance(value, Unknown):
                raise Unlike(value.reason)
            if isinstance(value, Taken):
                outer = context_of(value.of)
                need(value.of, place if isinstance(place, Leads) else outer)
            elif isinstance(value, Sum):
                need(value.value, place)
                need(value.addend, place)
            elif isinstance(value, Select):
                uses.setdefault(id(value), []).append(place)
                if value not in self.selects:
                    self.selects.append(value)
                    waiting.setdefault(value.number, []).append(value)
            elif isinstance(value, Plain):
                if isinstance(value, Leak) and place != Leads(value.decision):
                    self.leaks.add(value.decision)
                uses.setdefault(value.ref.node, []).append(place)
            elif isinstance(value, Value):
                need(self.reading.plain(value), place)

        self.leaks: set[int] = set()
        for leaf in tree_leaves(self.reading.output, is_leaf=is_value):
            if is_value(leaf):
                need(leaf, ())
        for number in reversed(range(len(self.tape.nodes))):
            for select in waiting.get(number, []):
                self._place_select(select, need, uses)
            node = self.tape.nodes[number]
            if number not in uses or node.fn is None:
                continue
            own = joined_places(uses[number], self.decisions)
            self.place[number] = Leads(number) if number in self.sites else own
            arguments = [
                v
                for v in tree_leaves(self.reading.arguments[number], is_leaf=is_value)
                if is_value(v)
            ]
            for v in arguments:
                need(v, self.place[number])
        for d in self.leaks & set(self.sites):
            raise Unlike(f"{self.sites[d].name} decides, and the decision is used as a number too")

    def _place_select(
        self, select: Select, need: Callable[[Any, Place], None], uses: dict[Any, list[Place]]
    ) -> None:
        number = select.decision
        site = self._site(select)
        if isinstance(select, Mixture) and select.weights is not None:
            need(select.weights, Leads(number))
        for choice, value in select.options.items():
            if site.works is None or choice == site.works:
                need(value, (*select.context, (number, choice)))
        rest = self._rest(select, site)
        if rest is not None:
            need(
                rest, Leads(number, base=True) if site.mechanism == "early_exit" else select.context
            )
        uses.setdefault(number, []).append(Leads(number))

    def _rest(self, select: Select, site: LiftedSite) -> Any:
        """What rows have that enter nothing."""
        if isinstance(select, Mixture):
            return select.base
        if site.works is None:
            return None if len(select.options) == site.decision.branches else select.base
        for choice, value in select.options.items():
            if choice != site.works:
                while isinstance(value, Taken):
                    value = value.of
                return value
        return select.base

    def _site(self, select: Select) -> LiftedSite:
        number = select.decision
        decision = self.decisions[number]
        working = [b for b, v in select.options.items() if self._works(v, number)]
        if not working:
            raise Unlike("a decision chooses between tensors that are there anyway")
        works = working[0] if decision.branches == 2 and len(working) == 1 else None
        known = self.sites.get(number)
        if isinstance(select, Mixture) or decision.slots:
            if (
                known is not None
                or not isinstance(select, Mixture)
                or len(select.options) != decision.branches
            ):
                raise Unlike("it does not add up the results of all experts in one place")
            self.sites[number] = LiftedSite(
                self._list_name(select), "moe", decision, None, captured="looped"
            )
            return self.sites[number]
        if known is not None:
            if known.works != works:
                raise Unlike(
                    f"{known.name} guards one thing for some of its results and another for others"
                )
            return known
        if len(decision.gathers) > 1:
            raise Unlike("it gathers rows by a decision and masks others by the same one")
        mechanism = "multi_branch" if works is None else "skip"
        site = LiftedSite(self._name(number), mechanism, decision, works)
        site.captured = (
            "compacted" if True in decision.gathers else "wait" if decision.waits else "masked"
        )
        rest = self._rest(select, site)
        if (
            works is not None
            and isinstance(rest, Plain)
            and not self._blank(rest)
            and rest.ref.node in self._ancestors(number)
        ):
            inner = select.options[works]
            if self.tape.nodes[rest.ref.node].fn is not None and rest.ref.node not in self._made_of(
                inner
            ):
                site.mechanism = "early_exit"
        site.scores = self._scores(number, site)
        self.sites[number] = site
        return site

    def _name(self, number: int) -> str:
        """The path of the module that the decision comes from."""
        modules = [
            n
            for n in sorted(self._ancestors(number), reverse=True)
            if self.tape.nodes[n].module is not None
        ]
        name = (
            self.paths[id(self.tape.nodes[modules[0]].module)]
            if modules
            else self.paths[id(self.host)] or "decision"
        )
        taken = {s.name for s in self.sites.values()}
        return (
            name
            if name not in taken
            else next(f"{name}#{i}" for i in range(2, 1000) if f"{name}#{i}" not in taken)
        )

    def _list_name(self, mixture: Select) -> str:
        """The host's path; that of the list of experts where the host is the whole model."""
        expert = self._expert(mixture.options[0])
        return (
            self.paths[id(self.host)]
            or (self.paths[id(expert.module)].rpartition(".")[0] if expert is not None else "")
            or self._name(mixture.decision)
        )

    def _scores(self, number: int, site: LiftedSite) -> Any:
        """What was compared, where a row enters if it is below (early exit) or above (skip) a constant."""
        node = self.tape.nodes[number]
        args, _ = self.reading.arguments[number]
        if (
            node.name not in ("gt", "ge", "lt", "le")
            or len(args) != 2
            or is_value(args[1])
            or not isinstance(args[0], Plain)
        ):
            return None
        true_is_above = node.name in ("gt", "ge")
        enters_above = true_is_above == (site.works == 1)
        return args[0] if enters_above == (site.mechanism == "skip") else None

    # --- the program ------------------------------------------------------------------------------------------------------------------

    def _block(self, context: Context) -> list[Step]:
        """Steps of one context, in the order of the tape."""
        steps = self.blocks[context] = []
        items: list[tuple[int, int, Callable[[], None]]] = []
        for number, place in self.place.items():
            if place == context and number not in self.sites:
                items.append((number, 0, lambda n=number: steps.append(self._call(n, context))))  # type: ignore[misc]
        for number, site in self.sites.items():
            if site.decision.context == context:
                leading = [
                    n
                    for n, place in self.place.items()
                    if isinstance(place, Leads) and place.decision == number
                ]
                items.append(
                    (max(leading), 1, lambda n=number: steps.append(self._route(n, context)))
                )  # type: ignore[misc]
                selects = [s for s in self.selects if s.decision == number]
                items.append(
                    (
                        max(s.number for s in selects),
                        2,
                        lambda n=number, s=selects: self._guard(n, s, context),
                    )
                )  # type: ignore[misc]
        for _, _, emit in sorted(items, key=lambda i: i[:2]):
            emit()
        return steps

    def _key(self, value: Any, context: Context) -> Key:
        """Where the environment holds a value in a context; takes rows on the way, and adds what is to be added."""
        while isinstance(value, Taken):
            value = value.of
        if isinstance(value, Sum):
            key = ((id(value), None), context)
            if key not in self.defined:
                one, other = self._key(value.value, context), self._key(value.addend, context)
                self.blocks[context].append(
                    Step(
                        lambda env: env.__setitem__(key, env[one] + env[other]), {one, other}, {key}
                    )
                )
                self.defined.add(key)
            return key
        name = (id(value), None) if isinstance(value, Select) else (value.ref.node, value.ref.item)
        home = value.context if isinstance(value, Select) else self._home(value.ref.node)
        if home != context[: len(home)]:
            raise Unlike("rows of a branch are used where others are too")
        if isinstance(value, Plain) and not value.rows:
            return (name, home)
        if (name, home) not in self.defined:
            raise Unlike("it uses a decision again after its rows were put together")
        for depth in range(len(home), len(context)):
            outer, inner = (name, context[:depth]), (name, context[: depth + 1])
            if inner not in self.defined:
                rows = (("rows", None), context[: depth + 1])

                def take(
                    env: Env, outer: Key = outer, inner: Key = inner, rows: Key = rows
                ) -> None:
                    env[inner] = env[rows].take(env[outer])

                self.blocks[context[: depth + 1]].append(Step(take, {outer}, {inner}))
                self.defined.add(inner)
        return (name, context)

    def _home(self, node: int) -> Context:
        place = self.place.get(node, ())
        return self.decisions[place.decision].context if isinstance(place, Leads) else place

    def _call(self, number: int, context: Context) -> Step:
        node = self.tape.nodes[number]
        fn, kwargs_too = functional(node)
        arguments, reads = self._arguments(number, context, kwargs_too)
        items = [
            i
            for n, i in ((r.node, r.item) for r in self.reading.values if r.node == number)
            if n == number
        ]
        writes = {((number, i), context) for i in items}
        self.defined |= writes
        several = not isinstance(node.out, torch.Tensor)

        def run(env: Env) -> None:
            args, kwargs = arguments(env)
            out = fn(*args, **kwargs)
            if several:
                env.update({((number, i), context): t for i, t in enumerate(tree_leaves(out))})
            else:
                env[((number, None), context)] = out

        return Step(run, reads, writes)

    def _arguments(
        self, number: int, context: Context, more: dict[str, Any]
    ) -> tuple[Callable[[Env], tuple[Any, Any]], set[Key]]:
        """A function that builds a call's arguments, and what it reads."""
        node = self.tape.nodes[number]
        args, kwargs = self.reading.arguments[number]
        leaves, spec = tree_flatten((args, {**kwargs, **more}), is_leaf=is_value)
        others = tree_leaves(
            (self.other.nodes[number].args, {**self.other.nodes[number].kwargs, **more})
        )
        keys: list[tuple[int, Key]] = []
        sizes: list[tuple[int, Key, int]] = []
        for i, (leaf, other) in enumerate(zip(leaves, others, strict=True)):
            if is_value(leaf):
                keys.append((i, self._key(leaf, context)))
            elif isinstance(leaf, int) and leaf != other:
                sizes.append((i, *self._size(node, leaf, other, context)))
            elif isinstance(leaf, float) and leaf != other:
                raise Unlike(f"a number in {node.name or 'a call'} depends on the data")
        template = tuple(leaves)

        def build(env: Env) -> tuple[Any, Any]:
            filled = list(template)
            for i, key in keys:
                filled[i] = env[key]
            for i, key, dim in sizes:
                filled[i] = env[key].shape[dim]
            return tree_unflatten(filled, spec)  # type: ignore[no-any-return]

        return build, {k for _, k in keys} | {k for _, k, _ in sizes}

    def _size(self, node: Node, here: int, there: int, context: Context) -> tuple[Key, int]:
        """A tensor and its dimension that have this size on both tapes."""
        refs = [leaf for leaf in tree_leaves((node.args, node.kwargs)) if isinstance(leaf, Ref)]
        for ref in [*refs, *(Ref(i) for i in range(self.inputs))]:
            shapes = [tensor_of(t, ref).shape for t in (self.tape, self.other)]
            for dim, pair in enumerate(zip(*shapes, strict=False)):
                if pair == (here, there):
                    return self._key(self.reading.plain(self.reading.values[ref]), context), dim
        raise Unlike(f"{node.name or 'a call'} depends on a size that no tensor here has")

    def _route(self, number: int, context: Context) -> Step:
        site = self.sites[number]
        outside = self.blocks[context]
        inside = self.blocks[context] = []
        kept: set[Key] = set()
        for n in sorted(
            n
            for n, place in self.place.items()
            if isinstance(place, Leads) and place.decision == number
        ):
            inside.append(self._call(n, context))
        self.blocks[context] = outside
        for select in self.selects:
            if (
                select.decision == number
                and (rest := self._rest(select, site)) is not None
                and isinstance(rest, Plain)
                and rest.ref.node in self.place
            ):
                kept.add(((rest.ref.node, rest.ref.item), self._home(rest.ref.node)))
        decided = ((number, self.tape.nodes[number].decides), context)
        scores = None if site.scores is None else self._key(site.scores, context)
        weigher = next(
            (s.weights for s in self.selects if isinstance(s, Mixture) and s.decision == number),
            None,
        )
        weights = None if weigher is None else self._key(weigher, context)
        slots = site.decision.slots
        inner = {k for s in inside for k in s.writes}
        runs = freed(
            inside,
            kept | {decided} | ({scores} if scores else set()) | ({weights} if weights else set()),
        )
        branches = site.decision.branches if site.works is None else 2

        def decide_in(env: Env) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
            for step in runs:
                step(env)
            ids = env.pop(decided)
            if slots:
                ids = ids.reshape(-1, slots)
                return ids, None if weights is None else env.pop(weights).reshape(ids.shape), None
            ids = ids.reshape(-1) if ids.ndim > 1 else ids
            if site.works is not None and site.decision.boolean:
                ids = (ids if site.works else ~ids).long()
            elif site.works is not None:
                ids = (ids == site.works).long()
            else:
                ids = ids.long()
            found = (
                None
                if scores is None
                else env[scores]
                if scores in kept or scores not in inner
                else env.pop(scores)
            )
            return ids, None, found if found is None or found.ndim == 1 else found.reshape(-1)

        def run(env: Env) -> None:
            result = route(site.name, site.mechanism, lambda: decide_in(env), branches=branches)
            if slots:
                env[(("routed", number), context)] = result

        return Step(
            run,
            {k for s in inside for k in s.reads} - inner,
            (kept & inner) | ({(("routed", number), context)} if slots else set()),
        )

    def _guard(self, number: int, selects: list[Select], context: Context) -> None:
        site = self.sites[number]
        results: list[Key] = [((id(s), None), context) for s in selects]
        before = [self._rest_key(s, site, context) for s in selects]
        choices = (
            sorted({c for s in selects for c in s.options}) if site.works is None else [site.works]
        )
        bodies: list[tuple[int, Context, list[Callable[[Env], None]], list[Key | None]]] = []
        reads: set[Key] = {k for k in before if k is not None}
        for choice in choices:
            inner = (*context, (number, choice))
            steps = self._block(inner)
            values = [
                self._key(s.options[choice], inner) if choice in s.options else None
                for s in selects
            ]
            reads |= {k for s in steps for k in s.reads if k[1] != inner} | {
                k for k in values if k is not None and k[1] != inner
            }
            bodies.append(
                (
                    choice if site.works is None else 1,
                    inner,
                    freed(steps, {k for k in values if k is not None}),
                    values,
                )
            )
        self.defined |= set(results)
        if isinstance(selects[0], Mixture):
            self._mixture(site, selects[0], bodies, reads, before[0], results[0], context)
            return

        def run(env: Env) -> None:
            for key, rest in zip(results, before, strict=True):
                env[key] = env.get(rest)
            for choice, inner, steps, values in bodies:
                rows: Any
                with branch(site.name, choice) as rows:
                    if rows:
                        env[(("rows", None), inner)] = rows
                        for step in steps:
                            step(env)
                        for key, value in zip(results, values, strict=True):
                            if value is not None:
                                made = env.pop(value) if value[1] == inner else env[value]
                                env[key] = rows.put(env[key], made)
                                del made
                        del env[(("rows", None), inner)]

        self.blocks[context].append(Step(run, reads, set(results)))

    def _mixture(
        self,
        site: LiftedSite,
        mixture: Mixture,
        bodies: list[Any],
        reads: set[Key],
        before: Key | None,
        result: Key,
        context: Context,
    ) -> None:
        """Experts: one after the other as the forward has them, or stacked where they can be."""
        routed = (("routed", mixture.decision), context)
        calls = [self._expert(v) for _, v in sorted(mixture.options.items())]
        sources = [None if c is None else self._rows_of(c, mixture) for c in calls]
        rows = sources[0]
        key = None
        if rows is not None and all(r is not None and r.ref == rows.ref for r in sources):
            key = self._key(rows, context)
            site.experts = Experts(
                site.name,
                [c.module for c in calls if c is not None and c.module is not None],
                tensor_of(self.tape, rows.ref)[:2],
            )
            reads = reads | {key}

        def looped(env: Env) -> None:
            out = env[before]
            for choice, inner, steps, (value,) in bodies:
                rows: Any
                with branch(site.name, choice) as rows:
                    if rows:
                        env[(("rows", None), inner)] = rows
                        for step in steps:
                            step(env)
                        out = rows.add_(out, env.pop(value) if value[1] == inner else env[value])
                        del env[(("rows", None), inner)]
                    rows.close()
            env[result] = out

        def run(env: Env) -> None:
            strategy = current().strategy(site.name, "moe")
            if strategy == "looped" or site.experts is None or not site.experts.stacks:
                looped(env)
            else:
                env[result] = site.experts.run(strategy, env[key], env.get(routed))

        self.blocks[context].append(
            Step(run, reads | {k for k in (before, routed) if k is not None}, {result})
        )

    def _expert(self, value: Any) -> Node | None:
        """The one module that gives an expert's result from its rows alone."""
        node = (
            self.tape.nodes[value.ref.node]
            if isinstance(value, Plain) and value.ref.item is None
            else None
        )
        return (
            node
            if node is not None
            and node.module is not None
            and len(node.args) == 1
            and isinstance(node.args[0], Ref)
            and not node.kwargs
            else None
        )

    def _rows_of(self, call: Node, mixture: Mixture) -> Plain | None:
        """What an expert takes its rows from."""
        value = self.reading.arguments[call.number][0][0]
        while isinstance(value, Taken):
            value = value.of
        return value if isinstance(value, Plain) and value.context == mixture.context else None

    def _rest_key(self, select: Select, site: LiftedSite, context: Context) -> Key | None:
        rest = self._rest(select, site)
        return None if rest is None else self._key(rest, context)


def plains(value: Any) -> list[Plain]:
    """The ordinary tensors that a value is put together from."""
    if isinstance(value, Taken):
        return plains(value.of)
    if isinstance(value, Sum):
        return plains(value.value) + plains(value.addend)
    if isinstance(value, Select):
        return [
            p for v in (*value.options.values(), value.base) if v is not None for p in plains(v)
        ]
    return [value] if isinstance(value, Plain) else []


def joined_places(places: list[Place], decisions: dict[int, Decision]) -> Place:
    """What all the places have in common."""
    leads = [p for p in places if isinstance(p, Leads)]
    if (
        len(leads) == len(places)
        and len({p.decision for p in leads}) == 1
        and not all(p.base for p in leads)
    ):
        return Leads(leads[0].decision)
    contexts = [decisions[p.decision].context if isinstance(p, Leads) else p for p in places]
    shortest = min(contexts, key=len)
    return next(
        shortest[:n]
        for n in range(len(shortest), -1, -1)
        if all(c[:n] == shortest[:n] for c in contexts)
    )


def freed(steps: list[Step], kept: Iterable[Key]) -> list[Callable[[Env], None]]:
    """The steps, each followed by the end of what nobody reads after it."""
    kept = set(kept)
    made = {k for s in steps for k in s.writes} - kept
    last = {k: i for i, s in enumerate(steps) for k in (s.reads | s.writes) if k in made}

    def ending(step: Step, dead: list[Key]) -> Callable[[Env], None]:
        def run(env: Env) -> None:
            step.run(env)
            for k in dead:
                env.pop(k, None)

        return run

    dead_after = [[k for k, at in last.items() if at == i] for i in range(len(steps))]
    return [ending(s, dead) if dead else s.run for s, dead in zip(steps, dead_after, strict=True)]


def functional(node: Node) -> tuple[Any, dict[str, Any]]:
    """The call's function, or the one that gives a new tensor where it changes its first argument; and arguments that say so."""
    if node.module is not None:
        return node.module, {}
    if node.name in RANDOM:
        raise Unlike("it draws random numbers")
    raw = getattr(node.fn, "__name__", "")
    if raw.startswith("__i") and node.name in INPLACE_OPERATORS:
        return getattr(torch, INPLACE_OPERATORS[node.name]), {}
    if raw.endswith("_") and not raw.startswith("__"):
        if not hasattr(torch.Tensor, raw[:-1]):
            raise Unlike(f"it changes a tensor in place by {raw}")
        return getattr(torch.Tensor, raw[:-1]), {}
    if raw == "__setitem__":
        raise Unlike("it writes into single rows or columns of a tensor")
    return node.fn, {"inplace": False} if node.kwargs.get("inplace") else {}


def tensor_of(tape: Tape, ref: Ref) -> torch.Tensor:
    """The tensor that a Ref names."""
    out = tape.nodes[ref.node].out
    found = out if ref.item is None else tree_leaves(out)[ref.item]
    assert isinstance(found, torch.Tensor)
    return found
