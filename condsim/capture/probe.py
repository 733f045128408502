"""A few small runs a regime → programs: the static half of capturing.

Every strategy that can run is run, recorded, and fitted. Decisions are forced, so that each guard sees no rows, one and several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from condsim.capture.fit import Fitter, Misfit, Run
from condsim.live.decode import start_decode
from condsim.live.execution import BASELINES, Execution, SiteInfo
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.program import Program
from condsim.record.nest import Periods, tree
from condsim.strategies import name_of

SEQUENCE_SIZES = {
    "1": ((1, 6), (1, 9), (1, 13), (1, 22), (1, 11), (1, 8), (1, 15)),
    "n": ((2, 5), (3, 7), (2, 11), (5, 6), (4, 13), (6, 9), (3, 8)),
}
BATCH_SIZES = {
    "1": (1,) * 24,
    "n": (2, 3, 5, 7, 4, 11, 6, 9, 13, 8, 10, 5, 12, 3, 7, 17, 14, 2, 15, 6),
}
SHARES = (0.5, 1.0, 0.0, 0.75, 0.25, 0.0, 0.9, 0.6, 0.0, 0.4)


def key(assignment: Mapping[str, str], regime: str) -> str:
    """The name of a program in a trace."""
    return f"{name_of(assignment)}/{regime}"


def random_decisions(
    info: SiteInfo, rows: int, share: float, rng: np.random.Generator, turn: int = 0
) -> tuple[np.ndarray, np.ndarray | None]:
    """Forced ids of all rows, and weights where the site has them. share: about how many rows leave branch 0 (or blocks that are active).

    turn: which branch of several is to be the first that rows take.
    """
    if info.mechanism == "sparse_activation":
        wanted = (
            rng.random(info.branches) < share
        )  # by any row: with one draw a row and block the union would nearly always be all
        return (rng.random((rows, info.branches)) < 0.7) & wanted, None
    if info.mechanism == "moe":
        k = info.top_k or 1
        skew = rng.permutation(np.linspace(0.2, 1.0, info.branches)) ** (4 * share)
        scores = rng.gumbel(size=(rows, info.branches)) + np.log(skew)
        ids = np.argsort(-scores, axis=1)[:, :k]
        return ids if info.top_k else ids[:, 0], rng.dirichlet(np.ones(k), rows).astype(np.float32)
    if info.branches == 2:
        return (rng.random(rows) < share).astype(np.int64), None
    first = turn % info.branches
    later = first + np.flatnonzero(rng.random(info.branches - first) < 0.2 + 0.8 * share)
    ids = rng.choice(np.union1d(later, [first]), rows)
    ids[rng.integers(rows)] = first
    return ids, None


def execution_for(
    assignment: Mapping[str, str],
    infos: Mapping[str, SiteInfo],
    rows: Mapping[str, int],
    run: int,
    costliest: Mapping[str, int],
) -> Execution:
    """An execution with random decisions: rows is how many rows each site sees when nothing was dropped before it. run: a number that varies them."""
    rng = np.random.default_rng(run)
    forced, weights, kept = {}, {}, {}
    for number, (name, info) in enumerate(infos.items()):
        share = SHARES[(run + 3 * number) % len(SHARES)]
        forced[name], w = random_decisions(info, rows[name], share, rng, run + number)
        if w is not None:
            weights[name] = w
        if info.mechanism == "sparse_activation":
            kept[name] = (np.arange(info.branches) < max(1, round(share * info.branches))).astype(
                np.int64
            )
        elif info.mechanism == "multi_branch":
            kept[name] = np.bincount(forced[name], minlength=info.branches)
        elif info.mechanism == "moe":
            kept[name] = np.where(np.arange(info.branches) < (info.top_k or 1), rows[name], 0)
        else:
            kept[name] = np.array(
                [0, max(1, round(share * rows[name]))] + [0] * (info.branches - 2)
            )
    return Execution(
        dict(assignment), forced, weights, rows_kept=kept, costliest=costliest, room=2 + run % 5
    )


def rows_per_site(
    infos: Mapping[str, SiteInfo], per_position: Mapping[str, bool], units: int, seq: int | None
) -> dict[str, int]:
    """Rows each site sees at a size: units, or units x positions."""
    return {n: units * (seq or 1) if per_position[n] else units for n in infos}


def probe(
    live: LiveModel,
    batch: Batch,
    per_position: Mapping[str, bool],
    *,
    decode: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Program]:
    """Programs of every assignment and regime. decode: also one token after a prefix, with the model's own cache.

    Raises Misfit where the same regime has different operators at different sizes.
    """
    programs: dict[str, Program] = {}
    costliest: dict[str, int] = {}
    ways = sorted(live.assignments(), key=lambda a: set(a.values()) <= set(BASELINES))
    for assignment in ways:
        periods: Periods = {}
        for regime in ("prefill-1", "prefill-n") + (("decode-1", "decode-n") if decode else ()):
            progress(key(assignment, regime))
            runs = []
            for i, (units, seq) in enumerate(_sizes(batch, regime)):
                decoding = regime.startswith("decode")
                positions = 1 if decoding else seq
                rows = rows_per_site(live.infos, per_position, units, positions)
                execution = execution_for(assignment, live.infos, rows, i, costliest)
                small = batch.resized(units, seq)
                recorder = (
                    record_decode(live, small, execution)
                    if decoding
                    else live.record(small, execution)
                )
                sizes = {"batch": units}
                if seq is not None:
                    sizes |= {"seq": 1 if decoding else seq, "total": seq + 1 if decoding else seq}
                runs.append((sizes, recorder))
            for _, recorder in sorted(runs, key=lambda r: -_hits(r[1].calls)):
                tree_of = tree(recorder, periods) if periods or recorder.calls else None
                if tree_of is not None:
                    break
            fitted = [
                Run(sizes, tree(recorder, periods), recorder.calls) for sizes, recorder in runs
            ]
            try:
                programs[key(assignment, regime)] = replace(
                    Fitter().program(name_of(assignment), regime, fitted), periods=dict(periods)
                )
            except Misfit as e:
                hint = next(
                    (
                        f"{hint} "
                        for s in live.sites
                        if (hint := getattr(s, "hint", "")) and s.name in live.infos
                    ),
                    "",
                )
                raise Misfit(f"{hint}{key(assignment, regime)}: {e}") from e
        if assignment == live.captured and "multi_branch" in assignment:
            costliest = _costliest(programs[key(assignment, "prefill-n")], live.infos)
    return programs


def _hits(calls: Mapping[str, Any]) -> int:
    return min((sum(n > 0 for n in c.tokens_per_expert) for c in calls.values()), default=0)


def _sizes(batch: Batch, regime: str) -> list[tuple[int, int | None]]:
    kind = regime[-1]
    if batch.seq is None:
        return [(b, None) for b in BATCH_SIZES[kind]]
    return list(SEQUENCE_SIZES[kind])


def _costliest(program: Program, infos: Mapping[str, SiteInfo]) -> dict[str, int]:
    from condsim.program.logical import branch_flops

    return {
        n: int(np.argmax(branch_flops(program, n, i.branches)))
        for n, i in infos.items()
        if i.mechanism == "multi_branch"
    }


def record_decode(live: LiveModel, prefix: Batch, execution: Execution) -> Any:
    """Run `prefix` unrecorded, then record one more token a sequence with the model's cache."""
    token, cache = start_decode(live, prefix, Execution())
    return live.record(Batch((), {"input_ids": token}, prefix.units, 1), execution, **cache)
