"""Numbers and results in words, the same in the terminal, the browser and a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from condsim.mechanisms import MECHANISMS

if TYPE_CHECKING:
    from condsim.predict.prediction import Prediction

UNKNOWN = "n/a"
PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
)
ROUNDS_UP = 0.9995
"""From so much of a prefix on it is used, so that 0.9996 s is 1.000 s and not 1000 ms."""
SMALLEST_SHARE = 0.005
"""A smaller share would be shown as 0 %."""


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with an SI prefix: 4.13 ms, 1.90 J. digits: significant ones."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return f"0 {unit}"
    scale, prefix = _prefix_of(value)
    return f"{number(value / scale, digits)} {prefix}{unit}"


def _prefix_of(value: float) -> tuple[float, str]:
    """The largest prefix that leaves a value of at least 1, else the smallest there is."""
    for scale, prefix in PREFIXES:
        if abs(value) >= scale * ROUNDS_UP:
            return scale, prefix
    return PREFIXES[-1]


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits, never with an exponent."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    places = max(digits - 1 - magnitude, 0)
    return f"{value:.{places}f}"


def times(value: float | None) -> str:
    """A speedup: 1.40x, and 0.054x where two places would show too little."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.2f}x" if value >= 0.1 else f"{value:.3f}x"


def percent(value: float | None, sign: bool = True) -> str:
    """A share (12.3%) or, with a sign, a relative error (+12.3%)."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:+.1%}" if sign else f"{value:.1%}"


def seconds(value: float | None) -> str:
    """Seconds with an SI prefix: 4.13 ms."""
    return si(value, "s")


def joules(value: float | None) -> str:
    """Joules with an SI prefix: 1.90 J."""
    return si(value, "J")


def size(value: float | None) -> str:
    """Bytes with an SI prefix: 28.2 MB."""
    return si(value, "B")


def interval(ends: tuple[float, float]) -> str:
    """An interval of speedups: 1.21 ... 1.40."""
    low, high = ends
    return f"{number(low)} ... {number(high)}"


def spoken(name: str) -> str:
    """The identifier of a mechanism, an effect or a part in words.

    moe is "mixture of experts", weight_traffic is "weight traffic".
    """
    if name in MECHANISMS:
        return MECHANISMS[name].title
    return name.replace("_", " ")


def shares(basis: Mapping[str, float]) -> str:
    """What a prediction rests on: "calibrated 97%, extrapolated 3%", the largest share first.

    basis: word → share.
    """
    shown = [(share, word) for word, share in basis.items() if share >= SMALLEST_SHARE]
    largest_first = sorted(shown, reverse=True)
    words = [f"{word} {share:.0%}" for share, word in largest_first]
    return ", ".join(words)


def sentence(p: Prediction) -> str:
    """The verdict in one sentence."""
    speedup = f"{times(p.speedup)} as fast as"
    dense = f"the {p.baseline} dense model on {p.profile} at batch {p.batch}"
    interval_text = f"90 % interval {interval(p.speedup_interval)}"
    if p.verdict == "faster":
        return f"It pays: {speedup} {dense} ({interval_text})."
    if p.verdict == "slower":
        return f"It does not pay: {speedup} {dense} ({interval_text})."
    return f"Too close to call: {speedup} {dense}, but the {interval_text} holds 1x."


def error_line(summary: Mapping[str, Any]) -> str:
    """The statistics under a comparison. summary: of `condsim.study.compare.errors_of`."""
    rows = summary["rows_same_machine"]
    if not rows:
        return "no row was measured on the machine of its profile: no statistics"
    median = percent(summary["median_abs_error"], sign=False)
    p90 = percent(summary["p90_abs_error"], sign=False)
    worst = percent(summary["worst_abs_error"], sign=False)
    return (
        f"speedup over {rows} rows measured on the machine of their profile: "
        f"median |error| {median}, 90th percentile {p90}, worst {worst}"
    )


def cancelled_line(summary: Mapping[str, Any], by: str) -> str:
    """The statistics under a comparison by segment or operator.

    summary: of `condsim.study.parts.cancelled`. by: "segment" or "operator".
    """
    of_sum = percent(summary["median_abs_error"], sign=False)
    of_parts = percent(summary["median_sum_of_abs_errors"], sign=False)
    return (
        f"medians over {summary['sides']} sides: |error| of the sum {of_sum}; "
        f"sum of the |errors| of each {by} {of_parts} of what was measured"
    )
