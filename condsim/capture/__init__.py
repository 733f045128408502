"""Capture: probe what a model executes, observe what it decides, and give both as a trace."""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from condsim.capture.observe import (
    Observation,
    Quality,
    dense_quality,
    observe,
    ordered,
    score_exits,
)
from condsim.capture.probe import key, probe
from condsim.errors import CondsimError
from condsim.hardware import fingerprint
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.program import Program
from condsim.program.logical import branch_flops
from condsim.trace import Header, Mechanism, Provenance, Site, Trace
from condsim.trace.store import file_name, in_memory

Progress = Callable[[str, int, int], None]  # what, done, of how many


def capture(
    model: torch.nn.Module,
    inputs: Any,
    baseline: torch.nn.Module | None = None,
    measure: bool | list[str] = True,
    new_tokens: int = 0,
    *,
    name: str | None = None,
    quality: Quality | None = None,
    quality_name: str | None = None,
    higher_is_better: bool = True,
    spec: str | None = None,
    command: str | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> Trace:
    """Capture a conditional model's routing and what it executes.

    model: in evaluation mode; nothing of it is changed. inputs: a tensor, a tuple, a dict of forward() arguments, or a list of such batches.
    baseline: a dense module, timed as a third kind. measure: time the captured strategy here (or a list of strategies).
    new_tokens: greedy cached decode steps after each batch. quality: (output, batch number) → float [units].
    Returns the trace. Raises CondsimError for empty inputs, weights that are not finite, or a model without routing.
    """
    batches = as_batches(inputs)
    live = LiveModel.of(model)
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            seen = observe(
                live, batches, new_tokens, quality, _counter(progress, "observe", len(batches))
            )
            total = len(live.assignments()) * (4 if new_tokens else 2)
            with _one_thread():
                programs = probe(
                    live,
                    batches[0],
                    seen.per_position,
                    decode=new_tokens > 0,
                    progress=_counter(progress, "probe", total),
                )
            score_exits(live, batches, seen, quality)
            costliest = find_costliest(live, programs)
            if quality is not None and not new_tokens:
                dense_quality(live, batches, seen, quality, costliest)
            trace = _trace(
                live,
                seen,
                programs,
                costliest,
                name or type(model).__name__,
                spec,
                command,
                quality_name,
                higher_is_better,
            )
            if measure:
                from condsim.measure import measure_live

                strategies = measure if isinstance(measure, list) else None
                trace = measure_live(
                    trace, live, batches, strategies=strategies, module=baseline, progress=progress
                )
    finally:
        for module, training in modes:
            module.training = training
    return trace


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Shapes do not depend on threads, and on sizes as small as those of probing more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def find_costliest(live: LiveModel, programs: dict[str, Program]) -> dict[str, int]:
    """The branch of the most FLOPs at each multi-branch site."""
    program = programs[key(live.captured, "prefill-n")]
    return {
        n: int(np.argmax(branch_flops(program, n, i.branches)))
        for n, i in live.infos.items()
        if i.mechanism == "multi_branch"
    }


def _counter(progress: Progress, what: str, of: int) -> Callable[..., None]:
    done = 0

    def step(*_: Any) -> None:
        nonlocal done
        done += 1
        progress(what, done, of)

    return step


def _trace(
    live: LiveModel,
    seen: Observation,
    programs: dict[str, Program],
    costliest: dict[str, int],
    name: str,
    spec: str | None,
    command: str | None,
    quality_name: str | None,
    higher_is_better: bool,
) -> Trace:
    decisions = seen.joined()
    model = live.model
    per_row = logical_program(live, programs)
    exits = [
        n
        for n in ordered(live.infos)
        if live.infos[n].mechanism == "early_exit" and not seen.per_position[n]
    ]
    chained = len(exits) > 0 and all(
        live.infos[n].parents == tuple((e, 1) for e in exits[:j]) for j, n in enumerate(exits)
    )
    sites = []
    for n in ordered(live.infos):
        info = live.infos[n]
        depth = chained and n in exits
        sites.append(
            Site(
                name=n,
                mechanism=cast(Mechanism, info.mechanism),
                branches=info.branches,
                top_k=info.top_k,
                parents=info.parents,
                encoding="depth"
                if depth
                else "bits"
                if info.mechanism == "sparse_activation"
                else "ids",
                stored="exits" if depth else file_name(n),
                level=exits.index(n) if depth else 0,
                per_position=seen.per_position[n],
                has_weights=decisions[n].weights is not None,
                has_scores=decisions[n].scores is not None,
                branch_flops=tuple(float(f) for f in branch_flops(per_row, n, info.branches)),
            )
        )
    parameters = list(model.parameters())
    threshold = getattr(model, "threshold", None)
    header = Header(
        name=name,
        sites=tuple(sites),
        captured=live.captured,
        costliest=costliest,
        thresholds={"threshold": float(threshold)} if isinstance(threshold, (int, float)) else {},
        notes=_notes(live),
        provenance=Provenance(
            model=f"{type(model).__module__}.{type(model).__qualname__}",
            spec=spec,
            command=command,
            taken=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={p: importlib.metadata.version(p) for p in ("condsim", "torch", "numpy")}
            | {"python": sys.version.split()[0]},
            machine=dict(fingerprint(torch.get_num_threads())),
            dtype=str(parameters[0].dtype).removeprefix("torch.") if parameters else "float32",
            parameters=sum(p.numel() for p in parameters),
            parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
            quality_name=quality_name,
            higher_is_better=higher_is_better,
        ),
    )
    return Trace(
        header,
        pd.DataFrame(seen.steps),
        programs,
        in_memory(decisions),
        seen.quality_table() if seen.quality else pd.DataFrame(),
    )


def logical_program(live: LiveModel, programs: dict[str, Program]) -> Program:
    """The program in which every guard stands alone: what one more row costs can be read off it."""
    apart = {"moe": "looped", "sparse_activation": "gathered"}
    return programs[key({m: apart.get(m, "compacted") for m in live.captured}, "prefill-n")]


def _notes(live: LiveModel) -> tuple[str, ...]:
    routerless = [s.name for s in live.sites if getattr(s, "router", True) is None]
    notes = [
        s.note
        for s in live.sites
        if hasattr(s, "note") and set(getattr(s, "sites", (s.name,))) & set(live.infos)
    ]
    if routerless:
        notes.append(
            f"the router of {routerless[0]} was not found as a module: baselines measured here still run it"
        )
    return tuple(notes)


__all__ = ["CondsimError", "capture"]
