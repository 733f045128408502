"""What a recording must know of one call of a site's experts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import torch

from condsim.live.execution import Execution
from condsim.record.events import ExpertsCall
from condsim.steps.extents import capacity


def expert_room(execution: Execution, ids: torch.Tensor, experts: int) -> int:
    """Rows that an expert has room for. ids: [tokens, k]."""
    tokens, top_k = ids.shape
    return execution.room or int(capacity(tokens, top_k, experts))


def recorded_experts(
    execution: Execution,
    site: str,
    ids: torch.Tensor,
    experts: int,
    *,
    has_room: bool = True,
    unmarked_loop: bool = False,
    idle: Iterable[int] = (),
) -> contextlib.AbstractContextManager[None]:
    """While it lasts, the experts of a site run; where nobody records, it does nothing.

    ids: [tokens, k].
    has_room: the strategy, or another one of the site, may limit the rows of an expert.
    unmarked_loop: the experts run in a Python loop that carries no marks.
    idle: experts that compute nothing.
    """
    if execution.recorder is None:
        return contextlib.nullcontext()
    with execution.quiet():
        rows_per_expert = torch.bincount(ids.reshape(-1), minlength=experts)
        tokens_per_expert = rows_per_expert[:experts].tolist()
        room = expert_room(execution, ids, experts) if has_room else 0
    call = ExpertsCall(tokens_per_expert, ids.shape[0], room, unmarked_loop, frozenset(idle))
    return execution.recorder.experts(site, call)
