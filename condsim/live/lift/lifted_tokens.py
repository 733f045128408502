"""A forward that ranks tokens, with the tokens that stay behind `condsim.tokens`.

The own forward runs where nothing else is asked for: it gathers as many tokens in every unit,
whatever is decided. Elsewhere its calls run on the tokens that a strategy or a baseline takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_flatten

from condsim.live.execution import current
from condsim.live.lift.actions import CallFunction
from condsim.live.lift.call_arguments import arguments_on_both
from condsim.live.lift.environment import Environment, Variable, tensor_variable
from condsim.live.lift.lifted import LiftedForward, Trial
from condsim.live.lift.meanings import Decision, NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.program import functional
from condsim.live.lift.ranked_tokens import Ranked, find_ranked, made_of, taken_from
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, outputs_of, tensor_of
from condsim.live.lift.two_tapes import require_same_calls
from condsim.live.lift.unseen_run import unseen_run
from condsim.live.marks import route, tokens
from condsim.mechanisms.mixture_of_depths import MixtureOfDepths
from condsim.mechanisms.token_pruning import TokenPruning
from condsim.mechanisms.tokens import Tokens

SHAPES = {"view", "reshape", "expand", "repeat", "unflatten", "zeros", "ones", "arange", "split"}
"""Functions whose numbers are sizes."""
OWN_SLOTS = Variable(("slots", None), ())
"""Where the tokens are kept that stay by the forward itself: site → int64 [units, kept]."""


class LiftedTokens(LiftedForward):
    """Call it in place of the host's forward where that does not run by itself.

    tapes: two runs at different sizes, in which nothing is forced. path: of the host in the model.
    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    exact = False
    written = True
    how_read = (
        "{host} runs as it is written, with as many tokens in every unit; which they are was "
        "found by value, and other strategies and baselines gather them in condsim's forms"
    )

    def __init__(self, host: nn.Module, path: str, tapes: tuple[Tape, Tape]) -> None:
        tape, self.other = tapes
        super().__init__(tape)
        require_same_calls(tape, self.other)
        self.places = find_ranked(tape)
        self._named = dict(_sites_of(host, path, tape, self.places))
        self.offers = {site.mechanism: _ways(site) for site in self._named.values()}
        output, self._output_spec = tree_flatten(tape.output)
        self._refs = [leaf for leaf in output if isinstance(leaf, Ref)]
        self._output = [tensor_variable(one, ()) if one in self._refs else one for one in output]
        self._inputs = [tensor_variable(Ref(n.number), ()) for n in tape.nodes if n.is_input]
        self._needed = self._needed_nodes()
        self._runs = [self._run]
        self._calls = {number: self._call(number) for number in self._needed}
        self._router = {place.node: self._router_calls(place) for place in self.places}

    @property
    def sites(self) -> Mapping[int, LiftedSite]:
        return self._named

    @property
    def calls(self) -> int:
        return len(self._needed)

    def forced(self) -> dict[str, np.ndarray]:
        return {}

    def trials(self) -> list[Trial]:
        return [Trial({}, outputs_of(self.tape))]

    def _needed_nodes(self) -> list[int]:
        """Calls that the result needs where the tokens that stay are taken and put back."""
        self._taken = {place.taken.node: place for place in self.places}
        self._back = {p.back.result.node: p for p in self.places if p.back is not None}
        self._crossing: dict[int, tuple[Ranked, Ref]] = {}
        needed: set[int] = set()
        waiting = [ref.node for ref in self._refs]
        while waiting:
            number = waiting.pop()
            node = self.tape.nodes[number]
            if number in needed or node.is_input:
                continue
            needed.add(number)
            waiting += [ref.node for ref in self._read_by(node)]
        return sorted(needed)

    def _read_by(self, node: Node) -> list[Ref]:
        """What must be there before a node."""
        place = self._taken.get(node.number)
        if place is not None:
            return [place.source]
        place = self._back.get(node.number)
        if place is not None:
            assert place.back is not None
            return [place.source, place.taken, place.back.entered]
        crossing = self._crosses(node)
        if crossing is not None:
            self._crossing[node.number] = crossing
            return [crossing[1], crossing[0].taken]
        return node.read

    def _crosses(self, node: Node) -> tuple[Ranked, Ref] | None:
        """The place whose tokens a node gathers from another tensor, and that tensor."""
        if not node.single or node.out.ndim < 2:
            return None
        ancestors = made_of(self.tape, Ref(node.number))
        for place in self.places:
            slots = place.slots(self.tape)
            is_index_code = place.node in ancestors and place.taken.node not in ancestors
            if is_index_code and node.out.shape[:2] == slots.shape:
                source = taken_from(self.tape, node.out, slots, node.number)
                if source is not None:
                    return place, source
        return None

    def _call(self, number: int) -> Callable[[Environment], None]:
        """What a node does."""
        node = self.tape.nodes[number]
        if number in self._taken or number in self._back or number in self._crossing:
            return _nothing
        ancestors = made_of(self.tape, Ref(number))
        if not node.is_of_numbers and any(place.node in ancestors for place in self.places):
            raise NotLiftable(f"{node.name} reads which tokens stay, or how many")
        function, more = functional(node)
        arguments = arguments_on_both((self.tape, self.other), node, more, self._is_of_tokens)
        results = [tensor_variable(ref, ()) for ref in node.results]
        return CallFunction(function, arguments, results, node.single)

    def _is_of_tokens(self, node: Node, leaf: Any) -> bool:
        """Whether a number in a call is how many tokens what it reads has."""
        if node.name not in SHAPES or type(leaf) is not int or not node.read:
            return False
        read = tensor_of(self.tape, node.read[0])
        return read.ndim > 2 and read.shape[1] == leaf

    def _run(self, environment: Environment) -> None:
        """Make the calls in order; scopes of tokens that are not put back end with the last."""
        environment[OWN_SLOTS] = None
        scopes: dict[int, Scope] = {}
        for number in self._needed:
            if number in self._taken:
                place = self._taken[number]
                self._take(place, place.source, number, scopes, environment)
            elif number in self._back:
                self._put_back(self._back[number], scopes, environment)
            elif number in self._crossing:
                place, source = self._crossing[number]
                self._take(place, source, number, scopes, environment)
            else:
                self._calls[number](environment)
        for scope in reversed(scopes.values()):
            for variable in self._output:
                if isinstance(variable, Variable):
                    environment[variable] = scope.selector.put(None, environment[variable])
            scope.end()

    def _take(
        self,
        place: Ranked,
        source: Ref,
        number: int,
        scopes: dict[int, Scope],
        environment: Environment,
    ) -> None:
        """Take the tokens of a tensor that stay; the first time at a place, decide which."""
        if place.node not in scopes:
            scopes[place.node] = self._entered(place, environment)
        whole = environment[tensor_variable(source, ())]
        taken = scopes[place.node].selector.take(whole)
        environment[tensor_variable(Ref(number), ())] = taken

    def _entered(self, place: Ranked, environment: Environment) -> Scope:
        """Decide which tokens stay, and enter what they run."""
        site = self._named[place.node]
        source = environment[tensor_variable(place.source, ())]
        with current().quiet():
            slots = _within(self._own_slots(environment)[place.node], source.shape[1])
        ranks = partial(self._decide, place, environment, slots, source)
        route(site.name, site.mechanism, ranks, kept=slots.shape[1])
        return Scope(tokens(site.name))

    def _decide(
        self, place: Ranked, environment: Environment, slots: torch.Tensor, source: torch.Tensor
    ) -> torch.Tensor:
        """Make the calls that only lead to a ranking; return the tokens' ranks."""
        inside = dict(environment)
        for call in self._router[place.node]:
            call(inside)
        return _ranks(slots, source)

    def _router_calls(self, place: Ranked) -> list[Callable[[Environment], None]]:
        """The calls that only lead to a ranking, itself left out, as far as they can be made."""
        before = made_of(self.tape, Ref(place.node)) - set(self._needed) - {place.node}
        calls: list[Callable[[Environment], None]] = []
        left_out: set[int] = set()
        for number in sorted(before):
            node = self.tape.nodes[number]
            if node.is_input:
                continue
            try:
                if any(ref.node in left_out for ref in node.read):
                    raise NotLiftable("what it reads is not there")
                calls.append(self._call(number))
            except NotLiftable:
                left_out.add(number)
        return calls

    def _put_back(self, place: Ranked, scopes: dict[int, Scope], environment: Environment) -> None:
        assert place.back is not None
        scope = scopes.pop(place.node)
        entered = environment[tensor_variable(place.back.entered, ())]
        if place.back.adds:
            entered = environment[tensor_variable(place.taken, ())] + entered
        source = environment[tensor_variable(place.source, ())]
        whole = scope.selector.back(source, entered)
        environment[tensor_variable(place.back.result, ())] = whole
        scope.end()

    def _own_slots(self, environment: Environment) -> Mapping[int, torch.Tensor]:
        """The tokens that stay by the forward itself, which runs unseen: site → slots."""
        if environment[OWN_SLOTS] is None:
            with unseen_run(self.tape, self._inputs, environment) as again:
                slots = {place.node: place.slots(again) for place in self.places}
            environment[OWN_SLOTS] = slots
        found: Mapping[int, torch.Tensor] = environment[OWN_SLOTS]
        return found


def _nothing(environment: Environment) -> None:
    """What is taken and put back is not called."""


def _ways(site: LiftedSite) -> tuple[str, ...]:
    """The strategies of a site, the forward's own first. Attention has no mask for others."""
    return (site.captured, Tokens.alone)


@dataclass
class Scope:
    """The tokens that stay at a site, as long as they run."""

    tokens: Iterator[Any]

    def __post_init__(self) -> None:
        self.selector = next(self.tokens)

    def end(self) -> None:
        """Leave the site's guard."""
        next(self.tokens, None)


def _within(slots: torch.Tensor, tokens: int) -> torch.Tensor:
    """Slots of tokens that there are. Where earlier decisions are forced, there may be fewer than
    the forward itself has, and the later ones are forced too."""
    units, kept = slots.shape
    if not slots.numel() or int(slots.max()) < tokens:
        return slots
    return torch.arange(min(kept, tokens), device=slots.device).expand(units, -1)


def _ranks(slots: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Scores [units, tokens] of which the highest are the tokens of slots, in their order."""
    with current().quiet():
        units, kept = slots.shape
        ranks = torch.arange(source.shape[1], device=source.device, dtype=torch.float32)
        ranks = -1 - ranks.expand(units, -1).clone()
        order = torch.arange(kept, 0, -1, device=source.device, dtype=torch.float32)
        return ranks.scatter_(1, slots, order.expand(units, kept))


def _sites_of(
    host: nn.Module, path: str, tape: Tape, places: list[Ranked]
) -> Iterator[tuple[int, LiftedSite]]:
    """Yield the ranking of each place, and its site."""
    paths = {module: name for name, module in host.named_modules()}
    taken: set[str] = set()
    for place in places:
        kind: type[Tokens] = TokenPruning if place.back is None else MixtureOfDepths
        modules = [
            tape.nodes[number].module
            for number in sorted(made_of(tape, Ref(place.node)))
            if tape.nodes[number].module is not None
        ]
        of_module = paths[modules[-1]] if modules else ""
        name = f"{path}.{of_module}".strip(".") or "tokens"
        while name in taken:
            name += "#2"
        taken.add(name)
        decision = Decision(place.node, 2, True, ())
        yield place.node, LiftedSite(name, kind.name, decision, 1, captured=kind.fixed)
