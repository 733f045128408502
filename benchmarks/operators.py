"""Predicted over measured seconds of single operators at random sizes, by family.

    python benchmarks/operators.py [--profile NAME_OR_PATH | --fresh] [--seed 1] [--each 12]
                                   [--worst 3] [--json]

It needs a calibration of this machine (`condsim calibrate`), or makes one with --fresh. Every
operator is timed hot, as in a calibration, at sizes drawn at random in the ranges of real models,
none of which was used to calibrate. It prints the errors by family, and the worst cases of each.
Target: median error below 6 %, 90th percentile below 20 %.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import calibrate, matmul_calls
from condsim.calibrate.cpu import READINGS, Beside
from condsim.calibrate.shapes import Attention, Convolution, Products
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.cpu.residency import Weight, miss_seconds
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, hardware
from condsim.timing.cases import Pool, measure, threads
from condsim.timing.yardstick import Call, Yardstick

Size = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """An operator at one size.

    inputs, outputs: their shapes. rows: of each group, None for an operator without groups. call:
    makes the call that is timed.
    """

    name: str
    inputs: list[Size]
    outputs: list[Size]
    call: Callable[[], Call]
    params: Size = ()
    rows: Any = None


def draw(rng: np.random.Generator, low: int, high: int) -> int:
    """Draw a number between two others, evenly in its logarithm."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def even(x: int) -> int:
    """Round a width of a layer to a multiple of 8."""
    return max(8, round(x / 8) * 8)


Drawn = Iterator[tuple[str, Case]]
"""(family, case) of each case that one kind of operator draws."""
Draw = Callable[[np.random.Generator, Pool, int], Drawn]
"""(source of random numbers, pool of tensors, number of the case) → what is drawn."""


def cases(rng: np.random.Generator, pool: Pool, each: int) -> dict[tuple[str, int], Case]:
    """Return (family, number) → a random case, so many of each family."""
    found: dict[tuple[str, int], Case] = {}
    for number in range(each):
        for kind in KINDS:
            for family, case in kind(rng, pool, number):
                found[family, number] = case
    return found


def _linears(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    m, n, k = draw(rng, 1, 1024), even(draw(rng, 8, 1024)), even(draw(rng, 16, 1024))
    while 2 * m * n * k > 4e8:
        m //= 2
    yield "linear", _linear_case(pool, (m, n, k), bias=number % 2 == 1)
    m, n, k = draw(rng, 1, 32), draw(rng, 2, 16), even(draw(rng, 16, 512))
    yield "linear, few columns", _linear_case(pool, (m, n, k), bias=True)


def _linear_case(pool: Pool, size: tuple[int, int, int], bias: bool) -> Case:
    m, n, k = size
    inputs: list[Size] = [(m, k), (n, k)]
    if bias:
        inputs.append((n,))
    return Case("linear", inputs, [(m, n)], partial(_linear, pool, m, n, k, bias))


def _convolutions(rng: np.random.Generator, pool: Pool, _number: int) -> Drawn:
    batch = draw(rng, 1, 64)
    inside, outside = even(draw(rng, 8, 128)), even(draw(rng, 8, 128))
    side, kernel = int(rng.integers(7, 29)), int(rng.choice([1, 3]))
    stride = int(rng.choice([1, 1, 2]))
    while batch * side * side * inside * outside * kernel * kernel > 2e8:
        batch = max(1, batch // 2)
        side = max(7, side - 1)
        if batch == 1:
            outside = even(outside // 2 + 4)
    side_out = -(-side // stride)
    inputs: list[Size] = [(batch, inside, side, side), (outside, inside, kernel, kernel)]
    inputs.append((outside,))
    outputs: list[Size] = [(batch, outside, side_out, side_out)]
    size = Convolution(batch, inside, outside, side, kernel, stride)
    call = partial(matmul_calls.convolution, pool, size)
    yield "conv2d", Case("conv2d", inputs, outputs, call, (stride, 1))


def _products(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    groups, m = draw(rng, 1, 128), draw(rng, 1, 128)
    n, k = even(draw(rng, 8, 512)), even(draw(rng, 8, 256))
    if number % 3 == 0:
        m, n = even(draw(rng, 16, 512)), 1
    while groups * (m * k + n * k + m * n) > 4e6 or groups * m * n * k > 1.5e8:
        groups, m = max(1, groups // 2), max(1, m // 2)
    inputs: list[Size] = [(groups, m, k), (groups, k, n)]
    call = partial(matmul_calls.bmm, pool, Products(groups, m, n, k))
    yield "bmm", Case("bmm", inputs, [(groups, m, n)], call)


def _attentions(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    heads, keys = draw(rng, 1, 64), draw(rng, 8, 512)
    width = int(rng.choice([16, 24, 32, 64]))
    queries = 1 if number % 3 == 0 else keys
    while heads * queries * keys * width > 6e7:
        heads = max(1, heads // 2)
        if heads == 1:
            keys //= 2
        queries = min(queries, keys)
    query, key = (1, heads, queries, width), (1, heads, keys, width)
    call = partial(matmul_calls.attention, pool, Attention(heads, queries, keys, width, 0))
    name = "scaled_dot_product_attention"
    yield "attention", Case(name, [query, key, key], [query], call)


def _grouped(rng: np.random.Generator, pool: Pool, _number: int) -> Drawn:
    experts, n, k = draw(rng, 4, 32), even(draw(rng, 32, 512)), even(draw(rng, 32, 512))
    tokens = draw(rng, 8, 512)
    rows = rng.multinomial(tokens, rng.dirichlet(np.ones(experts)))
    inputs: list[Size] = [(tokens, k), (experts, k, n), (experts,)]
    call = partial(matmul_calls.grouped, pool, rows.tolist(), n, k)
    yield "grouped_mm", Case("_grouped_mm", inputs, [(tokens, n)], call, rows=rows)


def _elementwise(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    x = (draw(rng, 1, 2048), even(draw(rng, 16, 1024)))
    name, function = _ELEMENTWISE[number % len(_ELEMENTWISE)]
    count = 2 if name in ("add", "mul") else 1
    yield "elementwise", Case(name, [x] * count, [x], partial(_on, function, pool, x, count))


def _rowwise(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    x = (draw(rng, 8, 2048), even(draw(rng, 8, 512)))
    softmax = partial(torch.softmax, dim=-1)
    yield "softmax", Case("softmax", [x], [x], partial(_on, softmax, pool, x))
    x = (draw(rng, 1, 2048), even(draw(rng, 32, 1024)))
    yield "layer_norm", Case("layer_norm", [x, x[1:], x[1:]], [x], partial(_norm, pool, x))
    x = (draw(rng, 1, 2048), even(draw(rng, 32, 1024)))
    name, function = ("sum", _sum) if number % 2 else ("mean", _mean)
    yield "reduction", Case(name, [x], [(x[0], 1)], partial(_on, function, pool, x))


def _indexing(rng: np.random.Generator, pool: Pool, _number: int) -> Drawn:
    x = (draw(rng, 8, 2048), even(draw(rng, 32, 512)))
    taken = min(draw(rng, 1, 1024), 2 * x[0])
    ids = torch.from_numpy(rng.integers(0, x[0], taken))
    y = (taken, x[1])
    inputs: list[Size] = [x, (taken,)]
    yield "index_select", Case("index_select", inputs, [y], partial(_select, pool, x, ids))
    yield "index", Case("index", inputs, [y], partial(_index, pool, x, ids))
    yield "index_add_", Case("index_add_", [*inputs, y], [x], partial(_add, pool, x, y, ids))


def _concatenations(rng: np.random.Generator, pool: Pool, _number: int) -> Drawn:
    x = (draw(rng, 1, 512), even(draw(rng, 16, 512)))
    yield "cat", Case("cat", [x, x], [(x[0], 2 * x[1])], partial(_cat, pool, x))


def _images(rng: np.random.Generator, pool: Pool, number: int) -> Drawn:
    batch, channels = draw(rng, 1, 64), even(draw(rng, 8, 64))
    side = int(rng.integers(4, 15)) * 2
    x = (batch, channels, side, side)
    pools = number % 2
    y = (batch, channels, side // 2, side // 2) if pools else x
    name = "max_pool2d" if pools else "batch_norm"
    yield "image", Case(name, [x], [y], partial(_image, pools, pool, x))


KINDS: tuple[Draw, ...] = (
    _linears,
    _convolutions,
    _products,
    _attentions,
    _grouped,
    _elementwise,
    _rowwise,
    _indexing,
    _concatenations,
    _images,
)
"""What draws cases, in an order that the random numbers depend on."""


def _linear(pool: Pool, m: int, n: int, k: int, bias: bool) -> Call:
    return partial(F.linear, pool(m, k), pool(n, k), pool(n) if bias else None)


_ELEMENTWISE: list[tuple[str, Callable[..., Any]]] = [
    ("add", torch.add),
    ("mul", torch.mul),
    ("relu", F.relu),
    ("silu", F.silu),
    ("gelu", F.gelu),
    ("sigmoid", torch.sigmoid),
    ("tanh", torch.tanh),
]


def _sum(x: torch.Tensor) -> Any:
    return x.sum(-1, keepdim=True)


def _mean(x: torch.Tensor) -> Any:
    return x.mean(-1, keepdim=True)


def _on(f: Callable[..., Any], pool: Pool, x: tuple[int, ...], count: int = 1) -> Call:
    return partial(f, *(pool(*x) for _ in range(count)))


def _norm(pool: Pool, x: tuple[int, ...]) -> Call:
    return partial(F.layer_norm, pool(*x), (x[1],), pool(x[1]), pool(x[1]))


def _select(pool: Pool, x: tuple[int, ...], ids: torch.Tensor) -> Call:
    return partial(pool(*x).index_select, 0, ids)


def _index(pool: Pool, x: tuple[int, ...], ids: torch.Tensor) -> Call:
    return partial(pool(*x).__getitem__, ids)


def _add(pool: Pool, x: tuple[int, ...], y: tuple[int, ...], ids: torch.Tensor) -> Call:
    return partial(torch.zeros(x).index_add_, 0, ids, pool(*y))


def _cat(pool: Pool, x: tuple[int, ...]) -> Call:
    return partial(torch.cat, (pool(*x), pool(*x)), -1)


def _image(pooling: int, pool: Pool, x: tuple[int, ...]) -> Call:
    if pooling:
        return partial(F.max_pool2d, pool(*x), 2)
    one = torch.ones(x[1])
    return partial(F.batch_norm, pool(*x), one, one, one, one)


def patient() -> Yardstick:
    """A yardstick that waits for an undisturbed machine, as a calibration's does."""
    return Yardstick(READINGS, patience_s=30.0)


def table(
    profile: HardwareProfile | None, seed: int, each: int, keep: str = ""
) -> list[dict[str, Any]]:
    """Return a row a case: family, sizes, predicted and measured seconds, relative error, basis.

    profile: None calibrates now, and saves the profile under `keep` unless that is empty.
    """
    # An index made outside of inference mode would be a tensor of another kind, slower to dispatch.
    with torch.inference_mode():
        pool = Pool()
        drawn = cases(np.random.default_rng(seed), pool, each)
    calls = {key: case.call for key, case in drawn.items()}
    measured: dict[Any, float] = {}
    if profile is None:
        profile = calibrate(save=False, beside=Beside(calls, seconds=measured))
        if keep:
            profile.save(keep)
    else:
        with threads(profile.threads):
            measured.update(measure(calls, rounds=5, yardstick=patient()))
    rows = []
    for (family, number), case in drawn.items():
        rows.append(_row(family, case, measured[family, number], profile))
    return rows


def _row(family: str, case: Case, measured_s: float, profile: HardwareProfile) -> dict[str, Any]:
    """Return what is predicted of a case beside what was measured."""
    sized = SizedOperator(case.name, list(case.inputs), list(case.outputs), case.params)
    hot = operator_time(sized, profile, case.rows)
    predicted_s = float(hot.seconds) + _evicted_s(case, profile)
    return {
        "family": family,
        "operator": case.name,
        "inputs": case.inputs,
        "params": case.params,
        "predicted_s": predicted_s,
        "measured_s": measured_s,
        "error": predicted_s / measured_s - 1,
        "basis": hot.basis,
    }


def _evicted_s(case: Case, profile: HardwareProfile) -> float:
    """Return the seconds that the weights of groups cost since they evict one another."""
    if case.rows is None:
        return 0.0
    _, k, n = case.inputs[1]
    weight_bytes = 4.0 * k * n
    hit = case.rows[case.rows > 0]
    weight = Weight(weight_bytes, 4.0 * k, hit)
    missed = miss_seconds(weight, weight_bytes * len(hit), profile)
    return float(missed.sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="this-machine")
    parser.add_argument(
        "--fresh",
        action="store_true",
        help="calibrate now, with the cases among the calibration's own: "
        "a neighbour's load hits both",
    )
    parser.add_argument("--keep", default="", help="with --fresh: save the profile under this path")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=12)
    parser.add_argument("--worst", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = table(None if args.fresh else hardware(args.profile), args.seed, args.each, args.keep)
    if args.json:
        print(json.dumps(rows))
        return
    print(f"{'family':22} {'cases':>5} {'bias':>7} {'median':>7} {'90th':>7}")
    for family in [*dict.fromkeys(r["family"] for r in rows), "all"]:
        chosen = [r for r in rows if family in ("all", r["family"])]
        errors = np.array([r["error"] for r in chosen])
        off = abs(errors)
        bias, median, p90 = np.median(errors), np.median(off), np.quantile(off, 0.9)
        print(f"{family:22} {len(errors):5} {bias:7.1%} {median:7.1%} {p90:7.1%}")
        if family != "all":
            worst = sorted(chosen, key=lambda row: -abs(row["error"]))
            for row in worst[: args.worst]:
                print(f"    {_said(row)}")


def _said(row: dict[str, Any]) -> str:
    """Return a line about one case."""
    sizes = " ".join("x".join(map(str, shape)) for shape in row["inputs"])
    called = f"{row['operator']} {sizes} {row['params'] or ''}"
    measured_us = row["measured_s"] * 1e6
    return f"{row['error']:+7.1%}  {called}  {measured_us:.1f} us, {row['basis']}"


if __name__ == "__main__":
    main()
