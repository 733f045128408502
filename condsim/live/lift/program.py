"""A placed forward → the actions that run it, context by context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_leaves

from condsim.live.experts import Experts
from condsim.live.lift.actions import (
    AddUp,
    Arguments,
    Body,
    CallFunction,
    Decides,
    Gate,
    MixtureGate,
    RouteRows,
    RunGuarded,
    RunMixture,
    TakeRows,
)
from condsim.live.lift.call_arguments import Sized, arguments_of
from condsim.live.lift.environment import (
    Action,
    Variable,
    composed_variable,
    forgetting,
    routed_variable,
    rows_variable,
    tensor_variable,
)
from condsim.live.lift.meanings import (
    Context,
    Meaning,
    Mixture,
    NotLiftable,
    Plain,
    Select,
    Sum,
    is_value,
    ungathered,
)
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.placement import Placement
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, tensor_of
from condsim.live.lift.two_tapes import size_on_both

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
INPLACE_OPERATORS: dict[str, Callable[..., Any]] = {
    "__iadd__": torch.add,
    "__isub__": torch.sub,
    "__imul__": torch.mul,
    "__itruediv__": torch.div,
    "__iand__": torch.logical_and,
    "__ior__": torch.logical_or,
}

CALL, ROUTE, GUARD = range(3)
"""Kinds of what is done in a context. What decides comes after its calls, what it guards later."""


class Program:
    """Builds the actions of a forward.

    other: a tape of the same calls at another size, which tells sizes from constants.
    Raises NotLiftable where a call cannot stand behind the guards that it would have to.
    """

    def __init__(self, placement: Placement, other: Tape) -> None:
        self.placement = placement
        self.reading = placement.reading
        self.sites = placement.sites
        self.tape = placement.reading.tape
        self.other = other
        self.inputs = [Ref(node.number) for node in self.tape.nodes if node.is_input]
        self._defined = {tensor_variable(ref, ()) for ref in self.inputs}
        self._actions: dict[Context, list[Action]] = {}

    def actions(self, context: Context) -> list[Action]:
        """What is done with the rows of a context, in the order of the tape."""
        actions: list[Action] = []
        self._actions[context] = actions
        for _, kind, number in self._parts(context):
            if kind == CALL:
                actions.append(self._call(number, context))
            elif kind == ROUTE:
                actions.append(self._route(number, context))
            else:
                actions.append(self._guard(number, context))
        return actions

    def _parts(self, context: Context) -> list[tuple[int, int, int]]:
        """(node after which it is done, kind, node) of all that is done in a context, in order."""
        parts = []
        for number, place in self.placement.places.items():
            if place == context and number not in self.sites.of_decision:
                parts.append((number, CALL, number))
        for decision, site in self.sites.of_decision.items():
            if site.decision.context == context:
                last_call = self.placement.router_calls(decision)[-1]
                parts.append((last_call, ROUTE, decision))
                selects = self.placement.selects_of(decision)
                complete = max(select.number for select in selects)
                parts.append((complete, GUARD, decision))
        return sorted(parts, key=lambda part: part[:2])

    # Variables

    def variable(self, value: Meaning, context: Context) -> Variable:
        """Where a value is held in a context; adds what takes its rows or adds it up."""
        value = ungathered(value)
        if isinstance(value, Sum):
            return self._total(value, context)
        if isinstance(value, Select):
            home = value.context
            variable = composed_variable(value, home)
        else:
            home = self.placement.home(value.ref.node)
            variable = tensor_variable(value.ref, home)
        if home != context[: len(home)]:
            raise NotLiftable("rows of a branch are used where others are too")
        if isinstance(value, Plain) and not value.rows:
            return variable
        if variable not in self._defined:
            raise NotLiftable("it uses a decision again after its rows were put together")
        for depth in range(len(home) + 1, len(context) + 1):
            variable = self._taken(variable, context[:depth])
        return variable

    def _taken(self, outer: Variable, context: Context) -> Variable:
        """The rows of a variable that fulfil the last condition of a context, too."""
        inner = Variable(outer.what, context)
        if inner not in self._defined:
            take = TakeRows(outer, inner, rows_variable(context))
            action = Action(take, {outer}, {inner})
            self._actions[context].append(action)
            self._defined.add(inner)
        return inner

    def _total(self, value: Sum, context: Context) -> Variable:
        total = composed_variable(value, context)
        if total not in self._defined:
            first = self.variable(value.value, context)
            addend = self.variable(value.addend, context)
            add = Action(AddUp(first, addend, total), {first, addend}, {total})
            self._actions[context].append(add)
            self._defined.add(total)
        return total

    # Calls

    def _call(self, number: int, context: Context) -> Action:
        node = self.tape.nodes[number]
        function, more = functional(node)
        arguments = self._arguments(node, context, more)
        writes = set()
        for ref in self.reading.values:
            if ref.node == number:
                writes.add(tensor_variable(ref, context))
        self._defined |= writes
        results = [tensor_variable(ref, context) for ref in node.results]
        call = CallFunction(function, arguments, results, node.single)
        return Action(call, arguments.reads, writes)

    def _arguments(self, node: Node, context: Context, more: dict[str, Any]) -> Arguments:
        """The arguments of a call. more: by keyword, beside those on the tape."""
        args, kwargs = self.reading.arguments[node.number]
        other = self.other.nodes[node.number]
        by_keyword = {**kwargs, **more}
        other_by_keyword = {**other.kwargs, **more}
        leaves, spec = tree_flatten((args, by_keyword), is_leaf=is_value)
        other_leaves = tree_leaves((other.args, other_by_keyword))

        def variable_of(leaf: Any) -> Variable | None:
            return self.variable(leaf, context) if is_value(leaf) else None

        def size_of(leaf: Any, other_leaf: Any) -> Sized | None:
            if not isinstance(leaf, (int, float)) or leaf == other_leaf:
                return None
            if isinstance(leaf, float):
                raise NotLiftable(f"a number in {node.name or 'a call'} depends on the data")
            ref, dims = size_on_both(self.tape, self.other, node, (leaf, other_leaf))
            value = self.reading.plain(self.reading.values[ref])
            return self.variable(value, context), dims

        return arguments_of((leaves, other_leaves), spec, variable_of, size_of)

    # Decisions

    def _route(self, number: int, context: Context) -> Action:
        """The calls of a router, inside `condsim.route`."""
        site = self.sites.of_decision[number]
        inside = self._router_actions(number, context)
        read: set[Variable] = set()
        written: set[Variable] = set()
        for action in inside:
            read |= action.reads
            written |= action.writes
        kept = self._kept_rests(number, site)
        scores = None if site.scores is None else self.variable(site.scores, context)
        weights = self._weights(number, context)
        decided = Variable((number, self._deciding_item(number)), context)
        needed = {decided, *kept}
        needed |= {variable for variable in (scores, weights) if variable is not None}
        keeps_scores = scores is not None and (scores in kept or scores not in written)
        runs = forgetting(inside, needed)
        gate: Decides = Gate(site, runs, decided, scores, keeps_scores)
        routed = None
        if site.decision.slots:
            gate = MixtureGate(site, runs, decided, weights)
            routed = routed_variable(number, context)
        writes = kept & written
        if routed is not None:
            writes.add(routed)
        return Action(RouteRows(gate, routed), read - written, writes)

    def _deciding_item(self, number: int) -> int | None:
        fork = self.tape.nodes[number].fork
        assert fork is not None
        return fork.item

    def _router_actions(self, number: int, context: Context) -> list[Action]:
        """The calls that lead to a decision, and what they need."""
        outside = self._actions[context]
        inside: list[Action] = []
        self._actions[context] = inside
        for call in self.placement.router_calls(number):
            inside.append(self._call(call, context))
        self._actions[context] = outside
        return inside

    def _kept_rests(self, number: int, site: LiftedSite) -> set[Variable]:
        """What rows have that enter nothing, where a call gives it."""
        kept = set()
        for select in self.placement.selects_of(number):
            rest = self.sites.rest(select, site)
            if isinstance(rest, Plain) and rest.ref.node in self.placement.places:
                home = self.placement.home(rest.ref.node)
                kept.add(tensor_variable(rest.ref, home))
        return kept

    def _weights(self, number: int, context: Context) -> Variable | None:
        """The combination weights of a mixture; None for other sites, or where it has none."""
        for select in self.placement.selects_of(number):
            if isinstance(select, Mixture):
                weights = select.weights
                return None if weights is None else self.variable(weights, context)
        return None

    # Guards

    def _guard(self, number: int, context: Context) -> Action:
        """The bodies of a site, inside `condsim.branch`."""
        site = self.sites.of_decision[number]
        selects = self.placement.selects_of(number)
        results = [composed_variable(select, context) for select in selects]
        rests: list[Variable | None] = []
        for select in selects:
            rest = self.sites.rest(select, site)
            variable = None if rest is None else self.variable(rest, context)
            rests.append(variable)
        reads = {rest for rest in rests if rest is not None}
        bodies = []
        for choice in _guarded_choices(selects, site):
            inner = (*context, (number, choice))
            body, body_reads = self._body(choice, inner, selects, site)
            bodies.append(body)
            reads |= body_reads
        self._defined |= set(results)
        if isinstance(selects[0], Mixture):
            base = rests[0]
            assert base is not None
            return self._mixture(site, selects[0], bodies, base, reads)
        run = RunGuarded(site, bodies, results, rests)
        return Action(run, reads, set(results))

    def _body(
        self, choice: int, inner: Context, selects: list[Select], site: LiftedSite
    ) -> tuple[Body, set[Variable]]:
        """What stands behind one branch, and what it reads of outside."""
        actions = self.actions(inner)
        values: list[Variable | None] = []
        for select in selects:
            option = select.options.get(choice)
            value = None if option is None else self.variable(option, inner)
            values.append(value)
        made = {value for value in values if value is not None}
        used = set(made)
        for action in actions:
            used |= action.reads
        outside = {variable for variable in used if variable.context != inner}
        entered = choice if site.works is None else 1
        runs = forgetting(actions, made)
        body = Body(entered, inner, rows_variable(inner), runs, values)
        return body, outside

    def _mixture(
        self,
        site: LiftedSite,
        mixture: Mixture,
        bodies: list[Body],
        base: Variable,
        reads: set[Variable],
    ) -> Action:
        context = mixture.context
        result = composed_variable(mixture, context)
        routed = routed_variable(mixture.decision, context)
        reads = reads | {base, routed}
        rows = self._common_rows(mixture)
        variable = None
        if rows is not None:
            variable = self.variable(rows, context)
            modules = self._expert_modules(mixture)
            two_rows = tensor_of(self.tape, rows.ref)[:2]
            site.experts = Experts(site.name, modules, two_rows)
            reads.add(variable)
        run = RunMixture(site, bodies, base, result, routed, variable, site.experts)
        return Action(run, reads, {result})

    def _common_rows(self, mixture: Mixture) -> Plain | None:
        """What all experts take their rows from; None where they are not modules on the same."""
        sources = []
        for _, value in sorted(mixture.options.items()):
            call = self.sites.expert(value)
            source = None if call is None else self._rows_of(call, mixture)
            if source is None:
                return None
            sources.append(source)
        first = sources[0]
        same = all(source.ref == first.ref for source in sources)
        return first if same else None

    def _rows_of(self, call: Node, mixture: Mixture) -> Plain | None:
        """What an expert takes its rows from."""
        args, _ = self.reading.arguments[call.number]
        value = ungathered(args[0])
        if isinstance(value, Plain) and value.context == mixture.context:
            return value
        return None

    def _expert_modules(self, mixture: Mixture) -> list[torch.nn.Module]:
        modules = []
        for _, value in sorted(mixture.options.items()):
            call = self.sites.expert(value)
            if call is not None and call.module is not None:
                modules.append(call.module)
        return modules


def _guarded_choices(selects: list[Select], site: LiftedSite) -> list[int]:
    """The branches of a decision that stand behind a guard."""
    if site.works is not None:
        return [site.works]
    choices = {choice for select in selects for choice in select.options}
    return sorted(choices)


def functional(node: Node) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The call's function, and arguments by keyword to add.

    For a call that changes its first argument, the function that gives a new tensor. Raises
    NotLiftable where there is none, and for random numbers.
    """
    assert node.fn is not None
    if node.module is not None:
        return node.module, {}
    if node.name in RANDOM:
        raise NotLiftable("it draws random numbers")
    name = getattr(node.fn, "__name__", "")
    if name in INPLACE_OPERATORS:
        return INPLACE_OPERATORS[name], {}
    if name == "__setitem__":
        raise NotLiftable("it writes into single rows or columns of a tensor")
    if name.endswith("_") and not name.startswith("__"):
        out_of_place = name[:-1]
        if not hasattr(torch.Tensor, out_of_place):
            raise NotLiftable(f"it changes a tensor in place by {name}")
        return getattr(torch.Tensor, out_of_place), {}
    if node.kwargs.get("inplace"):
        return node.fn, {"inplace": False}
    return node.fn, {}
