"""Force: run given decisions through a live model. Baselines, replay, balanced, random, perturbed and oracle routing are all this one verb."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from condsim.errors import CondsimError, unknown
from condsim.live.execution import BASELINES, Decide, Execution, SiteInfo
from condsim.live.model import LiveModel
from condsim.steps.rebatch import branch_shares, rows_kept
from condsim.trace import Trace

WAYS = (*BASELINES, "balanced", "random", "perturbed", "oracle")


@contextlib.contextmanager
def force(
    model: torch.nn.Module,
    what: str | Trace,
    *,
    trace: Trace | None = None,
    seed: int = 0,
    share: float = 0.1,
) -> Iterator[None]:
    """While it lasts, `model` takes forced decisions.

    what: "same-params" or "same-flops" (a baseline), "balanced" or "random" decisions, "perturbed" (its own, a `share` of the rows at random), "oracle" (the
    first exit that is right; needs `trace` with quality at every exit), or a trace, whose steps are replayed in order, one forward pass each.
    trace: what same-flops and oracle take their numbers from. Inputs of a replay must be those of the trace.
    Raises CondsimError for an unknown way, a missing trace, or a replay that runs out of steps.
    """
    live = LiveModel.of(model)
    if isinstance(what, Trace):
        run = Execution(decide=_replay(what))
    elif what == "same-params":
        run = Execution({"*": what}, costliest=_costliest(trace))
    elif what == "same-flops":
        run = Execution({"*": what}, rows_kept=_Kept(_needs(trace, what)))
        for site in (
            s for s in live.sites if s.name in {n.name for n in _needs(trace, what).sites}
        ):
            site.top_k = _needs(trace, what).site(site.name).top_k or 1
    elif what in ("balanced", "random", "perturbed"):
        run = Execution(decide=_drawn(what, np.random.default_rng(seed), share))
    elif what == "oracle":
        run = Execution(decide=_oracle(_needs(trace, what)))
    else:
        raise unknown("forced routing", what, WAYS)
    with live.prepared(run):
        yield


def _needs(trace: Trace | None, what: str) -> Trace:
    if trace is None:
        raise CondsimError(
            f"force(model, {what!r}) needs trace=, which says how much each branch does"
        )
    return trace


def _costliest(trace: Trace | None) -> dict[str, int]:
    return {} if trace is None else dict(trace.header.costliest)


class _Kept(dict[str, np.ndarray]):
    """Rows that each branch keeps at the batch size of the trace's steps."""

    def __init__(self, trace: Trace) -> None:
        units = int(trace.steps["units"].mode().iloc[0])
        first = trace.steps[trace.steps["phase"] == trace.steps["phase"].iloc[0]]
        seq = int(first["seq"].mode().iloc[0])
        super().__init__(
            {
                s.name: rows_kept(
                    branch_shares(trace, s.name),
                    units * seq if s.per_position else units,
                    s.mechanism,
                    s.top_k,
                )
                for s in trace.sites
            }
        )


def _replay(trace: Trace) -> Decide:
    calls: dict[str, int] = {}
    starts: dict[str, np.ndarray] = {}
    decided = {s.name: trace.decisions(s.name) for s in trace.sites}

    def decide(info: SiteInfo, own: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
        if info.name not in decided:
            raise CondsimError(
                f"replay: the trace has no site {info.name!r}; it was captured from another model"
            )
        site = trace.site(info.name)
        if info.name not in starts:
            per_step = trace.steps["units"].to_numpy() * (
                trace.steps["seq"].to_numpy() if site.per_position else 1
            )
            starts[info.name] = np.concatenate([[0], np.cumsum(per_step)])
        all_ids = decided[info.name].ids
        bounds = starts[info.name]
        step = calls.get(info.name, 0)
        while step < len(bounds) - 1:
            at = slice(bounds[step], bounds[step + 1])
            here = (
                np.ones(len(all_ids[at]), bool)
                if site.mechanism == "sparse_activation"
                else all_ids[at].reshape(len(all_ids[at]), -1)[:, 0] >= 0
            )
            step += 1
            if here.any():
                break
        else:
            raise CondsimError(
                f"replay: the trace's {len(bounds) - 1} steps are used up at site {info.name!r}"
            )
        calls[info.name] = step
        if int(here.sum()) != len(own):
            raise CondsimError(
                f"replay: site {info.name!r} sees {len(own)} rows in step {step - 1} where the trace has {int(here.sum())}; use the trace's inputs"
            )
        weights = decided[info.name].weights
        return all_ids[at][here], None if weights is None else weights[at][here]

    return decide


def _drawn(what: str, rng: np.random.Generator, share: float) -> Decide:
    def decide(info: SiteInfo, own: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
        rows = len(own)
        if what == "perturbed":
            chosen = (rng.random(rows) < share).reshape(rows, *[1] * (own.ndim - 1))
            ids, _ = draw(info, rows)
            return np.where(chosen, ids.astype(own.dtype), own), None
        return draw(info, rows)

    def draw(info: SiteInfo, rows: int) -> tuple[np.ndarray, np.ndarray | None]:
        if info.mechanism == "sparse_activation":
            return rng.random((rows, info.branches)) < 0.5, None
        k = info.top_k
        if what == "balanced":
            first = np.arange(rows) * (k or 1)
            ids = (first[:, None] + np.arange(k or 1)) % info.branches
        else:
            ids = np.argsort(rng.random((rows, info.branches)), axis=1)[:, : k or 1]
        if k is None:
            return ids[:, 0], None
        return ids, np.full((rows, k), 1 / k, np.float32)

    return decide


def _oracle(trace: Trace) -> Decide:
    exits = [c for c in trace.quality.columns if c.startswith("exit_")]
    if not exits:
        raise CondsimError(
            f"oracle: trace {trace.name!r} has no quality at every exit; capture an early-exit model with quality="
        )
    q = trace.quality[exits].to_numpy()
    best = q.max(1) if trace.header.provenance.higher_is_better else q.min(1)
    depth = np.argmax(q == best[:, None], axis=1)
    levels = {s.name: s.level for s in trace.sites}
    place = {"unit": 0, "rows": np.arange(0)}

    def decide(info: SiteInfo, own: np.ndarray) -> tuple[np.ndarray, np.ndarray | None] | None:
        rows = len(own)
        if levels[info.name] == 0:
            start = int(place["unit"])  # type: ignore[call-overload]
            place["unit"], place["rows"] = start + rows, np.arange(start, start + rows)
        here = place["rows"]
        assert isinstance(here, np.ndarray)
        goes = depth[here] > levels[info.name]
        place["rows"] = here[goes]
        return goes.astype(np.int64), None

    return decide
