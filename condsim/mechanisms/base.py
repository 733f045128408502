"""What a mechanism says of itself: how it decides, and which rows its decisions send where.

`Mechanism` is written for the plain case, a layer or a part of the network that rows enter or do
not enter. Other mechanisms override what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from condsim.errors import CondsimError
from condsim.registry import Registry

Rows = tuple[np.ndarray, np.ndarray]
"""(rows that reach each guard, rows that run behind it), int [n, guards] each."""

NOT_REACHED = -1
"""The id of a row that never got to the site."""


@dataclass(frozen=True)
class Guards:
    """The guards of one site in n calls.

    choices: the branch behind each guard, int [guards]; (-1,) where weight blocks run together.
    counts: rows that took each branch, int [n, branches]; of weight blocks, rows that asked for
        each.
    arriving: rows that reached the site, int [n].
    kept: rows (or blocks) that each branch keeps under same-flops, int [n, branches].
    costliest: the branch that all rows take under same-params.
    lengths: of tokens, those that stay in each unit that a guard runs, 0 for a unit that it does
        not run, int [n, guards, units]. `arriving`, `kept` and the rows that run are tokens of one
        unit then. Where rows owe, the steps that each unit runs behind a guard: the new one and
        those that it owes.
    """

    mechanism: Mechanism
    choices: np.ndarray
    counts: np.ndarray
    arriving: np.ndarray
    kept: np.ndarray | None = None
    costliest: int | None = None
    lengths: np.ndarray | None = None

    def every_row(self) -> np.ndarray:
        """All rows that arrive, behind each guard; int [n, guards]."""
        arriving = self.arriving[:, None]
        return np.repeat(arriving, len(self.choices), axis=1)

    def no_row(self) -> np.ndarray:
        """Zero rows behind each guard; int [n, guards]."""
        shape = (len(self.arriving), len(self.choices))
        return np.zeros(shape, np.int64)

    def taken(self) -> np.ndarray:
        """Rows that took the branch behind each guard, int [n, guards]."""
        return self.counts[:, self.choices]

    def tokens_of_units(self) -> np.ndarray:
        """`lengths`. Raises ValueError where the steps do not say them."""
        if self.lengths is None:
            raise ValueError("the steps do not say how many tokens each unit keeps")
        return self.lengths

    def kept_rows(self) -> np.ndarray:
        """`kept`. Raises ValueError where the steps do not say it."""
        if self.kept is None:
            raise ValueError("same-flops needs the rows that each branch keeps")
        return self.kept


@dataclass(frozen=True)
class Draw:
    """What decisions are drawn for.

    top_k: branches a row takes, None for one without weights. units: that the rows are of, as many
    of each.
    """

    rows: int
    branches: int
    top_k: int | None = None
    units: int = 1


Drawn = tuple[np.ndarray, np.ndarray | None]
"""(ids of every row, combination weights [rows, k] or None)."""


class Mechanism:
    """One kind of routing.

    name: as users and traces spell it. title: as a person reads it.
    family: "branched" (rows enter code behind a guard), "experts" (alike branches that rows take
        several of), "blocks" (rows ask for blocks of a weight), "tokens" (those of a unit that
        stay go on together), "owing" (rows that leave owe later steps what they skip) or "weights"
        (those of a step are there, whatever its rows are).
    encoding: how a trace stores decisions: "ids" a row, or "bits" a row and branch.
    alone: the strategy that runs exactly the rows that took a branch, each guard by itself.
    marked: strategies that a site marked in user code can run, the natural one first.
    fixed: the strategy of a marked site that keeps as many rows in every unit; "" for none.
    alike: the branches differ in nothing but their weights.
    balanced: an even load over the branches is what a good router aims at.
    one_of_several: every row takes one branch, so the costliest of them is the dense network.
    leaves: a row that takes branch 0 reaches no later site; a threshold on its score decides.
    while_decoding: it decides in decode steps only; a whole input runs as it is.
    branch_names: what the numbers of branches mean, where they do not speak for themselves.
    redrawn_by: what a study varies: "skew" of the popularity, or "share" of the rows.
    signs: of such a decision in a model that does not mark it (`condsim.mechanisms.signs`).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    family: ClassVar[Literal["branched", "experts", "blocks", "tokens", "owing", "weights"]] = (
        "branched"
    )
    encoding: ClassVar[Literal["ids", "bits"]] = "ids"
    alone: ClassVar[str] = "compacted"
    marked: ClassVar[tuple[str, ...]] = ("compacted", "wait", "masked")
    fixed: ClassVar[str] = ""
    alike: ClassVar[bool] = False
    balanced: ClassVar[bool] = False
    one_of_several: ClassVar[bool] = False
    leaves: ClassVar[bool] = False
    while_decoding: ClassVar[bool] = False
    branch_names: ClassVar[Mapping[int, str]] = {}
    redrawn_by: ClassVar[Literal["skew", "share"]] = "share"
    signs: ClassVar[tuple[str, ...]] = ()

    @property
    def selects_blocks(self) -> bool:
        """Whether a decision asks for blocks of a weight, bool [rows, blocks]."""
        return self.family == "blocks"

    @property
    def mixes_experts(self) -> bool:
        """Whether a row's result is a weighted sum over the branches that it takes."""
        return self.family == "experts"

    @property
    def keeps_tokens(self) -> bool:
        """Whether a decision says which tokens of a unit stay."""
        return self.family == "tokens"

    @property
    def owes(self) -> bool:
        """Whether rows that leave owe later steps of their unit what they skip."""
        return self.family == "owing"

    @property
    def prunes_weights(self) -> bool:
        """Whether a decision says which weights are there, in a step and for all of its rows."""
        return self.family == "weights"

    def rows_at(self, units: Any, rows_of_unit: Any) -> Any:
        """Rows that reach a site of so many units; int, or int array like `units`."""
        return units * rows_of_unit

    def most_guards(self, branches: int) -> int:
        """Guards that stand side by side at a site, at most. branches: of the site."""
        return branches

    @property
    def how_to_mark(self) -> str:
        """What a user writes in a forward, for messages."""
        return (
            f"mark the decision: ids = condsim.route('NAME', {self.name!r}, ids), "
            "and what it guards: with condsim.branch('NAME', 1): ..."
        )

    # Decisions

    def nowhere(self, draw: Draw) -> np.ndarray:
        """Decisions of rows that never reach the site."""
        return np.full(draw.rows, NOT_REACHED, np.int16)

    def compact(self, ids: np.ndarray) -> np.ndarray:
        """Decisions in the type that they are kept in."""
        return ids.astype(np.int16)

    def arrived(self, ids: np.ndarray) -> np.ndarray:
        """Which rows reached the site, bool [rows]."""
        first_ids = ids if ids.ndim == 1 else ids[:, 0]
        arrived: np.ndarray = first_ids != NOT_REACHED
        return arrived

    def reach_all(self, draw: Draw) -> np.ndarray | None:
        """Decisions that run every branch, so that each can be seen; None: any decision does."""
        return np.ones(draw.rows, np.int64) % draw.branches

    # Decisions that are drawn

    def balanced_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        """Rows dealt out evenly over the branches."""
        first = np.arange(draw.rows) % draw.branches
        return first, None

    def random_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        """Every branch as likely as any other."""
        scores = rng.random((draw.rows, draw.branches))
        order = np.argsort(scores, axis=1)
        return order[:, 0], None

    def probe_decisions(
        self, draw: Draw, share: float, turn: int, rng: np.random.Generator
    ) -> Drawn:
        """Random decisions of a probing run, which must see many sizes behind each guard.

        share: about how many rows leave branch 0. turn: the first branch that rows take, where
        there are more than two.
        """
        if draw.branches == 2:
            leaves = rng.random(draw.rows) < share
            return leaves.astype(np.int64), None
        first = turn % draw.branches
        likelihood = 0.2 + 0.8 * share
        drawn = rng.random(draw.branches - first) < likelihood
        later = first + np.flatnonzero(drawn)
        ids = rng.choice(np.union1d(later, [first]), draw.rows)
        ids[rng.integers(draw.rows)] = first
        return ids, None

    def probe_owed(self, turn: int) -> int | None:
        """Steps of each unit that run in a probing run, of a mechanism whose rows owe; else None.

        turn: a number that varies them.
        """
        return None

    def probe_kept(self, draw: Draw, share: float, ids: np.ndarray) -> np.ndarray:
        """Rows that each branch keeps in a probing run of same-flops, int [branches]."""
        kept = np.zeros(draw.branches, np.int64)
        kept[1] = max(1, round(share * draw.rows))
        return kept

    def redraw(self, old: np.ndarray, asked: Redraw, rng: np.random.Generator) -> np.ndarray:
        """Independent decisions of the same rows, at another share or skew."""
        enters = rng.random(len(old)) < asked.share_of_rows()
        return self._where_reached(enters.astype(np.int8), old, asked)

    def _where_reached(self, new: np.ndarray, old: np.ndarray, asked: Redraw) -> np.ndarray:
        reached = old >= 0 if asked.alive is None else asked.alive
        return np.where(reached, new, NOT_REACHED).astype(old.dtype)

    # Baselines

    def same_params(self, guards: Guards) -> Rows:
        """The dense network: every row enters, nobody is selected."""
        enters = guards.choices != 0
        rows = guards.every_row() * enters
        return rows, rows

    def same_flops(self, guards: Guards) -> Rows:
        """A dense network of the mean work: the first rows by a slice."""
        enters = guards.choices != 0
        kept = guards.kept_rows()[:, guards.choices] * enters
        arriving = guards.every_row()
        runs = kept > 0
        return arriving * runs, np.minimum(kept, arriving)

    def rows_kept(self, shares: np.ndarray, rows: int, top_k: int | None = None) -> np.ndarray:
        """Of so many rows, those that each branch keeps under same-flops; int [branches].

        shares: of all rows that could reach the site, those that take each branch, float
            [branches].
        """
        rounded = np.rint(shares * rows)
        kept: np.ndarray = rounded.astype(np.int64)
        return kept

    def kept_slice(self, kept: np.ndarray, choice: int) -> tuple[int, int]:
        """The rows [start, stop) that a branch keeps. kept: of `rows_kept`."""
        return (0, int(kept[choice])) if choice != 0 else (0, 0)

    def dense_choice(self, choice: int, costliest: int | None) -> bool:
        """Whether the dense network runs what stands behind a branch's guard."""
        return choice != 0

    # Work

    def dense_flops(self, per_branch: np.ndarray, costliest: int | None) -> float:
        """FLOPs of one row in the dense network. per_branch: of one row, float [branches]."""
        return float(per_branch.sum())

    def evened(self, counts: np.ndarray) -> np.ndarray:
        """The same rows in a world without load imbalance. counts: int [n, branches]."""
        return counts


@dataclass(frozen=True)
class Redraw:
    """How decisions are drawn anew.

    branches, top_k: of the site. costliest: the branch that `share` speaks of, where rows take one
    of several. alive: rows that reach the site, bool [rows]; None for those that did before.
    """

    branches: int
    top_k: int | None = None
    costliest: int = 1
    alive: np.ndarray | None = None
    share: float | None = None
    skew: float | None = None

    def share_of_rows(self) -> float:
        """`share`. Raises CondsimError where it was not asked for."""
        if self.share is None:
            raise CondsimError("share must be given: these sites have no popularity to skew")
        return self.share

    def skew_of_popularity(self) -> float:
        """`skew`. Raises CondsimError where it was not asked for."""
        if self.skew is None:
            raise CondsimError("skew must be given: these sites choose among alike branches")
        return self.skew


MECHANISMS: Registry[Mechanism] = Registry("mechanism")


Class = TypeVar("Class", bound=type[Mechanism])


def mechanism(cls: Class) -> Class:
    """Decorator: register an object of a mechanism's class under its name."""
    MECHANISMS.register(cls.name)(cls())
    return cls


def mechanism_of(sign: str) -> Mechanism:
    """Return the mechanism that a sign is of. Raises ValueError where none has it."""
    for one in MECHANISMS.values():
        if sign in one.signs:
            return one
    raise ValueError(f"no mechanism has the sign {sign!r}")
