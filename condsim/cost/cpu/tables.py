"""Reading the measured curves and grids of a profile at any size.

Every function takes ints, floats or arrays that broadcast, and returns float64 of that shape
together with whether the point lies outside of what was measured. Between two measured sizes time
is linear in each size: exact for `a + b m + c n + d m n + ...`, which is what a kernel's loops,
loads and set-up are. Outside, efficiency (work a second) is that of the nearest measured size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from condsim.cost.cpu.kernel_families import COLUMN_TILE, ROW_TILE
from condsim.hardware import Curve, Floats, Grid

EXACT = 16
"""Up to this size remainders of rows and columns are measured themselves."""
MEASURED_COLUMNS = {COLUMN_TILE, 12, EXACT}
"""Columns that a grid must have for the cost of a remainder of columns to be known."""
LAST_EXACT_TILE = EXACT - ROW_TILE
MEASURED_ROWS = set(range(LAST_EXACT_TILE, EXACT + 1))
"""Rows that a grid must have for the cost of a remainder of rows to be known."""
ROUNDING = 1.001
"""What the largest measured FLOPs may be rounded off by."""
NEXT_TILE_LIMIT = 1.1
"""A remainder costs at most so many times what the next whole tile takes. Estimated: on real
kernels it may cost a little more than a whole tile."""


def curve_seconds(curve: Curve, elements: Any, length: Any = 1) -> tuple[Any, Any]:
    """Seconds of an operator on so many elements in rows of so many.

    elements, length: int or int array [n]. Linear in elements between sizes and, at as many
    elements, in rows between lengths; beyond the largest size the last slope goes on.
    """
    sizes, lengths, seconds = curve.arrays
    if len(lengths) == 1:
        return _along(sizes, seconds[0], elements)
    if np.ndim(length) == 0:
        at_least_one = max(float(length), 1.0)
        cell, fraction = locate(-1 / lengths, -1 / at_least_one)
        row = between(seconds[cell], seconds[cell + 1], fraction)
        return _along(sizes, row, elements)
    elements, length = np.broadcast_arrays(elements, length)
    return _along_each(curve, elements, length)


def _along_each(curve: Curve, elements: np.ndarray, length: np.ndarray) -> tuple[Any, Any]:
    """Seconds where each number of elements has a length of its own; arrays of one shape."""
    sizes, lengths, seconds = curve.arrays
    count = np.asarray(elements, float).ravel()
    at_least_one = np.maximum(length.ravel(), 1.0)
    shorter, between_lengths = locate(-1 / lengths, -1 / at_least_one)
    cell, between_sizes = locate(sizes, count)
    above = np.minimum(cell + 1, len(sizes) - 1)
    at_shorter_s = between(seconds[shorter, cell], seconds[shorter, above], between_sizes)
    longer = shorter + 1
    at_longer_s = between(seconds[longer, cell], seconds[longer, above], between_sizes)
    of_each = between(at_shorter_s, at_longer_s, between_lengths)
    beyond = np.maximum(count - sizes[-1], 0.0)
    if np.any(beyond):
        last_s = between(seconds[shorter, -1], seconds[longer, -1], between_lengths)
        of_each = of_each + beyond * (last_s / sizes[-1])
    return of_each.reshape(elements.shape), (beyond > 0).reshape(elements.shape)


def _along(sizes: Floats, row: Floats, elements: Any) -> tuple[Any, Any]:
    """Seconds at so many elements, and whether these are more than was measured."""
    seconds = np.interp(elements, sizes, row)
    more_elements = np.asarray(elements, dtype=float) - sizes[-1]
    beyond = np.maximum(more_elements, 0.0)
    if np.any(beyond):
        seconds_per_element = row[-1] / sizes[-1]
        seconds = seconds + beyond * seconds_per_element
    return seconds, beyond > 0


def between(low: Floats, high: Floats, fraction: Any) -> Floats:
    """What lies a fraction of the way from one number to another."""
    return np.asarray(low * (1 - fraction) + high * fraction)


def locate(axis: Floats, x: Any) -> tuple[Any, Any]:
    """The cell of an axis that x lies in, and how far in it; x is clipped to the axis.

    Returns int array, and float array from 0 to 1.
    """
    x = np.minimum(np.maximum(x, axis[0]), axis[-1])
    if len(axis) == 1:
        return np.zeros(np.shape(x), int), np.zeros(np.shape(x))
    cell = np.searchsorted(axis, x, side="right") - 1
    last_cell = len(axis) - 2
    cell = np.minimum(np.maximum(cell, 0), last_cell)
    low, high = axis[cell], axis[cell + 1]
    return cell, (x - low) / (high - low)


def grid_seconds(grid: Grid, m: Any, n: Any, k: Any) -> tuple[Any, Any]:
    """Seconds of one matmul from a full grid.

    m, n, k: int or int arrays that broadcast. Above EXACT sizes, time is linear between multiples
    of a tile, and a remainder costs what it costs just below.
    """
    sizes = [np.asarray(size, dtype=float) for size in (m, n, k)]
    m, n, k = np.broadcast_arrays(*sizes)
    rows, columns, depths, _ = grid.arrays
    most_rows, most_columns, most_depth = rows[-1], columns[-1], depths[-1]
    inside = _with_row_remainder(_RowCurves.of(grid, n, k), m)
    wider = np.maximum(n / most_columns, 1.0)
    deeper = np.maximum(k / most_depth, 1.0)
    scale = np.maximum(m / most_rows, 1.0) * (wider * deeper)
    flops = 2 * m * np.minimum(n, most_columns) * np.minimum(k, most_depth)
    outside = (scale > 1) | (flops > grid.reached * ROUNDING)
    return inside * scale, outside


@dataclass(frozen=True)
class _RowCurves:
    """Seconds of products by their rows.

    rows: that were measured, float [r]. seconds: a curve for each n and k that occurs, float
    [curves, r]. curve: of each product, an int array of any shape.
    """

    rows: Floats
    seconds: Floats
    curve: np.ndarray

    @classmethod
    def of(cls, grid: Grid, n: Floats, k: Floats) -> _RowCurves:
        """Return the curves of products. n, k: of each, float arrays of one shape."""
        rows, _, _, _ = grid.arrays
        weights = list(zip(n.ravel().tolist(), k.ravel().tolist(), strict=True))
        numbers = {weight: number for number, weight in enumerate(dict.fromkeys(weights))}
        curve = np.array([numbers[weight] for weight in weights], np.int64).reshape(n.shape)
        measured = []
        for weight in numbers:
            measured.append(grid.once(weight, partial(_measured_rows, grid, *weight)))
        seconds = np.stack(measured) if measured else np.empty((0, len(rows)))
        return cls(rows, seconds, curve)

    def at(self, m: Any) -> Floats:
        """Return the seconds of each product at m rows; a number or a float array."""
        cell, fraction = locate(self.rows, m)
        above = np.minimum(cell + 1, len(self.rows) - 1)
        return between(self.seconds[self.curve, cell], self.seconds[self.curve, above], fraction)


def _measured_rows(grid: Grid, n: float, k: float) -> Floats:
    """Seconds at the measured rows [m] for one n and k.

    A remainder of columns costs, beyond the whole tiles, what it adds to the first tile.
    """
    _, columns, depths, seconds = grid.arrays
    cell, fraction = locate(depths, k)
    at_less_depth_s = seconds[:, :, cell]
    at_more_depth_s = seconds[:, :, cell + 1]
    plane = between(at_less_depth_s, at_more_depth_s, fraction)  # [m, n]
    rest = n % COLUMN_TILE
    is_known = set(columns) >= MEASURED_COLUMNS
    if EXACT < n < columns[-1] and rest and is_known:
        one_tile = _at_columns(plane, columns, COLUMN_TILE)
        more_than_one = _at_columns(plane, columns, COLUMN_TILE + rest)
        whole_tiles = _at_columns(plane, columns, n - rest)
        return np.asarray(whole_tiles + np.maximum(more_than_one - one_tile, 0.0))
    return _at_columns(plane, columns, n)


def _at_columns(plane: Floats, columns: Floats, n: float) -> Floats:
    """Seconds by rows [m] of a plane [m, n] at one n."""
    cell, fraction = locate(columns, n)
    return between(plane[:, cell], plane[:, cell + 1], fraction)


def _with_row_remainder(curves: _RowCurves, m: Floats) -> Floats:
    """Seconds at m rows, where a remainder costs what it adds just below EXACT rows."""
    rows = curves.rows
    rest = m % ROW_TILE
    has_rest = (m > EXACT) & (rest > 0) & (m < rows[-1])
    if not has_rest.any() or not set(rows) >= MEASURED_ROWS:
        return curves.at(m)
    whole = np.where(has_rest, m - rest, m)
    tile_with_rest = np.where(has_rest, LAST_EXACT_TILE + rest, LAST_EXACT_TILE)
    whole_s = curves.at(whole)
    tile_s = curves.at(float(LAST_EXACT_TILE))
    tile_with_rest_s = curves.at(tile_with_rest)
    next_s = curves.at(whole + ROW_TILE)
    rest_s = np.maximum(tile_with_rest_s - tile_s, 0.0)
    limit_s = np.maximum(next_s * NEXT_TILE_LIMIT, whole_s)
    return np.where(has_rest, np.minimum(whole_s + rest_s, limit_s), whole_s)
