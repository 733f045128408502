"""Sequences whose tokens are alike: routing with a known truth, for the error rates of coverage
and drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sticky:
    """A router.

    Sets of branches have a Zipf law of popularity; a token repeats its sequence's last set with
    probability `repeat`.

    sets: that there are. tokens: of a sequence. skew: exponent.
    """

    sets: int = 2016
    tokens: int = 64
    repeat: float = 0.9
    skew: float = 1.0

    @property
    def popularity(self) -> np.ndarray:
        """Probability of each set, float [sets]."""
        law = np.arange(1, self.sets + 1.0) ** -self.skew
        return law / law.sum()

    def draw(
        self, sequences: int, rng: np.random.Generator, popularity: np.ndarray | None = None
    ) -> np.ndarray:
        """Sets of the tokens, int [sequences, tokens]. popularity: another one than its own."""
        law = self.popularity if popularity is None else popularity
        fresh = rng.choice(self.sets, (sequences, self.tokens), p=law)
        new = rng.random((sequences, self.tokens)) >= self.repeat
        new[:, 0] = True
        last = np.maximum.accumulate(np.where(new, np.arange(self.tokens), 0), axis=1)
        return np.take_along_axis(fresh, last, axis=1)

    def counts(
        self, sequences: int, rng: np.random.Generator, popularity: np.ndarray | None = None
    ) -> np.ndarray:
        """Rows of each sequence that took each set, int [sequences, sets]."""
        drawn = self.draw(sequences, rng, popularity)
        flat = np.arange(sequences)[:, None] * self.sets + drawn
        return np.bincount(flat.ravel(), minlength=sequences * self.sets).reshape(sequences, -1)
