"""A placement: which expert each slot of each rank holds.

A rank has as many slots as any other. An expert has at least one slot; where there are more slots
than experts, some have several, which share the rows that choose the expert.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.errors import CondsimError
from condsim.registry import Registry


@dataclass(frozen=True)
class Cluster:
    """Where experts are placed.

    ranks: devices. slots: experts that all ranks hold together, each redundant copy counted.
    nodes: parts of the ranks whose links are faster inside. groups: runs of experts that a router
    picks from a few at a time, and that are kept on one node; 1 for none.
    """

    ranks: int
    slots: int
    nodes: int = 1
    groups: int = 1

    @property
    def slots_a_rank(self) -> int:
        return self.slots // self.ranks

    def check(self, experts: int) -> None:
        """Raises CondsimError where the slots cannot hold so many experts."""
        if self.ranks > experts:
            raise CondsimError(
                f"parallel: {self.ranks} ranks are more than the {experts} experts of a layer; "
                f"choose expert= at most {experts}"
            )
        if self.slots < experts:
            raise CondsimError(
                f"parallel: {self.slots} slots hold fewer than the {experts} experts of a layer; "
                f"choose slots= at least {experts}"
            )
        if self.slots % self.ranks:
            above = -(-self.slots // self.ranks) * self.ranks
            raise CondsimError(
                f"parallel: {self.slots} slots do not divide by {self.ranks} ranks; "
                f"choose slots={above}"
            )
        if self.ranks % self.nodes:
            raise CondsimError(f"parallel: {self.ranks} ranks do not divide by {self.nodes} nodes")
        if experts % self.groups:
            raise CondsimError(
                f"parallel: {experts} experts do not divide into {self.groups} groups"
            )
        if self.slots % self.nodes:
            raise CondsimError(f"parallel: {self.slots} slots do not divide by {self.nodes} nodes")


@dataclass(frozen=True)
class Placement:
    """The expert of each slot of one layer.

    expert_of: int [slots]; slot s is on rank s // (slots / ranks). experts: of the layer.
    """

    expert_of: np.ndarray
    ranks: int
    experts: int

    def __post_init__(self) -> None:
        """Raises CondsimError for an expert that has no slot, or is none of the layer's."""
        outside = self.expert_of[(self.expert_of < 0) | (self.expert_of >= self.experts)]
        if len(outside):
            raise CondsimError(
                f"placement: there is no expert {outside[0]}; a layer has {self.experts} experts, "
                "numbered from 0"
            )
        missing = np.flatnonzero(self.copies == 0)
        if len(missing):
            raise CondsimError(
                f"placement: expert {missing[0]} has no slot; each of the {self.experts} experts "
                "needs one"
            )
        if len(self.expert_of) % self.ranks:
            raise CondsimError(
                f"placement: {len(self.expert_of)} slots do not divide by {self.ranks} ranks"
            )

    @cached_property
    def copies(self) -> np.ndarray:
        """Slots of each expert, int [experts]."""
        return np.bincount(self.expert_of, minlength=self.experts)

    @cached_property
    def rank_of(self) -> np.ndarray:
        """Rank of each slot, int [slots]."""
        return np.arange(len(self.expert_of)) // (len(self.expert_of) // self.ranks)

    @cached_property
    def slots_of_expert(self) -> np.ndarray:
        """Slot of each copy of each expert, in order, int [experts, most copies]; -1 where an
        expert has fewer copies."""
        order = np.argsort(self.expert_of, kind="stable")
        expert = self.expert_of[order]
        first = np.cumsum(self.copies) - self.copies
        copy = np.arange(len(order)) - first[expert]
        table = np.full((self.experts, int(self.copies.max())), -1)
        table[expert, copy] = order
        return table

    def loads(self, counts: np.ndarray) -> np.ndarray:
        """Return the rows of each rank, float [..., ranks]; copies share an expert's rows evenly.

        counts: rows of each expert, [..., experts].
        """
        share = np.asarray(counts, float) / self.copies
        of_slot = share[..., self.expert_of]
        by_rank = of_slot.reshape(*of_slot.shape[:-1], self.ranks, -1)
        loads: np.ndarray = by_rank.sum(-1)
        return loads

    def imbalance(self, counts: np.ndarray) -> np.ndarray:
        """Return the load of the busiest rank over the mean, float [...]; 1 where there are no
        rows. counts: as in `loads`; of the trace that it was made from, or of another one."""
        loads = self.loads(counts)
        mean = loads.mean(-1)
        busiest: np.ndarray = loads.max(-1) / np.where(mean > 0, mean, 1.0)
        return np.where(mean > 0, busiest, 1.0)


class Placer(ABC):
    """A way to place experts. Registered in `PLACERS` under its name."""

    name: str

    @abstractmethod
    def place(self, counts: np.ndarray, cluster: Cluster) -> np.ndarray:
        """Return the expert of each slot, int [slots]. counts: rows of each expert of the layer,
        [experts]. Raises CondsimError where it cannot fill the slots."""


PLACERS: Registry[Placer] = Registry("placement")


def place(name: str, counts: np.ndarray, cluster: Cluster) -> Placement:
    """Return a placement of one layer.

    name: of a placer. counts: rows of each expert that it is made from, [experts].
    Raises CondsimError for an unknown name, and for slots that cannot hold the experts.
    """
    placer = PLACERS[name]
    experts = len(counts)
    cluster.check(experts)
    expert_of = placer.place(np.asarray(counts), cluster)
    return Placement(expert_of, cluster.ranks, experts)


def one_slot_each(name: str, experts: int, cluster: Cluster) -> None:
    """Raises CondsimError where there are redundant slots, which a placer would leave empty."""
    if cluster.slots != experts:
        raise CondsimError(
            f"placement {name!r} gives each of the {experts} experts one slot, and there are "
            f"{cluster.slots}; choose placement eplb for redundant slots"
        )
