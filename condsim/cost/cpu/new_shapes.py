"""What a product costs more at sizes that the process has not run yet.

oneDNN writes a kernel for new sizes and keeps it.

    extra seconds of a step = sum over the sizes that no step before it had
                              of what a kernel of that family costs

Families whose library has one kernel for all sizes have no such cost, and a calibration finds none:
in fp32 that is all but convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from condsim.hardware import HardwareProfile
from condsim.program.work import Work

NEW_SHAPE = "new_shape"
"""Of a profile's extra_s, "FAMILY.new_shape": seconds."""


class Kernel(NamedTuple):
    """A kernel that was written for a product of these sizes."""

    family: str
    m: float
    n: float
    k: float
    groups: float


def new_shape_seconds(family: str, profile: HardwareProfile) -> float:
    """Seconds of a first call of a family at new sizes, beyond its time.

    0 where its library keeps nothing.
    """
    return profile.extra_s.get(f"{family}.{NEW_SHAPE}", 0.0)


def kernels(
    job: Work, groups_rows: np.ndarray | None, count: int
) -> Iterator[tuple[Kernel, list[int]]]:
    """(kernel, which of so many sizes run it) of an operator; a kernel may come several times.

    job: with numbers, or arrays [count]. groups_rows: of a grouped matmul, int [count, groups]:
    each group that has rows is a plain product.
    """
    if groups_rows is None:
        yield from _kernels_of_sizes(job, count)
        return
    n = float(np.max(job.n))
    k = float(np.max(job.k))
    for rows in np.unique(groups_rows[groups_rows > 0]):
        kernel = Kernel("linear", float(rows), n, k, 1.0)
        has_such_a_group = (groups_rows == rows).any(1)
        yield kernel, np.flatnonzero(has_such_a_group).tolist()


def _kernels_of_sizes(job: Work, count: int) -> Iterator[tuple[Kernel, list[int]]]:
    columns = np.empty((4, count))
    for row, sizes in enumerate((job.m, job.n, job.k, job.groups)):
        columns[row] = sizes
    for number, (m, n, k, groups) in enumerate(columns.T.tolist()):
        if m and n and k and groups:
            yield Kernel(job.family, m, n, k, groups), [number]


class FirstUse(NamedTuple):
    """A kernel is written. step: that it is met in first. label: of the operator. seconds: that
    it takes."""

    step: int
    label: Any
    seconds: float


class NewShapes:
    """The kernels that the steps of a side run, and where each is met first."""

    def __init__(self, steps: int = 0) -> None:
        self._steps = steps
        self._first: dict[Kernel, tuple[int, Any]] = {}  # (step, label)
        self._in_last_step: set[Kernel] = set()

    def add(
        self,
        job: Work,
        groups_rows: np.ndarray | None,
        size: np.ndarray,
        step: np.ndarray,
        label: Any,
    ) -> None:
        """Note the kernels of one operator.

        job, groups_rows: as in `kernels`, by size; some of these sizes no call may have.
        size, step: of each of its calls, int [calls].
        label: of the operator.
        """
        numbers = np.broadcast(job.m, job.n, job.k, job.groups)
        count = max(numbers.size, int(size.max()) + 1)
        first_step = np.full(count, self._steps)
        last_step = np.zeros(count, int)
        np.minimum.at(first_step, size, step)
        np.maximum.at(last_step, size, step)
        firsts, lasts = first_step.tolist(), last_step.tolist()
        for kernel, sizes in kernels(job, groups_rows, count):
            first = min([firsts[number] for number in sizes])
            if first == self._steps:
                continue
            if kernel not in self._first or first < self._first[kernel][0]:
                self._first[kernel] = first, label
            if max([lasts[number] for number in sizes]) == self._steps - 1:
                self._in_last_step.add(kernel)

    def follow(self, later: NewShapes) -> None:
        """Note the kernels of the steps that follow."""
        for kernel, (step, label) in later._first.items():
            self._first.setdefault(kernel, (self._steps + step, label))
        self._in_last_step = later._in_last_step
        self._steps += later._steps

    def first_uses(self, profile: HardwareProfile) -> Iterator[FirstUse]:
        """Yield the kernels that are written where the steps follow each other.

        The last step has run before the first, as a stream that is measured begins: its kernels are
        there.
        """
        for kernel, (step, label) in self._first.items():
            kernel_s = new_shape_seconds(kernel.family, profile)
            if kernel_s and kernel not in self._in_last_step:
                yield FirstUse(step, label, kernel_s)
