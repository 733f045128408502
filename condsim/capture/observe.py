"""Run all the data once and keep what was decided: the dynamic half of capturing. Nothing but hooks and copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.live.adapters.expert_list import look_alikes
from condsim.live.decode import start_decode
from condsim.live.execution import Execution, SiteInfo
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.trace import Decisions

Observed = dict[str, list[dict[str, Any]]]
Quality = Callable[[Any, int], np.ndarray]


@dataclass
class Observation:
    """Steps and decisions of all batches, and quality where it can be told. per_position: site → its rows are positions, not units."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    decisions: dict[str, list[Decisions]] = field(default_factory=dict)
    per_position: dict[str, bool] = field(default_factory=dict)
    quality: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def joined(self) -> dict[str, Decisions]:
        """One array a site."""

        def join(parts: list[np.ndarray | None]) -> np.ndarray | None:
            found = [p for p in parts if p is not None]
            return np.concatenate(found) if found else None

        joined = {}
        for name, parts in self.decisions.items():
            ids = join([p.ids for p in parts])
            assert ids is not None
            joined[name] = Decisions(
                ids, join([p.weights for p in parts]), join([p.scores for p in parts])
            )
        return joined

    def quality_table(self) -> pd.DataFrame:
        return pd.DataFrame({k: np.concatenate(v) for k, v in self.quality.items()})


def observe(
    live: LiveModel,
    batches: list[Batch],
    new_tokens: int = 0,
    quality: Quality | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Observation:
    """One natural forward pass a batch, and `new_tokens` greedy cached steps after each where asked.

    Raises CondsimError where no site was seen.
    """
    seen = Observation()
    live.run(batches[0], Execution(decide=_everywhere))
    for number, batch in enumerate(batches):
        run = Execution(observed={})
        if new_tokens:
            token, cache = start_decode(live, batch, run)
        else:
            output = live.run(batch, run)
            if quality is not None:
                seen.quality.setdefault("conditional", []).append(_finite(quality(output, number)))
        _keep(live, seen, run, batch.units, batch.seq, 0, "prefill")
        for i in range(new_tokens):
            step = Execution(observed={})
            out = live.run(Batch((), {"input_ids": token}, batch.units, 1), step, **cache)
            token = out.logits[:, -1:].argmax(-1)
            _keep(live, seen, step, batch.units, 1, (batch.seq or 0) + i, "decode")
        progress()
    return seen


def _everywhere(info: SiteInfo, own: np.ndarray) -> tuple[np.ndarray, None] | None:
    """Rows take every branch, so that sites show themselves that this data may never reach."""
    if info.mechanism in ("moe", "sparse_activation"):
        return None
    return (
        np.arange(len(own)) if info.mechanism == "multi_branch" else np.ones(len(own), np.int64)
    ) % info.branches, None


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise CondsimError(
            "quality: the model's output is NaN or infinite for these inputs; check its weights"
        )
    return np.asarray(values, np.float32)


def _keep(
    live: LiveModel,
    seen: Observation,
    run: Execution,
    units: int,
    seq: int | None,
    past: int,
    phase: str,
) -> None:
    assert run.observed is not None
    if not live.infos:
        found = look_alikes(live.model)
        start = (
            f"found {', '.join(found[:3])}, but not how its experts are chosen. " if found else ""
        )
        unread = [
            f"{s.name or 'its forward'}: {reason}"
            for s in live.sites
            if getattr(s, "guards", False) and (reason := getattr(s, "reason", None))
        ]
        read = f" (read and given up: {'; '.join(unread[:3])})" if unread else ""
        raise CondsimError(
            f"{start}no routing found in this model: looked for experts modules called with (hidden states, indices, weights), ModuleLists of experts behind a "
            "linear gate, forwards in which a gate, a threshold or an argmax decides which rows leave, take a branch or skip a layer, feed-forwards beside a "
            "predictor of their blocks"
            f"{read}, and condsim.route / condsim.branch in forward(). Mark the decision: ids = condsim.route('gate', 'skip', ids, branches=2), and "
            "what it guards: with condsim.branch('gate', 1): ..."
        )
    seen.steps.append({"phase": phase, "units": units, "seq": seq or 1, "past": past})
    full: dict[str, np.ndarray] = {}
    for name in ordered(live.infos):
        info = live.infos[name]
        calls = run.observed.get(name, [])
        if len(calls) > 1:
            raise CondsimError(
                f"site {name!r} decides {len(calls)} times in one forward pass; give each place a name of its own"
            )
        present = None if not info.parents else full[info.parents[-1][0]] == info.parents[-1][1]
        arriving = units if present is None else int(present.sum())
        call = calls[0] if calls else None
        if name not in seen.per_position:
            seen.per_position[name] = (
                seq is not None
                and call is not None
                and len(call["ids"]) == arriving * seq
                and seq > 0
                and present is None
            )
        total = (
            units * (seq or 1)
            if seen.per_position[name] or (present is not None and len(present) != units)
            else units
        )
        kept = _expand(info, call, total, present)
        full[name] = kept.ids
        seen.decisions.setdefault(name, []).append(kept)


def _expand(
    info: SiteInfo, call: dict[str, Any] | None, rows: int, present: np.ndarray | None
) -> Decisions:
    """Decisions of all rows: -1 (and no score) where a row never got there."""
    if present is None:
        assert call is not None
        ids = call["ids"].numpy()
        if len(ids) != rows:
            raise CondsimError(
                f"site {info.name!r} decided for {len(ids)} rows where the batch has {rows}; route every row, or mark what comes before"
            )
        weights = call["weights"].numpy() if "weights" in call else None
        scores = call["scores"].numpy() if "scores" in call else None
        return Decisions(_small(info, ids), weights, scores)
    wide = info.branches if info.mechanism == "sparse_activation" else info.top_k
    ids = np.full(
        (rows,) if wide is None else (rows, wide),
        0 if info.mechanism == "sparse_activation" else -1,
        np.int16,
    )
    weights = scores = None
    if info.has_weights:
        weights = np.zeros((rows, info.top_k or 1), np.float32)
    if info.has_scores:
        scores = np.full(rows, np.nan, np.float32)
    if call is not None:
        ids[present] = call["ids"].numpy()
        if scores is not None:
            scores[present] = call["scores"].numpy()
        if weights is not None:
            weights[present] = call["weights"].numpy().reshape(-1, weights.shape[1])
    return Decisions(_small(info, ids), weights, scores)


def _small(info: SiteInfo, ids: np.ndarray) -> np.ndarray:
    return ids.astype(bool) if info.mechanism == "sparse_activation" else ids.astype(np.int16)


def ordered(infos: dict[str, SiteInfo]) -> list[str]:
    """Sites, parents first."""
    return sorted(infos, key=lambda n: len(infos[n].parents))


def score_exits(
    live: LiveModel, batches: list[Batch], seen: Observation, quality: Quality | None
) -> None:
    """Scores of every early exit for every row, and quality at every exit, so that another threshold needs no model."""
    exits = [n for n in ordered(live.infos) if live.infos[n].mechanism == "early_exit"]
    if (
        not exits
        or len(exits) != len(live.infos)
        or not all(live.infos[n].has_scores for n in exits)
    ):
        return
    scores: dict[str, list[np.ndarray]] = {n: [] for n in exits}
    for number, batch in enumerate(batches):
        for stop in range(len(exits) + 1 if quality is not None else 1):
            leaves_at = stop if quality is not None else len(exits)
            forced = {n: np.full(batch.units, int(j < leaves_at)) for j, n in enumerate(exits)}
            run = Execution(forced=forced, observed={})
            output = live.run(batch, run)
            if quality is not None:
                seen.quality.setdefault(f"exit_{stop}", []).append(_finite(quality(output, number)))
            if leaves_at == len(exits):
                assert run.observed is not None
                for n in exits:
                    scores[n].append(run.observed[n][0]["scores"].numpy())
    for n in exits:
        seen.decisions[n] = [
            Decisions(d.ids, d.weights, s)
            for d, s in zip(seen.decisions[n], scores[n], strict=True)
        ]


def dense_quality(
    live: LiveModel,
    batches: list[Batch],
    seen: Observation,
    quality: Quality,
    costliest: dict[str, int],
) -> None:
    """Quality of the same model when nothing is conditional (`same-params`)."""
    for number, batch in enumerate(batches):
        output = live.run(batch, Execution({"*": "same-params"}, costliest=costliest))
        seen.quality.setdefault("dense", []).append(_finite(quality(output, number)))
