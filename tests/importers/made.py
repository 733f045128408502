"""Routing that is known, and files of it in every layout, as those who record it write them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.trace import Trace

LAYERS, EXPERTS, TOP_K = 3, 16, 4
SHAPE = condsim.ModelShape(layers=LAYERS, experts=EXPERTS, top_k=TOP_K)


def drawn(tokens: int, seed: int = 0, layers: int = LAYERS) -> np.ndarray:
    """Ids of distinct experts for each token, int16 [tokens, layers, k]."""
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random((tokens, layers, EXPERTS)), axis=2)
    return order[..., :TOP_K].astype(np.int16)


def ids_of(trace: Trace) -> np.ndarray:
    """All ids of a trace, int [tokens, layers, k]."""
    return np.stack([trace.decisions(site.name).ids for site in trace.sites], axis=1)


def steps_of(trace: Trace) -> list[tuple[Any, ...]]:
    """(phase, units, seq, past) of each step."""
    return [tuple(row) for row in trace.steps.itertuples(index=False)]


def noted(trace: Trace, *words: str) -> bool:
    """Whether one note has all the words."""
    return any(all(word in note for word in words) for note in trace.header.notes)


def refused(files: Path | Sequence[Path], *words: str, **asked: Any) -> None:
    """An import is refused in one line that has all the words."""
    with pytest.raises(CondsimError) as error:
        condsim.import_routing(files, **asked)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def truncated(path: Path, share: float = 0.6) -> Path:
    """The file, cut short in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def base64_response(ids: np.ndarray, prompt: int | None = None) -> dict[str, Any]:
    """A response of SGLang's server, whose last token was not routed."""
    encoded = base64.b64encode(ids.astype("<i4").tobytes()).decode()
    about: dict[str, Any] = {"routed_experts": encoded}
    if prompt is not None:
        about |= {"prompt_tokens": prompt, "completion_tokens": len(ids) - prompt + 1}
    return {"text": "...", "meta_info": about}


def log_lines(ids: np.ndarray, request: str = "r0") -> list[dict[str, Any]]:
    """A route log of one request: token by token, layer by layer."""
    lines = []
    for token, of_token in enumerate(ids.tolist()):
        for layer, chosen in enumerate(of_token):
            line = {"req_id": request, "token_idx": token, "layer": layer, "topk_ids": chosen}
            lines.append(line | {"topk_weights": [1 / (1 + place) for place in range(len(chosen))]})
    return lines


def write_lines(path: Path, lines: Sequence[Any]) -> Path:
    """JSON, one value a line."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def selection(ids: np.ndarray, prompt: int) -> list[dict[str, Any]]:
    """A request of core12345's traces; its layer 0 has no experts."""
    passes = [ids[:prompt], *(ids[token : token + 1] for token in range(prompt, len(ids)))]
    return [
        {"0": None} | {str(layer + 1): one[:, layer].tolist() for layer in range(ids.shape[1])}
        for one in passes
    ]
