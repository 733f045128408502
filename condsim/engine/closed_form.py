"""Host and device clocks: when each kernel is issued and when it ends.

    issue[i] = max(issue[i - 1] + host[i], what it waits for)
    end[i] = max(issue[i], end of the stream) + device[i]

A max-plus recurrence, in closed form over many runs at once. A synchronising kernel makes the host
wait for everything issued so far. On a CPU host and device are one: every kernel synchronises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Issued:
    """k kernels in issue order.

    host_s, device_s: float [k] or [runs, k]. stream: int [k]. sync: the host waits after it,
    bool [k].
    """

    host_s: np.ndarray
    device_s: np.ndarray
    stream: np.ndarray
    sync: np.ndarray


def run(kernels: Issued) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (issue, end, finish) in seconds: float [..., k], [..., k] and [...].

    finish: when the host and all streams are done.
    """
    host, device = np.broadcast_arrays(kernels.host_s, kernels.device_s)
    runs, count = host.shape[:-1], host.shape[-1]
    streams = int(kernels.stream.max(initial=0)) + 1
    issue, end = np.zeros(host.shape), np.zeros(host.shape)
    clock = np.zeros(runs)
    stream_end = np.zeros((*runs, streams))
    start = 0
    for stop in [*(np.flatnonzero(kernels.sync) + 1), count]:
        if stop == start:
            continue
        ahead = slice(start, stop)  # between two synchronisations the host runs ahead
        host_s = np.cumsum(host[..., ahead], axis=-1)
        issue[..., ahead] = clock[..., None] + host_s
        for stream in range(streams):
            members = np.flatnonzero(kernels.stream[ahead] == stream) + start
            if len(members):
                before = stream_end[..., stream]
                end[..., members] = _ends(issue[..., members], device[..., members], before)
                stream_end[..., stream] = end[..., members[-1]]
        clock = issue[..., stop - 1]
        if kernels.sync[stop - 1]:
            clock = np.maximum(clock, stream_end.max(-1))
        start = stop
    return issue, end, np.maximum(clock, stream_end.max(-1))


def _ends(issue: np.ndarray, device: np.ndarray, stream_end: np.ndarray) -> np.ndarray:
    """When the kernels of one stream end. stream_end: when it is done with those before."""
    busy = np.cumsum(device, axis=-1)
    ready = np.maximum.accumulate(issue - busy + device, axis=-1)
    ends: np.ndarray = np.maximum(ready, stream_end[..., None]) + busy
    return ends
