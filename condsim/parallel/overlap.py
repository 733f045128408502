"""Work that waits for no other rank, done while tokens travel.

A shared expert computes every token of a rank's own units, so that it can run beside dispatch or
combine. What an exchange, and the wait for slower ranks before it, have no room for comes after it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from condsim.parallel.schedule import Schedule

SHARED_EXPERTS = "shared-experts"
OVERLAPS = (SHARED_EXPERTS,)


def overlapped(schedule: Schedule, beside_s: np.ndarray) -> Schedule:
    """Return a schedule with more work, which ranks do beside exchanges.

    schedule: without that work. beside_s: of each rank beside each exchange, float [n, ranks,
    stages - 1]. It is taken to slow nothing down: not true for exchanges that take multiprocessors
    from it, as DeepEP's normal kernels do.
    """
    stages_s = schedule.stages_s.copy()
    hidden_s = np.zeros(stages_s.shape[:2])
    for exchange in range(stages_s.shape[2] - 1):
        own_s = stages_s[:, :, exchange]
        waits_s = own_s.max(1)[:, None] - own_s
        room_s = waits_s + schedule.exchanges_s[:, None, exchange]
        work_s = beside_s[:, :, exchange]
        late_s = np.maximum(work_s - room_s, 0.0)
        stages_s[:, :, exchange + 1] += late_s
        hidden_s += work_s - late_s
    return replace(schedule, stages_s=stages_s, hidden_s=hidden_s, beside_s=beside_s)
