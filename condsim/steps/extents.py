"""Steps: a row a forward pass of one batch, its columns the extents that sizes follow.

A rectangle, in which every unit has as many positions, has the extents `batch`, `seq` and `total`.
A model whose sizes follow anything else has more of them, under names of its own: `source` and
`target` of an encoder-decoder, the sum of query times key positions of a ragged batch,
`rows@SITE` where as many rows reach a site as no rectangle says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from condsim.mechanisms import Mechanism
from condsim.trace.header import Site, UnitRows

CAPACITY_FACTOR = 1.25


@dataclass(frozen=True)
class SiteRule:
    """What steps say of a site.

    unit_rows: the rows that a unit has here. top_k: branches that a row takes.
    """

    name: str
    mechanism: Mechanism
    branches: int
    unit_rows: UnitRows
    top_k: int = 1

    @classmethod
    def of(cls, site: Site) -> SiteRule:
        """Return the rule of a site; no top-k counts as 1."""
        return cls(site.name, site.routing, site.branches, site.unit_rows, site.top_k or 1)


def rows_extent(site: str) -> str:
    """Return the name of the extent that says how many rows reach a site."""
    return f"rows@{site}"


def window_extent(window: int) -> str:
    """Return the name of the extent that says what a layer sees that attends to the last `window`
    positions only."""
    return f"total@{window}"


def halves(tokens: Any) -> dict[str, Any]:
    """Return the extents of tokens of which every other one is matched with one of the rest."""
    half = tokens // 2
    return {"half": half, "other_half": tokens - half}


@dataclass(frozen=True)
class Steps:
    """n steps.

    extents: name → int [n].
    counts: site → rows that took each branch, int [n, branches]; of blocks, rows that asked.
    kept: site → rows (or blocks) that each branch keeps under same-flops, int [n, branches].
    costliest: site → the branch that all rows take under same-params.
    capacity_factor: the rows that an expert has room for over its even share, where a strategy
        pads experts to one size.
    lengths: site of tokens → those that stay in each unit, int [n, units].
    owed: exit at which tokens owe → those that each unit runs behind it, 0 where it leaves, int
        [n, units].
    """

    extents: Mapping[str, np.ndarray]
    counts: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    costliest: Mapping[str, int] = field(default_factory=dict)
    capacity_factor: float = CAPACITY_FACTOR
    lengths: Mapping[str, np.ndarray] = field(default_factory=dict)
    owed: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def rectangular(
        cls,
        units: np.ndarray,
        seq: np.ndarray,
        total: np.ndarray,
        counts: Mapping[str, np.ndarray],
        windows: Iterable[int] = (),
        **more: Any,
    ) -> Steps:
        """Return steps of `units` units with `seq` positions each, of which attention sees
        `total`; int [n] each. windows: of layers that see the last positions only."""
        extents = {"batch": units, "seq": seq, "total": total}
        for window in windows:
            extents[window_extent(window)] = np.minimum(total, window)
        return cls(extents, counts, **more)

    def behind_encoder(self, source: np.ndarray) -> Steps:
        """Return the steps with what an encoder has read of each unit, int [n], and what is left
        for the decoder of all positions."""
        extents = {**self.extents, "source": source, "target": self.extents["total"] - source}
        return replace(self, extents=extents)

    def __len__(self) -> int:
        return len(next(iter(self.extents.values())))

    def take(self, selected: Any) -> Steps:
        """Return the steps that an index array or a slice selects."""
        extents = {name: column[selected] for name, column in self.extents.items()}
        counts = {site: rows[selected] for site, rows in self.counts.items()}
        kept = {site: rows[selected] for site, rows in self.kept.items()}
        lengths = {site: tokens[selected] for site, tokens in self.lengths.items()}
        owed = {site: tokens[selected] for site, tokens in self.owed.items()}
        return replace(self, extents=extents, counts=counts, kept=kept, lengths=lengths, owed=owed)

    def step(self, number: int) -> Steps:
        """Return one of the steps."""
        return self.take(slice(number, number + 1))

    def arriving(self, rule: SiteRule) -> np.ndarray:
        """Return the rows that reach a site that stands behind no guard, int [n]; of tokens, those
        of one unit."""
        named = self.extents.get(rows_extent(rule.name))
        if named is not None:
            return named
        batch = self.extents["batch"]
        of_unit: Any = rule.unit_rows.a_unit
        if rule.unit_rows.a_position:
            of_unit = rule.unit_rows.of(self.extents["seq"])
        arriving: np.ndarray = rule.mechanism.rows_at(batch, of_unit)
        return arriving


def capacity(rows: Any, top_k: int, experts: int, factor: float = CAPACITY_FACTOR) -> np.ndarray:
    """Return the rows that an expert has room for; int array like `rows`.

    rows: that reach the site. Source: Fedus et al., Switch Transformer, section 2.2.
    """
    share = rows * top_k / experts
    room: np.ndarray = np.maximum(1, np.ceil(share * factor)).astype(np.int64)
    return room
