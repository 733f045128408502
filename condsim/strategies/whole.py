"""Strategies that run all experts in one go: their programs have no guards."""

from __future__ import annotations

from condsim.strategies import STRATEGIES, Strategy

GROUPED = STRATEGIES.register("grouped")(Strategy("grouped", ("moe",)))
BATCHED = STRATEGIES.register("batched")(Strategy("batched", ("moe",)))
PADDED = STRATEGIES.register("padded")(
    Strategy("padded", ("moe",), drops=True, kinds=("cpu", "gpu", "tpu", "npu"))
)
