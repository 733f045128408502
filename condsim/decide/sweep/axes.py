"""What a sweep varies: axes, from the words of a command line or the values of a caller.

An axis is a field of `condsim.Scenario`, `device`, what makes another trace of the subject (`skew`,
`share`; of a model `context`), or a number of the device by its path, as a factor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from condsim import checks
from condsim.decide.subject import CONTEXT, SHARE, SKEW, Subject
from condsim.errors import CondsimError, shown, unknown
from condsim.hardware import HardwareProfile
from condsim.study.what_if import paths_of_numbers

DEVICE, STRATEGY, ALL = "device", "strategy", "all"
WHOLE = ("batch", CONTEXT)
NUMBERS = ("threshold", "capacity_factor", "expert_cache", SKEW, SHARE)
TEXTS = (
    DEVICE,
    STRATEGY,
    "baseline",
    "dtype",
    "weights",
    "runtime",
    "phase",
    "protocol",
    "parallel",
)
SCENARIO_AXES = (*WHOLE[:1], *NUMBERS[:3], *TEXTS)
"""Axes that every subject has."""
MOST_VALUES = 100_000
"""Of one axis."""


@dataclass(frozen=True)
class Axis:
    """What is varied. name: of the axis. values: in order, each once."""

    name: str
    values: tuple[Any, ...]

    @property
    def kind(self) -> str:
        """ "whole", "number" or "text"."""
        if self.name in WHOLE:
            return "whole"
        return "text" if self.name in TEXTS else "number"


def known_axes(subject: Subject, devices: Iterable[HardwareProfile]) -> list[str]:
    """Return the names of all axes. devices: whose numbers can be varied."""
    names = [*SCENARIO_AXES, *subject.axes]
    for device in devices:
        names += paths_of_numbers(device)
    return list(dict.fromkeys(names))


def parse_axis(text: str) -> tuple[str, list[str] | list[float]]:
    """Return the name and the values of "batch=1:256:log2", "device=all", "skew=0,0.5,1".

    A range is START:STOP (steps of 1), START:STOP:STEP or START:STOP:logN (times N); STOP is in it.
    Raises CondsimError for what cannot be read, and for no value.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.strip():
        raise CondsimError(f"--grid is AXIS=VALUES, such as batch=1:256:log2, got {text!r}")
    name = name.strip()
    pieces = [piece.strip() for piece in values.split(",") if piece.strip()]
    if name in TEXTS:
        return name, pieces
    numbers: list[float] = []
    for piece in pieces:
        numbers += _numbers(name, piece)
    return name, numbers


def _numbers(name: str, piece: str) -> list[float]:
    """The values of a number or a range."""
    parts = piece.split(":")
    if len(parts) == 1:
        return [_number(name, piece)]
    if len(parts) > 3:
        raise CondsimError(f"{name}: a range is START:STOP or START:STOP:STEP, got {piece!r}")
    first, last = _number(name, parts[0]), _number(name, parts[1])
    step = parts[2] if len(parts) == 3 else "1"
    if step.startswith("log"):
        base = _number(name, step[3:] or "2")
        values = _multiplied(first, last, base)
    else:
        values = _added(first, last, _number(name, step))
    found = _at_most(name, piece, values)
    if not found:
        raise CondsimError(f"{name}: the range {piece} holds no value")
    return found


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise CondsimError(f"{name}: {text!r} is not a number") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise CondsimError(f"{name}: {text!r} is not a number")
    return value


def _multiplied(first: float, last: float, base: float) -> Iterator[float]:
    if first <= 0 or base <= 1:
        raise CondsimError(
            f"a range of logarithmic steps begins above 0 and multiplies by more than 1, got "
            f"{first:g}:{last:g}:log{base:g}"
        )
    value = first
    while value <= last * (1 + 1e-9):
        yield value
        value *= base


def _added(first: float, last: float, step: float) -> Iterator[float]:
    if step <= 0:
        raise CondsimError(f"the step of a range must be above 0, got {step:g}")
    count = 0
    while first + count * step <= last + 1e-9 * step:
        yield first + count * step
        count += 1


def _at_most(name: str, piece: str, values: Iterator[float]) -> list[float]:
    found = []
    for value in values:
        found.append(value)
        if len(found) > MOST_VALUES:
            raise CondsimError(f"{name}: {piece} has more than {MOST_VALUES:,} values")
    return found


def axes_of(over: Mapping[str, Any], known: Sequence[str]) -> list[Axis]:
    """Return the axes of a grid. over: axis → its values, or one. known: names of axes.

    Raises CondsimError for an empty grid, an unknown axis, and values that it cannot have.
    """
    if not over:
        raise CondsimError(
            "an empty grid: name at least one axis and its values, such as "
            "--grid batch=1:256:log2 (over={'batch': [1, 2, 4]})"
        )
    axes = []
    for name, values in over.items():
        if name not in known:
            raise unknown("axis", name, known)
        axis = Axis(name, _listed(values))
        if not axis.values:
            raise CondsimError(f"an empty grid: axis {name} has no value")
        axes.append(_checked(axis))
    return axes


def _listed(values: Any) -> tuple[Any, ...]:
    if isinstance(values, (str, HardwareProfile)) or not isinstance(values, Iterable):
        values = [values]
    return tuple(values)


def _checked(axis: Axis) -> Axis:
    """The axis with values of its kind, each once."""
    if axis.kind == "text":
        for value in axis.values:
            _check_text(axis.name, value)
        values = {_named(value): value for value in axis.values}
        return Axis(axis.name, tuple(values.values()))
    numbers = [_plain_number(axis, value) for value in axis.values]
    return Axis(axis.name, tuple(dict.fromkeys(numbers)))


def _named(value: Any) -> str:
    return value.name if isinstance(value, HardwareProfile) else str(value)


def _check_text(name: str, value: Any) -> None:
    a_device = name == DEVICE and isinstance(value, HardwareProfile)
    if not a_device and not isinstance(value, str):
        raise CondsimError(f"{name} must be a name, got {shown(value)}")


def _plain_number(axis: Axis, value: Any) -> float | int:
    if axis.kind != "whole":
        return checks.number(axis.name, value)
    is_whole = isinstance(value, float) and value.is_integer()
    return checks.whole(axis.name, int(value) if is_whole else value)
