"""SGLang's expert distribution recorder, mode per_token: the ids of each forward pass."""

from __future__ import annotations

from pathlib import Path

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import ArrayFile, StoredArray
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import DECODE, PREFILL, Spool

IDS, MODES = "topk_ids_of_layer", "forward_mode"
IDS_AXES = 3
EXTENDS, DECODES = 1, 2
"""How SGLang numbers the modes of passes: of prompts, and of one token of each sequence."""


@importer
class SGLangRecorder(Importer):
    """An NPZ with an array [layers, tokens, k] for each pass."""

    name = "sglang-recorder"
    title = "SGLang's recorder per token: [layers, tokens, k] for each forward pass"

    def recognises(self, file: Peek) -> bool:
        return any(member.startswith(IDS) for member in file.members)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        with ArrayFile(path) as arrays:
            passes = [name for name in arrays.names if name.startswith(IDS)]
            if not passes:
                raise CondsimError(f"{path} has no array {IDS}")
            passes.sort(key=_number)
            for name, mode in zip(passes, _modes(arrays, len(passes)), strict=True):
                _read_pass(arrays.array(name).check_integers(), mode, spool)


def _number(name: str) -> int:
    digits = name.removeprefix(IDS).strip("_")
    return int(digits) if digits.isdigit() else 0


def _modes(arrays: ArrayFile, passes: int) -> list[int]:
    """The mode of each pass; where the file has none, those of whole prompts."""
    if MODES not in arrays.names:
        return [EXTENDS] * passes
    modes = arrays.array(MODES).check_integers()
    if modes.shape != (passes,):
        raise CondsimError(
            f"{modes.label} has the shape {list(modes.shape)}; there are {passes} passes"
        )
    return [int(mode) for mode in modes.whole()]


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
