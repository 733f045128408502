"""The machine of `condsim.engine.closed_form` as SimPy processes.

It is the reference that the closed form is held equal to, and the engine where kernels also wait
for weights that must be copied first.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from condsim.engine.closed_form import Issued
from condsim.engine.expert_cache import Cache, Offloaded


def run(
    kernels: Issued, offloaded: Offloaded | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return (issue [k], end [k], finish) in seconds. host_s and device_s must be [k].

    offloaded: weights that kernels wait for.
    """
    machine = _Machine(kernels, offloaded)
    machine.run()
    return machine.issue, machine.end, float(machine.env.now)


class _Machine:
    """A host that issues kernels, and a device process a stream that runs them."""

    def __init__(self, kernels: Issued, offloaded: Offloaded | None) -> None:
        self.kernels, self.offloaded = kernels, offloaded
        self.env = simpy.Environment()
        self.cache = None if offloaded is None else Cache(self.env, offloaded)
        self.count = len(kernels.host_s)
        streams = int(kernels.stream.max(initial=0)) + 1
        self.queues = [simpy.Store(self.env) for _ in range(streams)]
        self.done = [self.env.event() for _ in range(self.count)]
        self.issue, self.end = np.zeros(self.count), np.zeros(self.count)

    def run(self) -> None:
        """Run until everything was issued and has ended."""
        for queue in self.queues:
            self.env.process(self._device(queue))
        host = self.env.process(self._host())
        self.env.run(until=self.env.all_of([host, *self.done]))

    def _device(self, queue: simpy.Store) -> Generator[Any, Any, None]:
        while True:
            kernel = yield queue.get()
            expert = None if self.offloaded is None else self.offloaded.needs[kernel]
            if self.cache is not None and expert is not None:
                yield from self.cache.wait(expert)
            yield self.env.timeout(float(self.kernels.device_s[kernel]))
            self.end[kernel] = self.env.now
            if self.cache is not None and expert is not None:
                self.cache.release(expert, kernel)
            self.done[kernel].succeed()

    def _host(self) -> Generator[Any, Any, None]:
        last_of_stream: dict[int, int] = {}  # when it is done, so is all before it
        for kernel in range(self.count):
            yield self.env.timeout(float(self.kernels.host_s[kernel]))
            self.issue[kernel] = self.env.now
            self._ask_for_weights(kernel)
            stream = int(self.kernels.stream[kernel])
            yield self.queues[stream].put(kernel)
            last_of_stream[stream] = kernel
            if self.kernels.sync[kernel]:
                yield self.env.all_of([self.done[last] for last in last_of_stream.values()])

    def _ask_for_weights(self, kernel: int) -> None:
        if self.cache is None or self.offloaded is None:
            return
        expert = self.offloaded.needs[kernel]
        if expert is not None:
            self.cache.ask(expert, kernel)
        for ahead in self.offloaded.ahead.get(kernel, ()):
            self.cache.prefetch(ahead)
