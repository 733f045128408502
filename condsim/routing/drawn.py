"""A generator and steps → a trace of routing that was drawn, without programs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import numpy as np
import pandas as pd

from condsim.mechanisms import MECHANISMS
from condsim.program.regime import DECODE, PREFILL
from condsim.routing.generator import RoutingGenerator
from condsim.routing.sequences import rows_of_sequences
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.columns import STEPS
from condsim.trace.encoding import id_dtype, in_memory
from condsim.trace.header import ONE_A_POSITION


def prefill_steps(units: int, positions: int, steps: int = 1) -> pd.DataFrame:
    """Return steps of whole sequences."""
    rows = [(PREFILL, units, positions, 0)] * steps
    return pd.DataFrame(rows, columns=list(STEPS))


def decode_steps(units: int, context: int, steps: int = 1) -> pd.DataFrame:
    """Return steps of one token a sequence that attend to `context` positions, each of other
    sequences."""
    rows = [(DECODE, units, 1, context - 1)] * steps
    return pd.DataFrame(rows, columns=list(STEPS))


def drawn_trace(generator: RoutingGenerator, steps: pd.DataFrame, seed: int = 0) -> Trace:
    """Return what a generator decides in some steps.

    steps: a table as traces have it. The same seed gives the same decisions.
    """
    sites = _sites(generator)
    ids = _ids(generator, steps, seed)
    decisions = {site.name: Decisions(of_site) for site, of_site in zip(sites, ids, strict=True)}
    about = f"routing is drawn from generator {generator.name!r} ({generator.source}), seed {seed}"
    header = Header(
        name=generator.name,
        sites=sites,
        captured={},
        notes=(about,),
        has_programs=False,
        provenance=_provenance(generator),
    )
    return Trace(header, steps, {}, in_memory(decisions))


def _sites(generator: RoutingGenerator) -> tuple[Site, ...]:
    mechanism = next(name for name, m in MECHANISMS.items() if m.mixes_experts)
    sites = []
    for layer in range(generator.layers):
        site = Site(
            name=f"layers.{layer}",
            mechanism=mechanism,
            branches=generator.experts,
            top_k=generator.top_k,
            unit_rows=ONE_A_POSITION,
        )
        sites.append(site)
    return tuple(sites)


def _ids(generator: RoutingGenerator, steps: pd.DataFrame, seed: int) -> list[np.ndarray]:
    """The ids of each layer in the order of the trace's rows, int [rows, k]."""
    rows = int((steps["units"] * steps["seq"]).sum())
    shape = (rows, generator.top_k)
    ids = [np.empty(shape, id_dtype(generator.experts)) for _ in range(generator.layers)]
    for number, together in enumerate(rows_of_sequences(steps)):
        drawn = generator.draw(*together.shape, seed=_seed(seed, number))
        for of_layer, of_sequences in zip(ids, drawn, strict=True):
            of_layer[together] = of_sequences
    return ids


def _seed(seed: int, number: int) -> int:
    """A seed for each of several draws."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _provenance(generator: RoutingGenerator) -> Provenance:
    from condsim import __version__

    taken = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions: Mapping[str, str] = {"condsim": __version__}
    return Provenance(model=generator.name, taken=taken, versions=versions)
