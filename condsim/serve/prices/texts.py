"""Models that generate text: what a step costs in which some sequences decode and others compute
chunks of their prompts.

    step = D(N, K / N) + Σ chunks (X(past + tokens) - X(past)) + M,   X(s) = P(s) - D(s, 1)

N: tokens of the step. K: keys and values that it reads: of each sequence that decodes, and of each
chunk once. D(n, l): the predicted decode step of n sequences that look at l tokens each. P(s): the
predicted prefill of one prompt of s tokens. M: what attention for answers costs more beside chunks
(`condsim.serve.prices.mixed`), or, without any, of unlike lengths (`condsim.serve.prices.ragged`).
So a step that only decodes sequences of one length is D and one whole prompt is P, exactly; of a
mixture the weights are read once, and every token is routed as it decides.

D is priced at sizes n and l of a grid, and is a straight line between them. What its tokens decide
counts by the nearest of the compositions that were drawn and priced at that size.
"""

from __future__ import annotations

import numpy as np

from condsim.program.regime import DECODE, PREFILL
from condsim.serve.columns import blocks, new_column, packed
from condsim.serve.prices.copies import ExpertCopies, with_own_copies
from condsim.serve.prices.grid import Cost, between, between_two, on_line, sizes_up_to
from condsim.serve.prices.mixed import MixedAttention
from condsim.serve.prices.nearest import PricedSize, most_frequent
from condsim.serve.prices.ragged import RaggedAttention
from condsim.serve.prices.sequences import Texts
from condsim.serve.prices.side import ServedSide, phases_of
from condsim.serve.requests import Requests
from condsim.serve.service import Service
from condsim.serve.text import Chunk, TextStep

EXACT_ROWS = 16
ROWS_AN_OCTAVE = 8
"""Numbers of tokens that are priced: all up to EXACT_ROWS, then so many an octave."""
PROMPTS_AN_OCTAVE = 4
FIRST_LENGTH = 64
"""Tokens that sequences look at are priced at 1, and from here on by octaves."""
DRAWS = 2
"""Compositions that are drawn for each that is priced."""
CHECKED = 12
"""Sizes between those of the grid that are priced to see how far the line is off."""


class TextPrices:
    """Implements `condsim.serve.text.TextPrices`.

    sequence_of: of each request. drawn: compositions of a size.
    """

    def __init__(
        self,
        side: ServedSide,
        service: Service,
        requests: Requests,
        texts: Texts,
        drawn: int,
        seed: int,
    ) -> None:
        self.side, self.texts, self.seed = side, texts, seed
        self.sites = texts.sites
        self.drawn = drawn if self.sites.columns else 1
        self.max_batch = service.max_batch
        rng = np.random.default_rng(seed)
        self.of_request = new_column(len(requests), np.int32)
        for (block,) in blocks(self.of_request):
            block[:] = rng.integers(0, max(1, len(texts)), len(block))
        self.sequence_of = packed(self.of_request)
        longest_prompt = requests.longest
        most_rows = service.token_budget + longest_prompt
        self.rows = sizes_up_to(most_rows, EXACT_ROWS, ROWS_AN_OCTAVE)
        self.lengths = _lengths_up_to(longest_prompt)
        self.prompts = sizes_up_to(longest_prompt, 1, PROMPTS_AN_OCTAVE)
        self.copies: ExpertCopies | None = None
        self._of_rows: dict[int, _OfRows] = {}
        self._extra: list[Cost] | None = None
        self._has_prefill = PREFILL in phases_of(side.trace)
        self._met: dict[int, float] = {}
        self._mixed = MixedAttention(side, self.sites, self.lengths, self.max_batch)
        self._ragged = RaggedAttention(side, self.sites, requests, self.max_batch)

    @property
    def priced(self) -> int:
        """Steps that condsim predicted."""
        return self.side.priced

    def price(self, step: TextStep) -> Cost:
        """Return (seconds, joules) of a step."""
        rows = step.rows
        keys = step.kv + len(step.answering)
        for chunk in step.chunks:
            keys += chunk.past + chunk.tokens
        costs = [self._decode(rows, keys / rows)]
        copies_s = 0.0
        if self.drawn > 1:
            counts = self._counts(step)
            costs.append(self._of_decisions(counts, rows))
            if self.copies is not None:
                copies_s = self.copies.seconds(counts)
        for chunk in step.chunks:
            costs.append(self._of_chunk(chunk))
        beside = self._mixed if step.chunks else self._ragged
        costs.append(beside.beyond(len(step.answering), step.kv))
        seconds = sum(of_part for of_part, _ in costs)
        joules = sum(of_part for _, of_part in costs)
        return max(seconds, 0.0) + copies_s, max(joules, 0.0)

    def of_replica(self) -> TextPrices:
        """Return the prices of one replica: what its device keeps of the experts is its own."""
        return with_own_copies(self)

    # Decode steps

    def _decode(self, rows: int, length: float) -> Cost:
        """Return (seconds, joules) of D, of the first composition of each size."""
        below, above, share = between(self.rows, rows)
        if share and len(self._met) < CHECKED:
            self._met.setdefault(rows, length)
        at_length = between(self.lengths, length)
        low = on_line(self._at(self.rows[below]).by_length, at_length)
        if not share:
            return low
        high = on_line(self._at(self.rows[above]).by_length, at_length)
        return between_two(low, high, share)

    def _at(self, rows: int) -> _OfRows:
        if rows not in self._of_rows:
            self._of_rows[rows] = self._price_rows(rows)
        return self._of_rows[rows]

    def _price_rows(self, rows: int) -> _OfRows:
        """Price the first composition at all lengths, and all compositions at one length."""
        counts = self._draw(rows)
        count = len(self.lengths)
        first = np.repeat(counts[:1], count, axis=0)
        one_length = self.lengths[min(1, count - 1)]
        alike = np.full(len(counts), one_length)
        together = np.concatenate([first, counts])
        total = np.concatenate([self.lengths, alike])
        units = np.full(len(total), rows)
        steps = self.sites.steps(units, 1, total, together)
        seconds, joules = self.side.price(DECODE, steps)
        by_length = zip(seconds[:count].tolist(), joules[:count].tolist(), strict=True)
        of_size = PricedSize(self.sites, counts, seconds[count:], joules[count:])
        return _OfRows(rows, list(by_length), of_size)

    def _draw(self, rows: int) -> np.ndarray:
        """Compositions of so many tokens: sequences that decode, and chunks of prompts beyond a
        full batch; int [n, columns]."""
        if not self.sites.columns:
            return np.zeros((1, 0), int)
        rng = np.random.default_rng([self.seed, rows])
        texts = self.texts
        decoding = min(rows, self.max_batch)
        draws = 1 if self.drawn == 1 else DRAWS * self.drawn
        drawn = np.zeros((draws, self.sites.columns), int)
        for number in range(draws):
            sequences = rng.integers(0, len(texts), decoding).tolist()
            turns = rng.integers(1, 1 << 20, decoding).tolist()
            pairs = zip(sequences, turns, strict=True)
            units = [texts.answer_unit(sequence, turn) for sequence, turn in pairs]
            drawn[number] = texts.of_unit[units].sum(axis=0)
            if rows > decoding:
                prompt = int(rng.integers(0, len(texts)))
                past = int(rng.integers(0, 1 << 20))
                drawn[number] += texts.prompt_counts(prompt, past, rows - decoding)
        chosen: np.ndarray = drawn[most_frequent(drawn, self.drawn)]
        return chosen

    def _counts(self, step: TextStep) -> np.ndarray:
        """Return the rows that take each branch, int [columns]."""
        texts = self.texts
        units = []
        for request, generated in step.answers():
            units.append(texts.answer_unit(self.sequence_of[request], generated))
        counts: np.ndarray = texts.of_unit[units].sum(axis=0)
        for chunk in step.chunks:
            sequence = self.sequence_of[chunk.sequence.request]
            counts = counts + texts.prompt_counts(sequence, chunk.past, chunk.tokens)
        return counts

    def _of_decisions(self, counts: np.ndarray, rows: int) -> Cost:
        """Return (seconds, joules) that decisions cost beyond the first composition."""
        below, above, share = between(self.rows, rows)
        nearer = above if share > 0.5 else below
        nearest = self._at(self.rows[nearer])
        return nearest.beyond_first(counts, rows)

    # Prompts

    def _of_chunk(self, chunk: Chunk) -> Cost:
        """Return (seconds, joules) that a chunk costs beyond the decode step of its tokens."""
        with_past_s, with_past_j = self._extra_of(chunk.past + chunk.tokens)
        past_s, past_j = self._extra_of(chunk.past)
        return with_past_s - past_s, with_past_j - past_j

    def _extra_of(self, tokens: int) -> Cost:
        """Return (seconds, joules) of X."""
        if not tokens or not self._has_prefill:
            return 0.0, 0.0
        if self._extra is None:
            self._extra = self._price_prompts()
        return on_line(self._extra, between(self.prompts, tokens))

    def _price_prompts(self) -> list[Cost]:
        """Price prompts of all lengths, beyond decode steps of as many tokens."""
        tokens = np.array(self.prompts)
        counts = np.stack([self.texts.prompt_counts(0, 0, count) for count in self.prompts])
        one = np.ones(len(tokens), int)
        prefill = self.sites.steps(one, tokens, tokens, counts)
        prefill_s, prefill_j = self.side.price(PREFILL, prefill)
        decode = self.sites.steps(tokens, 1, one, counts)
        decode_s, decode_j = self.side.price(DECODE, decode)
        seconds = prefill_s - decode_s
        joules = prefill_j - decode_j
        return list(zip(seconds.tolist(), joules.tolist(), strict=True))

    # How far off

    def error(self) -> float:
        """Return how far a step that was not predicted itself is off, relative, at the 90th
        percentile: sizes between those of the grid, and compositions that are left out in turn."""
        off = [of_rows.of_size.errors() for of_rows in self._of_rows.values()]
        for rows in self._met:
            off.append(np.array([self._off_the_line(rows)]))
        if not off:
            return 0.0
        return float(np.percentile(np.concatenate(off), 90))

    def _off_the_line(self, rows: int) -> float:
        """How far the line is off at a number of tokens that it has no point for, relative."""
        length = round(self._met[rows])
        seconds, _ = self._decode(rows, length)
        units, total = np.array([rows]), np.array([max(1, length)])
        first = self._draw(rows)[:1]
        steps = self.sites.steps(units, 1, total, first)
        predicted, _ = self.side.price(DECODE, steps)
        return abs(seconds / float(predicted[0]) - 1)


def _lengths_up_to(longest: int) -> list[int]:
    """One, and FIRST_LENGTH doubled until it is at least `longest`."""
    lengths = [1, FIRST_LENGTH]
    while lengths[-1] < longest:
        lengths.append(2 * lengths[-1])
    return lengths


class _OfRows:
    """Decode steps of one number of tokens.

    by_length: (seconds, joules) of the first composition at each length. of_size: compositions at
    one length.
    """

    def __init__(self, rows: int, by_length: list[Cost], of_size: PricedSize) -> None:
        self.rows, self.by_length, self.of_size = rows, by_length, of_size

    def beyond_first(self, counts: np.ndarray, rows: int) -> Cost:
        """Return (seconds, joules) of decisions beyond those of the first composition.

        counts: of so many rows, int [columns].
        """
        first_s, first_j = self.of_size.costs[0]
        if rows == self.rows:
            seconds, joules = self.of_size.price(counts)
        else:
            nearest = self.of_size.nearest(counts, self.rows / rows)
            seconds, joules = self.of_size.costs[nearest]
        return seconds - first_s, joules - first_j
