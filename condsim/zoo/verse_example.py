"""Verses that no model was trained on, as batches to translate, and how a translation is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.zoo.base import ZooModel
from condsim.zoo.example import Example, Quality
from condsim.zoo.verse_tokens import PADDING, decoded, encoded, shipped_tokenizer
from condsim.zoo.verses import Pair, verse_sample

LENGTHS = (24, 40)
"""Positions of the sources of a batch, in turn."""
METRIC = "chrF of a verse (greedy decoding)"

Sources = list[tuple[Pair, torch.Tensor]]
"""Verses, each with the tokens of its source, int64 [tokens]."""


def verse_example(name: str, model: ZooModel, batch: int, batches: int) -> Example:
    """Held-out verses for a translator, in batches of like lengths, padded.

    A batch's sources are as long as `LENGTHS` says of its number. Raises CondsimError where there
    are not enough verses for one batch of each length.
    """
    left = _by_length(verse_sample())
    inputs: list[Any] = []
    references: list[list[str]] = []
    for number in range(batches):
        length = LENGTHS[number % len(LENGTHS)]
        chosen, left[length] = left[length][:batch], left[length][batch:]
        if len(chosen) < batch:
            break
        inputs.append(_padded([source for _, source in chosen], length))
        references.append([pair.spanish for pair, _ in chosen])
    if len(inputs) < min(batches, len(LENGTHS)):
        most = min(len(pairs) for pairs in _by_length(verse_sample()).values())
        raise CondsimError(f"batch must be at most {most}, got {batch}")
    return Example(
        name=name,
        mechanism=model.mechanism,
        model=model.captured,
        inputs=inputs,
        quality=chrf(references),
        quality_name=METRIC,
        higher_is_better=True,
        new_tokens=model.new_tokens,
    )


def _by_length(pairs: Sequence[Pair]) -> dict[int, Sources]:
    """Length → the verses whose sources are not longer, but longer than the length before."""
    groups: dict[int, Sources] = {length: [] for length in LENGTHS}
    for pair, (source, _) in zip(pairs, encoded(shipped_tokenizer(), pairs), strict=True):
        fitting = [length for length in LENGTHS if len(source) <= length]
        if fitting:
            groups[fitting[0]].append((pair, source))
    return groups


def _padded(sources: list[torch.Tensor], length: int) -> dict[str, torch.Tensor]:
    """Arguments of the model: sources filled up to a length, and the start of each target."""
    ids = torch.full((len(sources), length), PADDING)
    for row, source in zip(ids, sources, strict=True):
        row[: len(source)] = source
    start = torch.full((len(sources), 1), PADDING)
    mask = (ids != PADDING).long()
    return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": start}


def chrf(references: Sequence[Sequence[str]]) -> Quality:
    """chrF of each translation, 0 to 100 (Popović, 2015). references: of each batch."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise CondsimError(
            "translations are judged by sacrebleu: pip install 'condsim[translation]'"
        ) from None
    metric = CHRF()

    def judged(tokens: torch.Tensor, number: int) -> np.ndarray:
        texts = decoded(shipped_tokenizer(), tokens)
        scores = []
        for text, reference in zip(texts, references[number], strict=True):
            scores.append(metric.sentence_score(text, [reference]).score)
        return np.array(scores, np.float32)

    return judged
