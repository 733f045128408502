"""One side, priced by what the device is: operators that the host issues, or prepared graphs."""

from __future__ import annotations

from condsim.cost.cost_model import Pricing
from condsim.cost.static.prepared_graphs import prepared_side
from condsim.cost.step_cost import Side, side
from condsim.lower import Lowering


def price(lowering: Lowering, pricing: Pricing) -> Side:
    """Price everything that a lowering runs."""
    return prepared_side(lowering, pricing) if pricing.prepared else side(lowering, pricing)
