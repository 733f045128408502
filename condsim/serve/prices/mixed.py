"""Steps that compute prompts beside answers: what attention for new tokens costs more than alone.

    beyond = D'(n, l) - D(n, l)

n: sequences that decode, of l keys each. D: the predicted decode step. D': the same with the kernel
that attends for prompts too (`condsim.cost.gpu.attention`), which is dearer on some devices.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from condsim.program.regime import DECODE
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.grid import Cost, between, between_two, on_line, sizes_up_to
from condsim.serve.prices.side import ServedSide

AN_OCTAVE = 2
"""Numbers of sequences that are priced."""


class MixedAttention:
    """lengths: of keys that are priced. most: sequences that decode."""

    def __init__(self, side: ServedSide, sites: Sites, lengths: list[int], most: int) -> None:
        self.side, self.sites, self.lengths = side, sites, lengths
        self.sizes = sizes_up_to(most, 1, AN_OCTAVE)
        gpu = side.target.profile.gpu
        attention = None if gpu is None else gpu.decode_attention
        self.differs = attention is not None and attention.unpacked_flops is not None
        self._unpacked = replace(side, unpacked=True, _ways={})
        self._of_size: dict[int, list[Cost]] = {}

    def beyond(self, decoding: int, keys: int) -> Cost:
        """Return (seconds, joules). keys: of all that decode, summed up."""
        if not self.differs or not decoding:
            return 0.0, 0.0
        at_length = between(self.lengths, keys / decoding)
        below, above, share = between(self.sizes, decoding)
        low = on_line(self._at(self.sizes[below]), at_length)
        high = on_line(self._at(self.sizes[above]), at_length)
        return between_two(low, high, share)

    def _at(self, size: int) -> list[Cost]:
        if size not in self._of_size:
            self._of_size[size] = self._price(size)
        return self._of_size[size]

    def _price(self, size: int) -> list[Cost]:
        count = len(self.lengths)
        none = np.zeros((count, self.sites.columns), int)
        units = np.full(count, size)
        steps = self.sites.steps(units, 1, np.array(self.lengths), none)
        packed_s, packed_j = self.side.price(DECODE, steps)
        unpacked_s, unpacked_j = self._unpacked.price(DECODE, steps)
        seconds, joules = unpacked_s - packed_s, unpacked_j - packed_j
        return list(zip(seconds.tolist(), joules.tolist(), strict=True))
