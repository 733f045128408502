"""All tokens to all ranks, and the sums of the ranks' parts back: an all-gather before experts, a
reduce-scatter behind them.

It is what vLLM does by itself where attention is data parallel and nobody names another way: it
moves tokens to ranks that have no use for them, and needs no kernels of its own.
Source: vllm-project/vllm vllm/distributed/device_communicators/all2all.py, AgRsAll2AllManager.
"""

from __future__ import annotations

import numpy as np

from condsim.parallel.exchange import EXCHANGES, Exchange, Sent, all_gather_seconds
from condsim.parallel.fabric import Fabric


class AllGather(Exchange):
    name = "all-gather"

    def seconds(self, sent: Sent, phase: str, fabric: Fabric) -> np.ndarray:
        """As `Exchange.seconds`. Every hop of the ring waits for the rank that has the most."""
        whole = sent.tokens.max(-1) * sent.ranks * sent.token_bytes
        return all_gather_seconds(whole, sent.ranks, fabric.slowest(sent.ranks))


EXCHANGES.register(AllGather.name)(AllGather())
