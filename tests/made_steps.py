"""Made-up steps."""

from __future__ import annotations

import numpy as np

from condsim.steps.extents import Steps


def batches(*units: int) -> Steps:
    """Steps of so many units of one position, without sites."""
    ones = np.ones(len(units), int)
    return Steps.rectangular(np.array(units), ones, ones, {})
