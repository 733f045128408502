"""Tokens give back the text, ends are kept, and a batch holds pairs of like lengths."""

from __future__ import annotations

import torch

from condsim.zoo.verse_tokens import (
    END,
    IGNORED,
    PADDING,
    VOCABULARY,
    BucketedBatches,
    decoded,
    encoded,
    shipped_tokenizer,
    trained_tokenizer,
)
from condsim.zoo.verses import verse_sample


def test_targets_are_the_verses_again() -> None:
    pairs = verse_sample()[:20]
    tokenizer = shipped_tokenizer()
    assert tokenizer.get_vocab_size() == VOCABULARY
    for pair, (_, target) in zip(pairs, encoded(tokenizer, pairs), strict=True):
        assert target[-1] == END
        after_the_end = torch.cat([target, torch.tensor([5, PADDING])])
        assert decoded(tokenizer, after_the_end[None]) == [pair.spanish]


def test_a_vocabulary_is_learnt_from_both_languages() -> None:
    pairs = verse_sample()[:200]
    tokenizer = trained_tokenizer(pairs)
    assert tokenizer.get_vocab_size() <= VOCABULARY
    assert "▁the" in tokenizer.get_vocab()
    assert "▁que" in tokenizer.get_vocab()


def test_batches_hold_pairs_of_like_lengths_and_every_pair_once_an_epoch() -> None:
    torch.manual_seed(0)
    pairs = [(torch.full((length,), 9), torch.full((length + 1,), 7)) for length in range(1, 25)]
    batches = BucketedBatches(pairs, 4)
    lengths: list[int] = []
    for _ in range(6):
        sources, targets = batches.next()
        real = (sources != PADDING).sum(1)
        assert real.max() - real.min() < 5
        assert ((targets != IGNORED).sum(1) == real + 1).all()
        lengths += real.tolist()
    assert sorted(lengths) == list(range(1, 25))
