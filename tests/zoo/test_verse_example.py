"""Held-out verses come in two lengths, padded, and a translation is judged by chrF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo.translate_verses import TranslateVerses
from condsim.zoo.verse_example import LENGTHS, chrf, verse_example
from condsim.zoo.verse_tokens import END, PADDING, encoded, shipped_tokenizer
from condsim.zoo.verses import verse_sample


def test_batches_have_two_lengths_in_turn_and_no_verse_twice() -> None:
    example = verse_example("translate-verses", TranslateVerses(), batch=8, batches=6)
    seen: list[Any] = []
    for number, batch in enumerate(example.inputs):
        ids = batch["input_ids"]
        assert ids.shape == (8, LENGTHS[number % 2])
        assert (batch["attention_mask"] == (ids != PADDING)).all()
        assert (batch["decoder_input_ids"] == PADDING).all()
        seen += [tuple(row) for row in ids.tolist()]
    assert len(seen) == len(set(seen)) == 48


def test_more_verses_than_there_are_is_refused() -> None:
    with pytest.raises(CondsimError, match="batch must be at most"):
        verse_example("translate-verses", TranslateVerses(), batch=800, batches=2)


def test_the_reference_itself_is_the_best_translation() -> None:
    pairs = verse_sample()[:2]
    tokens = [target for _, target in encoded(shipped_tokenizer(), pairs)]
    both = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=PADDING)
    judge = chrf([[pair.spanish for pair in pairs]])
    assert judge(both, 0) == pytest.approx([100, 100])
    nothing = torch.full((2, 3), END)
    assert judge(nothing, 0).dtype == np.float32
    assert judge(nothing, 0).max() < 1
