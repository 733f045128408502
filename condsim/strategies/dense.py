"""What a model without sites runs as: it decides nothing."""

from __future__ import annotations

from condsim.strategies.strategy import DENSE, STRATEGIES, Strategy

STRATEGIES.register(DENSE)(Strategy(DENSE, (), needs=()))
