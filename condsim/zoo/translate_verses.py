"""translate-verses: English verses into Spanish, by an encoder and a decoder with experts.

It consists of transformers' own Switch Transformer classes: every second FFN is a mixture of 8
experts, of which each token takes 1, and what an expert has no room for passes it by.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.zoo.base import TRANSLATORS, Knob, ZooModel
from condsim.zoo.moe_bytes import imbalance
from condsim.zoo.training import minimise
from condsim.zoo.verse_example import LENGTHS
from condsim.zoo.verse_tokens import (
    END,
    IGNORED,
    PADDING,
    TOKENIZER,
    VOCABULARY,
    BucketedBatches,
    encoded,
    trained_tokenizer,
)
from condsim.zoo.verses import digest_of, read_pairs, split

if TYPE_CHECKING:
    from transformers import SwitchTransformersForConditionalGeneration

BALANCE = 0.01
"""Weight of the load-balancing loss (Switch Transformers, equation 4 and section 2.2)."""
TRAINED_FACTOR = 1.25
"""Capacity factor in training (Switch Transformers, table 1)."""
LONGEST = 48
"""Tokens of the longest sources and targets that it is trained on."""
EXPERTS = 8


def switch_transformer(**config: Any) -> SwitchTransformersForConditionalGeneration:
    """transformers' model, untrained. Raises CondsimError where transformers is not installed."""
    try:
        from transformers import (
            SwitchTransformersConfig,
            SwitchTransformersForConditionalGeneration,
        )
    except ImportError:
        raise CondsimError(
            "translate-verses needs transformers: pip install 'condsim[translation]'"
        ) from None
    return SwitchTransformersForConditionalGeneration(SwitchTransformersConfig(**config))


def room_for(tokens: int, factor: float, experts: int = EXPERTS) -> int:
    """Tokens of a sequence that an expert has room for (Switch Transformers, equation 3)."""
    return max(1, math.ceil(factor * tokens / experts))


@TRANSLATORS.register("translate-verses")
class TranslateVerses(ZooModel):
    """Tokens of English [batch, source] and of Spanish [batch, target] → transformers' output.

    capacity: the room of an expert, over its even share of the longest source's tokens.
    """

    mechanism = MixtureOfExperts.name
    data = "verses"
    knob = Knob("capacity", (0.5, 0.75, 1.0, 1.5, 2.0), 0.1, EXPERTS)
    new_tokens = 39
    example_batch = 16
    batch = 32
    steps = 8000

    def __init__(
        self,
        hidden: int = 96,
        heads: int = 4,
        head_width: int = 16,
        width: int = 64,
        layers: int = 4,
        experts: int = EXPERTS,
        capacity: float = TRAINED_FACTOR,
    ) -> None:
        super().__init__(
            hidden=hidden,
            heads=heads,
            head_width=head_width,
            width=width,
            layers=layers,
            experts=experts,
            capacity=capacity,
        )
        self.model = switch_transformer(
            vocab_size=VOCABULARY,
            d_model=hidden,
            d_kv=head_width,
            d_ff=width,
            num_heads=heads,
            num_layers=layers,
            num_decoder_layers=layers,
            num_sparse_encoder_layers=layers // 2,
            num_sparse_decoder_layers=layers // 2,
            num_experts=experts,
            expert_capacity=room_for(max(LENGTHS), capacity, experts),
            dropout_rate=0.0,
            decoder_start_token_id=PADDING,
            pad_token_id=PADDING,
            eos_token_id=END,
        )

    @property
    def captured(self) -> nn.Module:
        return self.model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    def set_room(self, source: int, target: int, factor: float) -> None:
        """Give the experts of both sides the room that a capacity factor makes of their tokens."""
        sides = ((self.model.encoder, source), (self.model.decoder, target))
        for side, tokens in sides:
            room = room_for(tokens, factor, self.config["experts"])
            for module in side.modules():
                if hasattr(module, "expert_capacity"):
                    vars(module)["expert_capacity"] = room

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        training, _ = split(read_pairs())
        tokenizer = trained_tokenizer(training)
        write_whole(TOKENIZER, tokenizer.to_str().encode())
        short = []
        for source, target in encoded(tokenizer, training):
            if len(source) <= LONGEST and len(target) <= LONGEST:
                short.append((source, target))
        batches = BucketedBatches(short, cls.batch)
        model = cls().train()

        def loss(_: int) -> torch.Tensor:
            return model.loss(*batches.next())

        minimise(model.parameters(), loss, steps, progress, "translate-verses")
        about = {"data_sha256": digest_of(training), "pairs": len(short)}
        return model.eval(), about

    def loss(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Cross entropy in nats a token of the target, and what balances each layer's experts.

        source: int64 [batch, source], padded. target: int64 [batch, target], with `IGNORED`.
        """
        self.set_room(source.shape[1], target.shape[1], TRAINED_FACTOR)
        is_source, is_target = source != PADDING, target != IGNORED
        output = self.model(
            input_ids=source,
            attention_mask=is_source.long(),
            labels=target,
            output_router_logits=True,
        )
        load = torch.zeros(())
        for routers, real in (
            (output.encoder_router_logits, is_source),
            (output.decoder_router_logits, is_target),
        ):
            for logits in routers:
                load = load + imbalance(logits[real], 1)
        logits = output.logits.flatten(0, 1)
        entropy = F.cross_entropy(logits, target.flatten(), ignore_index=IGNORED)
        return entropy + BALANCE * load
