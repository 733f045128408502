"""The same machine as `condsim.engine`, as SimPy processes: the reference that the closed form is held equal to."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from condsim.engine import Kernels


def run(kernels: Kernels) -> tuple[np.ndarray, np.ndarray, float]:
    """(issue [k], end [k], finish) in seconds. host_s and device_s must be [k]."""
    env = simpy.Environment()
    count = len(kernels.host_s)
    streams = int(kernels.stream.max(initial=0)) + 1
    queues = [simpy.Store(env) for _ in range(streams)]
    done = [env.event() for _ in range(count)]
    issue, end = np.zeros(count), np.zeros(count)

    def device(queue: simpy.Store) -> Generator[Any, Any, None]:
        while True:
            i = yield queue.get()
            yield env.timeout(float(kernels.device_s[i]))
            end[i] = env.now
            done[i].succeed()

    def host() -> Generator[Any, Any, None]:
        for i in range(count):
            yield env.timeout(float(kernels.host_s[i]))
            issue[i] = env.now
            yield queues[kernels.stream[i]].put(i)
            if kernels.sync[i]:
                yield env.all_of(done[: i + 1])

    for q in queues:
        env.process(device(q))
    issued = env.process(host())
    env.run(until=env.all_of([issued, *done]))
    return issue, end, float(env.now)
