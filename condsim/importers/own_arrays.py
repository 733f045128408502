"""What `Trace.export_routing` writes to NPZ: ids, and all that they need to be the trace again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import ArrayFile
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import BLOCK, Spool
from condsim.trace import routing_file as layout
from condsim.trace.columns import STEP_COLUMNS


@importer
class OwnArrays(Importer):
    """An NPZ that condsim wrote. Nothing in it is padding or a dummy batch."""

    name = "condsim"
    title = "condsim export: routed_experts [tokens, layers, k] with steps, weights and names"

    def recognises(self, file: Peek) -> bool:
        return layout.VERSION in file.members

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        with ArrayFile(path) as arrays:
            values = _beside(arrays)
            _check_same(arrays, values, spool)
            spool.clean = True
            spool.unit_rows = layout.unit_rows_of(values[layout.UNIT_ROWS])
            spool.names = dict(enumerate(values[layout.NAMES].tolist()))
            spool.experts = dict(enumerate(values[layout.EXPERTS].tolist()))
            top_k = values[layout.TOP_K].tolist()
            spool.single = {layer for layer, k in enumerate(top_k) if k == 0}
            for step in zip(*(values[column].tolist() for column in STEP_COLUMNS), strict=True):
                spool.step(*step)
            weighed = values[layout.HAS_WEIGHTS].tolist()
            for ids, weights in _blocks(arrays, any(weighed)):
                for layer, k in enumerate(top_k):
                    place = np.s_[:, layer, : max(k, 1)]
                    own_weights = weights[place] if weighed[layer] else None
                    spool.add(layer, ids[place], own_weights)


def _beside(arrays: ArrayFile) -> dict[str, np.ndarray]:
    """The small arrays. Raises CondsimError where one is missing, odd, or of a newer version."""
    stored = {name: arrays.array(name) for name in layout.BESIDE}
    layers = arrays.array(layout.IDS).shape[1:2]
    steps = stored[layout.PHASE].shape[:1]
    for name, array in stored.items():
        shape = {layout.VERSION: (), layout.UNIT_ROWS: (2,)}.get(name, layers)
        if name in STEP_COLUMNS:
            shape = steps
        kinds = OF_KINDS.get(name, INTEGERS)
        if array.shape != shape or array.dtype.kind not in kinds:
            raise CondsimError(
                f"{array.label} is {array.dtype} {list(array.shape)} where condsim writes "
                f"{NAMES_OF_KINDS[kinds]} {list(shape)}; export the routing again"
            )
    values = {name: array.whole() for name, array in stored.items()}
    version = int(values[layout.VERSION])
    if version > layout.CURRENT:
        raise CondsimError(
            f"{arrays.path}: version {version} of condsim's layout is newer than this condsim "
            f"reads ({layout.CURRENT}); upgrade condsim"
        )
    return values


INTEGERS, TEXTS, TRUTHS = "iu", "U", "b"
NAMES_OF_KINDS = {INTEGERS: "integers", TEXTS: "texts", TRUTHS: "truth values"}
OF_KINDS = {layout.NAMES: TEXTS, layout.PHASE: TEXTS, layout.HAS_WEIGHTS: TRUTHS}
"""Kinds of NumPy's types; all that is not named here holds integers."""


def _check_same(arrays: ArrayFile, values: Mapping[str, np.ndarray], spool: Spool) -> None:
    """Raises CondsimError where a file has other layers than those before it."""
    names = values[layout.NAMES].tolist()
    layers = arrays.array(layout.IDS).shape[1:2]
    if layers != (len(names),):
        raise CondsimError(f"{arrays.path} names {len(names)} layers and holds {list(layers)}")
    if spool.names and list(spool.names.values()) != names:
        raise CondsimError(f"{arrays.path} has other layers than the files before it: {names[0]}")


def _blocks(arrays: ArrayFile, has_weights: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (ids, weights) [tokens, layers, k]; without weights, the ids twice."""
    ids = arrays.array(layout.IDS).check_integers().blocks(BLOCK)
    if not has_weights:
        for block in ids:
            yield block, block
        return
    yield from zip(ids, arrays.array(layout.WEIGHTS).blocks(BLOCK), strict=True)
