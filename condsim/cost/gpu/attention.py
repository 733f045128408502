"""Attention of decode steps: a thread block a sequence and key-value head, which never is short.

    seconds >= start_s + (waves_s^p + traffic_s^p)^(1/p),  waves_s = blocks / SMs * block_s

A block looks up where its keys lie, waits for the first of them, and writes its sums, however few
keys there are; a second kernel adds what was cut along the keys. Form and constants: least squares
on vLLM's kernels as ai-dynamo/aiconfigurator timed them (attention/vllm/0.24.0, bf16, heads of 128,
1 to 65,536 keys); on the half of the batch sizes that the constants did not see it is 5 to 6 % off
at the median on H100, H200 and B200, 11 to 15 % on L40S and RTX PRO 6000, which lack HBM.
Not true for heads of another size, and for latent keys.

Where prompts are computed in the same step, FlashAttention 2 makes each head of a new token a block
by itself, of 64 rows of which one is asked for (`UNPACKED`); what shares keys reads them anew.
Source: Dao-AILab/flash-attention, csrc/flash_attn: heads are packed where no sequence has two
queries, and kernels of paged keys have blocks of 64 rows; FlashAttention 3 packs them always.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from condsim.cost.gpu.matmul import Matmul
from condsim.cost.gpu.overlap import soft_maximum
from condsim.cost.gpu.rates import GpuRates
from condsim.program.work import Work

PAGED = "paged_attention"
UNPACKED = "unpacked_attention"
BLOCK_ROWS = 64
"""Queries that a block of an unpacked kernel has room for."""
OVERLAP = 1.5
"""p: blocks that start hide behind the traffic of others, in part."""


def paged(product: Matmul, job: Work, device: GpuRates) -> Matmul:
    """Return the products of an attention kernel with what its blocks take at least.

    product: as any product is priced. job: groups are sequences x heads of keys. Where the profile
    has no figures of such kernels it is the product as it is.
    """
    limits = device.gpu.decode_attention
    if limits is None:
        return product
    sms = device.gpu.sms.value
    waves_s = job.groups / sms * limits.block_s.value
    traffic_s = product.weights_s + product.activations_s
    running_s = soft_maximum(waves_s, traffic_s, OVERLAP)
    fixed_s = limits.start_s.value - device.gpu.kernel_s.value
    return replace(product, tiled_s=np.maximum(product.tiled_s, fixed_s + running_s))


def unpacked(product: Matmul, job: Work, device: GpuRates) -> Matmul:
    """Return the products of a kernel that attends for prompts too, for its new tokens alone.

    product, job: as in `paged`.
    """
    limits = device.gpu.decode_attention
    if limits is None or limits.unpacked_flops is None:
        return paged(product, job, device)
    blocks = job.groups * job.m
    waves_s = blocks / device.gpu.sms.value * limits.block_s.value
    executed = 2.0 * blocks * BLOCK_ROWS * job.n * job.k
    computing_s = executed / limits.unpacked_flops.value
    running_s = soft_maximum(waves_s, computing_s, OVERLAP)
    fixed_s = limits.start_s.value - device.gpu.kernel_s.value
    return replace(product, tiled_s=np.maximum(product.tiled_s, fixed_s + running_s))


KERNELS = {PAGED: paged, UNPACKED: unpacked}
"""Operator → what its kernel takes."""
