"""SGLang's expert distribution recorder, mode per_token: the ids of each forward pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import StoredArray, integers, stored_array
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import DECODE, PREFILL, Spool

IDS, MODES = "topk_ids_of_layer", "forward_mode"
IDS_AXES = 3
DECODES = 2
"""How SGLang numbers the mode of a pass in which each token is of another sequence."""


@importer
class SGLangRecorder(Importer):
    """An NPZ with an array [layers, tokens, k] for each pass."""

    name = "sglang-recorder"
    title = "SGLang's recorder per token: [layers, tokens, k] for each forward pass"

    def recognises(self, file: Peek) -> bool:
        return any(member.startswith(IDS) for member in file.members)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        members = Peek(path).members
        passes = [member for member in members if member.startswith(IDS)]
        if not passes:
            raise CondsimError(f"{path} has no array {IDS}")
        passes.sort(key=_number)
        modes = _modes(path, passes) if MODES in members else [1] * len(passes)
        for member, mode in zip(passes, modes, strict=True):
            _read_pass(integers(stored_array(path, member)), mode, spool)


def _number(member: str) -> int:
    digits = member.removeprefix(IDS).strip("_")
    return int(digits) if digits.isdigit() else 0


def _modes(path: Path, passes: list[str]) -> list[int]:
    modes = integers(stored_array(path, MODES)).whole()
    if modes.shape != (len(passes),):
        raise CondsimError(
            f"{path}: {MODES} has the shape {list(modes.shape)}; there are {len(passes)} passes"
        )
    return [int(mode) for mode in np.atleast_1d(modes)]


def _read_pass(array: StoredArray, mode: int, spool: Spool) -> None:
    if len(array.shape) != IDS_AXES:
        raise CondsimError(
            f"{array.label} has the shape {list(array.shape)}; a pass is [layers, tokens, k]"
        )
    tokens = array.shape[1]
    if mode == DECODES:
        spool.step(DECODE, units=tokens)
    else:
        spool.step(PREFILL, seq=tokens)
    layer = 0
    for block in array.blocks():
        for ids in block:
            spool.add(layer, ids)
            layer += 1
