"""What the host does under torch.compile: chains of kernels, and of kernels and products, short and long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from condsim.calibrate.timing import Pool, itself, measure
from condsim.calibrate.yardstick import Yardstick
from condsim.cost.compiled import GRAPH, KERNEL, PRODUCT
from condsim.errors import CondsimError

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


def compiled_costs(pool: Pool, yardstick: Yardstick, rounds: int = 9) -> dict[str, float]:
    """Seconds of a graph that begins, of a kernel and of a product in it. Under inference mode; raises CondsimError where torch.compile fails."""
    x, weights = pool(SIDE, SIDE), [pool(SIDE, SIDE) for _ in range(LONG)]
    compile_: Callable[..., Any] = torch.compile
    try:
        calls = {}
        for count in (SHORT, LONG):
            torch._dynamo.reset()
            kernels, products = compile_(_kernels, dynamic=False), compile_(_products, dynamic=False)
            kernels(x, count), products(x, weights[:count])
            calls["kernels", count] = lambda k=kernels, n=count: k(x, n)
            calls["products", count] = lambda p=products, n=count: p(x, weights[:n])
            if count == SHORT:
                short = measure({key: _held(call) for key, call in calls.items()}, rounds, yardstick=yardstick)
                calls = {}
        long = measure({key: _held(call) for key, call in calls.items()}, rounds, yardstick=yardstick)
    except Exception as e:
        raise CondsimError(f"torch.compile failed: {str(e).strip().splitlines()[0]}; calibrate without --compiled") from e
    finally:
        torch._dynamo.reset()
    kernel, both = ((long[what, LONG] - short[what, SHORT]) / (LONG - SHORT) for what in ("kernels", "products"))
    return {GRAPH: max(short["kernels", SHORT] - kernel, 0.0), KERNEL: max(kernel, 0.0), PRODUCT: max(both - kernel, 0.0)}


def _held(call: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: itself(call)
