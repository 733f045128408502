"""How long one operator takes when what it reads is where its last visit left it: weights resident, dispatch included.

A calibrated profile answers from its tables, one that is not from peak rates (`condsim.cost.roofline`). What was evicted comes on top
(`condsim.cost.cpu.residency`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from condsim.cost.cpu.new_memory import fresh_seconds
from condsim.cost.cpu.tables import (
    bmm_family,
    conv_family,
    curve_seconds,
    grid_seconds,
    scatter_seconds,
)
from condsim.cost.roofline import DTYPE_BYTES, roofline_seconds
from condsim.hardware import Curve, Grid, HardwareProfile, Scatter
from condsim.program import elements
from condsim.program.operators import MATMULS, Shape, Work, elementwise, work

ELEMENTWISE = "elementwise"  # the curve of an operator that has none: the median of all that compute element by element
VIEW = "view"


@dataclass(frozen=True, slots=True)
class Hot:
    """seconds: float or float array [n], the dispatch of the operator included. dispatch: what would remain at zero size, seconds.
    basis: "calibrated", "estimated" (no table of this operator) or "extrapolated" (outside of what was measured). family: the table it came from.
    worlds: seconds on the device by world of the waterfall, beyond flops / peak; empty where all of them are efficiency or traffic."""

    seconds: Any
    dispatch: float
    basis: str
    family: str
    worlds: Mapping[str, Any] = field(default_factory=dict)


def hot_seconds(
    name: str,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    groups_rows: Any = None,
    *,
    view: bool = False,
    dtype: str | None = None,
) -> Hot:
    """Time of one operator.

    name: as the recorder gives it. inputs, outputs: shapes, entries int or int array [n]. params: as in `condsim.program.Op`.
    groups_rows: rows of each group of a grouped matmul, int array [groups] or [n, groups]; None: as even as can be. view: it makes no new storage.
    dtype: None = the profile's; a calibrated profile knows only its own. Raises CondsimError for a dtype that the device lacks.
    """
    if not profile.calibrated:
        return _from_peak(name, inputs, outputs, params, profile, view, dtype)
    if view:
        return _view(name, profile)
    hot = _from_tables(name, inputs, outputs, params, profile, groups_rows)
    fresh = fresh_seconds(name, outputs, profile, DTYPE_BYTES.get(profile.dtype, 4))
    return replace(hot, seconds=_plain(hot.seconds + fresh)) if np.any(fresh) else hot


def _from_tables(
    name: str,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    groups_rows: Any,
) -> Hot:
    job = work(name, inputs, outputs, params)
    if job.family == "linear" and "linear" in profile.matmuls:
        return _linear(name, job, inputs, profile)
    if job.family == "bmm" and "mm" in profile.matmuls:
        return _batched(name, job, profile)
    if job.family == "grouped_mm" and "linear" in profile.matmuls:
        return _grouped(job, groups_rows, profile)
    if job.family == "attention" and inputs[2][-1] != inputs[0][-1]:
        return _in_parts(job, inputs, outputs, profile)
    if job.family in MATMULS:
        return _scatter(name, job, inputs, outputs, params, profile)
    hot = _curve(name, inputs, outputs, profile)
    strided = _strided_seconds(name, inputs, outputs, params, profile)
    return replace(hot, seconds=_plain(hot.seconds + strided)) if np.any(strided) else hot


def _linear(name: str, job: Work, inputs: list[Shape], profile: HardwareProfile) -> Hot:
    """A table of its own for weights that are not transposed ("mm"); a bias, and rows in more than two dimensions, cost extra."""
    transposed = name == "linear"
    family = "linear" if transposed or "mm" not in profile.matmuls else "mm"
    table = profile.matmuls[family]
    assert isinstance(table, Grid)
    t, outside = grid_seconds(table, job.m, job.n, job.k)
    extra = 0.0
    if len(inputs) > 2:
        bias = profile.operators.get("linear.bias")
        extra = extra + (curve_seconds(bias, job.m * job.n)[0] if bias else 0.0)
    if len(inputs[0]) > 2:
        extra = extra + profile.extra_s.get("linear.deep", 0.0)
    return Hot(t + extra, table.dispatch_s, _basis(outside), family)


def _grouped(job: Work, groups_rows: Any, profile: HardwareProfile) -> Hot:
    """set-up + sum over groups of (overhead + where it has rows: overhead + factor * their time as a linear layer without dispatch).

    The weights of the groups evict one another where they do not fit a cache together: that is `condsim.cost.cpu.residency`'s.
    """
    table = profile.matmuls["linear"]
    assert isinstance(table, Grid)
    groups = int(np.max(job.groups))
    if groups_rows is None:
        m = np.asarray(job.m)[..., None]
        groups_rows = m // groups + (np.arange(groups) < m % groups)
    rows = np.asarray(groups_rows)
    defaults = {"setup": 1e-5, "group": 2e-6, "busy": 1e-6, "factor": 1.0}
    setup, each, touched, factor = (
        profile.extra_s.get(f"grouped_mm.{part}", d) for part, d in defaults.items()
    )
    dispatch = table.dispatch_s
    unique, places = np.unique(rows, return_inverse=True)
    t, outside = grid_seconds(table, np.maximum(unique, 1), job.n, job.k)
    busy = np.where(unique > 0, touched + np.maximum(t - dispatch, 0.0) * factor, 0.0)
    seconds = setup + groups * each + busy[places.reshape(rows.shape)].sum(-1)
    return Hot(_plain(seconds), setup + groups * each, _basis(outside & (unique > 0)), "grouped_mm")


def _batched(name: str, job: Work, profile: HardwareProfile) -> Hot:
    """One product is a plain matmul; more run one of four kernels, by their size (`bmm_family`), each with a table of its own."""
    extra = profile.extra_s.get(f"{name}.extra", 0.0)
    g, m, n, k = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (job.groups, job.m, job.n, job.k))
    )
    seconds, outside = np.zeros(g.shape), np.zeros(g.shape, dtype=bool)
    mm = profile.matmuls["mm"]
    dispatch = mm.dispatch_s
    families = np.array(
        [bmm_family(*map(int, row)) for row in zip(g.flat, m.flat, n.flat, k.flat, strict=True)]
    ).reshape(g.shape)
    for family in np.unique(families):
        here = families == family
        table = profile.matmuls.get(str(family))
        if isinstance(table, Scatter):
            columns = {"groups": g[here], "m": m[here], "n": n[here], "k": k[here]}
            seconds[here], outside[here] = scatter_seconds(str(family), table, columns)
            here = (
                here & outside & (family == "bmm")
            )  # larger than what was timed: one product after the other
        if here.any() and isinstance(mm, Grid):
            t, beyond = grid_seconds(mm, m[here], n[here], k[here])
            seconds[here] = dispatch + g[here] * (t - dispatch)
            outside[here] = outside[here] | beyond
    empty = g * m * n * k == 0
    return Hot(
        _plain(np.where(empty, dispatch, seconds) + extra),
        dispatch + extra,
        _basis(outside & ~empty),
        "bmm",
    )


def _in_parts(
    job: Work, inputs: list[Shape], outputs: list[Shape], profile: HardwareProfile
) -> Hot:
    """Attention whose values are not as wide as its keys runs no kernel of its own: scaled queries and keys, a product, the mask, a softmax that
    looks for rows without any key (what is minus infinity, all of a row, zero there), a product.

    Source: PyTorch, aten/src/ATen/native/transformers/attention.cpp, _scaled_dot_product_attention_math and _safe_softmax, and
    sdp_utils_cpp.cpp, check_head_dim_size_cpp.
    """
    q, k, v = inputs[:3]
    scores: Shape = (*q[:-1], k[-2])
    steps: list[tuple[str, list[Shape], Shape]] = [
        ("mul", [q], q),
        ("mul", [k], k),
        ("bmm", [(job.groups, *q[-2:]), (job.groups, k[-1], k[-2])], (job.groups, *scores[-2:])),
        *([("add", [scores, scores], scores)] if len(inputs) > 3 else []),
        ("softmax", [scores], scores),
        ("eq", [scores], scores),
        ("all", [scores], (*scores[:-1], 1)),
        ("where", [scores, scores], scores),
        (
            "bmm",
            [(job.groups, *scores[-2:]), (job.groups, *v[-2:])],
            (job.groups, *outputs[0][-2:]),
        ),
    ]
    parts = [_from_tables(name, ins, [out], (), profile, None) for name, ins, out in steps]
    worst = next(
        (basis for basis in ("estimated", "extrapolated") if any(p.basis == basis for p in parts)),
        "calibrated",
    )
    return Hot(
        _plain(sum(np.asarray(p.seconds) for p in parts)),
        sum(p.dispatch for p in parts),
        worst,
        job.family,
    )


def _scatter(
    name: str,
    job: Work,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
) -> Hot:
    family, columns = job.family, _columns(job, inputs, outputs, params)
    if (
        family == "conv2d"
        and np.all(np.asarray(job.groups) > 1)
        and np.all(np.asarray(columns["cin"]) == 1)
    ):
        family = "conv2d_depthwise"
        columns = {**columns, "cin": job.n}
    elif (
        family == "conv2d" and "conv2d_native" in profile.matmuls
    ):  # else its runtime has one kernel for all of them
        x = inputs[0]
        chosen = conv_family(
            x[0],
            elements(x[1:]),
            float(columns["kernel"]),
            int(columns["stride"]),
            int(np.max(job.groups)),
            profile.threads,
        )
        if isinstance(chosen, np.ndarray) and len(set(chosen.flat)) > 1:
            return _mixed(chosen, columns, profile)
        family = chosen if isinstance(chosen, str) else str(chosen.flat[0])
    table = profile.matmuls.get(family)
    if not isinstance(table, Scatter):
        t, dispatch = roofline_seconds(
            job.flops,
            DTYPE_BYTES.get(profile.dtype, 4) * _moved(inputs, outputs),
            profile,
            profile.dtype,
        )
        return Hot(t, dispatch, "estimated", family)
    t, outside = scatter_seconds(family, table, {**columns})
    empty = np.asarray(job.flops) == 0
    dispatch = table.dispatch_s
    t = np.where(empty, dispatch, t) + profile.extra_s.get(f"{name}.extra", 0.0)
    return Hot(_plain(t), dispatch, _basis(outside & ~empty), family)


def _mixed(families: Any, columns: dict[str, Any], profile: HardwareProfile) -> Hot:
    """A convolution that runs one kernel at some batch sizes and another at others."""
    shape = families.shape
    seconds, outside, dispatch = np.zeros(shape), np.zeros(shape, dtype=bool), 0.0
    wide = {name: np.broadcast_to(np.asarray(c, dtype=float), shape) for name, c in columns.items()}
    for family in set(families.flat):
        table = profile.matmuls[family]
        assert isinstance(table, Scatter)
        here = families == family
        seconds[here], outside[here] = scatter_seconds(
            family, table, {name: c[here] for name, c in wide.items()}
        )
        dispatch = max(dispatch, table.dispatch_s)
    return Hot(
        np.where(wide["m"] == 0, dispatch, seconds),
        dispatch,
        _basis(outside & (wide["m"] > 0)),
        "conv2d",
    )


def _columns(
    job: Work, inputs: list[Shape], outputs: list[Shape], params: tuple[int, ...]
) -> dict[str, Any]:
    """The coordinates that the tables of a family may use."""
    if job.family == "conv2d":
        w = inputs[1]
        stride = params[0] if params else 1
        return {
            "m": job.m,
            "area": elements(outputs[0][2:]),
            "cin": w[1],
            "cout": w[0],
            "kernel": np.sqrt(float(elements(w[2:]))),
            "stride": stride,
        }
    mask = 1.0 if len(inputs) > 3 else 0.0
    return {"groups": job.groups, "m": job.m, "n": job.n, "k": job.k, "d": job.k, "mask": mask}


def _curve(name: str, inputs: list[Shape], outputs: list[Shape], profile: HardwareProfile) -> Hot:
    count, length = extent(name, inputs, outputs)
    for key in _keys(name, inputs, outputs):
        if key in profile.operators:
            curve = profile.operators[key]
            t, outside = curve_seconds(curve, count, length)
            return Hot(t, curve.dispatch_s, _basis(outside), key)
    fallback = profile.operators.get(ELEMENTWISE)
    if fallback is None:
        t, dispatch = roofline_seconds(
            0 * count,
            DTYPE_BYTES.get(profile.dtype, 4) * _moved(inputs, outputs),
            profile,
            profile.dtype,
        )
        return Hot(t, dispatch, "estimated", name)
    t, _ = curve_seconds(fallback, count)
    return Hot(t, fallback.dispatch_s, "estimated", ELEMENTWISE)


def _strided_seconds(
    name: str,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
) -> Any:
    """What an elementwise operator takes longer because its operands do not lie in one piece: each time through its two innermost loops, and each element where
    they skip some."""
    if not params or not elementwise(name):
        return 0.0
    inside, together = params
    count = extent(name, inputs, outputs)[0]
    loops_s, element_s = (
        profile.extra_s.get(f"strided.{part}", 0.0) for part in ("loops", "element")
    )
    return count / inside * loops_s + (0.0 if together else count * element_s)


def _view(name: str, profile: HardwareProfile) -> Hot:
    curve = profile.operators.get(f"{name}.view")
    seconds = curve.dispatch_s if curve else profile.host.view.value
    return Hot(seconds, seconds, "calibrated" if curve else "estimated", VIEW)


def _from_peak(
    name: str,
    inputs: list[Shape],
    outputs: list[Shape],
    params: tuple[int, ...],
    profile: HardwareProfile,
    view: bool,
    dtype: str | None,
) -> Hot:
    if view:
        return Hot(profile.host.view.value, profile.host.view.value, "estimated", VIEW)
    job = work(name, inputs, outputs, params)
    width = DTYPE_BYTES.get(profile.dtype if dtype is None else dtype, 4)
    t, dispatch = roofline_seconds(job.flops, width * _moved(inputs, outputs), profile, dtype)
    return Hot(t, dispatch, "estimated", job.family)


ALIASES = {
    "greater": "gt",
    "less": "lt",
    "greater_equal": "ge",
    "less_equal": "le",
    "not_equal": "ne",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "logical_and": "bitwise_and",
    "logical_or": "bitwise_or",
    "logical_not": "bitwise_not",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "_to_copy": "to",
    "new_ones": "new_zeros",
    "new_full": "new_zeros",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "_unsafe_index": "index",
    "amin": "amax",
    "min": "max",
    "argmin": "argmax",
    "all": "any",
    "ones_like": "zeros_like",
    "native_layer_norm": "layer_norm",
    "constant_pad_nd": "pad",
    "scatter": "scatter_",
    "index_put": "index_put_",
    "concat": "cat",
    "stack": "cat",
    "_local_scalar_dense": "item",
    "bool": "item",
    "argsort": "sort",
    "floor_divide": "div",
    "remainder": "div",
    "square": "mul",
    "reciprocal": "div",
    "floor": "neg",
    "ceil": "neg",
    "hardtanh": "clamp",
    "clamp_min": "clamp",
    "clamp_max": "clamp",
    "minimum": "mul",
    "maximum": "mul",
    "empty": "empty_like",
    "zeros": "zeros",
}
"""Operators that run the same kernel shape as one that was measured."""

_INSIDE = (
    "mean",
    "sum",
    "amax",
    "amin",
    "any",
    "all",
    "max",
    "min",
    "prod",
    "var",
    "std",
    "argmax",
    "argmin",
)


def _keys(name: str, inputs: list[Shape], outputs: list[Shape]) -> list[str]:
    """Curves that may answer for an operator, the most special first."""
    plain = name.rstrip("_") if not name.startswith("_") else name
    names = list(
        dict.fromkeys(
            [name, plain, f"{plain}_", ALIASES.get(name, name), ALIASES.get(plain, plain)]
        )
    )
    if name == "where" and len(inputs) == 1:
        return ["nonzero"]
    if plain in _INSIDE and not _inner(inputs, outputs):
        return [f"{n}.outer" for n in names] + names
    return names


def _inner(inputs: list[Shape], outputs: list[Shape]) -> bool:
    """Whether a reduction is over the last dimension: the result has lost it, or has a 1 there."""
    if not inputs or not outputs or not inputs[0]:
        return True
    x, y = inputs[0], outputs[0]
    if len(y) == len(x):
        return bool(np.all(np.asarray(y[-1]) == 1))
    return len(y) == 0 or not bool(np.all(np.asarray(y[-1]) == np.asarray(x[-1])))


def _moved(inputs: list[Shape], outputs: list[Shape]) -> Any:
    return sum((elements(s) for s in [*inputs, *outputs]), 0)


def _last(shape: Shape) -> Any:
    return shape[-1] if shape else 1


def _largest(inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    shapes = [*inputs, *outputs] or [()]
    count: Any = 0
    for s in shapes:
        count = (
            np.maximum(count, elements(s))
            if isinstance(count, np.ndarray) or isinstance(elements(s), np.ndarray)
            else max(count, elements(s))
        )
    length = _last(inputs[0]) if inputs else _last(shapes[0])
    return count, length


def _first(inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    return (elements(inputs[0]), _last(inputs[0])) if inputs else _result(inputs, outputs)


def _taken(inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    """Length: elements that one index takes."""
    if len(inputs) < 2 or not outputs:
        return _result(inputs, outputs)
    count = elements(outputs[0])
    return count, count / np.maximum(elements(inputs[1]), 1)


def _result(_inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    return (elements(outputs[0]), _last(outputs[0])) if outputs else (1, 1)


def _source(inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    return (elements(inputs[-1]), _last(inputs[-1])) if inputs else _result(inputs, outputs)


def _summed(inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    """Length: elements that become one."""
    if not inputs or not outputs:
        return _first(inputs, outputs)
    count = elements(inputs[0])
    return count, count / np.maximum(elements(outputs[0]), 1)


EXTENTS: dict[str, Callable[[list[Shape], list[Shape]], tuple[Any, Any]]] = {
    **dict.fromkeys(("index", "index_select", "embedding"), _taken),
    **dict.fromkeys(
        ("gather", "cat", "stack", "repeat_interleave", "one_hot", "take_along_dim"), _result
    ),
    **dict.fromkeys(
        (
            "index_add_",
            "index_copy_",
            "index_put_",
            "scatter_",
            "scatter_add_",
            "copy_",
            "index_put",
        ),
        _source,
    ),
    **dict.fromkeys(
        (
            "softmax",
            "log_softmax",
            "_softmax",
            "_log_softmax",
            "topk",
            "sort",
            "argsort",
            "cumsum",
            "nonzero",
            "histc",
            "layer_norm",
            "rms_norm",
            "batch_norm",
            "group_norm",
            "max_pool2d",
            "avg_pool2d",
            "adaptive_avg_pool2d",
        ),
        _first,
    ),
    **dict.fromkeys(_INSIDE, _summed),
}
"""Operator → elements whose number its time follows, and the length of their rows; the largest tensor for any other."""


def extent(name: str, inputs: list[Shape], outputs: list[Shape]) -> tuple[Any, Any]:
    """Elements that an operator's time follows, and the length of a row of them; ints or int arrays [n]."""
    if name == "where" and len(inputs) == 1:
        return _first(inputs, outputs)
    return EXTENTS.get(name, EXTENTS.get(name.rstrip("_"), _largest))(inputs, outputs)


def _basis(outside: Any) -> str:
    return "extrapolated" if np.any(outside) else "calibrated"


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value


__all__ = ["ALIASES", "ELEMENTWISE", "Curve", "Hot", "extent", "hot_seconds"]
