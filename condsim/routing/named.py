"""A generator from published statistics, for a model of any shape."""

from __future__ import annotations

import numpy as np

from condsim import checks
from condsim.errors import CondsimError
from condsim.routing.generator import RoutingGenerator, race_weights
from condsim.routing.published import STATISTICS
from condsim.trace import Trace

MOST_LAYERS, MOST_EXPERTS = 4096, 1 << 16
MOST_PAIRS = 1 << 26
"""Of experts that follow each other, in all layers: a number each."""


def routing(name: str, *, layers: int, experts: int, top_k: int, seed: int = 0) -> RoutingGenerator:
    """Return a generator whose experts are loaded as those of a published model.

    name: of `condsim.routing.published`. layers, experts, top_k: of the model that it is for; loads
    of other layers and numbers of experts are interpolated. Which expert is popular, and which
    follows which, is drawn: nothing is known of that.
    seed: of that draw.
    Raises CondsimError for an unknown name, and for experts that no layer could have.
    """
    statistics = STATISTICS[name]
    for what, value, most in (
        ("layers", layers, MOST_LAYERS),
        ("experts", experts, MOST_EXPERTS),
        ("top_k", top_k, experts),
    ):
        checks.whole(what, value, most=most)
    checks.whole("seed", seed, least=0)
    if layers * experts**2 > MOST_PAIRS:
        raise CondsimError(
            f"{layers} layers of {experts} experts have {layers * experts**2:,} pairs of experts; "
            f"at most {MOST_PAIRS:,} are drawn"
        )
    rng = np.random.default_rng(seed)
    shares = []
    for layer in range(layers):
        loads = statistics.shares(layer / max(1, layers - 1), experts)
        shares.append(rng.permutation(loads) * top_k / experts)
    lifts: list[np.ndarray | None] = [None]
    for before in shares[:-1]:
        lifts.append(_drawn_lift(before, statistics.lift_sigma, rng))
    nothing = np.zeros(layers)
    return RoutingGenerator(
        name=name,
        top_k=top_k,
        shares=np.stack(shares),
        weights=race_weights(np.stack(shares), top_k),
        lifts=tuple(lifts),
        memory=nothing,
        sequence_share=nothing,
        source=statistics.source,
    )


def routing_for(programs: Trace, name: str, seed: int = 0) -> RoutingGenerator:
    """Return `routing` in the shape of a trace's sites: mixtures, all with as many experts.

    Raises CondsimError as `routing` does.
    """
    first = programs.sites[0]
    layers, top_k = len(programs.sites), first.top_k or 1
    return routing(name, layers=layers, experts=first.branches, top_k=top_k, seed=seed)


def _drawn_lift(before: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray | None:
    """Lifts of a spread that leave every expert its share; None for no spread.

    before: shares of the experts of the layer before.
    """
    if not sigma:
        return None
    lift = np.exp(sigma * rng.standard_normal((len(before), len(before))))
    mean = before @ lift / before.sum()
    even: np.ndarray = (lift / mean).astype(np.float32)
    return even
