"""Quality of the model where it is forced: at every exit, and with nothing conditional."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from condsim.capture.observe import Observation, Quality
from condsim.capture.sizes import ordered
from condsim.live.decode import greedy_tokens
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS

Scores = dict[str, list[np.ndarray]]
"""Exit → what it compared, float32 [units], one array a batch."""


def score_exits(
    live: LiveModel, batches: list[Batch], seen: Observation, quality: Quality | None
) -> None:
    """Keep the scores of every exit for every row, so that another threshold needs no model.

    With `quality` also the quality at every exit. Nothing is done for a model that decides
    something else than exits, or whose exits have no scores.
    """
    exits = _exits_with_scores(live)
    if not exits:
        return
    scores: Scores = {name: [] for name in exits}
    last = len(exits)
    stops = range(last + 1) if quality is not None else (last,)
    for number, batch in enumerate(batches):
        for stop in stops:
            run = Execution(forced=_leave_at(exits, stop, batch.units), observed={})
            output = live.run(batch, run)
            if quality is not None:
                seen.add_quality(f"exit_{stop}", quality(output, number))
            if stop == last:
                _keep_scores(run, scores)
    for name in exits:
        scored = zip(seen.decisions[name], scores[name], strict=True)
        seen.decisions[name] = [replace(decisions, scores=s) for decisions, s in scored]


def _exits_with_scores(live: LiveModel) -> list[str]:
    """The exits of a model that decides nothing else, parents first; empty for any other."""
    exits = []
    for name in ordered(live.infos):
        info = live.infos[name]
        if not MECHANISMS[info.mechanism].leaves or not info.has_scores:
            return []
        exits.append(name)
    return exits


def _leave_at(exits: list[str], stop: int, units: int) -> dict[str, np.ndarray]:
    """Decisions with which every unit leaves at exit number `stop`; at none for len(exits)."""
    forced = {}
    for number, name in enumerate(exits):
        forced[name] = np.full(units, int(number < stop))
    return forced


def _keep_scores(run: Execution, scores: Scores) -> None:
    """Add the scores of one run in which every row saw every exit."""
    assert run.observed is not None
    for name, batches in scores.items():
        batches.append(run.observed[name][0]["scores"].numpy())


def decoded_quality(
    live: LiveModel,
    batches: list[Batch],
    seen: Observation,
    quality: Quality,
    new_tokens: int,
    costliest: dict[str, int],
) -> None:
    """Keep the quality of what a model decodes after each batch, as it decides and with nothing
    conditional. quality: (tokens int64 [units, new_tokens + 1], number of the batch) → float
    [units]. costliest: as in `dense_quality`.
    """
    for number, batch in enumerate(batches):
        dense = Execution({"*": "same-params"}, costliest=costliest)
        for column, run in (("conditional", Execution()), ("dense", dense)):
            tokens = greedy_tokens(live, batch, new_tokens, run)
            seen.add_quality(column, quality(tokens, number))


def dense_quality(
    live: LiveModel,
    batches: list[Batch],
    seen: Observation,
    quality: Quality,
    costliest: dict[str, int],
) -> None:
    """Keep the quality of the same model where nothing is conditional (same-params).

    costliest: site → the branch that every row takes, where rows take one of several.
    """
    for number, batch in enumerate(batches):
        run = Execution({"*": "same-params"}, costliest=costliest)
        output = live.run(batch, run)
        seen.add_quality("dense", quality(output, number))
