"""Strategies that run all experts of a site in one go: their programs have no guards."""

from __future__ import annotations

from condsim.strategies.strategy import EXPERTS, STRATEGIES, Strategy

DISPATCHED = "dispatched"
"""How a model is written that multiplies as many rows in each expert, whatever is decided: by
products with one-hot tensors, or all rows in all experts. Its program is the model's own."""

STRATEGIES.register("grouped")(Strategy("grouped", (EXPERTS,), feels_imbalance=True))
STRATEGIES.register("batched")(Strategy("batched", (EXPERTS,)))
STRATEGIES.register("padded")(Strategy("padded", (EXPERTS,), drops=True, needs=()))
STRATEGIES.register(DISPATCHED)(Strategy(DISPATCHED, (EXPERTS,), needs=()))
