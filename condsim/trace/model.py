"""What a trace is: who decided what, in which step, and the programs that decisions steer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from condsim.errors import CondsimError, shown, unknown
from condsim.hardware import HardwareProfile
from condsim.program import Program
from condsim.results import Results
from condsim.trace.columns import MEASUREMENTS, SEGMENTS
from condsim.trace.counting import UnitCounter, narrowed
from condsim.trace.header import DTYPES, Header, Site

SEGMENT_CASE = ["strategy", "baseline", "phase", "batch", "protocol", "fingerprint"]
"""Times by segment of one case on one machine replace older ones."""


@dataclass(frozen=True)
class Decisions:
    """One site's decisions.

    ids: int [rows, k] or [rows] (-1: the row never got there), or bool [rows, blocks].
    weights: float32 [rows, k]. scores: float32 [rows], NaN where unknown.
    """

    ids: np.ndarray
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None


def check_trace(value: object) -> None:
    """Raises CondsimError for what is no trace."""
    if not isinstance(value, Trace):
        raise CondsimError(
            f"a trace is what condsim.load(FOLDER) or condsim.capture returns, got {shown(value)}"
        )


def traces_of(what: str, values: object) -> list[Trace]:
    """Return traces as a list. what: the argument. Raises CondsimError for anything else."""
    if not isinstance(values, Iterable):
        raise CondsimError(f"{what} must be a list of traces, got {shown(values)}")
    given = list(values)
    for each in given:
        check_trace(each)
    return given


Reader = Callable[[str], Iterator[Decisions]]
"""Site → its decisions in row order, a block at a time."""


def _no_measurements() -> pd.DataFrame:
    return pd.DataFrame(columns=list(MEASUREMENTS))


def _no_segments() -> pd.DataFrame:
    return pd.DataFrame(columns=list(SEGMENTS))


@dataclass(frozen=True)
class Trace:
    """A captured model. Nothing in it is changed after it is made.

    steps: a row a captured step: phase, units, seq, past.
    programs: "STRATEGY/REGIME" → program; empty for recorded routing.
    quality: a row a unit: conditional, dense, and exit_J where exits were scored.
    measurements: a row a timed pair. segments: measured seconds by segment and operator.
    profile: of the machine that was measured.
    results: what simulations of the trace remember.
    """

    header: Header
    steps: pd.DataFrame
    programs: Mapping[str, Program]
    reader: Reader
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    measurements: pd.DataFrame = field(default_factory=_no_measurements)
    segments: pd.DataFrame = field(default_factory=_no_segments)
    profile: HardwareProfile | None = None
    results: Results = field(default_factory=Results, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.header.sites

    @property
    def dtype(self) -> str:
        """The model's dtype as profiles call it: "fp32", "bf16", ..."""
        dtype = self.header.provenance.dtype
        return DTYPES.get(dtype, dtype)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """Mechanisms of the sites, in order of appearance."""
        return tuple(dict.fromkeys(site.mechanism for site in self.sites))

    @property
    def units(self) -> int:
        """Unit-steps: images, sequences, or sequences at one decode position."""
        return int(self.steps["units"].sum())

    def captured_steps(self, phase: str) -> int:
        """Return how many steps of a phase were captured."""

        def count() -> int:
            return int((self.steps["phase"] == phase).sum())

        return self.results.remember(("captured steps", phase), count)

    def site(self, name: str) -> Site:
        """Return a site by name. Raises CondsimError for an unknown one."""
        for site in self.sites:
            if site.name == name:
                return site
        raise unknown("site", name, [site.name for site in self.sites])

    def afresh(self) -> Trace:
        """Return the trace with nothing remembered but what its decisions were counted to be."""
        trace = replace(self)
        if self.header.has_decisions:
            for site in self.sites:
                trace.results.remember(("unit counts", site.name), self._counter_of(site.name))
        return trace

    def _counter_of(self, site: str) -> Callable[[], np.ndarray]:
        return lambda: self.unit_counts(site)

    # Both halves

    def require_programs(self) -> None:
        """Raises CondsimError where nothing says what the model executes."""
        if not self.header.has_programs:
            raise CondsimError(
                f"trace {self.name!r} holds recorded routing only: it says which rows took which "
                "branches, not what the model executes; capture the model to simulate it (and join "
                "them: captured.with_routing(this), condsim import --programs)"
            )

    def require_decisions(self) -> None:
        """Raises CondsimError where nothing says what the model decided."""
        if not self.header.has_decisions:
            raise CondsimError(
                f"trace {self.name!r} holds programs only: it says what the model executes, not "
                "which rows take which branches; capture it on inputs, or give it routing"
            )

    @property
    def sparse_weights(self) -> list[str]:
        """Names of the sites whose decisions are of weights."""
        return [site.name for site in self.sites if site.routing.prunes_weights]

    def require_rows(self) -> None:
        """Raises CondsimError where decisions are of weights, which no row takes."""
        if self.sparse_weights:
            raise CondsimError(
                f"trace {self.name!r} says which weights are there ({self.sparse_weights[0]}), not "
                "which rows take which branches: simulate and sweep read it"
            )

    # Decisions

    def decisions(self, site: str) -> Decisions:
        """Return all decisions of a site at once. Raises CondsimError where there are none."""
        self.require_decisions()
        blocks = list(self.reader(site))
        ids = np.concatenate([block.ids for block in blocks])
        weights = [block.weights for block in blocks if block.weights is not None]
        scores = [block.scores for block in blocks if block.scores is not None]
        all_weights = np.concatenate(weights) if weights else None
        all_scores = np.concatenate(scores) if scores else None
        return Decisions(ids, all_weights, all_scores)

    def rows_per_unit(self, site: Site) -> np.ndarray:
        """Return the rows of each unit-step at a site, int [units]."""
        positions = self.steps["seq"].to_numpy().astype(np.int64)
        held = self.steps["units"].to_numpy()
        of_units = site.rows_of_units(self.steps["phase"].to_numpy(), positions)
        rows = np.repeat(of_units, held)
        if site.unit_rows.a_step:
            rows[np.cumsum(held) - held] += site.unit_rows.a_step
        return rows

    def unit_counts(self, site: str) -> np.ndarray:
        """Return the rows of each unit-step that took each branch, int [units, branches], in the
        narrowest signed integers.

        Of blocks, the rows that asked for each. Decisions are read a block at a time.
        Raises CondsimError where there are none.
        """
        return self.results.remember(("unit counts", site), lambda: self._count(self.site(site)))

    def _count(self, site: Site) -> np.ndarray:
        self.require_decisions()
        counter = UnitCounter(self.rows_per_unit(site), site.branches)
        for block in self.reader(site.name):
            counter.add(block.ids)
        return narrowed(counter.counts)

    # Files and measurements

    def save(self, folder: str | Path, force: bool = False) -> Path:
        """Write the trace to a folder, whole or not at all.

        A trace there is replaced, other files are kept.
        Raises CondsimError where the folder holds something else and no trace, and where it holds
        measurements that this trace lacks, unless `force` is given.
        """
        from condsim.trace.store import save

        return save(self, Path(folder), force)

    def export_routing(self, path: str | Path) -> list[str]:
        """Write which experts each row took as an array [rows, layers, k], -1 where none.

        path: ends in .npy, the array that vLLM, SGLang and trainers exchange, or in .npz, which
            has weights, steps and numbers of experts beside it.
        Returns what the file lacks, in sentences.
        Raises CondsimError for a trace without experts, or whose layers do not see the same rows.
        """
        from condsim.trace.routing_file import export_routing

        return export_routing(self, Path(path))

    def with_routing(self, routing: Trace) -> Trace:
        """Return a trace that executes what this one does and decides what `routing` did.

        routing: of the same model, such as `condsim.import_routing` gives. Measurements and quality
            of this trace are left out: they belong to other decisions.
        Raises CondsimError where layers, experts or experts a token differ, where a site is no
        mixture of experts, and where a phase has no program.
        """
        from condsim.trace.joining import with_routing

        return with_routing(self, routing)

    def with_reader(self, reader: Reader, steps: pd.DataFrame, note: str) -> Trace:
        """Return a trace that executes what this one does and decides what is read, in steps that
        are given (`condsim.trace.joining`)."""
        from condsim.trace.joining import with_reader

        return with_reader(self, reader, steps, note)

    def with_measurements(
        self, more: pd.DataFrame, profile: HardwareProfile | None = None
    ) -> Trace:
        """Return the trace with more measurements, those that it has kept beside them.

        profile: of the machine that was measured; None for the one that it has.
        """
        joined = more
        if not self.measurements.empty:
            joined = pd.concat([self.measurements, more], ignore_index=True)
        return replace(self, measurements=joined, profile=profile or self.profile)

    def with_segments(self, more: pd.DataFrame, profile: HardwareProfile | None = None) -> Trace:
        """Return the trace with times by segment; those of the same case on the same machine are
        replaced.

        profile: of the machine that was measured; None for the one that it has.
        """
        if not self.segments.empty:
            cases = pd.MultiIndex.from_frame(self.segments[SEGMENT_CASE])
            replaced = cases.isin(pd.MultiIndex.from_frame(more[SEGMENT_CASE]))
            kept = self.segments[~replaced]
            if len(kept):
                more = pd.concat([kept, more], ignore_index=True)
        return replace(self, segments=more, profile=profile or self.profile)
