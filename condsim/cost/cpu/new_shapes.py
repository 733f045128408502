"""What a product costs more at sizes that the process has not run yet: oneDNN writes a kernel for them and keeps it.

    extra seconds of a step = sum over the sizes that no step before it had of what a kernel of that family costs

Families whose library has one kernel for all sizes have no such cost, and a calibration finds none: in fp32 that is all but convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.program.operators import Work

NEW_SHAPE = "new_shape"
"""Of a profile's extra_s, "FAMILY.new_shape": seconds."""

Kernel = tuple[str, float, float, float, float]
"""(family, m, n, k, groups)."""


def new_shape_seconds(family: str, profile: HardwareProfile) -> float:
    """Seconds of a first call of a family at new sizes, beyond its time; 0 where its library keeps nothing."""
    return profile.extra_s.get(f"{family}.{NEW_SHAPE}", 0.0)


def kernels(
    job: Work, groups_rows: np.ndarray | None, count: int
) -> Iterator[tuple[Kernel, np.ndarray]]:
    """(kernel, which of so many sizes run it, int [..]) of an operator. job: with numbers, or arrays [count].
    groups_rows: of a grouped matmul, int [count, groups]: each group that has rows is a plain product."""
    if groups_rows is not None:
        for rows in np.unique(groups_rows[groups_rows > 0]):
            yield (
                ("linear", float(rows), float(np.max(job.n)), float(np.max(job.k)), 1.0),
                np.flatnonzero((groups_rows == rows).any(1)),
            )
        return
    sizes = np.stack(
        [np.broadcast_to(np.asarray(x, float), (count,)) for x in (job.m, job.n, job.k, job.groups)]
    )
    found, which = np.unique(sizes, axis=1, return_inverse=True)
    for i, size in enumerate(found.T):
        if size.all():
            yield (job.family, *map(float, size)), np.flatnonzero(which.ravel() == i)  # type: ignore[misc]


class NewShapes:
    """The kernels that the steps of a side run, and where each is first met."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._first: dict[Kernel, tuple[int, Any]] = {}
        self._kept: set[Kernel] = set()

    def add(
        self,
        job: Work,
        groups_rows: np.ndarray | None,
        size: np.ndarray,
        step: np.ndarray,
        label: Any,
    ) -> None:
        """One operator. job, groups_rows: as in `kernels`, by size; size, step: of each of its calls, int [calls]."""
        count = int(size.max()) + 1
        first, last = np.full(count, self._steps), np.zeros(count, int)
        np.minimum.at(first, size, step)
        np.maximum.at(last, size, step)
        for kernel, sizes in kernels(job, groups_rows, count):
            at = int(first[sizes].min())
            if kernel not in self._first or at < self._first[kernel][0]:
                self._first[kernel] = at, label
            if int(last[sizes].max()) == self._steps - 1:
                self._kept.add(kernel)

    def seconds(self, profile: HardwareProfile) -> Mapping[Any, np.ndarray]:
        """Seconds of each step by label, float [n], where the steps follow each other. The last of them has run before the first, as a stream that is measured
        begins: its kernels are there."""
        found: dict[Any, np.ndarray] = {}
        for kernel, (step, label) in self._first.items():
            cost = new_shape_seconds(kernel[0], profile)
            if cost and kernel not in self._kept:
                found.setdefault(label, np.zeros(self._steps))[step] += cost
        return found
