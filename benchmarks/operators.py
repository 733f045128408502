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
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate import calibrate, matmul_calls
from condsim.calibrate.cpu import READINGS, Beside
from condsim.calibrate.shapes import Attention, Convolution, Products
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.cpu.residency import miss_seconds
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, hardware
from condsim.timing.cases import Pool, measure, threads
from condsim.timing.yardstick import Call, Yardstick

Case = tuple[
    str, list[tuple[int, ...]], list[tuple[int, ...]], tuple[int, ...], Any, Callable[[], Call]
]
"""Operator, shapes of inputs and outputs, params, rows of groups, the call."""


def draw(rng: np.random.Generator, low: int, high: int) -> int:
    """Log-uniform."""
    return int(np.exp(rng.uniform(np.log(low), np.log(high + 1))))


def even(x: int) -> int:
    """Widths of layers are multiples of 8."""
    return max(8, round(x / 8) * 8)


def cases(rng: np.random.Generator, pool: Pool, each: int) -> dict[tuple[str, int], Case]:
    """family → so many random cases."""
    found: dict[tuple[str, int], Case] = {}

    def add(
        family: str,
        i: int,
        name: str,
        ins: Any,
        outs: Any,
        call: Callable[[], Call],
        params: tuple[int, ...] = (),
        rows: Any = None,
    ) -> None:
        found[family, i] = (name, ins, outs, params, rows, call)

    for i in range(each):
        m, n, k = draw(rng, 1, 1024), even(draw(rng, 8, 1024)), even(draw(rng, 16, 1024))
        while 2 * m * n * k > 4e8:
            m //= 2
        if i % 2:
            add(
                "linear",
                i,
                "linear",
                [(m, k), (n, k), (n,)],
                [(m, n)],
                partial(_linear, pool, m, n, k, True),
            )
        else:
            add(
                "linear",
                i,
                "linear",
                [(m, k), (n, k)],
                [(m, n)],
                partial(_linear, pool, m, n, k, False),
            )

        m, n, k = draw(rng, 1, 32), draw(rng, 2, 16), even(draw(rng, 16, 512))
        add(
            "linear, few columns",
            i,
            "linear",
            [(m, k), (n, k), (n,)],
            [(m, n)],
            partial(_linear, pool, m, n, k, True),
        )

        b, ci, co = draw(rng, 1, 64), even(draw(rng, 8, 128)), even(draw(rng, 8, 128))
        side, ks, st = int(rng.integers(7, 29)), int(rng.choice([1, 3])), int(rng.choice([1, 1, 2]))
        while b * side * side * ci * co * ks * ks > 2e8:
            b = max(1, b // 2)
            side = max(7, side - 1)
            co = even(co // 2 + 4) if b == 1 else co
        o = -(-side // st)
        add(
            "conv2d",
            i,
            "conv2d",
            [(b, ci, side, side), (co, ci, ks, ks), (co,)],
            [(b, co, o, o)],
            partial(matmul_calls.convolution, pool, Convolution(b, ci, co, side, ks, st)),
            (st, 1),
        )

        g, m, n, k = (
            draw(rng, 1, 128),
            draw(rng, 1, 128),
            even(draw(rng, 8, 512)),
            even(draw(rng, 8, 256)),
        )
        if i % 3 == 0:
            m, n = even(draw(rng, 16, 512)), 1
        while g * (m * k + n * k + m * n) > 4e6 or g * m * n * k > 1.5e8:
            g, m = max(1, g // 2), max(1, m // 2)
        add(
            "bmm",
            i,
            "bmm",
            [(g, m, k), (g, k, n)],
            [(g, m, n)],
            partial(matmul_calls.bmm, pool, Products(g, m, n, k)),
        )

        h, t, d = draw(rng, 1, 64), draw(rng, 8, 512), int(rng.choice([16, 24, 32, 64]))
        m = 1 if i % 3 == 0 else t
        while h * m * t * d > 6e7:
            h = max(1, h // 2)
            t = t if h > 1 else t // 2
            m = min(m, t)
        q, kv = (1, h, m, d), (1, h, t, d)
        add(
            "attention",
            i,
            "scaled_dot_product_attention",
            [q, kv, kv],
            [q],
            partial(matmul_calls.attention, pool, Attention(h, m, t, d, 0)),
        )

        e, n, k = draw(rng, 4, 32), even(draw(rng, 32, 512)), even(draw(rng, 32, 512))
        tokens = draw(rng, 8, 512)
        rows = rng.multinomial(tokens, rng.dirichlet(np.ones(e)))
        add(
            "grouped_mm",
            i,
            "_grouped_mm",
            [(tokens, k), (e, k, n), (e,)],
            [(tokens, n)],
            partial(matmul_calls.grouped, pool, rows.tolist(), n, k),
            (),
            rows,
        )

        r, w = draw(rng, 1, 2048), even(draw(rng, 16, 1024))
        x = (r, w)
        name, f = _ELEMENTWISE[i % len(_ELEMENTWISE)]
        add(
            "elementwise",
            i,
            name,
            [x, x] if name in ("add", "mul") else [x],
            [x],
            partial(_on, f, pool, x, 2 if name in ("add", "mul") else 1),
        )
        r = draw(rng, 8, 2048)
        x = (r, even(draw(rng, 8, 512)))
        add(
            "softmax", i, "softmax", [x], [x], partial(_on, partial(torch.softmax, dim=-1), pool, x)
        )
        x = (draw(rng, 1, 2048), even(draw(rng, 32, 1024)))
        add("layer_norm", i, "layer_norm", [x, x[1:], x[1:]], [x], partial(_norm, pool, x))
        x = (draw(rng, 1, 2048), even(draw(rng, 32, 1024)))
        add(
            "reduction",
            i,
            "sum" if i % 2 else "mean",
            [x],
            [(x[0], 1)],
            partial(_on, _SUM if i % 2 else _MEAN, pool, x),
        )
        x, taken = (draw(rng, 8, 2048), even(draw(rng, 32, 512))), draw(rng, 1, 1024)
        taken = min(taken, 2 * x[0])
        ids = torch.from_numpy(rng.integers(0, x[0], taken))
        y = (taken, x[1])
        add("index_select", i, "index_select", [x, (taken,)], [y], partial(_select, pool, x, ids))
        add("index", i, "index", [x, (taken,)], [y], partial(_index, pool, x, ids))
        add("index_add_", i, "index_add_", [x, (taken,), y], [x], partial(_add, pool, x, y, ids))
        x = (draw(rng, 1, 512), even(draw(rng, 16, 512)))
        add("cat", i, "cat", [x, x], [(x[0], 2 * x[1])], partial(_cat, pool, x))
        b, c, side = draw(rng, 1, 64), even(draw(rng, 8, 64)), int(rng.integers(4, 15)) * 2
        x4 = (b, c, side, side)
        add(
            "image",
            i,
            "max_pool2d" if i % 2 else "batch_norm",
            [x4],
            [(b, c, side // 2, side // 2) if i % 2 else x4],
            partial(_image, i % 2, pool, x4),
        )
    return found


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


def _SUM(x: torch.Tensor) -> Any:
    return x.sum(-1, keepdim=True)


def _MEAN(x: torch.Tensor) -> Any:
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
    """One row a case: family, sizes, predicted and measured seconds, relative error, basis."""
    with torch.inference_mode():
        pool = Pool()
    measured: dict[Any, float] = {}
    with (
        torch.inference_mode()
    ):  # an index made outside would be a tensor of another kind, slower to dispatch
        drawn = cases(np.random.default_rng(seed), pool, each)
    calls = {key: case[-1] for key, case in drawn.items()}
    if profile is None:
        beside = Beside(calls, seconds=measured)
        profile = calibrate(save=False, beside=beside)
        profile.save(keep) if keep else None
    else:
        with threads(profile.threads):
            measured.update(measure(calls, rounds=5, yardstick=patient()))
    rows = []
    for (family, i), (name, ins, outs, params, groups, _) in drawn.items():
        hot = operator_time(SizedOperator(name, list(ins), list(outs), params), profile, groups)
        t = measured[family, i]
        evicted = 0.0
        if groups is not None:  # its weights evict one another
            weight = 4.0 * ins[1][1] * ins[1][2]
            evicted = float(
                miss_seconds(weight, weight * (groups > 0).sum(), profile, groups[groups > 0]).sum()
            )
        rows.append(
            {
                "family": family,
                "operator": name,
                "inputs": ins,
                "params": params,
                "predicted_s": float(hot.seconds) + evicted,
                "measured_s": t,
                "error": (float(hot.seconds) + evicted) / t - 1,
                "basis": hot.basis,
            }
        )
    return rows


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
