"""The time of one operator while what it reads is where its last visit left it: weights near.

Dispatch is included. A calibrated profile answers from its tables, one that is not from peak rates
(`condsim.cost.roofline`). What was evicted in the meantime comes on top
(`condsim.cost.cpu.residency`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from condsim.cost.cpu.matmul_time import (
    batched_time,
    convolution_variants,
    grouped_time,
    linear_time,
    scattered_time,
)
from condsim.cost.cpu.sparse_time import SPARSE, sparse_time, table_of
from condsim.cost.cpu.tables import curve_seconds
from condsim.cost.hot import (
    VIEW,
    OperatorTime,
    SizedOperator,
    basis_of,
    number_or_array,
)
from condsim.cost.roofline import element_bytes, roofline_seconds
from condsim.hardware import HardwareProfile
from condsim.program.operators import called, extent, facts, out_of_place, reduces, strides_recorded
from condsim.program.work import MATMULS, Shape

__all__ = ["ELEMENTWISE", "VIEW", "OperatorTime", "extent", "operator_time"]

ELEMENTWISE = "elementwise"
"""The curve of an operator that has none: the median of all that compute element by element."""


def operator_time(
    operator: SizedOperator,
    profile: HardwareProfile,
    groups_rows: Any = None,
    *,
    view: bool = False,
    dtype: str | None = None,
) -> OperatorTime:
    """Time of one operator.

    groups_rows: rows of each group of a grouped matmul, int array [groups] or [n, groups]; None: as
    even as can be. view: it makes no new storage. dtype: None = the profile's; a calibrated profile
    knows only its own. Raises CondsimError for a dtype that the device lacks.
    """
    if not profile.calibrated and operator.name not in SPARSE:
        if view:
            return _view_without_curve(profile)
        return _from_peak(operator, profile, dtype, operator.work.family)
    if view:
        return _view_time(operator.name, profile)
    return _from_tables(operator, profile, groups_rows)


def _with_extra(hot: OperatorTime, extra_s: Any) -> OperatorTime:
    if isinstance(extra_s, float) and extra_s == 0.0:
        return hot
    return replace(hot, seconds=number_or_array(hot.seconds + extra_s))


def _from_tables(
    operator: SizedOperator, profile: HardwareProfile, groups_rows: Any = None
) -> OperatorTime:
    """The time from the tables of a calibrated profile."""
    product = operator.work
    family = product.family
    table = table_of(operator, profile)
    if table:
        return sparse_time(table, operator, profile)
    if family == "linear" and "linear" in profile.matmuls:
        return linear_time(operator, profile)
    if family == "bmm" and "mm" in profile.matmuls:
        return batched_time(operator, profile)
    if family == "grouped_mm" and "linear" in profile.matmuls:
        return grouped_time(product, groups_rows, profile)
    if family == "attention" and _has_no_kernel(operator):
        return _attention_in_parts(operator, profile)
    if family in MATMULS:
        return scattered_time(operator, profile)
    hot = _from_curve(operator, profile)
    return _with_extra(hot, _strides_seconds(operator, profile))


def _has_no_kernel(attention: SizedOperator) -> bool:
    """Whether the values are not as wide as the keys."""
    query, _, value = attention.inputs[:3]
    return bool(np.any(value[-1] != query[-1]))


def _attention_in_parts(attention: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """Attention that has no kernel of its own is the sum of the operators that it calls.

    Queries and keys are scaled and multiplied, the mask is added, a softmax looks for rows without
    any key (what is minus infinity, all of a row, zero there), and the values are multiplied.
    Source: PyTorch, aten/src/ATen/native/transformers/attention.cpp,
    _scaled_dot_product_attention_math and _safe_softmax, and sdp_utils_cpp.cpp,
    check_head_dim_size_cpp.
    """
    query, key, value = attention.inputs[:3]
    heads = attention.work.groups
    scores: Shape = (*query[:-1], key[-2])
    one_a_row: Shape = (*scores[:-1], 1)
    heads_query = (heads, *query[-2:])
    heads_key = (heads, key[-1], key[-2])
    heads_value = (heads, *value[-2:])
    heads_scores = (heads, *scores[-2:])
    heads_result = (heads, *attention.outputs[0][-2:])
    parts = [
        SizedOperator("mul", [query], [query]),
        SizedOperator("mul", [key], [key]),
        SizedOperator("bmm", [heads_query, heads_key], [heads_scores]),
    ]
    if len(attention.inputs) > 3:
        parts.append(SizedOperator("add", [scores, scores], [scores]))
    parts.append(SizedOperator("softmax", [scores], [scores]))
    parts.append(SizedOperator("eq", [scores], [scores]))
    parts.append(SizedOperator("all", [scores], [one_a_row]))
    parts.append(SizedOperator("where", [scores, scores], [scores]))
    parts.append(SizedOperator("bmm", [heads_scores, heads_value], [heads_result]))
    times = [_from_tables(part, profile) for part in parts]
    seconds = number_or_array(sum(np.asarray(time.seconds) for time in times))
    dispatch = sum(time.dispatch for time in times)
    bases = np.broadcast_arrays(*[time.basis for time in times])
    basis = bases[0]
    for word in ("extrapolated", "estimated"):
        rests_on_it = np.any([of_part == word for of_part in bases], axis=0)
        basis = np.where(rests_on_it, word, basis)
    return OperatorTime(
        seconds, dispatch, basis if basis.ndim else str(basis), attention.work.family
    )


def _from_curve(operator: SizedOperator, profile: HardwareProfile) -> OperatorTime:
    """The time of an operator that is no matmul, by the elements that it follows."""
    count, length = extent(operator.name, operator.inputs, operator.outputs)
    for key in _curves_that_answer(operator):
        if key in profile.operators:
            curve = profile.operators[key]
            seconds, outside = curve_seconds(curve, count, length)
            return OperatorTime(seconds, curve.dispatch_s, basis_of(outside), key)
    if ELEMENTWISE not in profile.operators:
        return _from_peak(operator, profile, None, operator.name)
    curve = profile.operators[ELEMENTWISE]
    seconds, _ = curve_seconds(curve, count)
    return OperatorTime(seconds, curve.dispatch_s, "estimated", ELEMENTWISE)


def _curves_that_answer(operator: SizedOperator) -> Iterator[str]:
    """Yield the names of the curves that may answer for an operator, the most special first."""
    name = operator.name
    if called(name, len(operator.inputs)) == "nonzero":
        yield "nonzero"
        return
    if reduces(name) and not _reduces_last_dimension(operator):
        for known in _names_of_curves(name):
            yield f"{known}.outer"
    yield from _names_of_curves(name)


def _names_of_curves(name: str) -> Iterator[str]:
    """Yield the names that an operator's curve may have."""
    plain = out_of_place(name)
    yield name
    yield plain
    yield f"{plain}_"
    for known in (name, plain):
        if facts(known).curve:
            yield facts(known).curve


def looks_at_shapes(name: str) -> bool:
    """Whether the shapes of an operator decide which table answers, and how (`variants`)."""
    return name in ("conv2d", "convolution", "scaled_dot_product_attention") or reduces(name)


def variants(operator: SizedOperator, count: int, profile: HardwareProfile) -> list[Hashable]:
    """Return what an operator's shapes decide at each of its sizes: which table answers, and how.

    Sizes may be priced in one piece where it is alike. operator: all of its dimensions are arrays.
    count: of sizes. profile: calibrated.
    """
    if operator.work.family == "conv2d":
        return convolution_variants(operator, profile)
    if reduces(operator.name):
        found: list[Hashable] = _loses_last_dimension(operator, count).tolist()
        return found
    query, _, value = operator.inputs[:3]
    has_no_kernel: list[Hashable] = (value[-1] != query[-1]).tolist()
    return has_no_kernel


def _loses_last_dimension(operator: SizedOperator, count: int) -> np.ndarray:
    """Whether the last dimension of an input is 1 in the result, or another one, bool [n]."""
    source = operator.inputs[0] if operator.inputs else ()
    result = operator.outputs[0] if operator.outputs else ()
    if not source or not result:
        return np.ones(count, bool)
    if len(result) == len(source):
        kept: np.ndarray = result[-1] == 1
        return kept
    another: np.ndarray = result[-1] != source[-1]
    return another


def _reduces_last_dimension(operator: SizedOperator) -> bool:
    """Whether the result has lost its input's last dimension, or has a 1 there."""
    if not operator.inputs or not operator.outputs or not operator.inputs[0]:
        return True
    source, result = operator.inputs[0], operator.outputs[0]
    if not result:
        return True
    last_of_result = np.asarray(result[-1])
    if len(result) == len(source):
        return bool(np.all(last_of_result == 1))
    last_of_source = np.asarray(source[-1])
    return not np.all(last_of_result == last_of_source)


def _strides_seconds(operator: SizedOperator, profile: HardwareProfile) -> Any:
    """What an elementwise operator takes longer because its operands do not lie in one piece.

    Each time that it goes through its two innermost loops costs, and so does each element where the
    loops skip some. params: (elements of the innermost loops, whether these lie together).
    """
    if not operator.params or not strides_recorded(operator.name):
        return 0.0
    inner_elements, together = operator.params
    loops_s = profile.extra_s.get("strided.loops", 0.0)
    element_s = profile.extra_s.get("strided.element", 0.0)
    count, _ = extent(operator.name, operator.inputs, operator.outputs)
    skipping_s = 0.0 if together else count * element_s
    return count / inner_elements * loops_s + skipping_s


def _view_time(name: str, profile: HardwareProfile) -> OperatorTime:
    """A view takes the host's time only."""
    key = f"{name}.view"
    if key not in profile.operators:
        return _view_without_curve(profile)
    seconds = profile.operators[key].dispatch_s
    return OperatorTime(seconds, seconds, "calibrated", VIEW)


def _view_without_curve(profile: HardwareProfile) -> OperatorTime:
    seconds = profile.host.view.value
    return OperatorTime(seconds, seconds, "estimated", VIEW)


def _from_peak(
    operator: SizedOperator, profile: HardwareProfile, dtype: str | None, family: str
) -> OperatorTime:
    """The time from peak rates. Raises CondsimError for a dtype that the device lacks."""
    traffic_bytes = element_bytes(profile, dtype) * operator.moved_elements
    seconds, dispatch = roofline_seconds(operator.work.flops, traffic_bytes, profile, dtype)
    return OperatorTime(seconds, dispatch, "estimated", family)
