"""The traces of core12345/MoE_expert_selection_trace: a JSON file a request.

A list: first the prompt, then one object for each token that was generated. An object maps the
number of a layer to the ids of each token, [tokens, k], or to null where the layer has no experts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import DECODE, PREFILL, Spool
from condsim.importers.parts.texts import json_file, rows_of_ids


@importer
class ExpertSelection(Importer):
    """A JSON list of passes, each layer → ids."""

    name = "expert-selection"
    title = "core12345's traces: a JSON file a request, a pass after another, layer → [tokens, k]"

    def recognises(self, file: Peek) -> bool:
        text = "".join("".join(file.lines).split())
        return text.startswith('[{"') and text[3:].split('"', 1)[0].isdigit()

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        passes = json_file(path)
        if not isinstance(passes, list):
            raise CondsimError(f"{path} is no list of passes")
        past = 0
        for number, layers in enumerate(passes):
            where = f"{path}, pass {number}"
            tokens = _read_pass(layers, where, spool)
            phase = PREFILL if number == 0 else DECODE
            spool.step(phase, seq=tokens, past=past)
            past += tokens


def _read_pass(layers: Any, where: str, spool: Spool) -> int:
    """Put one pass into the spool; return its tokens.

    Raises CondsimError where its layers have not the same tokens.
    """
    if not isinstance(layers, dict):
        raise CondsimError(f"{where} is no object of layers, but {str(layers)[:40]}")
    tokens = None
    for layer, chosen in layers.items():
        if chosen is None:
            continue
        if not layer.isdigit():
            raise CondsimError(f"{where}: {layer!r} is no number of a layer")
        ids = rows_of_ids(chosen, f"{where}, layer {layer}")
        if ids.ndim != 2:
            raise CondsimError(f"{where}, layer {layer}: ids must be [tokens, k]")
        if tokens not in (None, len(ids)):
            raise CondsimError(f"{where}: layer {layer} has {len(ids)} tokens, others {tokens}")
        tokens = len(ids)
        spool.add(int(layer), ids)
    return tokens or 0
