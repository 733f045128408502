"""Whether a unit is decided for by itself, or by what else is in its batch.

A trace predicts other batch sizes from the decisions of the captured batches. That holds for a gate
that looks at a row; it does not for one that compares rows (a threshold at the batch's mean, a sum
over rows, a rank), whose decisions are others in another batch.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from condsim.capture.observe import Observation, StepSize, keep_decisions
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel

SHARE = 0.02
"""Of rows that are decided otherwise in a part of a batch: fewer are roundings of near ties."""
PARTS = 4
"""Of the first batch; each runs alone."""


def notes_on_dependence(live: LiveModel, batch: Batch, seen: Observation) -> list[str]:
    """Return a note for each site whose decisions change where a part of a batch runs alone.

    batch: the first that was observed. seen: what it decided, first of all. Sites of which no
    other batch size is predicted are left out.
    """
    if batch.units == 1:
        return []
    shares: dict[str, list[float]] = {}
    for part in _parts(batch.units):
        alone = _observed(live, batch.rows(part.start, part.stop), seen)
        for name, steps in alone.decisions.items():
            whole = seen.decisions[name][0].ids
            share = _share_of_others(whole, steps[0].ids, batch.units, part)
            shares.setdefault(name, []).append(share)
    notes = []
    for name, of_parts in shares.items():
        share = float(np.mean(of_parts))
        if share > SHARE and name not in seen.of_one_batch.sites:
            notes.append(
                f"{name} decides by what else is in the batch: where a {_fraction(batch.units)} of "
                f"one runs alone, {share:.0%} of the decisions are others; at other batch sizes "
                "than the captured one, predictions rest on the captured decisions all the same"
            )
    return notes


def _parts(units: int) -> list[slice]:
    edges = np.linspace(0, units, min(PARTS, units) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _fraction(units: int) -> str:
    return {2: "half", 3: "third"}.get(units, "quarter")


def _observed(live: LiveModel, batch: Batch, seen: Observation) -> Observation:
    """What a batch decides; nothing where the model does not take one of that size.

    That is so as well where it does not come to a site.
    """
    found = Observation(unit_rows=dict(seen.unit_rows))
    observed: dict[str, list[dict[str, Any]]] = {}
    run = Execution(observed=observed)
    try:
        live.run(batch, run)
        if any(not info.parents and name not in observed for name, info in live.infos.items()):
            return Observation()
        keep_decisions(live, found, run, StepSize(live.phase, batch.units, batch.seq, past=0))
    except CondsimError:
        return Observation()
    return found


def _share_of_others(whole: np.ndarray, alone: np.ndarray, units: int, part: slice) -> float:
    """The share of rows of a part of the units that are decided otherwise.

    whole, alone: ids [rows] or [rows, k]. Rows lie unit after unit, or position after position.
    """
    rows, rest = divmod(len(whole), units)
    if rest or len(alone) != rows * (part.stop - part.start):
        return 0.0
    by_unit = whole.reshape(units, rows, -1)[part].reshape(alone.shape)
    by_position = whole.reshape(rows, units, -1)[:, part].reshape(alone.shape)
    return min(_unlike(by_unit, alone), _unlike(by_position, alone))


def _unlike(ids: np.ndarray, others: np.ndarray) -> float:
    """The share of rows that are not the same."""
    unlike = (ids != others).reshape(len(ids), -1)
    return float(unlike.any(axis=1).mean()) if len(ids) else 0.0
