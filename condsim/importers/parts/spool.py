"""Decisions on disk while they are imported: a raw file a layer, so that memory stays flat."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from condsim.errors import CondsimError
from condsim.files import temporary_folder
from condsim.trace.header import ONE_A_POSITION, UnitRows

BLOCK = 65536
"""Rows that are held in memory at a time."""
DTYPES = {"ids": np.int32, "weights": np.float32, "keys": np.int64}
PREFIX = "condsim-import-"
"""How the names of temporary folders begin."""
MOST_LAYERS = 256
"""No model has so many, and each has files that are open at once."""
LARGEST = 2**31 - 1
"""Larger ids are no ids and become this one, so that they stay out of range."""
PREFILL, DECODE = "prefill", "decode"
Step = tuple[str, int, int, int]
"""(phase, units, positions of each unit, positions before them)."""


@dataclass
class Layer:
    """What was recorded of one layer.

    stem: path of its files, without an ending. parts: what each row has: ids, and perhaps weights
    and a key; part → (dtype, values a row). rows: so far.
    """

    stem: Path
    parts: Mapping[str, tuple[type, int]]
    rows: int = 0

    def __post_init__(self) -> None:
        self._open = {part: self._path(part).open("ab") for part in self.parts}

    def _path(self, part: str) -> Path:
        return self.stem.with_suffix(f".{part}")

    @property
    def top_k(self) -> int:
        """Ids of a row."""
        return self.parts["ids"][1]

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Append rows. rows: part → [rows, values]."""
        for part, values in rows.items():
            dtype = self.parts[part][0]
            if part == "ids" and not np.can_cast(values.dtype, dtype):
                values = np.clip(values, -LARGEST, LARGEST)
            self._open[part].write(np.ascontiguousarray(values, dtype).tobytes())
        self.rows += len(rows["ids"])

    def close(self) -> None:
        """Write out what is still in memory; nothing can be added any more."""
        for file in self._open.values():
            file.close()

    def read(self, part: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read a part of some rows, [rows, values]; of all where nothing else is said."""
        dtype, width = self.parts[part]
        end = self.rows if stop is None else min(stop, self.rows)
        count = (end - start) * width
        offset = start * width * np.dtype(dtype).itemsize
        values: np.ndarray = np.fromfile(self._path(part), dtype, count, offset=offset)
        return values.reshape(-1, width)

    def sort(self, order: np.ndarray) -> None:
        """Put the rows into another order."""
        for part, (dtype, width) in self.parts.items():
            new = self._path(f"{part}-sorted")
            rows = np.memmap(self._path(part), dtype, "r", shape=(self.rows, width))
            with new.open("wb") as file:
                for start in range(0, self.rows, BLOCK):
                    file.write(rows[order[start : start + BLOCK]].tobytes())
            del rows
            new.replace(self._path(part))


@dataclass
class Spool:
    """What importers write to and traces read from. It is removed when nobody uses it any more.

    layers: number of a layer → what was recorded of it. files: (name, its first token, its first
    sequence). notes: what importers have to say. names: of layers, where a file has them.
    experts: number of a layer → its experts, where a file says so. default_experts: of a layer that
    is not among them. single: layers whose rows take one expert, without weights.
    unit_rows: rows that a unit has at a layer. clean: nothing is padding or a dummy batch, because
    condsim made the rows.
    """

    layers: dict[int, Layer] = field(default_factory=dict)
    files: list[tuple[str, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    experts: dict[int, int] = field(default_factory=dict)
    default_experts: int | None = None
    single: set[int] = field(default_factory=set)
    unit_rows: UnitRows = ONE_A_POSITION
    clean: bool = False

    def __post_init__(self) -> None:
        with contextlib.ExitStack() as opening:
            self._folder = opening.enter_context(temporary_folder(PREFIX))
            weakref.finalize(self, opening.pop_all().close)
        self._steps: list[Step] = []
        self._tokens = 0
        self._sequences = 0

    # Writing

    def begin_file(self, name: str) -> None:
        """Say that what follows comes from another file."""
        self.files.append((name, self._tokens, self._sequences))

    def step(self, phase: str = PREFILL, units: int = 1, seq: int = 1, past: int = 0) -> None:
        """Say that the next tokens are one step of the model: units of seq positions each."""
        tokens = units * self.unit_rows.of(seq)
        if tokens:
            self._steps.append((phase, units, seq, past))
            self._tokens += tokens
            self._sequences += units

    def add(
        self,
        layer: int,
        ids: np.ndarray,
        weights: np.ndarray | None = None,
        keys: np.ndarray | None = None,
    ) -> None:
        """Append decisions of a layer. ids: int [tokens, k]. weights: float [tokens, k].

        keys: int64 [tokens], where the order of the rows is not that of the tokens.
        Raises CondsimError where k changes, only some rows have weights, or there are too many
        layers.
        """
        if not ids.shape[1]:
            raise CondsimError(f"{self.where()}: layer {layer} has no ids (top 0)")
        rows = {"ids": ids}
        if weights is not None:
            rows["weights"] = weights
        if keys is not None:
            rows["keys"] = keys[:, None]
        if layer not in self.layers:
            self._check_room(layer)
            parts = {part: (DTYPES[part], rows[part].shape[1]) for part in rows}
            self.layers[layer] = Layer(self._folder / str(layer), parts)
        known = self.layers[layer]
        if ids.shape[1] != known.top_k:
            raise CondsimError(
                f"{self.where()}: layer {layer} has {ids.shape[1]} ids a token where it had "
                f"{known.top_k} before; import files of one model at a time"
            )
        if set(rows) != set(known.parts):
            raise CondsimError(
                f"{self.where()}: some tokens of layer {layer} have weights and some have none"
            )
        known.add(rows)

    def _check_room(self, layer: int) -> None:
        if len(self.layers) >= MOST_LAYERS:
            raise CondsimError(
                f"{self.where()} has more than {MOST_LAYERS} layers, among them number {layer}: "
                "the column of layers is damaged, or means something else"
            )

    def add_tokens(self, layers: Sequence[int], ids: np.ndarray) -> None:
        """Append decisions of several layers. ids: int [tokens, layers, k]."""
        for place, layer in enumerate(layers):
            self.add(layer, ids[:, place])

    def where(self) -> str:
        """The file that is being read."""
        return self.files[-1][0] if self.files else "the recording"

    # Reading

    def finish(self) -> None:
        """Say that all is written. Raises CondsimError where layers have not the same tokens."""
        for layer in self.layers.values():
            layer.close()
        if not self._tokens or not self.layers:
            raise CondsimError("the files hold no decisions; nothing was imported")
        self.check_even()

    def check_even(self) -> None:
        """Raises CondsimError where a layer has more or fewer tokens than the steps."""
        for number, layer in sorted(self.layers.items()):
            if layer.rows != self._tokens:
                raise CondsimError(
                    f"{self.where()}: layer {number} has decisions of {layer.rows:,} tokens where "
                    f"the steps so far have {self._tokens:,}: the file is truncated, or has other "
                    "layers than the files before it"
                )

    @property
    def tokens(self) -> int:
        """Tokens that were recorded."""
        return self._tokens

    @property
    def steps(self) -> list[Step]:
        """The steps, in the order of the tokens."""
        return self._steps

    def file_ranges(self) -> Iterator[tuple[str, int, int, int]]:
        """(name, first token, token after the last, sequences) of each file."""
        ends = [*self.files[1:], ("", self._tokens, self._sequences)]
        for (name, start, first), (_, stop, last) in zip(self.files, ends, strict=True):
            yield name, start, stop, last - first
