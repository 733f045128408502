"""Route logs in JSON lines, one a token and layer, as patches of vLLM write them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.keyed import KeyedFile, key_of, settle
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import Spool
from condsim.importers.parts.texts import (
    EXPERTS,
    IDS,
    LAYER,
    SEQUENCE,
    TOKEN,
    WEIGHTS,
    json_lines,
    name_in,
    rows_of_ids,
)

LINES = 8192
"""Lines that are gathered before they go to the spool."""


@importer
class RouteLog(Importer):
    """A line of metadata, perhaps, then a line a token and layer."""

    name = "route-log"
    title = "patches of vLLM: JSON lines with req_id, token_idx, layer, topk_ids, topk_weights"

    def recognises(self, file: Peek) -> bool:
        return any(name_in(IDS, r) and name_in(LAYER, r) for r in file.records)

    def read(self, files: Sequence[Path], shape: ModelShape, spool: Spool) -> None:
        sequences = _Sequences()
        read = []
        for path in files:
            read.append(KeyedFile(path, sequences.count))
            spool.begin_file(path.name)
            self._read_lines(path, spool, sequences)
            sequences.forget()
        if sequences.count == len(files):
            spool.notes.append(
                "each file is one sequence, with one request id or none: where requests begin may "
                "be missing"
            )
        settle(spool, read)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        self.read([path], shape, spool)

    def _read_lines(self, path: Path, spool: Spool, sequences: _Sequences) -> None:
        waiting = _Waiting()
        for number, (where, record) in enumerate(json_lines(path)):
            if not isinstance(record, dict):
                raise CondsimError(f"{where} is no object, but {str(record)[:40]}")
            if name_in(IDS, record) is None and number == 0:
                _read_metadata(record, spool)
                continue
            waiting.add(where, record, sequences)
            if waiting.lines >= LINES:
                waiting.flush(spool)
        waiting.flush(spool)


def _read_metadata(record: dict[str, Any], spool: Spool) -> None:
    """Take from the first line how many experts the model has."""
    name = name_in(EXPERTS, record)
    if name is not None and isinstance(record[name], int) and record[name] > 0:
        spool.default_experts = record[name]


class _Sequences:
    """Numbers requests. One whose tokens begin anew at a layer is another sequence."""

    def __init__(self) -> None:
        self.count = 0
        self.numbers: dict[tuple[str, int], int] = {}
        self.last: dict[tuple[int, str], tuple[int, int]] = {}

    def number(self, layer: int, request: str, token: int) -> int:
        """The sequence of the next token of a request at a layer."""
        turn, before = self.last.get((layer, request), (0, -1))
        if token <= before:
            turn += 1
        self.last[layer, request] = (turn, token)
        if (request, turn) not in self.numbers:
            self.numbers[request, turn] = self.count
            self.count += 1
        return self.numbers[request, turn]

    def forget(self) -> None:
        """Say that requests of the next file are others, whatever they are called."""
        self.numbers.clear()
        self.last.clear()


Line = tuple[str, int, int, Any, Any]
"""(where it stands, number of its sequence, token, ids, weights) of a line."""


class _Waiting:
    """Lines that are not in the spool yet, by layer."""

    def __init__(self) -> None:
        self.lines = 0
        self.by_layer: dict[int, list[Line]] = defaultdict(list)

    def add(self, where: str, record: dict[str, Any], sequences: _Sequences) -> None:
        """Take a line. Raises CondsimError where it lacks what a line must have."""
        layer = _integer(record, LAYER, where)
        token = _integer(record, TOKEN, where)
        request = str(record.get(name_in(SEQUENCE, record) or "", ""))
        ids, weights = name_in(IDS, record), name_in(WEIGHTS, record)
        if ids is None:
            raise CondsimError(f"{where} has none of {', '.join(IDS)}")
        sequence = sequences.number(layer, request, token)
        chosen = record[ids]
        weighed = None if weights is None else record[weights]
        self.by_layer[layer].append((where, sequence, token, chosen, weighed))
        self.lines += 1

    def flush(self, spool: Spool) -> None:
        """Put all lines into the spool."""
        for layer, lines in self.by_layer.items():
            wheres, sequences, tokens, chosen, weighed = zip(*lines, strict=True)
            ids = _same_length(chosen, wheres)
            weights = None
            if any(value is not None for value in weighed):
                weights = _weights(weighed, ids.shape, wheres)
            spool.add(layer, ids, weights, key_of(np.array(sequences), np.array(tokens)))
        self.by_layer.clear()
        self.lines = 0


def _integer(record: dict[str, Any], names: Sequence[str], where: str) -> int:
    name = name_in(names, record)
    value = None if name is None else record[name]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise CondsimError(f"{where}: {name or names[0]} must be a whole number, got {value!r:.40}")
    return value


def _same_length(chosen: Sequence[Any], wheres: Sequence[str]) -> np.ndarray:
    """Ids int [lines, k]. Raises CondsimError at the first line that differs from the first."""
    for where, value in zip(wheres, chosen, strict=True):
        if not isinstance(value, list) or len(value) != len(chosen[0]):
            raise CondsimError(
                f"{where}: expert ids must be a list as long as in the lines before, "
                f"got {str(value)[:40]}"
            )
    return rows_of_ids(list(chosen), wheres[0])


def _weights(weighed: Sequence[Any], shape: tuple[int, ...], wheres: Sequence[str]) -> np.ndarray:
    try:
        weights = np.array(weighed, np.float32)
    except (TypeError, ValueError):
        weights = np.zeros(0, np.float32)
    if weights.shape != shape:
        raise CondsimError(f"{wheres[0]} and the lines after it: as many weights as ids are needed")
    return weights
