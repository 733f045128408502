"""What a trace is: who decided what, in which step, and the programs that the decisions steer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from condsim.errors import unknown
from condsim.program import Program

SCHEMA_VERSION = 1
Mechanism = Literal["moe", "early_exit", "multi_branch", "skip", "sparse_activation"]
PHASES = ("prefill", "decode")
MEASUREMENTS = (
    "strategy",
    "baseline",
    "phase",
    "batch",
    "protocol",
    "runtime",
    "dtype",
    "threads",
    "process",
    "pair",
    "step",
    "repetitions",
    "conditional_s",
    "baseline_s",
    "clock",
    "yardstick_s",
    "fingerprint",
    "where",
    "torch",
    "taken",
    "yardstick_ratio",
)
SEGMENTS = (
    "strategy",
    "baseline",
    "phase",
    "batch",
    "protocol",
    "runtime",
    "dtype",
    "threads",
    "process",
    "step",
    "side",
    "segment",
    "operator",
    "calls",
    "seconds",
    "profiler_s",
    "whole_s",
    "repetitions",
    "quiet",
    "fingerprint",
    "where",
    "torch",
    "taken",
)


class Site(BaseModel):
    """Where rows choose.

    encoding: ids (int [rows, k] or [rows]), depth (one number for a chain of nested exits; `level` is this exit's place) or bits (packed).
    stored: file of its decisions. scope: row, sequence or batch. per_position: rows are positions of sequences, not units.
    parents: guards it stands behind. branch_flops: logical FLOPs that a row costs in each branch. router_flops: of its router, a row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    mechanism: Mechanism
    branches: int = Field(ge=1)
    top_k: int | None = None
    encoding: Literal["ids", "depth", "bits"] = "ids"
    stored: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    level: int = 0
    scope: Literal["row", "sequence", "batch"] = "row"
    per_position: bool = False
    parents: tuple[tuple[str, int], ...] = ()
    has_weights: bool = False
    has_scores: bool = False
    branch_flops: tuple[float, ...] = ()


DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}
"""torch's names → those of profiles."""


class Provenance(BaseModel):
    """How a trace came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    spec: str | None = None
    command: str | None = None
    taken: str
    versions: Mapping[str, str]
    machine: Mapping[str, Any] | None = None
    dtype: str = "float32"
    parameters: int = 0
    parameter_bytes: int = 0
    quality_name: str | None = None
    higher_is_better: bool = True


class Header(BaseModel):
    """trace.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA_VERSION
    name: str
    sites: tuple[Site, ...]
    captured: Mapping[str, str]
    costliest: Mapping[str, int] = {}
    thresholds: Mapping[str, float] = {}
    notes: tuple[str, ...] = ()
    provenance: Provenance


@dataclass(frozen=True)
class Decisions:
    """One site's decisions. ids: int16 [rows, k] or int8/int16 [rows] (-1: the row never got there), or bool [rows, blocks].
    weights: float32 [rows, k]. scores: float32 [rows], NaN where unknown."""

    ids: np.ndarray
    weights: np.ndarray | None = None
    scores: np.ndarray | None = None


@dataclass(frozen=True)
class Trace:
    """A captured model: its sites, steps, decisions and programs. Nothing in it is changed after it is made.

    steps: a row a captured step: phase, units, seq, past. reader: site name → iterator over its decisions in row order, a block at a time.
    quality: a row a unit: conditional, dense, and exit_J where exits were scored. measurements: a row a timed pair. segments: measured seconds, a row a
    process, step, side, segment and operator (`condsim.measure.segments`).
    """

    header: Header
    steps: pd.DataFrame
    programs: Mapping[str, Program]
    reader: Callable[[str], Iterator[Decisions]]
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    measurements: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=list(MEASUREMENTS))
    )
    segments: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SEGMENTS)))
    profile: Any = None
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.header.sites

    @property
    def dtype(self) -> str:
        """Of the model as profiles call it: "fp32", "bf16", ..."""
        return DTYPES.get(self.header.provenance.dtype, self.header.provenance.dtype)

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(s.mechanism for s in self.sites))

    @property
    def units(self) -> int:
        """Unit-steps: images, sequences, or sequences at one decode position."""
        return int(self.steps["units"].sum())

    def site(self, name: str) -> Site:
        """A site by name. Raises CondsimError for an unknown one."""
        found = next((s for s in self.sites if s.name == name), None)
        if found is None:
            raise unknown("site", name, [s.name for s in self.sites])
        return found

    def decisions(self, site: str) -> Decisions:
        """All decisions of a site at once."""
        parts = list(self.reader(site))

        def join(of: Callable[[Decisions], np.ndarray | None]) -> np.ndarray | None:
            found = [a for p in parts if (a := of(p)) is not None]
            return np.concatenate(found) if found else None

        ids = join(lambda d: d.ids)
        assert ids is not None
        return Decisions(ids, join(lambda d: d.weights), join(lambda d: d.scores))

    def rows_per_unit(self, site: Site) -> np.ndarray:
        """Rows of each unit-step at a site, int [units]."""
        per_step = (
            self.steps["seq"].to_numpy() if site.per_position else np.ones(len(self.steps), int)
        )
        return np.repeat(per_step, self.steps["units"].to_numpy()).astype(np.int64)

    def unit_counts(self, site: str) -> np.ndarray:
        """Rows of each unit-step that took each branch, int32 [units, branches]; read a block at a time, kept afterwards."""
        if site not in self._cache:
            info = self.site(site)
            ends = np.cumsum(self.rows_per_unit(info))
            counts = np.zeros((len(ends), info.branches), np.int32)
            start = 0
            for block in self.reader(site):
                unit = np.searchsorted(ends, np.arange(start, start + len(block.ids)), side="right")
                if info.mechanism == "sparse_activation":
                    begins = np.flatnonzero(np.diff(unit, prepend=-1))
                    if len(begins):
                        counts[unit[begins]] += np.add.reduceat(
                            block.ids, begins, axis=0, dtype=np.int32
                        )
                else:
                    ids = block.ids.reshape(len(block.ids), -1)
                    valid = (ids >= 0) & (ids < info.branches)
                    flat = unit[:, None] * info.branches + ids
                    counts += (
                        np.bincount(flat[valid], minlength=counts.size)
                        .reshape(counts.shape)
                        .astype(np.int32)
                    )
                start += len(block.ids)
            self._cache[site] = counts
        return self._cache[site]  # type: ignore[no-any-return]

    def save(self, folder: str | Path, force: bool = False) -> Path:
        """Write the trace to a folder, whole or not at all.

        A trace there is replaced, other files are kept.
        Raises CondsimError where the folder holds something else and no trace, and where it holds
        measurements that this trace lacks, unless `force` is given.
        """
        from condsim.trace.store import save

        return save(self, Path(folder), force)

    def with_measurements(self, more: pd.DataFrame, profile: Any = None) -> Trace:
        """The same trace with more measurements; those of the same case on the same machine are kept beside them."""
        joined = (
            more
            if self.measurements.empty
            else pd.concat([self.measurements, more], ignore_index=True)
        )
        return replace(self, measurements=joined, profile=profile or self.profile)

    def with_segments(self, more: pd.DataFrame, profile: Any = None) -> Trace:
        """The same trace with times by segment; those of the same case on the same machine are replaced."""
        case = ["strategy", "baseline", "phase", "batch", "protocol", "fingerprint"]
        if not self.segments.empty:
            old = self.segments[
                ~pd.MultiIndex.from_frame(self.segments[case]).isin(
                    pd.MultiIndex.from_frame(more[case])
                )
            ]
            more = pd.concat([old, more], ignore_index=True) if len(old) else more
        return replace(self, segments=more, profile=profile or self.profile)
