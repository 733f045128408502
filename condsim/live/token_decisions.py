"""What a site decides about the tokens of each unit, and where each token came from.

A model keeps tokens in whatever layout its strategy gives them: padded, a bucket of units, in the
order of their scores. Decisions that are forced, and those that are kept in a trace, are those of
all tokens of all units in their own order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.execution import BASELINES, Execution, Routed, SiteInfo
from condsim.mechanisms.base import NOT_REACHED
from condsim.mechanisms.tokens import STAYS, Tokens


@dataclass(frozen=True)
class Layout:
    """Where the tokens came from that a scope runs.

    units: the unit behind each row, int [units]. places: the token behind each slot, int [units,
    slots]. valid: slots that hold a token, bool [units, slots]. all_units, all_tokens: of the
    whole pass.
    """

    units: np.ndarray
    places: np.ndarray
    valid: np.ndarray
    all_units: int
    all_tokens: int

    @classmethod
    def whole(cls, units: int, tokens: int) -> Layout:
        """Return the layout before any token was dropped."""
        places = np.broadcast_to(np.arange(tokens), (units, tokens))
        return cls(np.arange(units), places, np.ones((units, tokens), bool), units, tokens)

    def taking(
        self, units: np.ndarray | None, slots: np.ndarray, valid: np.ndarray | None
    ) -> Layout:
        """Return the layout of some units' tokens.

        units: their rows, int [m]; None for all. slots: of each, int [m, slots]. valid: of these,
        which hold a token that stays.
        """
        of_units = np.arange(len(self.units)) if units is None else units
        rows = of_units[:, None]
        holds = self.valid[rows, slots]
        if valid is not None:
            holds = holds & valid
        places = self.places[rows, slots]
        return Layout(self.units[of_units], places, holds, self.all_units, self.all_tokens)

    def of_slots(self, of_all: np.ndarray) -> np.ndarray:
        """Return what is said of each slot. of_all: of every token, [all units * all tokens]."""
        table = of_all.reshape(self.all_units, self.all_tokens)
        of_slots: np.ndarray = table[self.units[:, None], self.places]
        return of_slots

    def write(self, of_slots: np.ndarray, of_all: np.ndarray) -> None:
        """Put what is said of each slot into [all units * all tokens], where a slot is valid."""
        table = of_all.reshape(self.all_units, self.all_tokens)
        unit = np.broadcast_to(self.units[:, None], self.places.shape)
        table[unit[self.valid], self.places[self.valid]] = of_slots[self.valid]


@dataclass(frozen=True)
class Running:
    """The tokens that run in a scope.

    mask: the slots that hold a token, bool [units, slots]; None where all do. layout: where they
    came from; None where nobody asks. bucketed: these are some of the step's units.
    """

    mask: torch.Tensor | None = None
    layout: Layout | None = None
    bucketed: bool = False


@dataclass(frozen=True)
class TokenDecision:
    """What a site decided about the tokens that reach it.

    decided: which stay, bool [units, tokens]; or ranks, float [units, tokens], of which the highest
    stay. kept: as many as these; None where nobody says it. into: the token that each one that does
    not stay is added to, int [units, tokens]; None where it is dropped. outer: what runs there.
    """

    decided: torch.Tensor
    kept: int | None
    into: torch.Tensor | None
    outer: Running

    @property
    def by_rank(self) -> bool:
        """Whether the highest ranks stay."""
        return self.decided.is_floating_point()


@dataclass(frozen=True)
class TokenSite:
    """A site as its mark names it. kept: tokens that the model keeps in every unit; None for a
    number of its own in each."""

    name: str
    mechanism: Tokens
    kept: int | None


def route_tokens(execution: Execution, site: TokenSite, ids: object, into: object) -> object:
    """Settle a decision about tokens and remember it for `condsim.tokens`.

    ids, into: as `condsim.route` got them. Returns what was decided: stays or ranks; None where a
    baseline has no decision.
    """
    mechanism = site.mechanism
    _refuse_other_guards(execution, site)
    if site.kept is not None:
        execution.natural.setdefault(site.name, mechanism.fixed)
    strategy = execution.strategy(site.name, mechanism.name)
    routed = Routed(site.name, mechanism, strategy, branches=2)
    execution.decisions[site.name] = routed
    if callable(ids) and strategy in BASELINES:
        return None
    decided, into = _gated(execution, site, strategy, ids, into)
    _check(site, decided)
    if site.name not in execution.sites:
        execution.sites[site.name] = SiteInfo(
            site.name,
            mechanism.name,
            branches=2,
            parents=execution.parents(),
            selects=True,
            fixed=site.kept is not None,
            kept=site.kept,
        )
    if execution.recorder is not None:
        execution.recorder.decided(site.name, decided, into)
    routed.tokens = _settled(execution, site, decided, into)
    return decided


def _refuse_other_guards(execution: Execution, site: TokenSite) -> None:
    """Raises CondsimError behind a guard of another family, whose rows are no units of tokens."""
    for frame in execution.frames:
        if frame.running is None:
            raise CondsimError(
                f"site {site.name!r} decides about tokens behind site {frame.site!r}, which "
                "decides about something else: only token sites may stand in one another; capture "
                "the part of the model that has one of the two"
            )


def _gated(
    execution: Execution, site: TokenSite, strategy: str, ids: object, into: object
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What the gate decides. Operators that are recorded in it are those of a router."""
    recorder = execution.recorder
    gate = callable(ids)
    if recorder is not None and gate:
        recorder.role = f"router:{site.name}"
    try:
        decided = ids() if callable(ids) else ids
        if isinstance(decided, tuple):
            decided, into = (*decided, None)[:2]
        if site.kept is not None and strategy not in (site.mechanism.fixed, *BASELINES):
            assert isinstance(decided, torch.Tensor)
            decided = best(decided, site.kept)
    finally:
        if recorder is not None and gate:
            recorder.role = ""
    assert into is None or isinstance(into, torch.Tensor)
    return decided, into  # type: ignore[return-value]


def best(ranks: torch.Tensor, kept: int) -> torch.Tensor:
    """Whether a token is one of the `kept` of the highest rank, bool [units, tokens]."""
    order = ranks.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(ranks.shape[1], device=ranks.device).expand_as(order)
    number = torch.empty_like(order).scatter_(1, order, place)
    return number < kept


def _check(site: TokenSite, decided: object) -> None:
    if isinstance(decided, torch.Tensor) and decided.ndim == 2:
        if site.kept is None and decided.is_floating_point():
            raise CondsimError(
                f"site {site.name!r}: scores alone do not say how many tokens stay: pass kept=, or "
                "which stay, bool [units, tokens]"
            )
        return
    got = f"shape {tuple(decided.shape)}" if isinstance(decided, torch.Tensor) else f"{decided!r}"
    raise CondsimError(
        f"site {site.name!r}: a decision about tokens is bool [units, tokens], or with kept= their "
        f"scores [units, tokens]; got {got}"
    )


def _settled(
    execution: Execution, site: TokenSite, decided: torch.Tensor, into: torch.Tensor | None
) -> TokenDecision:
    """The decision that stands, the model's or the forced one, told to who observes."""
    outer = Running()
    if execution.frames:
        running = execution.frames[-1].running
        assert running is not None
        outer = running
    kept = site.kept
    if site.name in execution.rows_kept:
        kept = int(execution.rows_kept[site.name][STAYS])
    if execution.observed is not None or execution.forces:
        with execution.quiet():
            layout = outer.layout or Layout.whole(decided.shape[0], decided.shape[1])
            outer = replace(outer, layout=layout)
            decided = _told(execution, site, decided, layout)
    if not decided.is_floating_point():
        decided = decided if decided.dtype == torch.bool else decided != 0
        if outer.mask is not None:
            decided = decided & outer.mask
    return TokenDecision(decided, kept, into, outer)


def _told(
    execution: Execution, site: TokenSite, decided: torch.Tensor, layout: Layout
) -> torch.Tensor:
    """The model's decision, or the one that is forced instead; who observes is told which tokens
    stay."""
    own = _own(decided, site.kept)
    forced = _forced(execution, site, own, layout)
    if decided.is_meta:
        own = own if forced is None else forced
        decided = execution.replaced(decided, own)
    elif forced is not None:
        same = np.array_equal(forced[layout.valid], own[layout.valid])
        own = forced
        values: np.ndarray = forced
        if decided.is_floating_point():
            scores = decided.detach().cpu().numpy()
            values = scores if same else np.where(forced, scores, np.finfo(scores.dtype).min)
        decided = execution.replaced(decided, values)
    if execution.observed is not None:
        _note(execution.observed.setdefault(site.name, []), own, layout)
    return decided


def _own(decided: torch.Tensor, kept: int | None) -> np.ndarray:
    """Which tokens stay by the model itself, bool [units, slots]; the first ones of a model without
    numbers."""
    if decided.is_meta:
        first = np.arange(decided.shape[1]) < (decided.shape[1] if kept is None else kept)
        return np.broadcast_to(first, tuple(decided.shape)).copy()
    if decided.is_floating_point():
        assert kept is not None
        decided = best(decided, kept)
    own: np.ndarray = decided.detach().cpu().numpy() != 0
    return own


def _forced(
    execution: Execution, site: TokenSite, own: np.ndarray, layout: Layout
) -> np.ndarray | None:
    """Which tokens are to stay, bool [units, slots]; None where the model decides."""
    if execution.decide is None:
        if execution.forced is None or site.name not in execution.forced:
            return None
        stays: np.ndarray = layout.of_slots(execution.forced[site.name]) == STAYS
        return stays
    of_all = np.full(layout.all_units * layout.all_tokens, NOT_REACHED, np.int64)
    layout.write(own, of_all)
    reached = of_all != NOT_REACHED
    forced = execution.decide(execution.sites[site.name], of_all[reached])
    if forced is None:
        return None
    of_all[reached] = forced[0]
    decided: np.ndarray = layout.of_slots(of_all) == STAYS
    return decided


def _note(calls: list[dict[str, torch.Tensor]], stays: np.ndarray, layout: Layout) -> None:
    """Add a decision to those of the pass: one call, whatever parts it comes in."""
    if not calls:
        size = layout.all_units * layout.all_tokens
        calls.append({"ids": torch.full((size,), NOT_REACHED, dtype=torch.int64)})
    of_all = calls[0]["ids"].numpy()
    layout.write(stays, of_all)
