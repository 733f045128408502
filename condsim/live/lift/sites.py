"""The decisions of a forward that guard something: what each is called, and of which mechanism."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from condsim.live.experts import Experts
from condsim.live.lift.forks import COMPARISONS
from condsim.live.lift.meanings import (
    Decision,
    Meaning,
    Mixture,
    NotLiftable,
    Plain,
    Select,
    is_value,
    plains,
    ungathered,
)
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.reading import Reading
from condsim.mechanisms.early_exit import EarlyExit
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.mechanisms.multi_branch import MultiBranch
from condsim.mechanisms.skip import Skip

CONSTANTS = {
    "zeros_like",
    "empty_like",
    "ones_like",
    "full_like",
    "new_zeros",
    "new_empty",
    "new_ones",
    "new_full",
}
"""Functions that take a tensor for its shape only."""

ABOVE = {"gt", "ge"}


@dataclass
class LiftedSite:
    """A decision that guards something.

    works: the branch that a row enters; None where every branch does something. scores: what the
    decision compared, where it is known. captured: the strategy that the forward itself follows.
    experts: those of a mixture, where they can be stacked.
    """

    name: str
    mechanism: str
    decision: Decision
    works: int | None
    scores: Plain | None = None
    captured: str = "compacted"
    experts: Experts | None = None

    @property
    def branches(self) -> int:
        """Branches that the site has: those of the decision, or enter and do not enter."""
        return self.decision.branches if self.works is None else 2

    @property
    def stacks(self) -> bool:
        """Whether the experts of a mixture are stacked."""
        return self.experts is not None and self.experts.stacks

    def guards(self, choice: int) -> bool:
        """Whether the branch stands behind a guard."""
        return self.works is None or choice == self.works


class Sites:
    """The sites of one forward, found one after the other.

    host: the module whose forward it is. path: of the host in the model. of_decision: node of a
    decision → its site.
    """

    def __init__(self, host: nn.Module, path: str, reading: Reading) -> None:
        self.reading = reading
        self.nodes = reading.tape.nodes
        self.host = host
        self.of_decision: dict[int, LiftedSite] = {}
        self._ancestors: dict[int, set[int]] = {}
        self._paths: dict[nn.Module, str] = {}
        for name, module in host.named_modules():
            self._paths[module] = f"{path}.{name}".strip(".")

    def site_of(self, select: Select) -> LiftedSite:
        """The site whose branches a selection chooses from; a new one where it is the first.

        Raises NotLiftable where the decision guards nothing, or different things in two places.
        """
        number = select.decision
        working = []
        for choice, value in select.options.items():
            if self._does_work(value, number):
                working.append(choice)
        if not working:
            raise NotLiftable("a decision chooses between tensors that are there anyway")
        known = self.of_decision.get(number)
        decision = self.reading.decisions[number]
        if isinstance(select, Mixture) or decision.slots:
            site = self._mixture_site(select, decision, known)
        else:
            enters = decision.branches == 2 and len(working) == 1
            works = working[0] if enters else None
            if known is not None:
                if known.works != works:
                    raise NotLiftable(
                        f"{known.name} guards one thing for some of its results "
                        "and another for others"
                    )
                return known
            site = self._branched_site(select, decision, works)
        self.of_decision[number] = site
        return site

    def _mixture_site(
        self, select: Select, decision: Decision, known: LiftedSite | None
    ) -> LiftedSite:
        every_expert = len(select.options) == decision.branches
        complete = isinstance(select, Mixture) and every_expert
        if known is not None or not complete:
            raise NotLiftable("it does not add up the results of all experts in one place")
        moe = MixtureOfExperts
        name = self._name_of_list(select)
        return LiftedSite(name, moe.name, decision, None, captured=moe.alone)

    def _branched_site(self, select: Select, decision: Decision, works: int | None) -> LiftedSite:
        if decision.gathers and decision.masks:
            raise NotLiftable("it gathers rows by a decision and masks others by the same one")
        mechanism = MultiBranch.name if works is None else Skip.name
        name = self._name_of_decision(decision.node)
        site = LiftedSite(name, mechanism, decision, works)
        if not decision.gathers:
            site.captured = "wait" if decision.waits else "masked"
        if (decision.leaves and works == 1) or self._leaves(select, site):
            site.mechanism = EarlyExit.name
        site.scores = self._scores(site)
        return site

    def rest(self, select: Select, site: LiftedSite) -> Meaning | None:
        """What rows have that enter nothing."""
        if isinstance(select, Mixture):
            return select.base
        if site.works is None:
            complete = len(select.options) == site.decision.branches
            return None if complete else select.base
        for choice, value in select.options.items():
            if choice != site.works:
                return ungathered(value)
        return select.base

    def expert(self, value: Meaning) -> Node | None:
        """The one module that gives an expert's result from its rows alone; None for others."""
        if not isinstance(value, Plain) or value.ref.item is not None:
            return None
        node = self.nodes[value.ref.node]
        if node.module is None or node.kwargs or len(node.args) != 1:
            return None
        return node if isinstance(node.args[0], Ref) else None

    def ancestors(self, number: int) -> set[int]:
        """Nodes that a node is made of, itself among them."""
        if number not in self._ancestors:
            ancestors = {number}
            for ref in self.nodes[number].read:
                ancestors |= self.ancestors(ref.node)
            self._ancestors[number] = ancestors
        return self._ancestors[number]

    def _does_work(self, value: Meaning | None, decision: int) -> bool:
        """Whether a branch computes something, and does not hand on what was there before."""
        if value is None:
            return False
        value = ungathered(value)
        if isinstance(value, Select):
            return value.ref.node not in self.ancestors(decision)
        if not isinstance(value, Plain):
            return True
        node = self.nodes[value.ref.node]
        if node.is_input or node.number in self.ancestors(decision):
            return False
        return not self._is_constant(value)

    def _is_constant(self, value: Meaning) -> bool:
        """Whether a value is a new tensor of a constant."""
        if not isinstance(value, Plain):
            return False
        node = self.nodes[value.ref.node]
        if node.is_input:
            return False
        return node.name in CONSTANTS or not node.read

    def _leaves(self, select: Select, site: LiftedSite) -> bool:
        """Whether rows that do not enter leave with a result of their own, as from an exit.

        Such a result comes before the decision, and the branch that goes on does not use it.
        """
        if site.works is None:
            return False
        rest = self.rest(select, site)
        if not isinstance(rest, Plain) or self._is_constant(rest):
            return False
        result = rest.ref.node
        if self.nodes[result].is_input or result not in self.ancestors(select.decision):
            return False
        return result not in self._made_of(select.options[site.works])

    def _made_of(self, value: Meaning) -> set[int]:
        """Nodes whose rows a value is made of."""
        nodes: set[int] = set()
        waiting = [plain.ref.node for plain in plains(value)]
        while waiting:
            number = waiting.pop()
            if number in nodes:
                continue
            nodes.add(number)
            for argument in self.reading.values_read(number):
                waiting += [plain.ref.node for plain in plains(argument)]
        return nodes

    def _scores(self, site: LiftedSite) -> Plain | None:
        """What was compared with a constant; None where it was not, or the other way round.

        A row enters if its score is below the constant (early exit) or above it (others).
        """
        number = site.decision.node
        name = self.nodes[number].name
        args, _ = self.reading.arguments[number]
        if name not in COMPARISONS or len(args) != 2:
            return None
        scores, constant = args
        if is_value(constant) or not isinstance(scores, Plain):
            return None
        enters_above = (name in ABOVE) == (site.works == 1)
        expects_above = site.mechanism == Skip.name
        return scores if enters_above == expects_above else None

    def _name_of_decision(self, decision: int) -> str:
        """The path of the module that the decision comes from, with a number if it has several."""
        name = self._path_of_module(decision) or self._paths[self.host] or "decision"
        taken = {site.name for site in self.of_decision.values()}
        numbered = name
        number = 2
        while numbered in taken:
            numbered = f"{name}#{number}"
            number += 1
        return numbered

    def _path_of_module(self, decision: int) -> str:
        """The path of the last module before a decision; "" for none."""
        for number in sorted(self.ancestors(decision), reverse=True):
            module = self.nodes[number].module
            if module is not None:
                return self._paths[module]
        return ""

    def _name_of_list(self, mixture: Select) -> str:
        """The host's path; that of the list of experts where the host is the whole model."""
        host = self._paths[self.host]
        if host:
            return host
        expert = self.expert(mixture.options[0])
        if expert is not None and expert.module is not None:
            of_list, _, _ = self._paths[expert.module].rpartition(".")
            if of_list:
                return of_list
        return self._name_of_decision(mixture.decision)
