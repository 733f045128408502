"""Routing as an array in a file: what serving engines and training frameworks exchange.

NPY: ids int [rows, layers, k] alone. NPZ: the same array under `IDS`, and beside it what NPY loses.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from condsim.errors import CondsimError
from condsim.files import open_whole
from condsim.trace.columns import STEP_COLUMNS
from condsim.trace.header import Site, UnitRows
from condsim.trace.model import Decisions, Trace

NPY, NPZ = ".npy", ".npz"
CURRENT = 1
"""The version of the layout that is written."""
VERSION, IDS, WEIGHTS = "condsim_routing", "routed_experts", "routed_weights"
NAMES, EXPERTS, TOP_K, HAS_WEIGHTS = "site", "num_experts", "top_k", "has_weights"
UNIT_ROWS = "unit_rows"
PHASE, *SIZES = STEP_COLUMNS
BESIDE = (VERSION, NAMES, EXPERTS, TOP_K, HAS_WEIGHTS, UNIT_ROWS, *STEP_COLUMNS)
"""Small arrays beside the ids: one value, one a layer (top_k 0: ids without an axis k), or one a
step."""
UNSET = -1
WIDEST_SHORT = 2**15
"""Experts whose ids fit in int16, which vLLM writes."""


def export_routing(trace: Trace, path: Path) -> list[str]:
    """Write the routing of a trace's experts. Returns what the file lacks, in sentences.

    path: ends in .npy or .npz.
    Raises CondsimError for another ending, a trace without experts, and layers that do not see the
    same rows.
    """
    if path.suffix not in (NPY, NPZ):
        raise CondsimError(f"{path} must end in {NPY} or {NPZ}")
    trace.require_decisions()
    sites = _sites(trace)
    with open_whole(path) as file:
        if path.suffix == NPY:
            _write_ids(trace, sites, file)
        else:
            _write_npz(trace, sites, file)
    return list(_lost(trace, sites, path.suffix))


def _sites(trace: Trace) -> list[Site]:
    """The sites that have experts. Raises CondsimError where they are no one array."""
    sites = [site for site in trace.sites if site.routing.mixes_experts]
    if not sites:
        kinds = ", ".join(trace.mechanisms)
        raise CondsimError(f"trace {trace.name!r} has no experts to export, only {kinds}")
    for site in sites:
        if site.unit_rows != sites[0].unit_rows:
            raise CondsimError(
                f"sites {sites[0].name!r} and {site.name!r} do not see the same rows, which one "
                "array needs"
            )
    return sites


def _lost(trace: Trace, sites: Sequence[Site], suffix: str) -> Iterator[str]:
    left_out = [site.name for site in trace.sites if site not in sites]
    if left_out:
        yield f"sites without experts are not in it: {', '.join(left_out)}"
    if suffix == NPZ:
        return
    if len(trace.steps) > 1 or trace.units > 1:
        yield f"NPY does not say where sequences, steps and phases end ({NPZ} does)"
    if any(site.has_weights for site in sites):
        yield f"NPY has no weights ({NPZ} has)"
    yield f"NPY does not say how many experts a layer has ({NPZ} does): import it with --experts"
    if len({site.top_k for site in sites}) > 1:
        yield f"NPY does not say where layers have fewer than {_width(sites)} ids ({NPZ} does)"


def _width(sites: Sequence[Site]) -> int:
    return max(site.top_k or 1 for site in sites)


def _write_npz(trace: Trace, sites: Sequence[Site], file: IO[bytes]) -> None:
    values = _beside(trace, sites)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w") as member:
                npy_format.write_array(member, value, allow_pickle=False)
        with archive.open(f"{IDS}.npy", "w", force_zip64=True) as member:
            _write_ids(trace, sites, member)
        if any(site.has_weights for site in sites):
            with archive.open(f"{WEIGHTS}.npy", "w", force_zip64=True) as member:
                _write_weights(trace, sites, member)


def _beside(trace: Trace, sites: Sequence[Site]) -> dict[str, np.ndarray]:
    """The small arrays of `BESIDE`."""
    unit_rows = sites[0].unit_rows
    values = {
        VERSION: np.array(CURRENT),
        NAMES: np.array([site.name for site in sites]),
        EXPERTS: np.array([site.branches for site in sites]),
        TOP_K: np.array([site.top_k or 0 for site in sites]),
        HAS_WEIGHTS: np.array([site.has_weights for site in sites]),
        UNIT_ROWS: np.array([unit_rows.a_position, unit_rows.a_unit]),
        PHASE: trace.steps[PHASE].to_numpy().astype(str),
    }
    for column in SIZES:
        values[column] = trace.steps[column].to_numpy().astype(np.int64)
    return values


def unit_rows_of(values: np.ndarray) -> UnitRows:
    """The rows of a unit, from the array that says it."""
    return UnitRows(a_position=int(values[0]), a_unit=int(values[1]))


def _write_ids(trace: Trace, sites: Sequence[Site], file: IO[bytes]) -> None:
    most = max(site.branches for site in sites)
    name = "<i2" if most <= WIDEST_SHORT else "<i4"
    dtype = np.dtype(name)
    _write_header(trace, sites, dtype, file)
    for blocks in _aligned(trace, sites):
        ids = [block.ids.reshape(len(block.ids), -1) for block in blocks]
        file.write(_stacked(ids, _width(sites), UNSET, dtype).tobytes())


def _write_weights(trace: Trace, sites: Sequence[Site], file: IO[bytes]) -> None:
    dtype = np.dtype("<f4")
    _write_header(trace, sites, dtype, file)
    for blocks in _aligned(trace, sites):
        none = np.zeros((len(blocks[0].ids), 0), dtype)
        weights = [none if block.weights is None else block.weights for block in blocks]
        file.write(_stacked(weights, _width(sites), 0, dtype).tobytes())


def _write_header(trace: Trace, sites: Sequence[Site], dtype: np.dtype, file: IO[bytes]) -> None:
    rows = int(trace.rows_per_unit(sites[0]).sum())
    shape = (rows, len(sites), _width(sites))
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)


def _stacked(layers: Sequence[np.ndarray], width: int, fill: int, dtype: np.dtype) -> np.ndarray:
    """Layers side by side, [rows, layers, width]. layers: [rows, k] each, k at most `width`."""
    stacked = np.full((len(layers[0]), len(layers), width), fill, dtype)
    for place, values in enumerate(layers):
        stacked[:, place, : values.shape[1]] = values
    return stacked


def _aligned(trace: Trace, sites: Sequence[Site]) -> Iterator[list[Decisions]]:
    """Yield the same rows of all sites, whatever blocks they are read in."""
    readers = [trace.reader(site.name) for site in sites]
    waiting = [_next_with_rows(reader) for reader in readers]
    while True:
        held = [block for block in waiting if block is not None]
        if len(held) < len(waiting):
            return
        rows = min(len(block.ids) for block in held)
        yield [_rows(block, slice(None, rows)) for block in held]
        for place, block in enumerate(held):
            rest = _rows(block, slice(rows, None))
            waiting[place] = rest if len(rest.ids) else _next_with_rows(readers[place])


def _next_with_rows(reader: Iterator[Decisions]) -> Decisions | None:
    """The next block that is not empty; None where there is none."""
    for block in reader:
        if len(block.ids):
            return block
    return None


def _rows(block: Decisions, rows: slice) -> Decisions:
    weights = None if block.weights is None else block.weights[rows]
    return Decisions(block.ids[rows], weights)
