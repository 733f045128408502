"""The time of a matmul on a calibrated CPU: each kind of product reads its own tables.

linear     a grid over m, n and k, the time linear in each
grouped    set-up + sum over groups of what a linear layer of their rows takes
others     measured points, and a function through them
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from condsim.cost.cpu.kernel_families import bmm_family, conv_family
from condsim.cost.cpu.scattered import scatter_seconds
from condsim.cost.cpu.tables import curve_seconds, grid_seconds
from condsim.cost.hot import OperatorTime, SizedOperator, basis_of, number_or_array
from condsim.cost.roofline import element_bytes, roofline_seconds
from condsim.hardware import Grid, HardwareProfile, Scatter
from condsim.program import elements
from condsim.program.work import Work, even_rows
from condsim.steps.sizes import distinct_numbers

# What a grouped product costs beyond the linear layers of its groups, where the profile says
# nothing of it. Estimated; calibrations measure all but the factor, which measured 1.0 to 1.1.
GROUPED_SETUP_S = 1e-5
GROUPED_GROUP_S = 2e-6
GROUPED_BUSY_GROUP_S = 1e-6
GROUPED_FACTOR = 1.0

DEPTHWISE = "conv2d_depthwise"
"""The table of convolutions of each channel by itself."""


def linear_time(operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """A linear layer; weights that are not transposed ("mm") have a table of their own.

    A bias costs extra, and so do rows in more than two dimensions.
    """
    product = operator.work
    has_own_table = operator.name != "linear" and "mm" in profile.matmuls
    family = "mm" if has_own_table else "linear"
    table = _grid(profile, family)
    seconds, outside = grid_seconds(table, product.m, product.n, product.k)
    extra_s = 0.0
    if len(operator.inputs) > 2 and "linear.bias" in profile.operators:
        results = product.m * product.n
        extra_s = curve_seconds(profile.operators["linear.bias"], results)[0]
    if len(operator.inputs[0]) > 2:
        extra_s = extra_s + profile.extra_s.get("linear.deep", 0.0)
    return OperatorTime(seconds + extra_s, table.dispatch_s, basis_of(outside), family)


def grouped_time(product: Work, groups_rows: Any, profile: HardwareProfile) -> OperatorTime:
    """A ragged grouped product.

    set-up + sum over groups of (overhead + where it has rows: overhead + factor * their time as a
    linear layer without dispatch). groups_rows: int [groups] or [n, groups]; None: as even as can
    be. The weights of the groups evict one another where they do not fit a cache together, which
    `condsim.cost.cpu.residency` adds.
    """
    table = _grid(profile, "linear")
    groups = int(np.max(product.groups))
    if groups_rows is None:
        rows = even_rows(product.m, groups)
    else:
        rows = np.asarray(groups_rows)
    extra_s = profile.extra_s
    factor = extra_s.get("grouped_mm.factor", GROUPED_FACTOR)
    busy_group_s = extra_s.get("grouped_mm.busy", GROUPED_BUSY_GROUP_S)
    group_s = extra_s.get("grouped_mm.group", GROUPED_GROUP_S)
    dispatch = extra_s.get("grouped_mm.setup", GROUPED_SETUP_S) + groups * group_s

    sizes, size_of_group = distinct_numbers(rows.astype(np.int64))
    layer_rows = np.maximum(sizes, 1)
    layer_s, outside = grid_seconds(table, layer_rows, product.n, product.k)
    beyond_s = np.maximum(layer_s - table.dispatch_s, 0.0) * factor
    by_size_s = np.where(sizes > 0, busy_group_s + beyond_s, 0.0)
    by_group_s = by_size_s[size_of_group]
    seconds = number_or_array(dispatch + by_group_s.sum(-1))
    basis = basis_of(np.any(outside & (sizes > 0)))
    return OperatorTime(seconds, dispatch, basis, "grouped_mm")


def batched_time(operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """A batch of products: one is a plain matmul, more run one of four kernels (`bmm_family`).

    Each kernel has its table. Beyond what was timed, one product runs after the other.
    """
    product = operator.work
    sizes = []
    for size in (product.groups, product.m, product.n, product.k):
        sizes.append(np.asarray(size, dtype=float))
    groups, m, n, k = np.broadcast_arrays(*sizes)
    families = np.asarray(bmm_family(groups, m, n, k))
    seconds = np.zeros(groups.shape)
    outside = np.zeros(groups.shape, dtype=bool)
    plain = profile.matmuls["mm"]
    for family in np.unique(families):
        chosen = families == family
        table = profile.matmuls.get(str(family))
        if isinstance(table, Scatter):
            columns = {"groups": groups[chosen], "m": m[chosen], "n": n[chosen], "k": k[chosen]}
            chosen_s, is_outside = scatter_seconds(str(family), table, columns)
            seconds[chosen] = chosen_s
            outside[chosen] = is_outside
            chosen = chosen & outside & (family == "bmm")
        if chosen.any() and isinstance(plain, Grid):
            once_s, beyond = grid_seconds(plain, m[chosen], n[chosen], k[chosen])
            each_s = once_s - plain.dispatch_s
            seconds[chosen] = plain.dispatch_s + groups[chosen] * each_s
            outside[chosen] = outside[chosen] | beyond
    extra_s = profile.extra_s.get(f"{operator.name}.extra", 0.0)
    empty = groups * m * n * k == 0
    seconds = np.where(empty, plain.dispatch_s, seconds) + extra_s
    dispatch = plain.dispatch_s + extra_s
    basis = basis_of(outside & ~empty)
    return OperatorTime(number_or_array(seconds), dispatch, basis, "bmm")


def scattered_time(operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """Attention or a convolution, from measured points; from peak rates where there are none."""
    product = operator.work
    if product.family == "conv2d":
        return _convolution_time(operator, profile)
    mask = 1.0 if len(operator.inputs) > 3 else 0.0
    columns = {
        "groups": product.groups,
        "m": product.m,
        "n": product.n,
        "k": product.k,
        "d": product.k,
        "mask": mask,
    }
    return _from_points(product.family, columns, operator, profile)


def _convolution_time(operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    product, weight, result = operator.work, operator.inputs[1], operator.outputs[0]
    families = _convolution_families(operator, profile)
    distinct = set(families.ravel().tolist())
    columns = {
        "m": product.m,
        "area": elements(result[2:]),
        "cin": product.n if distinct == {DEPTHWISE} else weight[1],
        "cout": weight[0],
        "kernel": float(_kernel_widths(operator).max()),
        "stride": _stride(operator),
    }
    if len(distinct) > 1:
        return _from_points_of_each(families, columns, profile)
    return _from_points(str(distinct.pop()), columns, operator, profile)


def convolution_variants(operator: SizedOperator, profile: HardwareProfile) -> list[Hashable]:
    """Return what decides how the time of a convolution is found at each of its sizes: its table,
    and the width of its kernel."""
    families = _convolution_families(operator, profile).tolist()
    return list(zip(families, _kernel_widths(operator).tolist(), strict=True))


def _convolution_families(operator: SizedOperator, profile: HardwareProfile) -> np.ndarray:
    """The table that answers for a convolution, str array [n] or []."""
    image, weight = operator.inputs[:2]
    groups = np.asarray(operator.work.groups)
    depthwise = (groups > 1) & (np.asarray(weight[1]) == 1)
    others: Any = "conv2d"
    if "conv2d_native" in profile.matmuls:  # else there is one kernel for all convolutions
        widths, stride = _kernel_widths(operator), _stride(operator)
        image_size = elements(image[1:])
        others = conv_family(image[0], image_size, widths, stride, groups, profile.threads)
    return np.where(depthwise, DEPTHWISE, others)


def _kernel_widths(convolution: SizedOperator) -> np.ndarray:
    """Float [n] or []."""
    weight = convolution.inputs[1]
    widths: np.ndarray = np.sqrt(np.asarray(elements(weight[2:]), float))
    return widths


def _stride(convolution: SizedOperator) -> int:
    return int(convolution.params[0]) if convolution.params else 1


def _from_points(
    family: str, columns: dict[str, Any], operator: SizedOperator, profile: HardwareProfile
) -> OperatorTime:
    """The time from one table of points. columns: the coordinates that tables may use."""
    table = profile.matmuls.get(family)
    flops = operator.work.flops
    if not isinstance(table, Scatter):
        traffic_bytes = element_bytes(profile) * operator.moved_elements
        seconds, dispatch = roofline_seconds(flops, traffic_bytes, profile)
        return OperatorTime(seconds, dispatch, "estimated", family)
    seconds, outside = scatter_seconds(family, table, columns)
    empty = np.asarray(flops) == 0
    extra_s = profile.extra_s.get(f"{operator.name}.extra", 0.0)
    seconds = np.where(empty, table.dispatch_s, seconds) + extra_s
    basis = basis_of(outside & ~empty)
    return OperatorTime(number_or_array(seconds), table.dispatch_s, basis, family)


def _from_points_of_each(
    families: np.ndarray, columns: dict[str, Any], profile: HardwareProfile
) -> OperatorTime:
    """A convolution that runs one kernel at some batch sizes and another at others.

    families: the table of each size, str array [n].
    """
    seconds = np.zeros(families.shape)
    outside = np.zeros(families.shape, dtype=bool)
    dispatch = 0.0
    by_size = {}
    for name, size in columns.items():
        column = np.asarray(size, dtype=float)
        by_size[name] = np.broadcast_to(column, families.shape)
    for family in set(families.flat):
        table = profile.matmuls[family]
        assert isinstance(table, Scatter)
        chosen = families == family
        of_family = {name: column[chosen] for name, column in by_size.items()}
        chosen_s, is_outside = scatter_seconds(family, table, of_family)
        seconds[chosen] = chosen_s
        outside[chosen] = is_outside
        dispatch = max(dispatch, table.dispatch_s)
    empty = by_size["m"] == 0
    seconds = np.where(empty, dispatch, seconds)
    basis = basis_of(outside & ~empty)
    return OperatorTime(seconds, dispatch, basis, "conv2d")


def _grid(profile: HardwareProfile, family: str) -> Grid:
    table = profile.matmuls[family]
    assert isinstance(table, Grid)
    return table
