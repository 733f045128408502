"""Arrays of ids, [tokens, layers, k] a request: vLLM, Tunix, dumps in NPZ, and condsim's own."""

from __future__ import annotations

from pathlib import Path

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import StoredArray, integers, stored_array
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import BLOCK, Spool
from condsim.trace import routing_file as own
from condsim.trace.columns import STEPS

SEQUENCE_AXES = 3
BATCH_AXES = 4


@importer
class Arrays(Importer):
    """One array a request, or one of a padded batch of sequences."""

    name = "arrays"
    title = "vLLM, Tunix and others: [tokens, layers, k] or [sequences, tokens, layers, k]"
    by_shape = True

    def recognises(self, file: Peek) -> bool:
        if file.is_npy or own.IDS in file.members:
            return True
        axes = {len(stored_array(file.path, member).shape) for member in file.members}
        return bool(axes) and axes <= {SEQUENCE_AXES, BATCH_AXES}

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        members = Peek(path).members
        if own.VERSION in members:
            _read_own(path, spool)
        elif own.IDS in members:
            _read(stored_array(path, own.IDS), spool)
        else:
            for member in members or ("",):
                _read(stored_array(path, member), spool)


def _read(array: StoredArray, spool: Spool) -> None:
    """Read sequences. Raises CondsimError for an array of another rank, or of no integers."""
    integers(array)
    axes = len(array.shape)
    if axes == SEQUENCE_AXES:
        spool.step(seq=array.shape[0])
    elif axes == BATCH_AXES:
        spool.step(units=array.shape[0], seq=array.shape[1])
    else:
        raise CondsimError(
            f"{array.label} has the shape {list(array.shape)}, routing has three axes [tokens, "
            "layers, k] or four [sequences, tokens, layers, k]"
        )
    _add_ids(array, spool)


def _add_ids(array: StoredArray, spool: Spool) -> None:
    layers, k = array.shape[-2:]
    for block in array.blocks():
        spool.add_tokens(range(layers), block.reshape(-1, layers, k))


def _read_own(path: Path, spool: Spool) -> None:
    """Read what `Trace.export_routing` wrote: nothing in it is padding."""
    values = {member: stored_array(path, member).whole() for member in own.BESIDE}
    version = int(values[own.VERSION])
    if version > own.CURRENT:
        raise CondsimError(
            f"{path}: version {version} of condsim's layout is newer than this condsim reads "
            f"({own.CURRENT}); upgrade condsim"
        )
    spool.clean = True
    spool.unit_rows = own.unit_rows_of(values[own.UNIT_ROWS])
    for phase, units, seq, past in zip(*(values[c].tolist() for c in STEPS), strict=True):
        spool.step(phase, units, seq, past)
    spool.names = dict(enumerate(values[own.NAMES].tolist()))
    spool.experts = dict(enumerate(values[own.EXPERTS].tolist()))
    top_k = values[own.TOP_K].tolist()
    spool.single = {layer for layer, k in enumerate(top_k) if k == 0}
    weighed = values[own.HAS_WEIGHTS].tolist()
    weights = stored_array(path, own.WEIGHTS).blocks(BLOCK) if any(weighed) else None
    for ids in stored_array(path, own.IDS).blocks(BLOCK):
        block = None if weights is None else next(weights)
        for layer, k in enumerate(top_k):
            width = max(k, 1)
            of_layer = block[:, layer, :width] if weighed[layer] and block is not None else None
            spool.add(layer, ids[:, layer, :width], of_layer)
