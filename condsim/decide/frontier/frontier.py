"""Quality against speed, on every device, and whether a promised speed holds at equal quality."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim import checks
from condsim.decide.frontier.claim import Claim, claim_of
from condsim.decide.frontier.points import RIVAL, Judge, Model, points_on
from condsim.decide.frontier.sentences import Compared, rival_sentence, sentence
from condsim.decide.frontier.settings import (
    DENSE,
    FOLDER,
    RIVALS,
    folder_of,
    quality_in,
    same_units,
    settings_of,
    traces_in,
)
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile, hardware, profiles, readable
from condsim.trace import Trace
from condsim.trace.model import traces_of
from condsim.trace.read import load

TOLERANCE = 0.005
"""Of the reference's quality: a loss up to which two models are called as good."""
TARGET = 1.3
"""The speed that is claimed: "30 % faster"."""


@dataclass(frozen=True)
class Frontier:
    """Quality against speed.

    points: a row a point, device and batch (`condsim.decide.frontier.points`). claims: one a
    device and batch. quality_name: what quality is. reference: what speed and quality are over.
    notes: what a reader should know.
    """

    trace: str
    quality_name: str
    higher_is_better: bool
    reference: str
    tolerance: float
    target: float
    points: pd.DataFrame
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The answer to the claim, in one sentence."""
        return sentence(self._compared())

    @property
    def rival_sentence(self) -> str:
        """Whether a dense rival is the better way to save; "" where none is known."""
        has_rivals = bool((self.points["role"] == RIVAL).any())
        return rival_sentence(self._compared()) if has_rivals else ""

    def _compared(self) -> Compared:
        return Compared(self.claims, self.quality_name, self.reference, self.tolerance, self.target)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        return {
            "trace": self.trace,
            "quality": self.quality_name,
            "higher_is_better": self.higher_is_better,
            "reference": self.reference,
            "tolerance": self.tolerance,
            "target": self.target,
            "answer": self.sentence,
            "dense_rivals": self.rival_sentence,
            "claims": [claim.to_dict() for claim in self.claims],
            "points": self.points,
            "notes": list(self.notes),
        }


def frontier(
    trace: Trace | str | Path,
    profile: HardwareProfile | str | Sequence[HardwareProfile | str] | None = None,
    batches: Sequence[int | None] = (None,),
    *,
    settings: Iterable[Trace] | None = None,
    rivals: Iterable[Trace] | None = None,
    tolerance: float = TOLERANCE,
    target: float = TARGET,
    **scenario: Any,
) -> Frontier:
    """Put the quality of a model's settings against their speed, beside dense rivals.

    trace: or its folder, in which traces of other settings and of rivals may lie.
    profile: one device or several; None for all: the one the trace was measured under and those
    that come with condsim. batches: units a step, None for the captured one.
    settings: traces of the same model at other settings. rivals: of dense models, without
    decisions. tolerance: relative loss of quality up to which two are as good. target: the speed
    that is claimed. scenario: fields of `condsim.Scenario`.
    Raises CondsimError for a trace without quality, and where nothing can be priced.
    """
    _check(batches, tolerance, target)
    if not isinstance(trace, Trace):
        folder = folder_of(trace)
        trace = load(folder)
        settings = traces_in(folder / FOLDER) if settings is None else settings
        rivals = traces_in(folder / RIVALS) if rivals is None else rivals
    trace.require_programs()
    trace.require_decisions()
    others = traces_of("settings", settings or ())
    model = _model(trace, others, traces_of("rivals", rivals or ()), tolerance)
    devices = _devices(trace, profile)
    tables, claims = [], []
    for batch in batches:
        for device in devices:
            table = points_on(model, device, batch, scenario)
            tables.append(table)
            claims.append(claim_of(table, device, batch, target))
    points = pd.concat(tables, ignore_index=True)
    if points["latency_s"].isna().all():
        raise CondsimError(f"no device can be priced: {points['error'].dropna().iloc[0]}")
    provenance = trace.header.provenance
    return Frontier(
        trace=trace.name,
        quality_name=provenance.quality_name or "quality",
        higher_is_better=provenance.higher_is_better,
        reference=model.reference or "its own dense network",
        tolerance=tolerance,
        target=target,
        points=points,
        claims=tuple(claims),
        notes=tuple(_notes(model)),
    )


def _check(batches: Sequence[int | None], tolerance: float, target: float) -> None:
    if not isinstance(batches, Collection) or isinstance(batches, str) or not len(batches):
        raise CondsimError(
            f"batches must be a list, [None] for the captured one, got {shown(batches)}"
        )
    if not 0 <= checks.number("tolerance", tolerance) < 1:
        raise CondsimError(
            f"tolerance is a share of the quality, from 0 to below 1, got {tolerance:g}"
        )
    if not 0 < checks.number("target", target) < 1000:
        raise CondsimError(f"target is a speed above 0, such as 1.3, got {target:g}")


def _model(trace: Trace, settings: list[Trace], rivals: list[Trace], tolerance: float) -> Model:
    known = same_units(settings_of(trace, settings))
    named = {rival.name: rival for rival in rivals}
    for rival in rivals:
        rival.require_programs()
        quality_in(rival, DENSE)
    better = trace.header.provenance.higher_is_better
    reference = _reference(trace, named, len(known[0].dense))
    quality = None
    if reference is not None:
        quality = quality_in(named[reference], DENSE)
    return Model(trace, known, named, Judge(better, tolerance, quality), reference)


def _reference(trace: Trace, rivals: Mapping[str, Trace], units: int) -> str | None:
    """The best rival where the model's own dense network was never trained; else None.

    Experts are: all of them averaged is no network that anybody trained.
    """
    if not rivals or not any(site.routing.mixes_experts for site in trace.sites):
        return None
    means = {}
    for name, rival in rivals.items():
        means[name] = float(np.mean(quality_in(rival, DENSE)[:units]))
    better = trace.header.provenance.higher_is_better
    ordered = sorted(means, key=lambda name: means[name], reverse=better)
    return ordered[0]


def _devices(
    trace: Trace, profile: HardwareProfile | str | Sequence[HardwareProfile | str] | None
) -> list[HardwareProfile]:
    if profile is None:
        own = [] if trace.profile is None else [trace.profile]
        known = {device.name: device for device in [*readable(profiles().values()), *own]}
        names = [*(device.name for device in own), *known]
        return [known[name] for name in dict.fromkeys(names)]
    named: Sequence[Any] = profile if isinstance(profile, (list, tuple)) else [profile]
    return [each if isinstance(each, HardwareProfile) else hardware(each) for each in named]


def _notes(model: Model) -> list[str]:
    notes = []
    units = len(model.settings[0].quality)
    if units < len(model.trace.quality):
        notes.append(
            f"quality is that of the first {units:,} of {len(model.trace.quality):,} inputs, which "
            "every setting was run on"
        )
    if len(model.settings) == 1:
        notes.append(
            "quality at other settings is not known: the model must run again "
            "(condsim frontier TRACE --capture)"
        )
    if not model.rivals:
        notes.append(
            "no dense rivals are known: a smaller dense network that is trained the same way may "
            "be the better way to save (python -m condsim.zoo rival)"
        )
    experts = any(site.routing.mixes_experts for site in model.trace.sites)
    if experts and model.reference is None:
        notes.append(
            "equal quality is that of all experts averaged, which nobody trained: name a dense "
            "rival for a fair answer"
        )
    return notes
