"""A model of the catalogue as it is served: programs of all its steps, and routing of texts."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from condsim.catalogue import CatalogueModel
from condsim.catalogue.parts.programs import all_programs_of
from condsim.catalogue.parts.tensor import DECODER
from condsim.errors import CondsimError
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.routing.drawn import decode_steps, drawn_trace, prefill_steps
from condsim.routing.named import routing_for
from condsim.trace import Trace

SEQUENCES, PROMPT, ANSWER = 32, 256, 32
"""Sequences whose routing is drawn, and their tokens."""


def served_model(
    model: CatalogueModel, seed: int = 0, progress: Callable[[str], None] = lambda _name: None
) -> Trace:
    """Return what `condsim.serve` takes for a model.

    The routing of a conditional model is drawn from published statistics, for some sequences that
    requests are given. A dense model decides nothing.
    seed: of that draw. progress: called with the programs that are recorded.
    Raises CondsimError for models that are neither mixtures nor dense decoders.
    """
    if model.form != DECODER:
        raise CondsimError(
            f"model {model.name!r} cannot be served here: requests are of mixtures and of dense "
            "decoders; condsim simulate takes it"
        )
    regimes = [Regime(phase, single) for phase in (PREFILL, DECODE) for single in (True, False)]
    whole = all_programs_of(model, regimes, progress)
    if not model.conditional:
        return whole
    generator = routing_for(whole, model.routing, seed)
    steps = [prefill_steps(SEQUENCES, PROMPT)]
    steps += [decode_steps(SEQUENCES, PROMPT + 1 + turn) for turn in range(ANSWER)]
    return whole.with_routing(drawn_trace(generator, pd.concat(steps, ignore_index=True), seed))
