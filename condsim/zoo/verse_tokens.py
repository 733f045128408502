"""Verses as tokens of a byte-pair vocabulary for both languages, and batches of like lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch

from condsim.errors import CondsimError
from condsim.zoo.data import SAMPLES
from condsim.zoo.verses import Pair

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY = 2_000
PADDING, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "</s>", "<unk>")
IGNORED = -100
"""Where a label is that a loss leaves out."""
TOKENIZER = SAMPLES / "verses-tokens.json"

Encoded = tuple[torch.Tensor, torch.Tensor]
"""The tokens of a source and of its target, int64 [tokens] each, with their ends."""


def trained_tokenizer(pairs: Iterable[Pair]) -> Tokenizer:
    """A byte-pair vocabulary over the words of both languages (Sennrich et al., 2016)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False
    )
    texts = [text for pair in pairs for text in (pair.english, pair.spanish)]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@cache
def shipped_tokenizer() -> Tokenizer:
    """The vocabulary of the shipped model (in the package)."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise CondsimError(
            "translate-verses needs transformers and tokenizers: pip install 'condsim[translation]'"
        ) from None
    return Tokenizer.from_file(str(TOKENIZER))


def encoded(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Encoded]:
    """The tokens of pairs: English as the source, Spanish as the target."""
    sources = tokenizer.encode_batch([pair.english for pair in pairs])
    targets = tokenizer.encode_batch([pair.spanish for pair in pairs])
    found: list[Encoded] = []
    for source, target in zip(sources, targets, strict=True):
        found.append((torch.tensor([*source.ids, END]), torch.tensor([*target.ids, END])))
    return found


def decoded(tokenizer: Tokenizer, tokens: torch.Tensor) -> list[str]:
    """The texts of targets up to their first end. tokens: int64 [sequences, tokens]."""
    texts = []
    for row in tokens.tolist():
        until = row.index(END) if END in row else len(row)
        kept = [token for token in row[:until] if token > UNKNOWN]
        texts.append(tokenizer.decode(kept))
    return texts


def padded(sequences: Sequence[torch.Tensor], value: int) -> torch.Tensor:
    """Sequences one below the other, filled up with a value: int64 [sequences, longest]."""
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=value)


class BucketedBatches:
    """Batches of pairs of like lengths; every epoch has others, in another order.

    Drawn from torch's generator. A last partial batch of an epoch is dropped.
    """

    def __init__(self, pairs: Sequence[Encoded], batch: int) -> None:
        self.pairs = pairs
        self.batch = batch
        self.lengths = torch.tensor([len(source) + len(target) for source, target in pairs])
        self.left: list[torch.Tensor] = []

    def next(self) -> Encoded:
        """Sources padded, targets with `IGNORED` after their ends: int64 [batch, longest] each."""
        if not self.left:
            self.left = self._epoch()
        rows = self.left.pop().tolist()
        sources = [self.pairs[row][0] for row in rows]
        targets = [self.pairs[row][1] for row in rows]
        return padded(sources, PADDING), padded(targets, IGNORED)

    def _epoch(self) -> list[torch.Tensor]:
        """Numbers of the pairs of each batch."""
        jitter = torch.rand(len(self.pairs))  # pairs of one length meet others each time
        ordered = torch.argsort(self.lengths + jitter)
        whole = len(ordered) // self.batch * self.batch
        batches = ordered[:whole].view(-1, self.batch)
        return list(batches[torch.randperm(len(batches))])
