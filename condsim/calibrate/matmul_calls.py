"""Calls of every kind of product, on tensors of a pool."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F

from condsim.calibrate.shapes import Attention, Convolution, Depthwise, Products
from condsim.timing.cases import Pool
from condsim.timing.yardstick import Call


def linear(pool: Pool, m: int, n: int, k: int) -> Call:
    """m rows times weights [n, k], without a bias."""
    return partial(F.linear, pool(m, k), pool(n, k))


def linear_with_bias(pool: Pool, m: int, n: int, k: int) -> Call:
    """m rows times weights [n, k], and a bias."""
    return partial(F.linear, pool(m, k), pool(n, k), pool(n))


def mm(pool: Pool, m: int, n: int, k: int) -> Call:
    """[m, k] times [k, n]."""
    return partial(torch.mm, pool(m, k), pool(k, n))


def bmm(pool: Pool, size: Products) -> Call:
    """[groups, m, k] times [groups, k, n]."""
    groups, m, n, k = size
    return partial(torch.bmm, pool(groups, m, k), pool(groups, k, n))


def attention(pool: Pool, size: Attention) -> Call:
    """Attention under a mask, or without; without, causal where queries and keys agree."""
    heads, queries, keys, depth, mask = size
    query = pool(1, heads, queries, depth)
    key = pool(1, heads, keys, depth)
    value = pool(1, heads, keys, depth)
    attend = partial(F.scaled_dot_product_attention, query, key, value)
    if mask:
        all_keys = torch.ones(1, 1, queries, keys, dtype=torch.bool)
        return partial(attend, attn_mask=all_keys)
    return partial(attend, is_causal=queries == keys)


def convolution(pool: Pool, size: Convolution) -> Call:
    """A convolution with a bias."""
    batch, channels_in, channels_out, side, kernel, stride = size
    images = pool(batch, channels_in, side, side)
    weight = pool(channels_out, channels_in, kernel, kernel)
    bias = pool(channels_out)
    padding = kernel // 2
    return partial(F.conv2d, images, weight, bias, stride, padding, 1, 1)


def depthwise_convolution(pool: Pool, size: Depthwise) -> Call:
    """A convolution with a bias that keeps the channels apart."""
    batch, channels, side, kernel, stride = size
    images = pool(batch, channels, side, side)
    weight = pool(channels, 1, kernel, kernel)
    bias = pool(channels)
    padding = kernel // 2
    return partial(F.conv2d, images, weight, bias, stride, padding, 1, channels)


def grouped(pool: Pool, rows: Sequence[int], n: int, k: int) -> Call:
    """Ragged groups of rows, each times a matrix of its own. rows: of each group."""
    ends = torch.tensor(rows).cumsum(0).to(torch.int32)
    x = pool(max(sum(rows), 1), k)
    weights = pool(len(rows), n, k)
    return partial(F.grouped_mm, x, weights.transpose(-2, -1), offs=ends)
