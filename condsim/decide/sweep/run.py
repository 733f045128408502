"""Many questions at once, on one core, on all, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from condsim.catalogue import CatalogueModel
from condsim.decide.subject import CONTEXT, Subject, subject_of
from condsim.decide.sweep.axes import axes_of, known_axes
from condsim.decide.sweep.grid import Chunk, Grid
from condsim.decide.sweep.price import packed, price
from condsim.decide.sweep.table import Parts, frame_of, schema_of
from condsim.decide.sweep.workers import Workers
from condsim.errors import CondsimError, shown
from condsim.hardware import HardwareProfile, hardware, profiles, readable
from condsim.scenario import Scenario
from condsim.trace import Trace

Progress = Callable[[str, float, float], None]
"""Is told what is done, how much of it, and of how much."""


def sweep(
    subject: Trace | CatalogueModel | Subject | str | Path,
    over: Mapping[str, Any],
    profile: HardwareProfile | str | None = None,
    *,
    out: str | Path | None = None,
    workers: int | None = 1,
    dask: str | None = None,
    details: bool = False,
    progress: Progress = lambda _what, _done, _of: None,
    **scenario: Any,
) -> pd.DataFrame:
    """Predict every point of a grid.

    subject: a trace, its folder, or a model of the catalogue (`condsim models`).
    over: axis → its values (`condsim.decide.sweep.axes`): fields of `condsim.Scenario`, "device",
        "skew", "share", "context", or a number of the device by its path, as a factor. "all" stands
        for all devices, for all strategies that a device has, for both baselines.
    profile: the device where none is swept.
    out: a Parquet file. What it holds already of the same content is not priced again; after
        Ctrl-C it holds what was priced, and the same call goes on.
    workers: processes; None for one a core, and for this one alone where there are few points.
    dask: address of a Dask scheduler instead.
    details: memory and main loss of each point, which takes longer.
    scenario: of all points, as in `condsim.Scenario`; and skew, share and context.
    Returns a row a point, those of one trace and device beside each other, else in the order of the
    grid, the same whoever priced it: its axes, what was predicted in SI units, `low` and `high` of
    the 90 % interval, and `error`, which says why a point has no prediction.
    Raises CondsimError for an empty grid, an unknown axis, device or scenario, and where nobody
    answers at the address.
    """
    about = subject_of(subject)
    grid = grid_of(about, over, profile, scenario, details)
    by = Workers(workers, dask)
    chunks = grid.chunks()
    folder = None if out is None else Path(out)
    parts = Parts(folder, schema_of(grid.axes, details))
    parts.open(chunks)
    try:
        left = [chunk for chunk in chunks if chunk not in parts]
        total = sum(map(len, chunks))
        done = total - sum(map(len, left))
        progress("sweep", done, total)
        for chunk, rows in priced(about, left, by):
            parts.add(chunk, rows)
            done += len(chunk)
            progress("sweep", done, total)
    finally:
        table = parts.close(chunks)
    return frame_of(table)


def grid_of(
    subject: Subject,
    over: Mapping[str, Any],
    profile: HardwareProfile | str | None,
    scenario: Mapping[str, Any],
    details: bool = False,
) -> Grid:
    """Return the grid that `sweep` prices. Raises CondsimError as it does."""
    if not isinstance(over, Mapping):
        raise CondsimError(f"over is axis → its values, got {shown(over)}")
    devices = list(_devices_of(subject, over, profile))
    axes = axes_of(over, known_axes(subject, devices))
    fixed, others = {}, {}
    for name, value in scenario.items():
        if name in subject.varies:
            fixed[name] = value
        elif name == CONTEXT:
            raise CondsimError(
                f"context is for models of the catalogue (condsim models); {subject.name} has the "
                "positions that it was captured at"
            )
        else:
            others[name] = value
    try:
        base = Scenario(**others)
    except TypeError as error:
        raise CondsimError(f"sweep: {error}") from None
    return Grid(subject, tuple(axes), profile, base, fixed, details)


def _devices_of(
    subject: Subject, over: Mapping[str, Any], profile: HardwareProfile | str | None
) -> Iterator[HardwareProfile]:
    """Devices whose numbers can be varied."""
    named = over.get("device")
    if named is None:
        yield subject.device(profile)
        return
    values = [named] if isinstance(named, (str, HardwareProfile)) else named
    for value in values:
        if isinstance(value, HardwareProfile):
            yield value
        elif value == "all":
            yield from readable(profiles().values())
        else:
            yield hardware(value)


def priced(
    subject: Subject, chunks: list[Chunk], workers: Workers
) -> Iterator[tuple[Chunk, list[dict[str, Any]]]]:
    """Yield each chunk with its rows, as they come."""
    if not chunks:
        return
    content = packed(subject)
    with workers.running(content, sum(map(len, chunks))) as count:
        running = Parallel(n_jobs=count, return_as="generator_unordered", batch_size=1)
        yield from running(delayed(price)(content, chunk) for chunk in chunks)
