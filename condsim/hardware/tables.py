"""Tables of a calibrated profile: measured operator times, and what evicted data and code cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from pydantic import Field, model_validator

from condsim.hardware.quantity import (
    UNCERTAINTY,
    Floats,
    Model,
    NotNegative,
    Positive,
    Uncertainty,
    rising,
)
from condsim.untrusted import Name

T = TypeVar("T")


class Table(Model):
    """Measured times. A table never changes, so that what follows from it is computed once."""

    @cached_property
    def results(self) -> dict[Hashable, Any]:
        """What `once` has computed."""
        return {}

    def once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of `compute`, kept with the table under a key."""
        if key not in self.results:
            self.results[key] = compute()
        result: T = self.results[key]
        return result


class Curve(Table):
    """Seconds of an operator by elements and, where it matters, by the length of a row.

    sizes: elements, rising. lengths: of a row, rising. seconds: [length][size], linear in the
    elements between two sizes.
    """

    sizes: list[NotNegative] = Field(min_length=1)
    lengths: list[Positive] = Field(default_factory=lambda: [1.0], min_length=1)
    seconds: list[list[Positive]]
    uncertainty: Uncertainty = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Curve:
        rising("sizes", self.sizes)
        rising("lengths", self.lengths)
        widths = [len(row) for row in self.seconds]
        if widths != [len(self.sizes)] * len(self.lengths):
            raise ValueError(f"seconds must be {len(self.lengths)} rows of {len(self.sizes)}")
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(map(min, self.seconds))

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats]:
        """sizes [s], lengths [l], seconds [l, s]."""
        sizes = np.array(self.sizes)
        lengths = np.array(self.lengths)
        return sizes, lengths, np.array(self.seconds)


class Grid(Table):
    """Seconds of a matmul on a full grid of m x n x k.

    seconds: flat, k fastest. reached: the largest FLOPs that were measured; larger cells are filled
    at constant efficiency.
    """

    m: list[Positive] = Field(min_length=2)
    n: list[Positive] = Field(min_length=2)
    k: list[Positive] = Field(min_length=2)
    seconds: list[Positive]
    reached: Positive
    uncertainty: Uncertainty = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Grid:
        for name in ("m", "n", "k"):
            rising(name, getattr(self, name))
        cells = len(self.m) * len(self.n) * len(self.k)
        if len(self.seconds) != cells:
            raise ValueError(
                f"seconds must have {cells} numbers, one a cell, got {len(self.seconds)}"
            )
        return self

    @cached_property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """m, n, k and seconds [m, n, k]."""
        m = np.array(self.m)
        n = np.array(self.n)
        k = np.array(self.k)
        seconds = np.array(self.seconds)
        return m, n, k, seconds.reshape(len(m), len(n), len(k))

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)


class Scatter(Table):
    """Seconds at points that lie anywhere.

    dims: names of the coordinates. points: [p][dims]. scales: how far, in natural logarithms of
    each coordinate, a measured time tells about another. noise: relative, of one measurement.
    `condsim.cost.cpu.scattered` makes a function of it.
    """

    dims: list[Name]
    points: list[list[NotNegative]]
    seconds: list[Positive]
    scales: list[Positive]
    noise: Positive
    uncertainty: Uncertainty = UNCERTAINTY["calibrated"]

    @model_validator(mode="after")
    def _shape(self) -> Scatter:
        if len(self.points) != len(self.seconds) or not self.points:
            raise ValueError(
                f"there must be a point for each of the {len(self.seconds)} seconds, "
                f"got {len(self.points)}"
            )
        widths = {len(self.scales), *map(len, self.points)}
        if widths != {len(self.dims)}:
            names = ", ".join(self.dims)
            raise ValueError(f"points and scales must have {len(self.dims)} numbers ({names})")
        return self

    @cached_property
    def dispatch_s(self) -> float:
        """The shortest time in it: what remains at almost no work."""
        return min(self.seconds)


def one_a_distance(distance: list[float], **curves: list[float]) -> None:
    """Raises ValueError for a curve that has more or fewer numbers than there are distances."""
    for name, curve in curves.items():
        if len(curve) != len(distance):
            raise ValueError(f"{name} must have {len(distance)} numbers, one a distance")


class Residency(Model):
    """Extra seconds per byte of a weight that was evicted, by the bytes touched since its last use.

    distance: bytes touched, rising.
    bytes: of the weights that were timed; rising where row_bytes is empty.
    row_bytes: of one of their rows, rising; empty where a calibration did not tell rows apart.
    one_row: a curve a weight, of a product with one row (a kernel that streams the weight).
    more_rows: of a product with more rows (a kernel that takes the weight in tiles).
    spread: standard deviation, a number a distance.
    limit_bytes: of the private cache.
    others: bytes a second that whoever shares the caches touches; they evict what this process does
        not use in the meantime.
    """

    distance: list[Positive]
    bytes: list[Positive]
    row_bytes: list[Positive] = Field(default_factory=list)
    one_row: list[list[NotNegative]]
    more_rows: list[list[NotNegative]]
    spread: list[NotNegative]
    limit_bytes: Positive
    others: NotNegative = 0.0

    @model_validator(mode="before")
    @classmethod
    def _of_two_curves(cls, given: Any) -> Any:
        """Read an older calibration, whose two curves hold for any number of rows.

        `small` is of weights up to limit_bytes, `large` of larger ones.
        """
        if not isinstance(given, dict) or "small" not in given:
            return given
        fields = dict(given)
        small = fields.pop("small")
        large = fields.pop("large", [])
        curves = [small, large]
        limit = given.get("limit_bytes", 1.0)
        just_above = limit * 1.001
        return {
            **fields,
            "bytes": [limit, just_above],
            "one_row": curves,
            "more_rows": curves,
        }

    @model_validator(mode="after")
    def _shape(self) -> Residency:
        rising("distance", self.distance)
        if self.row_bytes:
            rising("row_bytes", self.row_bytes)
        else:
            rising("bytes", self.bytes)
        for name in ("one_row", "more_rows"):
            if len(getattr(self, name)) != len(self.bytes):
                raise ValueError(f"{name} must have {len(self.bytes)} curves, one a weight")
        one_a_distance(self.distance, spread=self.spread)
        for one_row, more_rows in zip(self.one_row, self.more_rows, strict=True):
            one_a_distance(self.distance, one_row=one_row, more_rows=more_rows)
        return self


class Activations(Model):
    """Extra seconds per byte of an activation, by the bytes touched since its memory was.

    distance: bytes touched, rising. read, written: a number a distance.
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
    """What an operator costs more because its code was evicted, and what PyTorch shares.

    distance: bytes touched, rising.
    shared_s: seconds of any operator, by the bytes that the operator before it touched.
    own_s: seconds of each operator at the largest distance; a view's name ends in ".view".
    other_s: of an operator that was not timed.
    share: of own_s, by the bytes touched since the operator's last call.
    products_s: seconds in which products ran, rising: they evict code, as does whoever shares the
        caches meanwhile. Empty in an older calibration.
    shared_after_products_s: seconds of any operator, by how long the operator before it took.
    share_after_products: of own_s, by the seconds since the operator's last call.
    """

    distance: list[Positive]
    shared_s: list[NotNegative]
    share: list[NotNegative]
    own_s: dict[Name, NotNegative]
    other_s: NotNegative
    products_s: list[Positive] = Field(default_factory=list)
    shared_after_products_s: list[NotNegative] = Field(default_factory=list)
    share_after_products: list[NotNegative] = Field(default_factory=list)
    uncertainty: Uncertainty = 0.3

    @model_validator(mode="after")
    def _shape(self) -> Cold:
        rising("distance", self.distance)
        one_a_distance(self.distance, shared_s=self.shared_s, share=self.share)
        rising("products_s", self.products_s)
        after_products = (self.shared_after_products_s, self.share_after_products)
        if any(len(values) != len(self.products_s) for values in after_products):
            raise ValueError(
                "shared_after_products_s and share_after_products must have "
                f"{len(self.products_s)} numbers, one for each of products_s"
            )
        return self


class Among(Model):
    """What an operator costs more after other operators than when it is repeated.

    Its code and its branches must be found again.

    extra_s: seconds of each operator when all others ran in between; a view's name ends in ".view".
    other_s: of an operator that was not timed.
    distinct: different operators since its last call, itself included, rising.
    share: of extra_s, a number a distinct, 0 to 1 or little more.
    """

    extra_s: dict[Name, NotNegative]
    other_s: NotNegative
    distinct: list[Positive]
    share: list[NotNegative]
    uncertainty: Uncertainty = 0.25

    @model_validator(mode="after")
    def _shape(self) -> Among:
        rising("distinct", self.distinct)
        if len(self.share) != len(self.distinct):
            raise ValueError(f"share must have {len(self.distinct)} numbers, one a distinct")
        return self


class Looped(Model):
    """What is left of `Among.extra_s` where a sequence of operators runs over and over.

    distinct: different operators since the last call of the same one, itself included, rising.
    share: of extra_s, a number a distinct.
    """

    distinct: list[Positive] = Field(min_length=1)
    share: list[NotNegative]

    @model_validator(mode="after")
    def _shape(self) -> Looped:
        rising("distinct", self.distinct)
        if len(self.share) != len(self.distinct):
            raise ValueError(f"share must have {len(self.distinct)} numbers, one a distinct")
        return self
