"""The settings of a model whose quality is known: from the scores that a trace keeps, and from
traces that were captured at other settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.mechanisms.early_exit import goes_on
from condsim.resources import resource
from condsim.trace import Trace
from condsim.trace.read import load
from condsim.trace.spec import CAPACITY, DROPPING, setting_in
from condsim.untrusted import check_path

CONDITIONAL, DENSE = "conditional", "dense"
"""Columns of a trace's quality: of the model as it decides, and where nothing is conditional."""
EXIT = "exit_"
"""How the column of the quality at an exit begins; the exit's number follows."""
FOLDER, RIVALS = "settings", "rivals"
"""Folders beside the files of a trace: traces of other settings, and of dense rivals."""
THRESHOLD = "threshold"
QUANTILES = np.linspace(0.02, 0.98, 13)
"""Of all scores: thresholds that are looked at."""


@dataclass(frozen=True)
class Setting:
    """One setting of a model.

    name, value: what is set; None for the model as it was captured, where that is not known.
    trace: decides like it, with `threshold`, where that is not None. quality, dense: of each unit,
    as it decides and where nothing is conditional, float [units].
    """

    name: str | None
    value: float | None
    trace: Trace
    threshold: float | None
    quality: np.ndarray
    dense: np.ndarray
    captured: bool = False

    @property
    def asked(self) -> dict[str, Any]:
        """Fields of a scenario in which the trace is at this setting."""
        if self.name == CAPACITY:
            return {"strategy": DROPPING, CAPACITY: self.value}
        return {} if self.threshold is None else {THRESHOLD: self.threshold}

    @property
    def label(self) -> str:
        """What a person calls it."""
        if self.name is None:
            return "as captured"
        label = f"{self.name} {self.value:g}"
        return f"{label} (as captured)" if self.captured else label


def settings_of(trace: Trace, others: Iterable[Trace] = ()) -> list[Setting]:
    """Return every setting whose quality is known, in the order of their values.

    others: traces of the same model, captured at other settings. One that was captured stands
    for the same threshold that scores tell of.
    Raises CondsimError for a trace without quality.
    """
    own = _captured(trace)
    found: dict[tuple[str | None, float | None], Setting] = {}
    for setting in _from_scores(trace):
        found[setting.name, setting.value] = setting
    for other in others:
        setting = _at_setting(trace, other)
        if setting.name == own.name and setting.value == own.value:
            setting = replace(setting, captured=True)
        found[setting.name, setting.value] = setting
    known = found.get((own.name, own.value))
    if known is None or not known.captured:
        found[own.name, own.value] = own
    return sorted(found.values(), key=_order)


def same_units(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings with the quality of those units only that all of them were run on."""
    units = min(len(setting.quality) for setting in settings)
    cut = []
    for setting in settings:
        cut.append(replace(setting, quality=setting.quality[:units], dense=setting.dense[:units]))
    return cut


def _order(setting: Setting) -> tuple[str, float]:
    return setting.name or "", setting.value or 0.0


def _captured(trace: Trace) -> Setting:
    """The model as it was captured."""
    quality, dense = _both(trace)
    thresholds = trace.header.thresholds
    name = THRESHOLD if THRESHOLD in thresholds else None
    value = thresholds[THRESHOLD] if name else None
    return Setting(name, value, trace, None, quality, dense, captured=True)


def _both(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Quality of each unit, as it decides and dense."""
    return quality_in(trace, CONDITIONAL), quality_in(trace, DENSE)


def quality_in(trace: Trace, column: str) -> np.ndarray:
    """Return a column of the quality, float [units]. Raises CondsimError where there is none."""
    if column not in trace.quality or trace.quality.empty:
        raise CondsimError(
            f"trace {trace.name!r} does not say how good the model is: capture it with "
            "quality= (in a spec: an Example with quality), then ask again"
        )
    values: np.ndarray = trace.quality[column].to_numpy(float)
    return values


def _at_setting(trace: Trace, other: Trace) -> Setting:
    """A trace that was captured at another setting. Raises CondsimError for another model's."""
    quality, dense = _both(other)
    text = setting_in(other.header.provenance.spec or "")
    if text is None:
        raise CondsimError(
            f"trace {other.name!r} does not name its setting; capture it as SPEC:name=value"
        )
    names = [site.name for site in trace.sites]
    if [site.name for site in other.sites] != names:
        raise CondsimError(
            f"trace {other.name!r} was captured from another model than {trace.name!r}: its sites "
            "are others"
        )
    return Setting(text[0], float(text[1]), other, None, quality, dense)


def _from_scores(trace: Trace) -> list[Setting]:
    """Thresholds of early exits that kept their scores, and the quality at every exit.

    Raises CondsimError where quality and scores are of unlike units.
    """
    exits = sorted(trace.sites, key=lambda site: site.level)
    columns = [f"{EXIT}{number}" for number in range(len(exits) + 1)]
    scored = all(site.routing.leaves and site.has_scores for site in exits)
    if not scored or not set(columns) <= set(trace.quality.columns):
        return []
    scores = [trace.decisions(site.name).scores for site in exits]
    known = np.stack([of_exit for of_exit in scores if of_exit is not None])
    if len(known) < len(exits) or np.isnan(known).any():
        return []
    quality = trace.quality[columns].to_numpy(float)
    rows = known.shape[1]
    if len(quality) != rows:
        raise CondsimError(
            f"trace {trace.name!r} has the quality of {len(quality)} units and scores of {rows}, "
            "so that other thresholds cannot be judged: capture the trace again"
        )
    _, dense = _both(trace)
    found = []
    for threshold in _thresholds(known):
        taken = exits_taken(known, threshold)
        of_units = quality[np.arange(len(taken)), taken]
        found.append(Setting(THRESHOLD, threshold, trace, threshold, of_units, dense))
    return found


def _thresholds(scores: np.ndarray) -> Sequence[float]:
    """Thresholds worth looking at, in rising order: quantiles of the scores."""
    quantiles: list[float] = np.unique(np.quantile(scores, QUANTILES).round(3)).tolist()
    return quantiles


def exits_taken(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Return the exit that each row takes, int [rows]; as many as there are exits for the last.

    scores: of every exit, float [exits, rows].
    """
    goes = goes_on(scores, threshold)
    last = np.zeros((1, scores.shape[1]), bool)
    leaves = np.concatenate([~goes, ~last])
    taken: np.ndarray = leaves.argmax(axis=0)
    return taken


def folder_of(where: str | Path) -> Path:
    """Return the folder of a trace. where: that, or the name of a trace that comes with condsim."""
    folder = check_path(where, "a trace")
    shipped = resource("traces") / folder
    return shipped if not folder.exists() and shipped.is_dir() else folder


def traces_in(folder: Path) -> list[Trace]:
    """Return the traces in the folders of a folder, by name; none where it is not there."""
    if not folder.is_dir():
        return []
    folders = sorted(path for path in folder.iterdir() if (path / "trace.json").is_file())
    return [load(path) for path in folders]
