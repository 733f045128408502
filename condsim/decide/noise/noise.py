"""What noise on the inputs does to a conditional model: quality, routing, speed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.drift.halves import of_steps
from condsim.decide.drift.permutation import permuted
from condsim.decide.drift.sites import counts_of
from condsim.decide.frontier.settings import CONDITIONAL, DENSE, folder_of, traces_in
from condsim.decide.noise.paths import Groups, work_of
from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile, simulate
from condsim.trace import Trace
from condsim.trace.model import traces_of
from condsim.trace.read import load
from condsim.trace.spec import setting_in

FOLDER = "noise"
"""Beside the files of a trace: traces of the same model on noisy inputs."""
CLEAN = "clean"
COLUMNS = [
    "inputs", "quality", "dense_quality", "moved", "by_chance", "p", "work", "latency_s", "speedup",
    "low", "high",
]  # fmt: skip
PATHS = ["inputs", "path", "share", "quality", "dense_quality"]


@dataclass(frozen=True)
class NoiseReport:
    """Clean and noisy inputs.

    table: a row an input. quality: as the model decides; dense_quality: where nothing is
    conditional. moved: share of the assignments that moved from the clean inputs', by_chance: what
    permuting whole units moves, p: of that test. work: of a unit, over the clean inputs'.
    latency_s, speedup, low, high: predicted on a device.
    paths: a row an input and group of units that compute as much (`Groups`): their share, and
    quality.
    """

    trace: str
    profile: str
    batch: int
    quality_name: str
    table: pd.DataFrame
    paths: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        return {
            "trace": self.trace,
            "profile": self.profile,
            "batch": self.batch,
            "quality": self.quality_name,
            "inputs": self.table,
            "paths": self.paths,
        }


def noise(
    trace: Trace | str | Path,
    profile: HardwareProfile | str | None = None,
    *,
    noisy: Iterable[Trace] | None = None,
    **scenario: Any,
) -> NoiseReport:
    """Compare a model on clean inputs with the same model on noisy ones.

    trace: of clean inputs, or its folder, in which traces of noisy ones may lie. noisy: traces of
    the same inputs with noise; where they have fewer steps, only as many first ones are compared.
    profile, scenario: as in `condsim.simulate`.
    Raises CondsimError where no noisy trace is there, and for one without quality.
    """
    if not isinstance(trace, Trace):
        folder = folder_of(trace)
        trace = load(folder)
        noisy = noisy_in(folder, trace) if noisy is None else noisy
    others = traces_of("noisy", noisy or ())
    if not others:
        raise _no_noise(trace)
    device = resolve_profile(trace, profile)
    fewest = min(len(other.steps) for other in others)
    trace = of_steps(trace, slice(0, fewest))
    others = [of_steps(other, slice(0, fewest)) for other in others]
    groups = Groups.of(trace)
    rows, paths = [], []
    for name, other in [(CLEAN, trace), *((_name_of(other), other) for other in others)]:
        _check(trace, other)
        row = {"inputs": name, **_routing(trace, other), **_seconds(other, device, scenario)}
        rows.append(row | _quality(other))
        paths += [{"inputs": name, **path} for path in _by_path(other, groups)]
    return NoiseReport(
        trace=trace.name,
        profile=device.name,
        batch=int(rows[0]["batch"]),
        quality_name=trace.header.provenance.quality_name or "quality",
        table=pd.DataFrame(rows, columns=COLUMNS),
        paths=pd.DataFrame(paths, columns=PATHS),
    )


def noisy_in(folder: Path, trace: Trace) -> list[Trace]:
    """Return the traces of noisy inputs in a trace's folder. Raises CondsimError where none is."""
    others = traces_in(folder / FOLDER)
    if not others:
        raise _no_noise(trace)
    return others


def _no_noise(trace: Trace) -> CondsimError:
    return CondsimError(
        f"trace {trace.name!r} has no traces of noisy inputs beside it: condsim noise TRACE "
        "--capture makes them"
    )


def _name_of(trace: Trace) -> str:
    setting = setting_in(trace.header.provenance.spec or "")
    return trace.name if setting is None else f"{setting[0]} {float(setting[1]):g}"


def _check(clean: Trace, trace: Trace) -> None:
    """Raises CondsimError for another model, and where quality is not known for every unit."""
    if [site.name for site in clean.sites] != [site.name for site in trace.sites]:
        raise CondsimError(
            f"trace {trace.name!r} was captured from another model than {clean.name!r}"
        )
    if len(trace.quality) != trace.units or not {CONDITIONAL, DENSE} <= set(trace.quality):
        raise CondsimError(
            f"trace {trace.name!r} does not say how good the model is for each input: capture it "
            "with quality="
        )


def _quality(trace: Trace) -> dict[str, float]:
    return {
        "quality": float(trace.quality[CONDITIONAL].mean()),
        "dense_quality": float(trace.quality[DENSE].mean()),
    }


def _routing(clean: Trace, other: Trace) -> dict[str, float]:
    """How far decisions moved, and how much more work they ask for."""
    work = float(work_of(other)[0].mean() / work_of(clean)[0].mean())
    if other is clean:
        return {"moved": 0.0, "by_chance": 0.0, "p": 1.0, "work": work}
    of_clean, of_other = (counts_of(trace, Units.of(trace)) for trace in (clean, other))
    moved = permuted(of_clean, of_other).overall
    return {"moved": moved.distance, "by_chance": moved.by_chance, "p": moved.p, "work": work}


def _seconds(trace: Trace, device: HardwareProfile, scenario: dict[str, Any]) -> dict[str, Any]:
    prediction = simulate(trace, device, **scenario)
    low, high = prediction.speedup_interval
    return {
        "batch": prediction.batch,
        "latency_s": prediction.latency_s,
        "speedup": prediction.speedup,
        "low": low,
        "high": high,
    }


def _by_path(trace: Trace, groups: Groups) -> list[dict[str, Any]]:
    """Share and quality of the units of each group; None for the quality of none."""
    numbers = groups.numbers(trace)
    rows = []
    for number, label in enumerate(groups.labels()):
        inside = numbers == number
        of_group = trace.quality[inside]
        row: dict[str, Any] = {"path": label, "share": float(np.mean(inside))}
        for column, name in ((CONDITIONAL, "quality"), (DENSE, "dense_quality")):
            row[name] = float(of_group[column].mean()) if len(of_group) else None
        rows.append(row)
    return rows
