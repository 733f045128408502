"""What the host does under torch.compile: a module of a few layers, and chains of kernels, and of kernels and products, short and long."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from condsim.cost.cpu.compiled_graphs import GRAPH, KERNEL, PRODUCT
from condsim.errors import CondsimError
from condsim.timing.cases import Pool, itself, measure
from condsim.timing.yardstick import Call, Yardstick

SHORT, LONG = 1, 9
SIDE = 16


def _kernels(x: torch.Tensor, count: int) -> torch.Tensor:
    """Each a kernel: what one sums up along rows the next needs along columns."""
    for i in range(count):
        x = torch.softmax(x, i % 2)
    return x


def _products(x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
    """Each a product and a kernel."""
    for i, w in enumerate(weights):
        x = torch.softmax(x @ w, i % 2)
    return x


class _Block(nn.Module):
    """A module of a few layers, whose weights every call checks: two kernels and two products."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(SIDE),
            nn.Linear(SIDE, SIDE),
            nn.Linear(SIDE, SIDE),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.down(F.gelu(self.up(self.norm(x))))
        return found


def compiled_costs(pool: Pool, yardstick: Yardstick, rounds: int = 9) -> dict[str, float]:
    """Seconds of a graph that begins, of a kernel and of a product in it. Under inference mode; raises CondsimError where torch.compile fails."""
    x, weights = pool(SIDE, SIDE), [pool(SIDE, SIDE) for _ in range(LONG)]
    kernels, products = (
        torch.compile(_kernels, dynamic=False),
        torch.compile(_products, dynamic=False),
    )
    calls: dict[tuple[str, int], Call] = {
        ("block", 1): partial(torch.compile(_Block().to(pool.dtype).eval()), x)
    }
    for count in (SHORT, LONG):
        calls["kernels", count], calls["products", count] = (
            partial(kernels, x, count),
            partial(products, x, weights[:count]),
        )
    try:
        for call in calls.values():
            call()
        seconds = measure(
            {key: partial(itself, call) for key, call in calls.items()}, rounds, yardstick=yardstick
        )
    except Exception as e:
        raise CondsimError(
            f"torch.compile failed: {str(e).strip().splitlines()[0]}; calibrate without --compiled"
        ) from e
    finally:
        torch._dynamo.reset()
    kernel, both = (
        max((seconds[what, LONG] - seconds[what, SHORT]) / (LONG - SHORT), 0.0)
        for what in ("kernels", "products")
    )
    return {
        GRAPH: max(seconds["block", 1] - 2 * both, 0.0),
        KERNEL: kernel,
        PRODUCT: max(both - kernel, 0.0),
    }
