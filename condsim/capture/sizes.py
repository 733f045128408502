"""How large a model's inputs can be: which axis is a sequence, how long, and the rows at each site.

Shapes do not tell: axis 1 of [16, 3, 64] may be positions, channels or columns. So the model is run
at other lengths. What it does not run, or runs with numbers of rows that do not follow the length,
is of a fixed size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from condsim.errors import CondsimError
from condsim.live.execution import Execution, SiteInfo
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS, Draw
from condsim.program.regime import Regime
from condsim.trace.header import UnitRows

TRIED_UNITS = 2
"""Units of a run that tries another length."""


@dataclass(frozen=True)
class Lengths:
    """The positions that sequences have in probing runs: from `shortest` to `longest`."""

    shortest: int
    longest: int


USUAL_LENGTHS = Lengths(5, 22)
FEWEST_LENGTHS = 4
"""So many lengths tell how a size follows the length."""

RowsOfUnit = Mapping[str, int]
"""Site → the rows that a unit has there."""


@dataclass(frozen=True)
class Sizes:
    """What was learnt of a model's inputs.

    lengths: of sequences in probing runs; None where units have no positions that could vary.
    unit_rows: site → the rows that a unit has there where nothing was dropped before.
    refusal: why the model is not run at other lengths, where there are positions.
    prompts: of whole inputs, where these are not run at the lengths of prefixes.
    """

    lengths: Lengths | None
    unit_rows: dict[str, UnitRows]
    refusal: str = ""
    prompts: Lengths | None = None

    def of(self, regime: Regime) -> Lengths | None:
        """The lengths in the probing runs of a regime."""
        return self.lengths if regime.decodes else self.prompts or self.lengths


def learn_sizes(live: LiveModel, batch: Batch) -> Sizes:
    """Run the model on a batch, and at other lengths where it may hold sequences.

    A site behind a guard has the rows of the guard's site.
    """
    of_batch = _rows_of_unit(live, batch)
    refusals = []
    known = set(live.infos)
    for lengths in _candidates(batch.seq):
        try:
            slopes = _rows_a_position(live, batch, of_batch, lengths)
        except Exception as error:  # a stranger's model may do anything at another length
            refusals.append(first_line(error))
            for only_there in set(live.infos) - known:
                del live.infos[only_there]
            continue
        return Sizes(lengths, _unit_rows(live, of_batch, slopes, batch.seq or 0))
    return Sizes(None, _unit_rows(live, of_batch, {}, 0), next(iter(refusals), ""))


def _candidates(seq: int | None) -> list[Lengths]:
    """Lengths to try, the usual ones first. A table of positions may hold no more than `seq`."""
    if seq is None:
        return []
    tried = [USUAL_LENGTHS]
    for shortest in (max(2, seq // 4), max(2, seq // 2)):
        if seq - shortest + 1 >= FEWEST_LENGTHS:
            tried.append(Lengths(shortest, seq))
    return tried


def _rows_a_position(
    live: LiveModel, batch: Batch, of_batch: RowsOfUnit, lengths: Lengths
) -> dict[str, int]:
    """Site → the rows that one more position adds to a unit.

    Raises CondsimError where rows do not follow the length in this way, and whatever the model
    raises that does not run at these lengths.
    """
    assert batch.seq is not None
    slopes: dict[str, int] = {}
    for length in (lengths.shortest, lengths.longest):
        other = _rows_of_unit(live, batch.resized(TRIED_UNITS, length))
        if length == batch.seq:
            continue
        for site in other:
            if site not in of_batch:
                raise CondsimError(f"site {site!r} decides there, and not at the captured length")
        for site, rows in of_batch.items():
            slope, rest = divmod(other.get(site, 0) - rows, length - batch.seq)
            known = slopes.setdefault(site, slope)
            of_positions = slope * batch.seq
            on_one_line = not rest and slope == known
            if not on_one_line or not 0 <= of_positions <= rows:
                raise CondsimError(f"the rows at site {site!r} do not follow the length")
    return slopes


def _unit_rows(
    live: LiveModel, of_batch: RowsOfUnit, slopes: Mapping[str, int], seq: int
) -> dict[str, UnitRows]:
    """Site → its rows. slopes: rows that one more position adds. seq: positions of the batch."""
    unit_rows: dict[str, UnitRows] = {}
    for name in ordered(live.infos):
        info = live.infos[name]
        if info.parents:
            parent, _ = info.parents[-1]
            unit_rows[name] = unit_rows[parent]
            continue
        a_position = slopes.get(name, 0)
        a_unit = of_batch.get(name, 1) - a_position * seq
        unit_rows[name] = UnitRows(a_position=a_position, a_unit=a_unit)
    return unit_rows


def _rows_of_unit(live: LiveModel, batch: Batch) -> dict[str, int]:
    """Site that stands behind no guard → rows of a unit; rows are sent into every branch.

    Raises CondsimError where units have no whole number of rows.
    """
    run = Execution(decide=take_every_branch, observed={})
    live.run(batch, run)
    assert run.observed is not None
    rows_of_unit = {}
    for name, calls in run.observed.items():
        rows = len(calls[0]["ids"])
        if live.infos[name].parents:
            continue
        if rows % batch.units:
            raise CondsimError(rows_missing(live.infos[name], rows, f"{batch.units} units come"))
        rows_of_unit[name] = rows // batch.units
    return rows_of_unit


def rows_missing(info: SiteInfo, decided: int, come: str) -> str:
    """Return what to say of a site that did not decide for every row. come: what comes there."""
    return (
        f"site {info.name!r} decided for {decided} rows where {come}: which rows get there follows "
        "the data, as where a mask among the inputs leaves padding out; let all rows get there, "
        f"or {MECHANISMS[info.mechanism].how_to_mark}"
    )


def take_every_branch(info: SiteInfo, own: np.ndarray) -> tuple[np.ndarray, None] | None:
    """Send rows into every branch, so that sites show themselves that this data never reaches."""
    draw = Draw(len(own), info.branches, info.top_k)
    ids = MECHANISMS[info.mechanism].reach_all(draw)
    return None if ids is None else (ids, None)


def ordered(infos: Mapping[str, SiteInfo]) -> list[str]:
    """Names of sites, parents first."""
    return sorted(infos, key=lambda name: len(infos[name].parents))


def in_brackets(refusal: str) -> str:
    """Why a model is not run at other lengths, to be added to a message; "" for no reason."""
    return f" (at another length it fails: {refusal})" if refusal else ""


def first_line(error: Exception) -> str:
    """An error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def settle(live: LiveModel, batches: Sequence[Batch]) -> tuple[list[Batch], Sizes]:
    """Learn the sizes of a model's inputs; batches that hold no sequences after all say so.

    Raises CondsimError where batches differ in a size that is not units or positions.
    """
    sizes = learn_sizes(live, probed_batch(batches))
    settled = list(batches)
    if sizes.lengths is None:
        settled = [batch.without_positions() for batch in batches]
    require_one_kind(settled, sizes.refusal)
    return settled, sizes


def as_fixed(batches: Sequence[Batch], sizes: Sizes) -> tuple[list[Batch], Sizes] | None:
    """The same with units of a fixed size; None where lengths differ, or are fixed already."""
    lengths = {batch.seq for batch in batches}
    seq = lengths.pop()
    if lengths or seq is None:
        return None
    unit_rows = {}
    for name, rows in sizes.unit_rows.items():
        unit_rows[name] = UnitRows(a_position=0, a_unit=rows.of(seq))
    return [batch.without_positions() for batch in batches], Sizes(None, unit_rows)


def as_long(batches: Sequence[Batch], sizes: Sizes) -> tuple[list[Batch], Sizes] | None:
    """The same with lengths of the shortest batch and longer; None where they are that already."""
    shortest = min(batch.seq or 0 for batch in batches)
    if sizes.lengths != USUAL_LENGTHS or shortest <= USUAL_LENGTHS.shortest:
        return None
    spread = USUAL_LENGTHS.longest - USUAL_LENGTHS.shortest
    longer = Lengths(shortest, shortest + spread)
    return list(batches), replace(sizes, lengths=longer)


def with_captured_prompts(
    batches: Sequence[Batch], sizes: Sizes
) -> tuple[list[Batch], Sizes] | None:
    """The same with whole inputs of the captured length alone, as where a loop runs over them; None
    where they are of several lengths."""
    lengths = {batch.seq for batch in batches}
    seq = lengths.pop()
    if lengths or seq is None:
        return None
    return list(batches), replace(sizes, prompts=Lengths(seq, seq))


def probed_batch(batches: Sequence[Batch]) -> Batch:
    """The batch that others are made of for probing: the first with padding, else the first.

    A padded batch runs operators that others do not run.
    """
    return next((batch for batch in batches if batch.has_padding), batches[0])


def require_one_kind(batches: Sequence[Batch], refusal: str = "") -> None:
    """Raises CondsimError where batches differ in a size that is not units or positions.

    refusal: why the model is not run at other lengths, where it is not.
    """
    first = batches[0]
    for number, batch in enumerate(batches):
        tensors = zip(first.tensors(), batch.tensors(), strict=False)
        fixed = zip(first.fixed_sizes(), batch.fixed_sizes(), strict=False)
        for (own, other), (own_fixed, other_fixed) in zip(tensors, fixed, strict=True):
            axes = own_fixed.keys() & other_fixed.keys()
            if all(own_fixed[axis] == other_fixed[axis] for axis in axes):
                continue
            reason = in_brackets(refusal)
            raise CondsimError(
                f"inputs: batch {number} has a tensor of shape {tuple(other.shape)} where batch 0 "
                f"has {tuple(own.shape)}{reason}; only units and the positions of sequences may "
                "vary: capture each size for itself, or name the axis of the positions with "
                "sequence_axis="
            )
