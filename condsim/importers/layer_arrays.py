"""Arrays of ids, [tokens, k] a layer: what a trainer's replay keeps for each of its routers."""

from __future__ import annotations

import re
from pathlib import Path

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import ArrayFile
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import Spool

LAST_NUMBER = re.compile(r"(\d+)\D*$")
"""The number of a layer in the name of its array."""


@importer
class LayerArrays(Importer):
    """An NPZ with an array for each layer, whose name ends in the number of the layer."""

    name = "layer-arrays"
    title = "Megatron-LM's router replay, slime: an array [tokens, k] for each layer"
    by_shape = True

    def recognises(self, file: Peek) -> bool:
        members = file.members
        if not members or not all(LAST_NUMBER.search(member) for member in members):
            return False
        with ArrayFile(file.path) as arrays:
            return all(len(arrays.array(name).shape) == 2 for name in members)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        with ArrayFile(path) as arrays:
            for place, name in enumerate(arrays.names):
                array = arrays.array(name).check_integers()
                number = LAST_NUMBER.search(name)
                if number is None or len(array.shape) != 2:
                    raise CondsimError(
                        f"{array.label} has the shape {list(array.shape)}; an array of a layer is "
                        "[tokens, k], under a name that ends in the layer's number"
                    )
                if place == 0:
                    spool.step(seq=array.shape[0])
                for block in array.blocks():
                    spool.add(int(number.group(1)), block)
