"""Arrays of ids, [tokens, layers, k] a request: vLLM, Tunix, dumps in NPZ."""

from __future__ import annotations

from pathlib import Path

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import ArrayFile, StoredArray
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import Spool

NAME = "routed_experts"
"""The array to read where a file has others, too."""
SEQUENCE_AXES = 3
BATCH_AXES = 4


@importer
class Arrays(Importer):
    """One array a request, or one of a padded batch of sequences."""

    name = "arrays"
    title = "vLLM, Tunix and others: [tokens, layers, k] or [sequences, tokens, layers, k]"
    by_shape = True

    def recognises(self, file: Peek) -> bool:
        if file.is_npy or NAME in file.members:
            return True
        if not file.members:
            return False
        with ArrayFile(file.path) as arrays:
            axes = {len(arrays.array(name).shape) for name in arrays.names}
        return axes <= {SEQUENCE_AXES, BATCH_AXES}

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        with ArrayFile(path) as arrays:
            names = (NAME,) if NAME in arrays.names else arrays.names
            for name in names:
                _read(arrays.array(name), spool)


def _read(array: StoredArray, spool: Spool) -> None:
    """Read sequences. Raises CondsimError for an array of another rank, or of no integers."""
    array.check_integers()
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
