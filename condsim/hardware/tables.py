"""Tables of a calibrated profile: measured operator times, and what weights, activations and code that were evicted cost."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from condsim.hardware.quantity import UNCERTAINTY, Floats, Model, NotNegative, Positive, rising


class Curve(Model):
    """Seconds of an operator by elements (sizes, rising) and, where it matters, by the length of a row (lengths, rising): seconds[length][size].

    Times are linear in the elements between two sizes.
    """

    sizes: list[NotNegative] = Field(min_length=1)
    lengths: list[Positive] = Field(default_factory=lambda: [1.0], min_length=1)
    seconds: list[list[Positive]]
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Curve:
        rising("sizes", self.sizes)
        rising("lengths", self.lengths)
        if len(self.seconds) != len(self.lengths) or any(
            len(row) != len(self.sizes) for row in self.seconds
        ):
            raise ValueError(f"seconds must be {len(self.lengths)} rows of {len(self.sizes)}")
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(map(min, self.seconds))

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """sizes [s], lengths [l], seconds [l, s]."""
        return np.array(self.sizes), np.array(self.lengths), np.array(self.seconds)


class Grid(Model):
    """Seconds of a matmul on a full grid of m x n x k; seconds: flat, k fastest. reached: the largest FLOPs that were measured (larger cells are
    filled at constant efficiency)."""

    m: list[Positive] = Field(min_length=2)
    n: list[Positive] = Field(min_length=2)
    k: list[Positive] = Field(min_length=2)
    seconds: list[Positive]
    reached: Positive
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Grid:
        for name in ("m", "n", "k"):
            rising(name, getattr(self, name))
        if len(self.seconds) != len(self.m) * len(self.n) * len(self.k):
            raise ValueError(
                f"seconds must have {len(self.m) * len(self.n) * len(self.k)} numbers, one a cell, got {len(self.seconds)}"
            )
        return self

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """m, n, k and seconds [m, n, k]."""
        m, n, k = np.array(self.m), np.array(self.n), np.array(self.k)
        return m, n, k, np.array(self.seconds).reshape(len(m), len(n), len(k))

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)

    @cached_property
    def columns(self) -> dict[tuple[float, float], Floats]:
        """Kept here by `condsim.cost.cpu.tables`: seconds by rows [m] at an n and a k, computed once."""
        return {}


class Scatter(Model):
    """Seconds at points that lie anywhere. dims: names of the coordinates; points [p][dims]; scales: how far, in natural logarithms of each
    coordinate, a measured time tells about another; noise: relative, of one measurement. `condsim.cost.cpu.tables` makes a function of it."""

    dims: list[str]
    points: list[list[NotNegative]]
    seconds: list[Positive]
    scales: list[Positive]
    noise: Positive
    uncertainty: NotNegative = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Scatter:
        if len(self.points) != len(self.seconds) or not self.points:
            raise ValueError(
                f"there must be a point for each of the {len(self.seconds)} seconds, got {len(self.points)}"
            )
        if any(len(p) != len(self.dims) for p in self.points) or len(self.scales) != len(self.dims):
            raise ValueError(
                f"points and scales must have {len(self.dims)} numbers ({', '.join(self.dims)})"
            )
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)

    @cached_property
    def fitted(self) -> dict[str, Any]:
        """Kept here by `condsim.cost.cpu.tables`: what it computes once from the points."""
        return {}


def one_a_distance(distance: list[float], **curves: list[float]) -> None:
    """Raises ValueError for a curve that has more or fewer numbers than there are distances."""
    for name, curve in curves.items():
        if len(curve) != len(distance):
            raise ValueError(f"{name} must have {len(distance)} numbers, one a distance")


class Residency(Model):
    """Extra seconds per byte of a weight that was evicted, by the bytes touched since its last use.

    distance: bytes, rising. bytes: of the weights that were timed, rising. one_row, more_rows: a curve a weight, of a product with one row (a kernel that
    streams the weight) and with more (one that takes it in tiles); spread: standard deviation. limit_bytes: of the private cache. others: bytes a second that
    whoever shares the caches touches, which evicts what this process does not use in the meantime.
    """

    distance: list[Positive]
    bytes: list[Positive]
    one_row: list[list[NotNegative]]
    more_rows: list[list[NotNegative]]
    spread: list[NotNegative]
    limit_bytes: Positive
    others: NotNegative = 0.0

    @model_validator(mode="before")
    @classmethod
    def _of_two_curves(cls, given: Any) -> Any:
        """What was calibrated before has two curves, `small` (weights up to limit_bytes) and `large`, for any number of rows."""
        if not isinstance(given, dict) or "small" not in given:
            return given
        kept = {k: v for k, v in given.items() if k not in ("small", "large")}
        curves, limit = [given["small"], given.get("large", [])], given.get("limit_bytes", 1.0)
        return {**kept, "bytes": [limit, limit * 1.001], "one_row": curves, "more_rows": curves}

    @model_validator(mode="after")
    def _shape(self) -> Residency:
        rising("distance", self.distance)
        rising("bytes", self.bytes)
        for name in ("one_row", "more_rows"):
            if len(getattr(self, name)) != len(self.bytes):
                raise ValueError(f"{name} must have {len(self.bytes)} curves, one a weight")
        one_a_distance(self.distance, spread=self.spread)
        for one_row, more_rows in zip(self.one_row, self.more_rows, strict=True):
            one_a_distance(self.distance, one_row=one_row, more_rows=more_rows)
        return self


class Activations(Model):
    """Extra seconds per byte of an activation by the bytes touched since its memory was: read, and written.

    distance: bytes, rising. read, written: a number a distance.
    """

    distance: list[Positive]
    read: list[NotNegative]
    written: list[NotNegative]

    @model_validator(mode="after")
    def _shape(self) -> Activations:
        rising("distance", self.distance)
        one_a_distance(self.distance, read=self.read, written=self.written)
        return self


class Cold(Model):
    """What an operator costs more because data was touched since: its code, and what PyTorch shares between operators, were evicted.

    distance: bytes, rising. shared_s: of any operator, by the bytes that the operator before it touched. own_s: by operator (a view's name ends in ".view"),
    seconds at the largest distance; other_s: of an operator that was not timed; share: of own_s, by the bytes touched since the operator's last call.
    """

    distance: list[Positive]
    shared_s: list[NotNegative]
    share: list[NotNegative]
    own_s: dict[str, NotNegative]
    other_s: NotNegative
    uncertainty: NotNegative = 0.3

    @model_validator(mode="after")
    def _shape(self) -> Cold:
        rising("distance", self.distance)
        one_a_distance(self.distance, shared_s=self.shared_s, share=self.share)
        return self


class Among(Model):
    """What an operator costs more after other operators than when it is repeated: its code and its branches must be found again.

    extra_s: by operator (a view's name ends in ".view"), seconds when all others ran in between. distinct: how many different
    operators ran since its last call, itself included, rising; share: of extra_s, 0 to 1 or little more. other_s: of an operator that was not timed.
    """

    extra_s: dict[str, NotNegative]
    other_s: NotNegative
    distinct: list[Positive]
    share: list[NotNegative]
    uncertainty: NotNegative = 0.25

    @model_validator(mode="after")
    def _shape(self) -> Among:
        rising("distinct", self.distinct)
        if len(self.share) != len(self.distinct):
            raise ValueError(f"share must have {len(self.distinct)} numbers, one a distinct")
        return self
