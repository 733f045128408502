"""The same machine as `condsim.engine.closed_form`, as SimPy processes: the reference that the closed form is held equal to, and the engine where kernels also wait for
weights that must be copied first."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from condsim.engine.closed_form import Kernels
from condsim.engine.expert_cache import Cache, Offloaded


def run(
    kernels: Kernels, offloaded: Offloaded | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """(issue [k], end [k], finish) in seconds. host_s and device_s must be [k]. offloaded: weights that kernels wait for."""
    env = simpy.Environment()
    cache = None if offloaded is None else Cache(env, offloaded)
    count = len(kernels.host_s)
    streams = int(kernels.stream.max(initial=0)) + 1
    queues = [simpy.Store(env) for _ in range(streams)]
    done = [env.event() for _ in range(count)]
    issue, end = np.zeros(count), np.zeros(count)
    last: dict[
        int, int
    ] = {}  # of each stream, what was issued last: when it is done, so is all before it

    def device(queue: simpy.Store) -> Generator[Any, Any, None]:
        while True:
            i = yield queue.get()
            expert = None if offloaded is None else offloaded.needs[i]
            if cache is not None and expert is not None:
                yield from cache.wait(expert)
            yield env.timeout(float(kernels.device_s[i]))
            end[i] = env.now
            if cache is not None and expert is not None:
                cache.release(expert, i)
            done[i].succeed()

    def host() -> Generator[Any, Any, None]:
        for i in range(count):
            yield env.timeout(float(kernels.host_s[i]))
            issue[i] = env.now
            if cache is not None and offloaded is not None:
                if (expert := offloaded.needs[i]) is not None:
                    cache.ask(expert, i)
                for expert in offloaded.ahead.get(i, ()):
                    cache.prefetch(expert)
            yield queues[kernels.stream[i]].put(i)
            last[int(kernels.stream[i])] = i
            if kernels.sync[i]:
                yield env.all_of(done[j] for j in last.values())

    for q in queues:
        env.process(device(q))
    issued = env.process(host())
    env.run(until=env.all_of([issued, *done]))
    return issue, end, float(env.now)
