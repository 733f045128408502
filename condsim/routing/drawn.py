"""A generator and steps → a trace of routing that was drawn, without programs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from condsim.mechanisms import MECHANISMS
from condsim.program.regime import DECODE, PREFILL
from condsim.routing.generator import RoutingGenerator
from condsim.routing.sequences import rows_of_sequences
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.columns import STEP_COLUMNS
from condsim.trace.encoding import id_dtype, in_memory
from condsim.trace.header import ONE_A_POSITION


def prefill_steps(units: int, positions: int, steps: int = 1) -> pd.DataFrame:
    """Return steps of whole sequences."""
    rows = [(PREFILL, units, positions, 0)] * steps
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def decode_steps(units: int, context: int, steps: int = 1) -> pd.DataFrame:
    """Return steps of one token a sequence that attend to `context` positions, each of other
    sequences."""
    rows = [(DECODE, units, 1, context - 1)] * steps
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def drawn_trace(generator: RoutingGenerator, steps: pd.DataFrame, seed: int = 0) -> Trace:
    """Return what a generator decides in some steps.

    steps: a table as traces have it. The same seed gives the same decisions.
    """
    about = f"routing is drawn from generator {generator.name!r} ({generator.source}), seed {seed}"
    ids = _ids(generator, steps, seed)
    return trace_of_ids(generator.name, ids, generator.experts, steps, about)


def trace_of_ids(
    name: str, ids: Sequence[np.ndarray], experts: int, steps: pd.DataFrame, note: str
) -> Trace:
    """Return a trace of routing without programs.

    ids: of each layer in the order of the steps' rows, int [rows, k]. note: where they are from.
    """
    mechanism = next(name for name, m in MECHANISMS.items() if m.mixes_experts)
    sites = []
    decisions = {}
    for layer, of_layer in enumerate(ids):
        site = Site(
            name=f"layers.{layer}",
            mechanism=mechanism,
            branches=experts,
            top_k=of_layer.shape[1],
            unit_rows=ONE_A_POSITION,
        )
        sites.append(site)
        decisions[site.name] = Decisions(of_layer)
    header = Header(
        name=name,
        sites=tuple(sites),
        captured={},
        notes=(note,),
        has_programs=False,
        provenance=_provenance(name),
    )
    return Trace(header, steps, {}, in_memory(decisions))


def _ids(generator: RoutingGenerator, steps: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """The ids of each layer in the order of the trace's rows, int [rows, k]."""
    rows = int((steps["units"] * steps["seq"]).sum())
    shape = (rows, generator.top_k)
    ids = [np.empty(shape, id_dtype(generator.experts)) for _ in range(generator.layers)]
    for number, together in enumerate(rows_of_sequences(steps)):
        sequences, positions = together.shape
        drawn = generator.draw(sequences, positions, seed=_seed(seed, number))
        for of_layer, of_sequences in zip(ids, drawn, strict=True):
            of_layer[together] = of_sequences
    return ids


def _seed(seed: int, number: int) -> int:
    """A seed for each of several draws."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _provenance(name: str) -> Provenance:
    from condsim import __version__

    taken = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions: Mapping[str, str] = {"condsim": __version__}
    return Provenance(model=name, taken=taken, versions=versions)
