"""Steps whose sequences are of unlike lengths: what attention for new tokens waits for the longest.

    beyond = R(lengths) - R(as many of their mean length)

R: seconds until all thread blocks have read their keys (`condsim.cost.gpu.ragged`), of all layers.
It is the mean over some draws of sequences: a request is met the more often the longer its answer,
anywhere in it. In steps that compute prompts too, blocks of prompts fill what would be idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from condsim.cost.gpu.attention import PAGED
from condsim.cost.gpu.ragged import cuts_sequences, reading_seconds
from condsim.program import Op
from condsim.program.regime import DECODE, Regime
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.grid import Cost, between, sizes_up_to
from condsim.serve.prices.side import ServedSide
from condsim.serve.requests import Requests

AN_OCTAVE = 4
"""Numbers of sequences that are played."""
DRAWS = 4
LOOKED_AT = 4096
"""Requests whose lengths are drawn from, the first ones."""


class RaggedAttention:
    """requests: that are served. most: sequences that decode."""

    def __init__(self, side: ServedSide, sites: Sites, requests: Requests, most: int) -> None:
        self.side, self.sites = side, sites
        self.requests = requests.first(LOOKED_AT)
        self.sizes = sizes_up_to(most, 1, AN_OCTAVE)
        gpu = side.target.profile.gpu
        limits = None if gpu is None else gpu.decode_attention
        self.block_rate = None if limits is None else limits.block_bytes_per_s
        self._shares: dict[int, float] = {}

    def beyond(self, decoding: int, keys: int) -> Cost:
        """Return (seconds, joules). keys: of all that decode, summed up."""
        if self.block_rate is None or decoding < 2:
            return 0.0, 0.0
        below, above, share = between(self.sizes, decoding)
        low, high = self._a_key(self.sizes[below]), self._a_key(self.sizes[above])
        seconds = keys * (low + share * (high - low))
        return seconds, seconds * self.side.target.profile.power.idle_w.value

    def _a_key(self, decoding: int) -> float:
        """Seconds that so many sequences add, for each key that they look at."""
        if decoding not in self._shares:
            self._shares[decoding] = self._played(decoding)
        return self._shares[decoding]

    def _played(self, decoding: int) -> float:
        rng = np.random.default_rng(decoding)
        added = 0.0
        for _ in range(DRAWS):
            lengths = self._lengths(decoding, rng)
            even = np.full(decoding, lengths.mean())
            added += (self._reading(lengths) - self._reading(even)) / lengths.sum()
        return max(added / DRAWS, 0.0)

    def _lengths(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Keys that sequences look at which decode at one time, float [count]."""
        answers = self.requests.output_tokens
        chosen = rng.choice(len(answers), count, p=answers / answers.sum())
        lengths: np.ndarray = (
            self.requests.prompt_tokens[chosen] + rng.random(count) * answers[chosen]
        )
        return lengths

    def _reading(self, lengths: np.ndarray) -> float:
        """Seconds of reading the keys of a step, of all layers."""
        return sum(self._of_layers(lengths, op) * count for op, count in self._kinds)

    def _of_layers(self, lengths: np.ndarray, op: Op) -> float:
        """Seconds of one attention. op: of which there may be several alike."""
        profile, gpu = self.side.target.profile, self.side.target.profile.gpu
        assert gpu is not None
        assert self.block_rate is not None
        sms = int(gpu.sms.value)
        together = profile.dram.bandwidth.value * gpu.dram_fraction.value
        heads, sizes = self._blocks(lengths, op)
        if cuts_sequences(heads * len(sizes), sms):
            return float(heads * sizes.sum()) / together
        blocks: Sequence[float] = np.tile(sizes, heads).tolist()
        return reading_seconds(blocks, sms, self.block_rate.value, together)

    def _blocks(self, lengths: np.ndarray, op: Op) -> tuple[int, np.ndarray]:
        """(heads of keys, bytes that a block of each sequence reads)."""
        whole = np.maximum(np.rint(lengths), 1).astype(int)
        none = np.zeros((len(whole), self.sites.columns), int)
        steps = self.sites.steps(np.ones(len(whole), int), 1, whole, none)
        cache = op.inputs[1]
        _, heads, keys, width = cache.shape(steps.extents)
        element = self.side.target.bytes_an_element(cache.dtype)
        sizes = np.broadcast_to(np.asarray(keys) * width * element, len(whole))
        return int(np.max(heads)), sizes.astype(float)

    @cached_property
    def _kinds(self) -> list[tuple[Op, int]]:
        """Attention of new tokens: (one of some alike, how many there are)."""
        program = self.side.program(str(Regime(DECODE, False)))
        alike: dict[object, list[Op]] = {}
        for node in program.root.nodes:
            if isinstance(node, Op) and node.name == PAGED:
                alike.setdefault((node.inputs[1].dims, node.inputs[1].dtype), []).append(node)
        return [(ops[0], len(ops)) for ops in alike.values()]
