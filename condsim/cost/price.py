"""One side, priced by what the device is: operators that the host issues, or prepared graphs."""

from __future__ import annotations

from condsim.cost.prepared import prepared_side
from condsim.cost.pricing import Pricing
from condsim.cost.side import Side, side
from condsim.lower import Lowering


def price(lowering: Lowering, pricing: Pricing) -> Side:
    """Price everything that a lowering runs."""
    return prepared_side(lowering, pricing) if pricing.prepared else side(lowering, pricing)
