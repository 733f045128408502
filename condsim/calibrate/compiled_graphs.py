"""What the host does under torch.compile.

Timed are a module of a few layers, and chains of kernels, and of products and kernels, each chain
short and long: the difference of its two lengths is what one more link costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from condsim.cost.cpu.compiled_graphs import GRAPH, KERNEL, PRODUCT
from condsim.errors import CondsimError
from condsim.timing.cases import Pool, existing, measure
from condsim.timing.yardstick import Call, Yardstick

SHORT, LONG = 1, 9
SIDE = 16
PRODUCTS_OF_BLOCK = 2


def _kernels(x: torch.Tensor, count: int) -> torch.Tensor:
    """A chain of kernels: each sums up along what the next needs side by side."""
    for i in range(count):
        x = torch.softmax(x, i % 2)
    return x


def _products(x: torch.Tensor, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """A chain in which each link is a product and a kernel."""
    for i, weight in enumerate(weights):
        x = torch.softmax(x @ weight, i % 2)
    return x


class _Block(nn.Module):
    """A module of a few layers: two kernels and two products. Every call checks its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIDE)
        self.up = nn.Linear(SIDE, SIDE)
        self.down = nn.Linear(SIDE, SIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.down(F.gelu(self.up(self.norm(x))))
        return y


def compiled_costs(pool: Pool, yardstick: Yardstick, rounds: int = 9) -> dict[str, float]:
    """Seconds that the host takes for a graph that begins, and for a kernel and a product in it.

    Must be used under inference mode. Raises CondsimError where torch.compile fails.
    """
    calls = _compiled_calls(pool)
    try:
        for call in calls.values():
            call()
        seconds = measure(existing(calls), rounds, yardstick=yardstick)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise CondsimError(
            f"torch.compile failed: {reason}; calibrate without --compiled"
        ) from error
    finally:
        torch._dynamo.reset()
    kernel_s = _link_s(seconds, "kernels")
    both_s = _link_s(seconds, "products")
    graph_s = seconds["block", 1] - PRODUCTS_OF_BLOCK * both_s
    product_s = both_s - kernel_s
    return {GRAPH: max(graph_s, 0.0), KERNEL: kernel_s, PRODUCT: max(product_s, 0.0)}


def _link_s(seconds: Mapping[tuple[str, int], float], chain: str) -> float:
    """Seconds of one more link of a chain. seconds: by chain and how long it is."""
    more_s = seconds[chain, LONG] - seconds[chain, SHORT]
    return max(more_s / (LONG - SHORT), 0.0)


def _compiled_calls(pool: Pool) -> dict[tuple[str, int], Call]:
    """What is timed, by what it is made of and how long it is."""
    x = pool(SIDE, SIDE)
    weights = [pool(SIDE, SIDE) for _ in range(LONG)]
    kernels = torch.compile(_kernels, dynamic=False)
    products = torch.compile(_products, dynamic=False)
    block = torch.compile(_Block().to(pool.dtype).eval())
    calls: dict[tuple[str, int], Call] = {("block", 1): partial(block, x)}
    for count in (SHORT, LONG):
        calls["kernels", count] = partial(kernels, x, count)
        calls["products", count] = partial(products, x, weights[:count])
    return calls
