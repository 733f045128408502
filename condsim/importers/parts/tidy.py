"""Which rows of a recording are decisions of tokens, and which are padding, dummies or unset.

Engines prefill their buffers and warm up with dummy batches, and trainers pad. None of that is
routing, and all of it would be counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.spool import Spool, Step
from condsim.mechanisms.base import NOT_REACHED

CONSTANT_RUN = 8
"""So many equal tokens in a row, at all layers, are a dummy batch and not a text."""
FILL = 255
"""What SGLang fills its buffers with before anything is recorded."""
MOST_IDS = 1 << 19
"""Ids of all layers that are looked at together: memory follows them, whatever the file holds."""
FOREIGN_SHARE = 0.01
"""With a larger share of ids out of range, the file is of another model."""


def tidied(ids: np.ndarray, experts: int | None) -> np.ndarray:
    """Return ids with NOT_REACHED where nothing was recorded; int [rows, k].

    A row whose ids are all alike was never filled in: the experts of a token are distinct.
    experts: of the layer, None where that is not known.
    """
    outside = ids < 0
    if experts is not None:
        outside |= ids >= experts
    if ids.shape[1] > 1:
        never_filled = (ids == ids[:, :1]).all(axis=1)
        outside |= never_filled[:, None]
    return np.where(outside, NOT_REACHED, ids)


@dataclass
class FileNumbers:
    """What one file holds.

    sequences: before any was left out. tokens: that are kept. padding, constant: tokens that are
    left out. unset: ids of other tokens that say nothing. out_of_range: ids that no expert has.
    repeated: rows that name an expert twice.
    """

    name: str
    sequences: int
    tokens: int = 0
    padding: int = 0
    constant: int = 0
    unset: int = 0
    out_of_range: int = 0
    repeated: int = 0


@dataclass
class Findings:
    """What was found in a recording.

    kept: which tokens are kept, bool [tokens]. layers: that hold decisions. empty_layers: that hold
    none. experts: layer → its experts. same_as: layer → an earlier one with the same decisions.
    finite: whether all weights are. experts_guessed: nothing says how many experts there are.
    """

    files: list[FileNumbers]
    kept: np.ndarray
    layers: list[int] = field(default_factory=list)
    empty_layers: list[int] = field(default_factory=list)
    experts: dict[int, int] = field(default_factory=dict)
    same_as: dict[int, int] = field(default_factory=dict)
    finite: bool = True
    experts_guessed: bool = False

    def total(self, what: str) -> int:
        """A number of `FileNumbers`, summed over the files."""
        return sum(getattr(file, what) for file in self.files)


def examine(spool: Spool, experts: int | None, drop_constant: bool) -> Findings:
    """Look at every decision once, a block at a time.

    experts: of a layer; None where nobody says it. drop_constant: leave constant runs out.
    Raises CondsimError for ids of another model, and where nothing is left.
    """
    scan = _Scan(spool, experts)
    drop_constant = drop_constant and not spool.clean
    kept = np.ones(spool.tokens, bool)
    files = []
    for name, start, stop, sequences in spool.file_ranges():
        numbers = FileNumbers(name, sequences)
        runs = _Runs(start)
        for first, block in scan.blocks(start, stop, numbers):
            is_unset = block == NOT_REACHED
            padding = np.zeros(len(block), bool) if spool.clean else is_unset.all(axis=1)
            kept[first : first + len(block)] = ~padding
            numbers.padding += int(padding.sum())
            numbers.unset += int(is_unset[~padding].sum())
            runs.add(block)
        for begin, end in runs.finish() if drop_constant else ():
            numbers.constant += int(kept[begin:end].sum())
            kept[begin:end] = False
        numbers.tokens = int(kept[start:stop].sum())
        files.append(numbers)
    findings = Findings(files, kept)
    scan.tell(findings)
    _refuse_foreign(spool, findings)
    if not kept.any():
        raise CondsimError(
            "no token is left: all are padding or constant runs of dummy batches; "
            "--keep-constant (keep_constant=True) keeps the latter"
        )
    return findings


class _Scan:
    """Reads all layers side by side, and remembers what a layer holds as a whole."""

    def __init__(self, spool: Spool, experts: int | None) -> None:
        self.spool = spool
        self.numbers = sorted(spool.layers)
        self.experts = {n: spool.experts.get(n, experts) for n in self.numbers}
        self.highest = dict.fromkeys(self.numbers, NOT_REACHED)
        self.digests = {number: hashlib.blake2b() for number in self.numbers}
        self.finite = True

    def blocks(
        self, start: int, stop: int, numbers: FileNumbers
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (the first token, ids int [tokens, ids of all layers]) of a file."""
        ids_of_token = sum(layer.top_k for layer in self.spool.layers.values())
        tokens = max(1, MOST_IDS // ids_of_token)
        for first in range(start, stop, tokens):
            end = min(first + tokens, stop)
            layers = [self._block(number, first, end, numbers) for number in self.numbers]
            yield first, np.concatenate(layers, axis=1)

    def _block(self, number: int, start: int, stop: int, numbers: FileNumbers) -> np.ndarray:
        layer = self.spool.layers[number]
        raw = layer.read("ids", start, stop)
        experts = self.experts[number]
        ids = raw if self.spool.clean else tidied(raw, experts)
        self.digests[number].update(raw.tobytes())
        self.highest[number] = max(self.highest[number], int(ids.max()))
        outside = raw < NOT_REACHED
        if experts is not None:
            outside |= (raw >= experts) & (raw != FILL)
        numbers.out_of_range += int(outside.sum())
        in_order = np.sort(ids, axis=1)
        left, right = in_order[:, :-1], in_order[:, 1:]
        twice = (right == left) & (right != NOT_REACHED)
        numbers.repeated += int(twice.any(axis=1).sum())
        if "weights" in layer.parts and self.finite:
            weights = layer.read("weights", start, stop)
            self.finite = bool(np.isfinite(weights).all())
        return ids

    def tell(self, findings: Findings) -> None:
        """Enter what is known of the layers now."""
        first_of: dict[bytes, int] = {}
        for number in self.numbers:
            highest = self.highest[number]
            if highest == NOT_REACHED:
                findings.empty_layers.append(number)
                continue
            findings.layers.append(number)
            earlier = first_of.setdefault(self.digests[number].digest(), number)
            if earlier != number:
                findings.same_as[number] = earlier
        most = max(self.highest.values()) + 1
        for number in findings.layers:
            findings.experts[number] = self.experts[number] or most
            findings.experts_guessed |= self.experts[number] is None
        findings.finite = self.finite


class _Runs:
    """Finds runs of equal tokens, block by block.

    found: (first token, token after the last) of each run of `CONSTANT_RUN` or more.
    """

    def __init__(self, start: int) -> None:
        self.found: list[tuple[int, int]] = []
        self._begin = self._end = start
        self._last: np.ndarray | None = None

    def add(self, block: np.ndarray) -> None:
        """Look at the next tokens. block: int [tokens, ids]."""
        differs = np.zeros(len(block), bool)
        differs[1:] = (block[1:] != block[:-1]).any(axis=1)
        if self._last is not None:
            differs[0] = bool((block[0] != self._last).any())
        self._last = block[-1].copy()
        begins = self._end + np.flatnonzero(differs)
        self._end += len(block)
        bounds = np.concatenate([[self._begin], begins])
        self._close(bounds)
        self._begin = int(bounds[-1])

    def finish(self) -> list[tuple[int, int]]:
        """Return what was found, after the last block."""
        self._close(np.array([self._begin, self._end]))
        return self.found

    def _close(self, bounds: np.ndarray) -> None:
        """Remember the long ones of runs that lie side by side."""
        long = np.diff(bounds) >= CONSTANT_RUN
        begins, ends = bounds[:-1][long], bounds[1:][long]
        self.found += zip(begins.tolist(), ends.tolist(), strict=True)


def _refuse_foreign(spool: Spool, findings: Findings) -> None:
    """Raises CondsimError where too many ids are out of range."""
    outside = findings.total("out_of_range")
    ids = sum(layer.rows * layer.top_k for layer in spool.layers.values())
    if outside > FOREIGN_SHARE * ids:
        known = sorted({str(count) for count in findings.experts.values()})
        raise CondsimError(
            f"{outside:,} of {ids:,} expert ids are out of range for {' or '.join(known)} experts "
            "(numbered from 0): the file is of another model, or it has more (--experts)"
        )


def kept_steps(steps: Sequence[Step], kept: np.ndarray) -> list[Step]:
    """Return steps of the tokens that are kept.

    Where units of a step lose unlike numbers of tokens, each
    becomes a step of its own.
    """
    result: list[Step] = []
    end = 0
    for phase, units, seq, past in steps:
        start, end = end, end + units * seq
        kept_of_step = kept[start:end]
        if kept_of_step.all():
            result.append((phase, units, seq, past))
            continue
        by_unit = kept_of_step.reshape(units, seq).sum(axis=1)
        lengths: list[int] = by_unit[by_unit > 0].tolist()
        if len(set(lengths)) == 1:
            result.append((phase, len(lengths), lengths[0], past))
        else:
            result += [(phase, 1, length, past) for length in lengths]
    return result
