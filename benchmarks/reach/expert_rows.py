"""The rows of each expert, counted by hooks on the experts, beside those of a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from condsim.mechanisms import MECHANISMS
from condsim.trace import Trace

LOOPED = "looped"
Rows = tuple[int, ...]


def unlike_rows(trace: Trace, model: nn.Module, batches: list[Any]) -> Iterator[str]:
    """What differs; only mixtures whose experts are called as modules, and run the rows they
    get."""
    counted = live_rows(model, batches)
    for site in trace.sites:
        mixes = MECHANISMS[site.mechanism].mixes_experts
        if not mixes or trace.header.captured[site.mechanism] != LOOPED:
            continue
        ids = trace.decisions(site.name).ids
        of_trace = tuple(np.bincount(ids[ids >= 0], minlength=site.branches).tolist())
        lists = [rows for rows in counted if len(rows) == site.branches]
        if lists and of_trace not in lists:
            yield f"{site.name}: rows {of_trace}, the experts ran {lists}"


def live_rows(model: nn.Module, batches: list[Any]) -> list[Rows]:
    """Rows of each member of each list of modules, in all batches: by positions, and by units."""
    counts: list[list[int]] = []
    handles = []
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            for by_units in (False, True):
                rows = [0] * len(module)
                counts.append(rows)
                for number, member in enumerate(module):
                    handles.append(member.register_forward_pre_hook(_adds(rows, number, by_units)))
    try:
        with torch.no_grad():
            for batch in batches:
                model(*batch) if isinstance(batch, tuple) else model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return [tuple(rows) for rows in counts]


def _adds(rows: list[int], number: int, by_units: bool) -> Any:
    """A hook that adds the rows of a call."""

    def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
        shape = args[0].shape
        rows[number] += shape[0] if by_units else shape[:-1].numel()

    return hook
