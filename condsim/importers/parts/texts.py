"""Records in JSON, a line or a file at a time, and the names that their fields go by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.files import named_errors

LAYER = ("layer", "layer_id", "layer_idx")
IDS = ("topk_ids", "expert_ids", "indices", "topk_experts", "routed_experts")
WEIGHTS = ("topk_weights", "scores", "weights")
SEQUENCE = ("req_id", "request_id", "request", "sequence")
TOKEN = ("token_idx", "token", "position")
STEP = ("step",)
EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "n_experts")
"""The names that a field goes by, among those who write such files."""


def name_in(names: Sequence[str], known: Sequence[str] | Mapping[str, Any]) -> str | None:
    """Return the first of the names that a record or a table has."""
    return next((name for name in names if name in known), None)


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ("FILE, line N", the value) of each line. Raises CondsimError for a line cut short."""
    with named_errors(path, "cannot be read"), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _parsed(line, where)


def json_file(path: Path) -> Any:
    """Return what a JSON file holds. Raises CondsimError where it is cut short."""
    with named_errors(path, "cannot be read"):
        text = path.read_bytes()
    return _parsed(text, str(path))


def _parsed(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CondsimError(f"{where} is no JSON, or is cut short ({error})") from error


def rows_of_ids(value: Any, where: str) -> np.ndarray:
    """Return lists of ids as an array, int of any number of axes.

    Raises CondsimError where lists are of unlike length, or hold anything but integers.
    """
    try:
        ids = np.array(value)
    except ValueError:
        ids = np.array(None)
    if ids.dtype.kind in "iu" and ids.ndim:
        return ids
    if ids.dtype.kind == "f" and ids.ndim and not ids.size:
        return ids.astype(np.int64)
    raise CondsimError(
        f"{where}: expert ids must be integers, as many for each token, got {str(value)[:40]}"
    )
