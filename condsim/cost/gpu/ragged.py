"""Sequences of unlike lengths in one attention kernel: SMs run out of work before the longest ends.

    a block reads its keys at min(what it takes in alone, DRAM / blocks that run)

A sequence and a head of keys are a thread block; an SM runs one at a time and takes the next one
when it is done, sequences of the first head before those of the second. Where a kernel has too few
blocks for the SMs it cuts sequences along their keys, so that nobody waits.
Source: Dao-AILab/flash-attention, csrc/flash_attn: the grid of flash_fwd_splitkv_kernel, and
`num_splits_heuristic`, which cuts below 0.8 blocks an SM. Not true for kernels that order blocks by
length or cut them evenly (FlashAttention 3 with scheduler metadata).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

CUT_BELOW = 0.8
"""Blocks an SM."""


def cuts_sequences(blocks: int, sms: float) -> bool:
    """Whether a kernel of so few blocks cuts sequences along their keys."""
    return blocks < CUT_BELOW * sms


def reading_seconds(
    blocks_bytes: Sequence[float], sms: int, alone: float, together: float
) -> float:
    """Return the seconds until all blocks have read their keys.

    blocks_bytes: of each, in the order in which they begin. sms: blocks that run at once. alone,
    together: bytes a second that one block and all of them take in.
    """
    waiting = iter(blocks_bytes)
    ends: list[float] = []
    seconds = read = 0.0  # read: bytes of a block that has run from the beginning on
    for size in waiting:
        heapq.heappush(ends, size)
        if len(ends) == sms:
            break
    while ends:
        rate = min(alone, together / len(ends))
        end = heapq.heappop(ends)
        seconds += (end - read) / rate
        read = end
        following = next(waiting, None)
        if following is not None:
            heapq.heappush(ends, read + following)
    return seconds
