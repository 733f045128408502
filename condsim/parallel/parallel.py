"""How a model is spread over devices: what `parallel=` and `--parallel` say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from condsim import checks
from condsim.errors import CondsimError, shown, unknown
from condsim.parallel.exchange import EXCHANGES
from condsim.parallel.overlap import OVERLAPS
from condsim.parallel.placement import PLACERS, Cluster, Placement, place
from condsim.parallel.placement_file import EVERY_SITE, names_a_file, read_placement

MOST_RANKS = 4096
NAMES = ("placement", "fabric", "exchange", "overlap")
"""Parts of `Parallel` that are names."""

PlacementName = str | Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Parallel:
    """Expert parallelism: attention is data parallel, and each rank holds some of the experts. Or
    tensor parallelism: each rank holds a part of every layer's heads and widths.

    expert: ranks of the first. tensor: ranks of the second, of models by name.
    placement: a placer ("in-order", "by-load", "eplb"), a file of expert and slot, or site →
    expert of each slot. slots: of all ranks together, redundant ones counted; None for
    one an expert. nodes: that eplb places by; None for those of the fabric. groups: of experts,
    which eplb keeps on one node. fabric: links between the ranks; None for those of the device.
    exchange: how tokens are sent to their experts; None for what the fabric's devices use.
    overlap: what ranks compute while tokens travel: "shared-experts", or None for nothing.
    """

    expert: int = 1
    placement: PlacementName = "in-order"
    slots: int | None = None
    nodes: int | None = None
    groups: int = 1
    fabric: str | None = None
    exchange: str | None = None
    overlap: str | None = None
    tensor: int = 1

    def __post_init__(self) -> None:
        """Raises CondsimError for what no cluster could be."""
        for name in ("expert", "slots", "nodes", "groups", "tensor"):
            value = getattr(self, name)
            if value is not None:
                _check_count(name, value)
        self._check_tensor()
        if isinstance(self.placement, str):
            if not names_a_file(self.placement):
                PLACERS[self.placement]
        elif not isinstance(self.placement, Mapping):
            raise CondsimError(
                "parallel: placement is a name, a file, or site → experts, "
                f"got {shown(self.placement)}"
            )
        for name in NAMES[1:]:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise CondsimError(f"parallel: {name} must be a name, got {shown(value)}")
        if self.exchange is not None:
            EXCHANGES[self.exchange]
        if self.overlap is not None and self.overlap not in OVERLAPS:
            raise unknown("overlap", self.overlap, OVERLAPS)

    def _check_tensor(self) -> None:
        """Raises CondsimError for what is said of experts where ranks share every layer."""
        if self.tensor == 1:
            return
        for field in fields(self):
            if field.name in ("tensor", "fabric"):
                continue
            if getattr(self, field.name) != field.default:
                raise CondsimError(
                    f"parallel: tensor={self.tensor} cuts every layer, experts too, and is not "
                    f"known together with {field.name}; leave one of them out"
                )

    @property
    def ranks(self) -> int:
        """Devices."""
        return self.expert * self.tensor

    @classmethod
    def parse(cls, text: str) -> Parallel:
        """Return what "expert=8,placement=eplb" says. Raises CondsimError for anything else."""
        known = [field.name for field in fields(cls)]
        values: dict[str, Any] = {}
        for part in text.split(","):
            name, equals, value = part.strip().partition("=")
            if not equals or not value:
                raise CondsimError(
                    f"parallel: write name=value,..., as in expert=8, got {shown(part)}"
                )
            if name not in known:
                raise unknown("part of parallel", name, known)
            if name in values:
                raise CondsimError(f"parallel: {name} stands twice in {shown(text)}")
            values[name] = value if name in NAMES else _whole(name, value)
        return cls(**values)

    def __str__(self) -> str:
        said = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                written = "given" if isinstance(value, Mapping) else value
                said.append(f"{field.name}={written}")
        return ",".join(said) or "expert=1"

    def placements(self, counts: Mapping[str, np.ndarray], nodes: int = 1) -> dict[str, Placement]:
        """Return site → placement.

        counts: site → rows of each expert that a placer goes by, [experts]. nodes: of the fabric.
        Raises CondsimError for what cannot be placed.
        """
        given = self._given()
        placed = {}
        for site, rows in counts.items():
            cluster = Cluster(
                self.expert, self.slots or len(rows), self.nodes or nodes, self.groups
            )
            cluster.check(len(rows))
            if given is None:
                assert isinstance(self.placement, str)
                placed[site] = place(self.placement, rows, cluster)
            else:
                placed[site] = Placement(self._of_site(given, site), self.expert, len(rows))
        return placed

    def _given(self) -> Mapping[str, np.ndarray] | None:
        """Site → the expert of each slot, where the user says it."""
        if isinstance(self.placement, Mapping):
            return {site: np.asarray(slots, np.int64) for site, slots in self.placement.items()}
        return read_placement(self.placement) if names_a_file(self.placement) else None

    def _of_site(self, given: Mapping[str, np.ndarray], site: str) -> np.ndarray:
        found = given.get(site, given.get(EVERY_SITE))
        if found is None:
            named = ", ".join(given)
            raise CondsimError(f"placement: it says nothing of site {site!r}; it has {named}")
        if self.slots is not None and len(found) != self.slots:
            raise CondsimError(
                f"placement: site {site!r} has {len(found)} slots, and parallel says "
                f"slots={self.slots}"
            )
        return found


def _check_count(name: str, value: Any) -> None:
    checks.whole(f"parallel: {name}", value)
    if name in ("expert", "nodes", "tensor") and value > MOST_RANKS:
        raise CondsimError(f"parallel: {name} must be at most {MOST_RANKS}, got {value}")


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise CondsimError(f"parallel: {name} must be a whole number, got {shown(text)}") from None
