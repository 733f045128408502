"""The sequences of a trace: what each token of a prompt and of an answer decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from condsim.errors import CondsimError
from condsim.program.regime import DECODE, PREFILL
from condsim.serve.prices.composition import Sites
from condsim.steps.extents import CAPACITY_FACTOR
from condsim.trace import Site, Trace


@dataclass
class Texts:
    """s sequences. Requests are given one each, and go through its tokens again where they are
    longer.

    prompt: unit-step of each one's prompt, -1 where it was not captured; int [s].
    answers: unit-steps of each one's decode positions.
    """

    trace: Trace
    sites: Sites
    prompt: list[int] = field(default_factory=list)
    answers: list[list[int]] = field(default_factory=list)

    @classmethod
    def of(cls, trace: Trace, capacity_factor: float = CAPACITY_FACTOR) -> Texts:
        """Return the sequences of a trace; none of a dense model, which decides nothing.

        Raises CondsimError where none was decoded.
        """
        texts = cls(trace, Sites(trace, capacity_factor))
        first_unit, batch = 0, range(0)
        for phase, units in zip(trace.steps["phase"], trace.steps["units"], strict=True):
            if phase != DECODE or len(batch) != units:
                begin = len(texts.answers)
                batch = range(begin, begin + units)
                is_prompt = phase == PREFILL
                texts.prompt += [first_unit + i if is_prompt else -1 for i in range(units)]
                texts.answers += [[] for _ in range(units)]
            if phase == DECODE:
                for place, sequence in enumerate(batch):
                    texts.answers[sequence].append(first_unit + place)
            first_unit += units
        if trace.sites:
            texts._keep_decoded()
        return texts

    def _keep_decoded(self) -> None:
        kept = [number for number, units in enumerate(self.answers) if units]
        if not kept:
            raise CondsimError(
                f"trace {self.trace.name!r} has no decode steps: capture it with new tokens"
            )
        self.prompt = [self.prompt[number] for number in kept]
        self.answers = [self.answers[number] for number in kept]

    def __len__(self) -> int:
        return len(self.answers)

    def __post_init__(self) -> None:
        counts = [self.trace.unit_counts(site.name) for site in self.trace.sites]
        self.of_unit = np.zeros((self.trace.units, 0), np.int64)
        if counts:
            self.of_unit = np.concatenate(counts, axis=1, dtype=np.int64)
        seq, units = (self.trace.steps[name].to_numpy(np.int64) for name in ("seq", "units"))
        self._seq = np.repeat(seq, units)
        self._ids: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def answer_unit(self, sequence: int, generated: int) -> int:
        """Return the unit-step that decides as the token after `generated` others does."""
        units = self.answers[sequence]
        return units[(generated - 1) % len(units)]

    def prompt_places(self, sequence: int, past: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (unit-step, position there) of tokens of a prompt behind `past` others, int
        [tokens] each; those of the answer where the prompt was not captured."""
        turns = past + np.arange(tokens)
        unit = self.prompt[sequence]
        if unit < 0:
            units = np.array(self.answers[sequence])
            return units[turns % len(units)], np.zeros(tokens, int)
        return np.full(tokens, unit), turns % self._seq[unit]

    def ids(self, site: str, units: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return what tokens decided at a site, int [tokens, top-k]."""
        ids, ends = self._decisions(self.trace.site(site))
        rows = np.diff(ends, prepend=0)
        first = ends[units] - rows[units]
        places = first + positions * rows[units] // self._seq[units]
        chosen: np.ndarray = ids[places].reshape(len(units), -1)
        return chosen

    def prompt_counts(self, sequence: int, past: int, tokens: int) -> np.ndarray:
        """Return what tokens of a prompt decide, behind `past` others; int [columns]."""
        if not self.sites.columns:
            return np.zeros(0, np.int64)
        unit = self.prompt[sequence]
        if unit < 0:
            units = self.answers[sequence]
            chosen = [units[(past + i) % len(units)] for i in range(tokens)]
            counted: np.ndarray = self.of_unit[chosen].sum(axis=0)
            return counted
        length = int(self._seq[unit])
        whole, rest = divmod(tokens, length)
        counts: np.ndarray = self.of_unit[unit] * whole
        if rest:
            positions = (past + np.arange(rest)) % length
            of_sites = list(self._rows(unit, positions))
            counts = counts + (np.concatenate(of_sites) if of_sites else 0)
        return counts

    def _rows(self, unit: int, positions: np.ndarray) -> Iterator[np.ndarray]:
        """What rows at some positions of a unit decided, a site after the other."""
        length = int(self._seq[unit])
        for site in self.trace.sites:
            ids, ends = self._decisions(site)
            rows = int(ends[unit] - (ends[unit - 1] if unit else 0))
            chosen = ids[ends[unit] - rows + positions * rows // length]
            yield _counted(chosen, site.branches)

    def _decisions(self, site: Site) -> tuple[np.ndarray, np.ndarray]:
        """Return (ids of all rows of a site, where each unit ends)."""
        if site.name not in self._ids:
            ids = self.trace.decisions(site.name).ids
            self._ids[site.name] = ids, np.cumsum(self.trace.rows_per_unit(site))
        return self._ids[site.name]


def _counted(ids: np.ndarray, branches: int) -> np.ndarray:
    """Return the rows that took each branch, int [branches]."""
    if ids.dtype == bool:
        summed: np.ndarray = ids.sum(axis=0, dtype=np.int64)
        return summed
    known = ids[(ids >= 0) & (ids < branches)]
    return np.bincount(known.ravel().astype(np.int64), minlength=branches)
