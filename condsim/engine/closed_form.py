"""Host and device clocks: when each kernel is issued and when it ends. A max-plus recurrence, in closed form over many runs at once.

    issue[i] = max(issue[i-1] + host[i], what it waits for)      end[i] = max(issue[i], end of the stream) + device[i]

A synchronising kernel makes the host wait for everything issued so far. On a CPU host and device are one: every kernel synchronises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kernels:
    """Columns of k kernels in issue order; host_s and device_s may be float [k] or [runs, k]. stream: int [k]; sync: bool [k], the host waits after it."""

    host_s: np.ndarray
    device_s: np.ndarray
    stream: np.ndarray
    sync: np.ndarray


def run(kernels: Kernels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(issue, end, finish): float [..., k], [..., k] and [...]; seconds. finish: when host and all streams are done."""
    host, device = np.broadcast_arrays(kernels.host_s, kernels.device_s)
    streams = int(kernels.stream.max(initial=0)) + 1
    issue, end = np.zeros(host.shape), np.zeros(host.shape)
    clock = np.zeros(host.shape[:-1])
    free = np.zeros((*host.shape[:-1], streams))
    start = 0
    for stop in [
        *(np.flatnonzero(kernels.sync) + 1),
        host.shape[-1],
    ]:  # between two synchronisations the host runs ahead
        part = slice(start, stop)
        issue[..., part] = clock[..., None] + np.cumsum(host[..., part], axis=-1)
        for s in range(streams):
            at = np.flatnonzero(kernels.stream[part] == s) + start
            if len(at):
                busy = np.cumsum(device[..., at], axis=-1)
                ready = np.maximum.accumulate(issue[..., at] - busy + device[..., at], axis=-1)
                end[..., at] = np.maximum(ready, free[..., s, None]) + busy
                free[..., s] = end[..., at[-1]]
        if stop > start:
            clock = issue[..., stop - 1]
        if stop > start and kernels.sync[stop - 1]:
            clock = np.maximum(clock, free.max(-1))
        start = stop
    return issue, end, np.maximum(clock, free.max(-1))
