"""Decoders with ReLU feed-forwards, of whose neurons a predictor picks those that a token needs.

Which neurons fire is drawn: each has a rate of its own, tokens are independent. The rates follow a
Beta distribution, whose mean is the published share and whose spread is such that the published
share of hot neurons holds so much of all activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from condsim.catalogue.forms.base import form
from condsim.catalogue.forms.decoder import Decoder, steps_of
from condsim.trace import Decisions

if TYPE_CHECKING:
    import torch

    from condsim.catalogue.parts.base import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.trace import Trace

OWN = ("predictor_rank", "active", "hot", "hot_holds")
"""Of `config`: what is no field of transformers' configuration."""
ROWS = 256
"""Tokens that are drawn at a time."""
MOST_ROWS = 512
"""Tokens of all decode steps, at least two steps: their union hardly differs from step to step."""


@form
class SparseDecoder(Decoder):
    """config: of transformers' Llama, and predictor_rank; active: share of the neurons that a token
    needs; hot: share of the neurons that hold `hot_holds` of all activations."""

    name = "sparse_decoder"
    code = ("zoo/predicted_neurons.py",)

    def build(self, model: CatalogueModel) -> torch.nn.Module:
        from dataclasses import replace

        from condsim.zoo.predicted_neurons import with_predicted_neurons

        config = {name: value for name, value in model.config.items() if name not in OWN}
        plain = super().build(replace(model, config=config))
        return with_predicted_neurons(plain, model.config["predictor_rank"])

    def decided(self, model: CatalogueModel, programs: Trace, question: Question) -> Trace:
        steps = steps_of(question)
        if question.batch * len(steps) > MOST_ROWS and len(steps) > 2:
            steps = steps.iloc[: max(2, MOST_ROWS // question.batch)]
        rows = int((steps["units"] * steps["seq"]).sum())
        seeds = {site.name: number for number, site in enumerate(programs.sites)}
        first = programs.sites[0]
        rates = _rates(model.config, first.branches)

        def read(site: str) -> Iterator[Decisions]:
            rng = np.random.default_rng([question.seed, seeds[site]])
            of_neurons = rng.permutation(rates).astype(np.float32)
            for start in range(0, rows, ROWS):
                count = min(ROWS, rows - start)
                yield Decisions(rng.random((count, len(rates)), np.float32) < of_neurons)

        c = model.config
        note = (
            f"neurons are drawn, {c['active']:.1%} a token ({model.routing}); {c['hot']:.0%} of "
            f"them hold {c['hot_holds']:.0%} of all activations; tokens are independent, seed "
            f"{question.seed}"
        )
        return programs.with_reader(read, steps, note)


def _rates(config: Any, neurons: int) -> np.ndarray:
    """How often each neuron fires, float [neurons], in rising order."""
    spread = _spread(config["active"], config["hot"], config["hot_holds"])
    places = (np.arange(neurons) + 0.5) / neurons
    rates: np.ndarray = special.betaincinv(*spread, places)
    return rates


@lru_cache
def _spread(mean: float, hot: float, holds: float) -> tuple[float, float]:
    """(a, b) of the Beta distribution whose highest `hot` hold a share `holds` of its mean.

    The share above a quantile q is 1 - I(q; a + 1, b), I the regularised incomplete beta function.
    """
    from scipy import optimize  # takes longer to import than to use

    def missing(log_a: float) -> float:
        a = float(np.exp(log_a))
        b = a * (1 - mean) / mean
        quantile = special.betaincinv(a, b, 1 - hot)
        return float(1 - special.betainc(a + 1, b, quantile) - holds)

    a = float(np.exp(optimize.brentq(missing, -6.0, 6.0)))
    return a, a * (1 - mean) / mean
