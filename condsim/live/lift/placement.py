"""Where each call of a forward belongs: before all decisions, behind a guard, or to a router."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.utils._pytree import tree_leaves

from condsim.live.lift.meanings import (
    Context,
    Decision,
    Gathered,
    Meaning,
    Mixture,
    NotLiftable,
    Plain,
    PlainDecision,
    Select,
    Sum,
    Unknown,
    Value,
    context_of,
    is_value,
)
from condsim.live.lift.reading import Reading
from condsim.live.lift.sites import LiftedSite, Sites
from condsim.mechanisms import MECHANISMS

NOTHING_GUARDED = "no decision guards a call of it"
"""Why a forward is not read that decides nothing, as far as can be seen."""


@dataclass(frozen=True)
class RouterPlace:
    """The place of a call that only leads to a decision.

    base: whether it leads to what rows have that leave at the decision.
    """

    decision: int
    base: bool = False


Place = Context | RouterPlace


class Placement:
    """The place of every call that the forward's result needs.

    Goes back from the result: a call belongs behind the conditions that all its readers stand
    behind; one that only a decision reads belongs to that decision's router.
    places: node → its place. selects: where rows of branches are put together. sites: what decides.
    Raises NotLiftable where a needed call cannot be read, or no decision guards anything.
    """

    def __init__(self, host: nn.Module, path: str, reading: Reading) -> None:
        self.reading = reading
        self.decisions = reading.decisions
        self.sites = Sites(host, path, reading)
        self.places: dict[int, Place] = {}
        self.selects: list[Select] = []
        self._node_uses: dict[int, list[Place]] = {}
        self._selects_at: dict[int, list[Select]] = {}
        self._used_as_numbers: set[int] = set()
        self._place_all()

    def router_calls(self, decision: int) -> list[int]:
        """The calls that lead to a decision, in order; the decision itself is the last of them."""
        calls = []
        for number, place in self.places.items():
            if isinstance(place, RouterPlace) and place.decision == decision:
                calls.append(number)
        return sorted(calls)

    def selects_of(self, decision: int) -> list[Select]:
        """Where rows are put together that parted at a decision."""
        return [select for select in self.selects if select.decision == decision]

    def home(self, number: int) -> Context:
        """The conditions that the rows of a node's result fulfil."""
        return context_of_place(self.places.get(number, ()), self.decisions)

    def _place_all(self) -> None:
        for leaf in tree_leaves(self.reading.output, is_leaf=is_value):
            if is_value(leaf):
                self._need(leaf, ())
        for node in reversed(self.reading.tape.nodes):
            for select in self._selects_at.get(node.number, []):
                self._place_select(select)
            if node.number in self._node_uses and not node.is_input:
                self._place_call(node.number)
        for decision in self._used_as_numbers:
            if decision in self.sites.of_decision:
                name = self.sites.of_decision[decision].name
                raise NotLiftable(f"{name} decides, and the decision is used as a number too")
        if not self.sites.of_decision:
            raise NotLiftable(NOTHING_GUARDED)

    def _place_call(self, number: int) -> None:
        if number in self.sites.of_decision:
            place: Place = RouterPlace(number)
        else:
            place = self._as_it_comes(number, common_place(self._node_uses[number], self.decisions))
        self.places[number] = place
        for value in self.reading.values_read(number):
            self._need(value, place)

    def _as_it_comes(self, number: int, place: Place) -> Place:
        """A place without the conditions that Python asks for after the call has run."""
        context = context_of_place(place, self.decisions)
        known: Context = ()
        for condition in context:
            decision, _ = condition
            if decision > number and self.decisions[decision].waits:
                return known
            known = (*known, condition)
        return place

    def _need(self, value: Meaning, place: Place) -> None:
        """Note that something at a place reads a value."""
        if isinstance(value, Unknown):
            raise NotLiftable(value.reason)
        if isinstance(value, Gathered):
            in_router = isinstance(place, RouterPlace)
            place_of_source = place if in_router else context_of(value.source)
            self._need(value.source, place_of_source)
        elif isinstance(value, Sum):
            self._need(value.value, place)
            self._need(value.addend, place)
        elif isinstance(value, Select):
            if value not in self.selects:
                self.selects.append(value)
                selects = self._selects_at.setdefault(value.number, [])
                selects.append(value)
        elif isinstance(value, Plain):
            if isinstance(value, PlainDecision) and place != RouterPlace(value.decision):
                self._used_as_numbers.add(value.decision)
            uses = self._node_uses.setdefault(value.ref.node, [])
            uses.append(place)
        elif isinstance(value, Value):
            self._need(self.reading.plain(value), place)

    def _place_select(self, select: Select) -> None:
        decision = select.decision
        site = self.sites.site_of(select)
        if isinstance(select, Mixture) and select.weights is not None:
            self._need(select.weights, RouterPlace(decision))
        for choice, value in select.options.items():
            if site.guards(choice):
                self._need(value, (*select.context, (decision, choice)))
        rest = self.sites.rest(select, site)
        if rest is not None:
            self._need(rest, _place_of_rest(select, site))
        self._node_uses.setdefault(decision, []).append(RouterPlace(decision))


def _place_of_rest(select: Select, site: LiftedSite) -> Place:
    """Where what rows have that enter nothing is computed: by an exit's head, as part of it."""
    if MECHANISMS[site.mechanism].leaves:
        return RouterPlace(select.decision, base=True)
    return select.context


def context_of_place(place: Place, decisions: dict[int, Decision]) -> Context:
    """The conditions that the rows of a call at a place fulfil."""
    return decisions[place.decision].context if isinstance(place, RouterPlace) else place


def common_place(places: Sequence[Place], decisions: dict[int, Decision]) -> Place:
    """What all the places have in common."""
    routers = [place for place in places if isinstance(place, RouterPlace)]
    if len(routers) == len(places) and not all(place.base for place in routers):
        led_to = {place.decision for place in routers}
        if len(led_to) == 1:
            return RouterPlace(led_to.pop())
    contexts = [context_of_place(place, decisions) for place in places]
    common = min(contexts, key=len)
    while any(context[: len(common)] != common for context in contexts):
        common = common[:-1]
    return common
