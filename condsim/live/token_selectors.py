"""How the tokens run that stay.

A selector is what `condsim.tokens` yields. `take` gives the tokens of a tensor that run, `mask`
says which of them attention may look at, and `put` collects the results of the units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from condsim.live.token_decisions import TokenDecision


@dataclass(frozen=True)
class Bucket:
    """Units that run together.

    number: of the bucket, or STAYS where all units run. start, stop: its place in `order`, the
    units from the longest to the shortest, int [units]. lengths: the tokens that they keep, in that
    order, int [units]. The tensors are None where all units run.
    """

    number: int
    start: int = 0
    stop: int = 0
    order: torch.Tensor | None = None
    lengths: torch.Tensor | None = None


class TokenSelector:
    """All tokens of all units.

    arriving: tokens of a unit that reach the site. running: those that run. units: how many run,
    where these are a bucket. members: their rows, int [units]. slots: where the tokens that run
    stood, int [units, tokens]; None where they stand still. holds: which of these stay, bool
    [units, tokens]; None for all. mask: `holds` for attention, bool [units, 1, 1, tokens]. merges:
    whether tokens are added up, so that some stand for several.
    """

    arriving: int | None = None
    running: int | None = None
    units: int | None = None
    members: torch.Tensor | None = None
    slots: torch.Tensor | None = None
    holds: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    merges = False

    def take(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens of x [units, tokens, ...] that run; where tokens merge, their sums."""
        if self.arriving is None:
            self.arriving = self.running = x.shape[1]
        return x

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        """`out` [units, ...] with y [units that run, ...] in its place.

        out: None before any unit has run.
        """
        return y

    def back(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x [units, tokens, ...] with y [units that run, tokens that run, ...] in its place, for
        tokens that pass by what the others enter."""
        return y

    def close(self) -> None:
        """Release the tensors. Nothing may be taken or put afterwards."""
        self.members = self.slots = self.holds = self.mask = None


class FirstTokens(TokenSelector):
    """As many tokens as the mean, by a slice (`same-flops`)."""

    def __init__(self, kept: int) -> None:
        self.kept = kept

    def take(self, x: torch.Tensor) -> torch.Tensor:
        self.arriving = x.shape[1]
        self.running = min(self.kept, self.arriving)
        return x.narrow(1, 0, self.running)

    def back(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        entered = y.shape[1]
        return torch.cat([y, x.narrow(1, entered, x.shape[1] - entered)], 1)


class MaskedTokens(TokenSelector):
    """All tokens run, and attention does not look at those that were dropped."""

    def __init__(self, decision: TokenDecision) -> None:
        self.holds = decision.decided
        self.arriving = self.running = self.holds.shape[1]
        self.mask = for_attention(self.holds)

    def back(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        assert self.holds is not None
        return torch.where(as_columns(self.holds, x), y, x)


class LongestTokens(TokenSelector):
    """As many tokens in each unit as the longest one keeps.

    That number must reach the host: a synchronisation.
    """

    def __init__(self, decision: TokenDecision, bucket: Bucket) -> None:
        stays, into = decision.decided, decision.into
        self.all_units, self.arriving = stays.shape
        self.merges = into is not None
        outer_mask = decision.outer.mask
        if bucket.order is None:
            longest = stays.sum(1).max()
        else:
            assert bucket.lengths is not None
            self.units = bucket.stop - bucket.start
            self.members = bucket.order.narrow(0, bucket.start, self.units)
            longest = bucket.lengths[bucket.start]
            stays = stays.index_select(0, self.members)
        self.running = max(1, int(longest))
        holds, slots = stays.sort(dim=1, descending=True, stable=True)
        self.holds = holds.narrow(1, 0, self.running)
        self.slots = slots.narrow(1, 0, self.running)
        self.mask = for_attention(self.holds)
        first = self.members if not self.merges else None
        self.rows = rows_of(self.slots, self.arriving, first)
        if into is not None:
            self._join(stays, into, outer_mask)

    def _join(self, stays: torch.Tensor, into: torch.Tensor, mask: torch.Tensor | None) -> None:
        """Prepare the sums: which row each token is added to, and whether it is."""
        assert self.arriving is not None
        self.joins = ~stays if mask is None else ~stays & mask
        if self.members is not None:
            into = into.index_select(0, self.members)
        self.joined = rows_of(into, self.arriving)

    def take(self, x: torch.Tensor) -> torch.Tensor:
        if self.merges:
            if self.members is not None:
                x = x.index_select(0, self.members)
            added = x * as_columns(self.joins, x)
            x = x.flatten(0, 1).index_add(0, self.joined, added.flatten(0, 1))
        else:
            x = x.flatten(0, 1)
        taken: torch.Tensor = x.index_select(0, self.rows).unflatten(0, (-1, self.running))
        return taken

    def put(self, out: torch.Tensor | None, y: torch.Tensor) -> torch.Tensor:
        if self.members is None:
            return y
        if out is None:
            out = y.new_empty((self.all_units, *y.shape[1:]))
        return out.index_copy_(0, self.members, y)

    def back(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """A slot that holds no token puts back what was there."""
        assert self.holds is not None
        flat = x.flatten(0, 1)
        before = flat.index_select(0, self.rows).view_as(y)
        after = torch.where(as_columns(self.holds, y), y, before)
        return flat.index_copy(0, self.rows, after.flatten(0, 1)).view_as(x)

    def close(self) -> None:
        super().close()
        del self.rows
        if self.merges:
            del self.joins, self.joined


class AsManyTokens(TokenSelector):
    """As many tokens in every unit, those of the highest ranks. The host waits for nothing."""

    def __init__(self, decision: TokenDecision, kept: int, in_order: bool) -> None:
        self.arriving = decision.decided.shape[1]
        self.running = max(1, min(kept, self.arriving))
        self.merges = decision.into is not None
        order = self._order(decision)
        self.slots = order.narrow(1, 0, self.running)
        if in_order:
            self.slots = self.slots.sort(dim=1).values
        if decision.into is not None:
            self._join(order, decision.into)
        self.rows = rows_of(self.slots, self.arriving)

    def _order(self, decision: TokenDecision) -> torch.Tensor:
        """The tokens of each unit, those that stay first; only these where no others are needed."""
        decided = decision.decided
        assert self.running is not None
        if not decision.by_rank:
            return decided.sort(dim=1, descending=True, stable=True).indices
        if self.merges:
            return decided.argsort(dim=1, descending=True, stable=True)
        return decided.topk(self.running, dim=1).indices

    def _join(self, order: torch.Tensor, into: torch.Tensor) -> None:
        """Prepare the sums: the rows that are added, and the rows of the result that get them.

        A token whose partner does not stay either is added to the first one.
        """
        assert self.arriving is not None
        assert self.running is not None
        assert self.slots is not None
        gone = order.narrow(1, self.running, self.arriving - self.running)
        number = torch.arange(self.running, device=order.device).expand_as(self.slots)
        slot = torch.zeros_like(order).scatter_(1, self.slots, number)
        target = slot.gather(1, into.gather(1, gone))
        self.gone = rows_of(gone, self.arriving)
        self.joined = rows_of(target, self.running)

    def take(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(0, 1)
        taken = flat.index_select(0, self.rows)
        if self.merges:
            taken.index_add_(0, self.joined, flat.index_select(0, self.gone))
        result: torch.Tensor = taken.unflatten(0, (-1, self.running))
        return result

    def back(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.flatten(0, 1).index_copy(0, self.rows, y.flatten(0, 1)).view_as(x)

    def close(self) -> None:
        super().close()
        del self.rows
        if self.merges:
            del self.gone, self.joined


def rows_of(slots: torch.Tensor, tokens: int, units: torch.Tensor | None = None) -> torch.Tensor:
    """Rows of tokens where all tokens of all units stand one below the other, int [units * slots].

    slots: the tokens of each unit, int [units, slots]. tokens: that each unit has. units: which
    they are, int [units]; None for the first ones.
    """
    if units is None:
        end = slots.shape[0] * tokens
        first = torch.arange(0, end, tokens, device=slots.device)
    else:
        first = units * tokens
    return (first.unsqueeze(1) + slots).flatten()


def for_attention(holds: torch.Tensor) -> torch.Tensor:
    """Slots that hold a token [units, slots] as the keys that attention looks at."""
    return holds[:, None, None, :]


def as_columns(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """values [units, tokens] in a shape that broadcasts over x [units, tokens, ...]."""
    return values.view(*values.shape, *[1] * (x.ndim - 2))
