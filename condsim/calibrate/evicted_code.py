"""What an operator costs more when its code was evicted since it ran last.

A tiny operator runs again and again; between two calls of it a buffer is read once, or products run
for some milliseconds. Most of a model's time goes to products; they evict code themselves, and
whoever shares the core or the caches does in that time. Each is timed twice: straight after that,
and after a few other operators that bring back what PyTorch shares between operators. The second is
what an operator's own code costs; the rest is shared.

Reading the buffer before each of all operators in turn would say something else: more than a
hundred reads then lie between two calls of one, and caches that keep what is used often give way to
many reads but not to one.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from condsim.calibrate.code_locality import calls
from condsim.calibrate.shapes import DISTANCES_MB, PRODUCTS_S
from condsim.hardware import Cold
from condsim.timing.cases import Pool, Visits, typical
from condsim.timing.yardstick import Call, Yardstick, the_clock

CYCLES = 2
"""Calls of an operator that count, in a visit; one more comes before them."""
WORKED_EVERY = 4
"""One of so many operators is also called after products, which take long."""
BETWEEN = ("mul", "relu", "softmax", "linear")
"""The other operators, run before the operator that is timed."""
UNTOLD = (*BETWEEN, "linear.bias")
"""Operators that find their own code again when the others have run."""
STRAIGHT, AFTER_OTHERS = 0, 1
PRODUCT, PRODUCTS = (16, 512, 512), 4
"""(rows, n, k) of a linear layer that runs meanwhile, and how many of them take turns."""
LEAST_ELEMENTS_READ = 16
LEAST_OWN_S = 1e-9


@dataclass(frozen=True)
class Meanwhile:
    """What happens between two calls of an operator: a buffer is read, then products run."""

    read: Call
    products: Iterator[Call]
    work_s: float = 0.0

    def __call__(self) -> None:
        self.read()
        if self.work_s:
            until = time.perf_counter() + self.work_s
            while time.perf_counter() < until:
                next(self.products)()


class EvictedCode:
    """Rounds of timings, to be run at several times, and the table that they give.

    Must be used under inference mode.

    distances_mb: of the buffers that are read. products_s: for how long products run.
    """

    def __init__(
        self,
        pool: Pool,
        distances_mb: Sequence[float] = DISTANCES_MB,
        products_s: Sequence[float] = PRODUCTS_S,
        yardstick: Yardstick | None = None,
    ) -> None:
        self._calls = calls(pool)
        self._distances_mb = distances_mb
        self._products_s = products_s
        self._yardstick = yardstick or Yardstick()
        reads = [_read_of(pool, megabytes) for megabytes in (0.0, *distances_mb)]
        products = itertools.cycle(_products(pool))
        self._reads = [Meanwhile(read, products) for read in reads]
        self._work = [Meanwhile(reads[0], products, seconds) for seconds in products_s]
        others = [self._calls[name] for name in BETWEEN]
        self._between: tuple[list[Call], ...] = ([], others)
        told = [name for name in self._calls if name not in UNTOLD]
        self._told_after_products = told[::WORKED_EVERY]
        self._rounds = 0
        self._visits: dict[tuple[int, int, str], Visits] = {}
        """Visits by (straight or after others, number of what happens meanwhile, operator)."""
        meanwhile = range(len(self._reads) + len(self._work))
        for key in itertools.product(range(2), meanwhile, self._calls):
            self._visits[key] = []

    def round(self) -> None:
        """Time every operator after each read, and some after products; straight and with others
        between."""
        names = list(self._calls)
        order = random.Random(self._rounds).sample(names, len(names))
        self._rounds += 1
        told_after_products = [name for name in order if name in self._told_after_products]
        meanwhile = [(read, order) for read in self._reads]
        meanwhile += [(work, told_after_products) for work in self._work]
        for way in (STRAIGHT, AFTER_OTHERS):
            for number, (happens, timed) in enumerate(meanwhile):
                for name in timed:
                    self._visits[way, number, name] += self._visit(name, happens, way)

    def _visit(self, name: str, meanwhile: Meanwhile, way: int) -> Visits:
        """Time an operator that runs again and again, with something happening in between."""
        clock = the_clock()
        call, between = self._calls[name], self._between[way]

        def cycles() -> list[float]:
            seconds = []
            for _ in range(1 + CYCLES):
                meanwhile()
                for other in between:
                    other()
                start = clock()
                call()
                seconds.append(clock() - start)
            return seconds

        (_, *counted), reading = self._yardstick.around(cycles)
        return [(seconds, reading) for seconds in counted]

    def table(self) -> Cold:
        """What each operator's own code costs, what is shared, and the share by what passed."""
        names = list(self._calls)
        told = [name for name in names if name not in UNTOLD]
        read = range(1, len(self._reads))
        shared_s = self._shared_s(told, read)
        own_s = self._own_s(names, read, shared_s)
        sums = [_sum_of(of_read, told) for of_read in own_s]
        farthest_s = {name: max(seconds, 0.0) for name, seconds in own_s[-1].items()}
        shared_after_products_s, share_after_products = self._after_products(farthest_s)
        return Cold(
            distance=[megabytes * 1e6 for megabytes in self._distances_mb],
            shared_s=shared_s,
            share=_rising_shares(sums, sums[-1], most=1.0),
            own_s=farthest_s,
            other_s=float(np.median(list(farthest_s.values()))),
            products_s=list(self._products_s),
            shared_after_products_s=shared_after_products_s,
            share_after_products=share_after_products,
        )

    def _after_products(self, farthest_s: dict[str, float]) -> tuple[list[float], list[float]]:
        """(seconds that are shared, share of the operators' own), by how long products ran.

        farthest_s: what each operator's own code costs after the largest read.
        """
        begin = len(self._reads)
        worked = range(begin, begin + len(self._work))
        names = self._told_after_products
        own_s = []
        for number in worked:
            extra_s = self._extra_s(AFTER_OTHERS, number, names)
            own_s.append(_sum_of(extra_s, names))
        farthest_of_these_s = _sum_of(farthest_s, names)
        return self._shared_s(names, worked), _rising_shares(own_s, farthest_of_these_s)

    def _shared_s(self, names: Sequence[str], meanwhile: Sequence[int]) -> list[float]:
        """What other operators bring back, by what happened, rising."""
        differences = []
        for number in meanwhile:
            straight = self._extra_s(STRAIGHT, number, names)
            after_others = self._extra_s(AFTER_OTHERS, number, names)
            of_each = [straight[name] - after_others[name] for name in names]
            differences.append(max(float(np.median(of_each)), 0.0))
        rising: list[float] = np.maximum.accumulate(differences).tolist()
        return rising

    def _own_s(
        self, names: Sequence[str], meanwhile: Sequence[int], shared_s: Sequence[float]
    ) -> list[dict[str, float]]:
        """What each operator's own code costs, by what happened. shared_s: by the same."""
        found = []
        for number, of_all_s in zip(meanwhile, shared_s, strict=True):
            own_s = self._extra_s(AFTER_OTHERS, number, names)
            untold = [name for name in names if name in UNTOLD]
            for name, straight_s in self._extra_s(STRAIGHT, number, untold).items():
                own_s[name] = straight_s - of_all_s
            found.append(own_s)
        return found

    def _extra_s(self, way: int, number: int, names: Sequence[str]) -> dict[str, float]:
        """Extra seconds of operators beyond those where next to nothing was read.

        way: STRAIGHT or AFTER_OTHERS. number: of what happened meanwhile.
        """
        extra_s = {}
        for name in names:
            usual_s = typical(self._visits[way, 0, name], self._yardstick)
            extra_s[name] = typical(self._visits[way, number, name], self._yardstick) - usual_s
        return extra_s


def _sum_of(seconds: dict[str, float], names: Sequence[str]) -> float:
    return sum(seconds[name] for name in names)


def _products(pool: Pool) -> list[Call]:
    """Linear layers whose weights do not fit a private cache."""
    rows, n, k = PRODUCT
    x = pool(rows, k)
    return [partial(F.linear, x, pool(n, k)) for _ in range(PRODUCTS)]


def _read_of(pool: Pool, megabytes: float) -> Call:
    """A call that reads so many megabytes, some elements at least."""
    elements = int(megabytes * 1e6 / pool.itemsize)
    return partial(torch.sum, pool(max(LEAST_ELEMENTS_READ, elements)))


def _rising_shares(sums_s: Sequence[float], of_s: float, most: float = np.inf) -> list[float]:
    """Seconds as shares of others, rising, between 0 and `most`."""
    shares = np.clip(np.array(sums_s) / max(of_s, LEAST_OWN_S), 0.0, most)
    rising: list[float] = np.maximum.accumulate(shares).tolist()
    return rising
