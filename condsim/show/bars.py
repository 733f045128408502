"""The waterfall in a terminal: a bar a world on a log axis, each where the one before ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from condsim.show.text import interval, number, times

if TYPE_CHECKING:
    from condsim.predict.prediction import Prediction

WIDTH = 44
"""Characters of the axis."""
DENSE = 1.0
"""The speedup of the dense baseline, where totals start."""
TITLE = "where the FLOP saving went: speedup before x factor = speedup after (log axis)"
NARROW = 1.05
"""Speedups that differ by less get a wider axis, so that a small change does not fill it."""
NEAR_ONE = 5
"""A label so many characters from 1x would be read as 1x."""


def waterfall_lines(
    p: Prediction, measured: Mapping[str, Any] | None = None, plain: bool = False
) -> list[Text]:
    """A bar a world, from the speedup before its effect to the speedup after it.

    measured: of `condsim.study.answer.measured_beside`. plain: ASCII only.
    """
    rows = p.waterfall.to_dict("records")
    speedups = [row["speedup"] for row in rows]
    if measured is not None:
        speedups.append(measured["measured_speedup"])
    axis = _axis_over(speedups, plain)
    lines = [Text(TITLE, "bold"), _header(axis)]
    before = DENSE
    for row in rows:
        lines.append(_world_line(row, before, axis))
        before = row["speedup"]
    bar = axis.bar(DENSE, p.speedup, "bold")
    lines.append(_line("predicted", "", p.speedup, bar, interval(p.speedup_interval)))
    if measured is not None:
        lines.append(_measured_line(measured, axis))
    factors = {row["world"]: row["factor"] for row in rows}
    if factors.get("quantisation", 1.0) != 1.0:
        divergence = number(factors["efficiency"] * factors["quantisation"])
        lines.append(Text(f"divergence = efficiency x quantisation = x{divergence}", "dim"))
    return lines


def _measured_line(measured: Mapping[str, Any], axis: _Axis) -> Text:
    """The measured speedup, and by how much it is off from what was predicted for it."""
    speedup = measured["measured_speedup"]
    factor = f"x{number(speedup / measured['predicted_speedup'])}"
    bar = axis.bar(DENSE, speedup, "bold magenta")
    meaning = f"measured / predicted, both {measured['protocol']}"
    return _line("measured", factor, speedup, bar, meaning)


def _axis_over(speedups: list[float], plain: bool) -> _Axis:
    """An axis with room for all bars."""
    values = [DENSE, *speedups]
    low, high = min(values), max(values)
    if high / low > NARROW:
        return _Axis(low * 0.93, high * 1.07, plain)
    return _Axis(low * 0.7, high * 1.4, plain)


def _header(axis: _Axis) -> Text:
    return Text(f"{'':15} {'factor':>7} {'speedup':>8}  {axis.labels()}", "dim")


def _world_line(row: Mapping[Any, Any], before: float, axis: _Axis) -> Text:
    """The line of one world. before: the speedup in the world before it."""
    name, factor, speedup = str(row["world"]), row["factor"], row["speedup"]
    if name == "flops":
        return _line(name, "", speedup, axis.bar(DENSE, speedup, "cyan"), row["meaning"])
    if factor == 1.0:
        return _line(name, "x1", speedup, axis.bar(speedup, speedup, "dim"), "does not apply")
    colour = "red" if factor < 1 else "green"
    bar = axis.bar(before, speedup, colour)
    return _line(name, f"x{number(factor)}", speedup, bar, row["meaning"])


def _line(name: str, factor: str, speedup: float, bar: Text, meaning: str) -> Text:
    line = Text(f"{name:15} {factor:>7} {times(speedup):>8}  ")
    line.append_text(bar)
    line.append(f"  {meaning}", "dim")
    return line


class _Axis:
    """A log axis of WIDTH characters, with 1x marked.

    low, high: speedups at its ends. plain: ASCII only.
    """

    def __init__(self, low: float, high: float, plain: bool) -> None:
        self.log_low = math.log(low)
        self.log_span = math.log(high) - math.log(low)
        self.full = "#" if plain else "█"
        self.one = "|" if plain else "│"
        self.point = "+" if plain else "┃"

    def place(self, speedup: float) -> int:
        """The character at which a speedup stands."""
        part = (math.log(speedup) - self.log_low) / self.log_span
        nearest = round(part * (WIDTH - 1))
        return min(max(nearest, 0), WIDTH - 1)

    def bar(self, start: float, end: float, style: str) -> Text:
        """A bar between two speedups; one that begins where it ends is a point."""
        first, last = sorted((self.place(start), self.place(end)))
        cells = [" "] * WIDTH
        for place in range(first, last + 1):
            cells[place] = self.full if last > first else self.point
        dense = self.place(DENSE)
        if cells[dense] == " ":
            cells[dense] = self.one
        text = Text()
        for place, cell in enumerate(cells):
            cell_style = style if first <= place <= last else "dim"
            text.append(cell, cell_style)
        return text

    def labels(self) -> str:
        """Round speedups over the axis, as many as fit."""
        cells = [" "] * WIDTH
        free = 0
        for value in self._ticks():
            label, start = f"{value:g}x", self.place(value)
            end = start + len(label)
            if start >= free and end <= WIDTH:
                cells[start:end] = label
                free = end + 2
        return "".join(cells)

    def _ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten on the axis; around 1x nothing but 1x."""
        ticks = []
        for exponent in range(-4, 5):
            for mantissa in (1, 2, 5):
                value = mantissa * 10.0**exponent
                if self._has(value) and not self._hides_one(value):
                    ticks.append(value)
        return ticks

    def _has(self, value: float) -> bool:
        return self.log_low <= math.log(value) <= self.log_low + self.log_span

    def _hides_one(self, value: float) -> bool:
        if value == DENSE or self.log_low > 0.0:
            return False
        return abs(self.place(value) - self.place(DENSE)) < NEAR_ONE
