"""Arrays of ids, [tokens, k] a layer: what a trainer's replay keeps for each of its routers."""

from __future__ import annotations

import re
from pathlib import Path

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import integers, stored_array
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
        return all(len(stored_array(file.path, member).shape) == 2 for member in members)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        members = Peek(path).members
        if not members:
            raise CondsimError(f"{path} is no NPZ file with an array for each layer")
        for place, member in enumerate(members):
            array = integers(stored_array(path, member))
            number = LAST_NUMBER.search(member)
            if number is None or len(array.shape) != 2:
                raise CondsimError(
                    f"{array.label} has the shape {list(array.shape)}; an array of a layer is "
                    "[tokens, k], under a name that ends in the layer's number"
                )
            if place == 0:
                spool.step(seq=array.shape[0])
            for block in array.blocks():
                spool.add(int(number.group(1)), block)
