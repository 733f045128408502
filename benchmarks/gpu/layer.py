"""A measured layer as a trace: one mixture-of-experts layer on one rank, a step a draw of its
routing.

The program is written down here from the layer's sizes, as the engine's own source runs it
(`condsim.strategies.fused`): the model has no module to record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.strategies.fused import FusedExperts, top_k_softmax
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.header import ONE_A_POSITION

SITE = "experts"
MODULE = "layers.0"
ROWS = Dim.product(1, "batch", "seq")


@dataclass(frozen=True)
class Layer:
    """Sizes of a layer on one rank.

    inner: columns of an expert here; experts: of the layer; here: those on this rank, the first of
    them.
    """

    hidden: int
    inner: int
    experts: int
    top_k: int
    here: int
    gated: bool

    @property
    def expert_flops(self) -> float:
        """Of one row in one expert."""
        return 2.0 * self.hidden * self.inner * (3 if self.gated else 2)

    @property
    def wide(self) -> int:
        """Columns of the first projection."""
        return self.inner * (2 if self.gated else 1)

    @property
    def expert_parameters(self) -> int:
        return self.hidden * (self.wide + self.inner)


def trace(layer: Layer, draws: Sequence[tuple[int, np.ndarray]]) -> Trace:
    """A step for each (tokens, rows of each expert [experts]), which must come in rising order
    of tokens."""
    flops = tuple(layer.expert_flops if e < layer.here else 0.0 for e in range(layer.experts))
    site = Site(
        name=SITE,
        mechanism="moe",
        branches=layer.experts,
        top_k=layer.top_k,
        stored=SITE,
        unit_rows=ONE_A_POSITION,
        branch_flops=flops,
    )
    header = Header(
        name=f"moe-{layer.hidden}-{layer.inner}-{layer.experts}-{layer.top_k}-{layer.here}",
        sites=(site,),
        captured={"moe": "fused"},
        provenance=Provenance(
            model="mixture-of-experts layer",
            taken="made",
            versions={},
            dtype="bfloat16",
            parameters=layer.here * layer.expert_parameters,
        ),
    )
    seq = [tokens for tokens, _ in draws]
    steps = pd.DataFrame({"phase": "prefill", "units": 1, "seq": seq, "past": 0})

    def reader(_site: str) -> Iterator[Decisions]:
        every = np.arange(layer.experts, dtype=np.int16)
        for tokens, rows in draws:
            ids = np.repeat(every, rows).reshape(layer.top_k, tokens)
            yield Decisions(ids.T)

    return Trace(header, steps, _programs(layer), reader)


def _programs(layer: Layer) -> dict[str, Program]:
    made = (
        _fused(layer),
        _dense(layer, "same-params", layer.here),
        _dense(layer, "same-flops", layer.top_k),
    )
    return {f"{program.strategy}/{program.regime}": program for program in made}


def _fused(layer: Layer) -> Program:
    first = Tensor((Dim(layer.here), Dim(layer.wide), Dim(layer.hidden)), "float", "w13")
    second = Tensor((Dim(layer.here), Dim(layer.hidden), Dim(layer.inner)), "float", "w2")
    router = top_k_softmax(ROWS, layer.experts, layer.top_k, SITE, "")
    experts = FusedExperts(ROWS, layer.top_k, first, second, layer.gated, SITE, MODULE)
    return Program("fused", "prefill-1", Scope((router, *experts.operators())))


def _dense(layer: Layer, baseline: str, experts: int) -> Program:
    """Return so many experts side by side as one matmul a projection."""
    wide, inner = Dim(layer.wide * experts), Dim(layer.inner * experts)
    hidden = Dim(layer.hidden)
    x, up, act = (Tensor((ROWS, columns), "float") for columns in (hidden, wide, inner))
    first, second = Tensor((wide, hidden), "float", "w13"), Tensor((hidden, inner), "float", "w2")
    activation = "silu_and_mul" if layer.gated else "silu"
    ops = (
        Op("linear", (x, first), (up,)),
        Op(activation, (up,), (act,)),
        Op("linear", (act, second), (x,)),
    )
    return Program(baseline, "prefill-1", Scope(ops))
