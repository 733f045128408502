"""Responses of servers with routed experts: SGLang's base64 of int32, and nested lists of vLLM."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.npy import NPY_MAGIC
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import DECODE, PREFILL, Spool
from condsim.importers.parts.texts import json_file, json_lines, rows_of_ids

KEY = "routed_experts"
PROMPT, COMPLETION = "prompt_tokens", "completion_tokens"
ID_BYTES = 4


@dataclass(frozen=True)
class Response:
    """Routed experts as a server returned them.

    value: base64 text, or nested lists. prompt, completion: tokens, None where that is not said.
    """

    where: str
    value: Any
    prompt: int | None
    completion: int | None


@importer
class Responses(Importer):
    """JSON, or a line a response, with the field `routed_experts` anywhere in it."""

    name = "responses"
    title = "responses of SGLang and vLLM servers with routed_experts (base64 of int32, or lists)"

    def recognises(self, file: Peek) -> bool:
        return file.starts_with in ("{", "[") and f'"{KEY}"'.encode() in file.head

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        found = 0
        for where, document in _documents(path):
            for response in _responses(document, where, (None, None)):
                _add(response, shape, spool)
                found += 1
        if not found:
            raise CondsimError(
                f"{path} has no field {KEY!r}: the server needs --enable-return-routed-experts, "
                "and the request return_routed_experts"
            )


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (where it is, JSON) of a file: each line, or the whole."""
    try:
        next(json_lines(path), None)
    except CondsimError:
        yield str(path), json_file(path)
    else:
        yield from json_lines(path)


def _responses(value: Any, where: str, outer: tuple[int | None, int | None]) -> Iterator[Response]:
    """Yield all routed experts in a document. outer: tokens of prompt and completion, as said
    further out."""
    if isinstance(value, list):
        for inner in value:
            yield from _responses(inner, where, outer)
    if not isinstance(value, dict):
        return
    usage = value.get("usage")
    said = usage if isinstance(usage, dict) else value
    tokens = _count(said, PROMPT, outer[0]), _count(said, COMPLETION, outer[1])
    for name, inner in value.items():
        if name == KEY and inner is not None:
            yield Response(where, inner, *tokens)
        elif name != KEY:
            yield from _responses(inner, where, tokens)


def _count(said: dict[str, Any], name: str, otherwise: int | None) -> int | None:
    count = said.get(name)
    return count if isinstance(count, int) and count > 0 else otherwise


def _add(response: Response, shape: ModelShape, spool: Spool) -> None:
    """Put a response into the spool: a step for the prompt and one for each further token."""
    ids = _ids(response, shape)
    if ids.ndim != 3:
        raise CondsimError(
            f"{response.where}: {KEY} has {ids.ndim} axes; it must be [tokens, layers, k]"
        )
    tokens = len(ids)
    prompt = min(response.prompt or tokens, tokens)
    spool.step(PREFILL, seq=prompt)
    for past in range(prompt, tokens):
        spool.step(DECODE, past=past)
    spool.add_tokens(range(ids.shape[1]), ids)


def _ids(response: Response, shape: ModelShape) -> np.ndarray:
    if not isinstance(response.value, str):
        return rows_of_ids(response.value, response.where)
    try:
        data = base64.b64decode(response.value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CondsimError(
            f"{response.where}: {KEY} is no base64, or is cut short ({error})"
        ) from error
    if data.startswith(NPY_MAGIC):
        return _array_in(data, response.where)
    return _raw_ids(data, response, shape)


def _array_in(data: bytes, where: str) -> np.ndarray:
    try:
        ids = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CondsimError(f"{where}: {KEY} is damaged or truncated") from error
    if ids.dtype.kind not in "iu":
        raise CondsimError(f"{where}: {KEY} holds {ids.dtype}, expert ids are integers")
    return np.asarray(ids)


def _raw_ids(data: bytes, response: Response, shape: ModelShape) -> np.ndarray:
    """Bytes of int32 have no shape: that is the model's, or follows from the tokens."""
    size, rest = divmod(len(data), ID_BYTES)
    if rest:
        raise CondsimError(f"{response.where}: {KEY} has {len(data)} bytes, no whole int32s")
    if shape.top_k is None:
        raise CondsimError(
            f"{response.where}: base64 has no shape; say how many experts a token takes "
            "(--top-k, ModelShape(top_k=...))"
        )
    layers = shape.layers or _layers(size // shape.top_k, response)
    if layers is None or size % (layers * shape.top_k):
        raise CondsimError(
            f"{response.where}: {size:,} ids are no whole tokens of "
            f"{layers or 'an unknown number of'} layers and top {shape.top_k} "
            "(--layers, --top-k)"
        )
    ids = np.frombuffer(data, "<i4")
    return ids.reshape(-1, layers, shape.top_k)


def _layers(rows: int, response: Response) -> int | None:
    """How many layers so many rows are of, where the response says its tokens.

    The token that was generated last was not routed any more.
    """
    if response.prompt is None or response.completion is None:
        return None
    tokens = response.prompt + response.completion - 1
    return rows // tokens if tokens and rows % tokens == 0 else None
