"""Decoding with a model's own cache."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from condsim.errors import CondsimError
from condsim.live.decode import DecodeStep, decode, decode_step, record_decode
from condsim.live.execution import Execution
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.record.events import RecordedOp

WORDS = 5


class Counting(torch.nn.Module):
    """The next token is the number of tokens so far; the cache holds how many there were."""

    def forward(
        self, input_ids: torch.Tensor, past_key_values: int = 0, use_cache: bool = False
    ) -> Any:
        total = past_key_values + input_ids.shape[1]
        logits = torch.zeros(*input_ids.shape, WORDS)
        logits[..., total % WORDS] = 1.0
        return SimpleNamespace(logits=logits, past_key_values=total if use_cache else None)


class Forgetful(torch.nn.Module):
    """A model without a cache."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, WORDS))


def prefix(units: int, seq: int) -> Batch:
    """Some tokens."""
    return Batch((), {"input_ids": torch.zeros(units, seq, dtype=torch.int64)}, units, seq)


def test_tokens_follow_from_the_cache() -> None:
    live = LiveModel(Counting())
    assert decode_step(live, prefix(2, 3)).batch.kwargs["input_ids"].tolist() == [[3], [3]]
    later = decode_step(live, prefix(2, 3), steps_before=1)
    assert later.batch.kwargs["input_ids"].tolist() == [[4], [4]]
    assert later.cache == {"past_key_values": 4}


def test_only_the_token_after_the_prefix_is_recorded() -> None:
    live = LiveModel(Counting())
    recorder = record_decode(live, prefix(2, 3), Execution())
    shapes = {
        output.shape
        for event in recorder.events
        if isinstance(event, RecordedOp)
        for output in event.outputs
    }
    assert (2, 1, WORDS) in shapes
    assert (2, 3, WORDS) not in shapes


def test_a_model_without_a_cache_is_refused() -> None:
    with pytest.raises(CondsimError, match="Forgetful returns no key-value cache"):
        decode_step(LiveModel(Forgetful()), prefix(2, 3))


class Masked(torch.nn.Module):
    """Its first argument has a name of its own; it keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []

    def forward(
        self,
        tokens: torch.Tensor,
        padding_mask: torch.Tensor,
        position_ids: torch.Tensor,
        segment_type: torch.Tensor,
        temperature: float = 1.0,
        labels: torch.Tensor | None = None,
        cache: int | None = None,
    ) -> Any:
        self.calls.append(
            {
                "tokens": tokens,
                "mask": padding_mask,
                "position_ids": position_ids,
                "type": segment_type,
                "temperature": temperature,
                "labels": labels,
            }
        )
        logits = torch.zeros(*tokens.shape, WORDS)
        return SimpleNamespace(logits=logits, cache=(cache or 0) + 1)


def test_what_a_batch_says_of_positions_goes_on() -> None:
    batch = {
        "tokens": torch.tensor([[0, 1, 2], [1, 2, 3]]),
        "padding_mask": torch.tensor([[0, 1, 1], [1, 1, 1]]),
        "position_ids": torch.tensor([[0, 0, 1], [0, 1, 2]]),
        "segment_type": torch.tensor([[1, 1, 0], [1, 1, 0]]),
        "temperature": 0.5,
        "labels": torch.tensor([[0, 1, 2], [1, 2, 3]]),
    }
    model = Masked()
    decode(LiveModel(model), as_batches(batch)[0], 2, lambda _: None)
    last = model.calls[-1]
    assert last["tokens"].shape == (2, 1)
    assert last["mask"].tolist() == [[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    assert last["position_ids"].tolist() == [[3], [4]]
    assert last["type"].tolist() == [[0], [0]]
    assert last["temperature"] == 0.5
    assert last["labels"] is None


class Wordless(torch.nn.Module):
    """A model with a cache whose output has no logits."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(hidden=input_ids, past_key_values=1)


class Clumsy(Counting):
    """A model that cannot take one token alone."""

    def forward(
        self, input_ids: torch.Tensor, past_key_values: int = 0, use_cache: bool = False
    ) -> Any:
        if input_ids.shape[1] == 1:
            raise ValueError("at least two tokens\nare needed")
        return super().forward(input_ids, past_key_values, use_cache)


def test_what_goes_wrong_is_one_line() -> None:
    with pytest.raises(CondsimError, match=r"SimpleNamespace without \.logits"):
        decode_step(LiveModel(Wordless()), prefix(2, 3))
    with pytest.raises(CondsimError, match=r"Clumsy fails .*ValueError: at least two tokens\)"):
        decode(LiveModel(Clumsy()), prefix(2, 3), 1, lambda _: None)


# A model of transformers

PADDING = 0


def mixtral(ends: list[int] | None = None) -> torch.nn.Module:
    """A tiny one whose attention matters. ends: tokens that end a text."""
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
        sliding_window=8,
        pad_token_id=PADDING,
        eos_token_id=ends,
    )
    model = MixtralForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(8)
    return model


def padded(side: str) -> dict[str, torch.Tensor]:
    """Four texts of 12 tokens, padded by 0, 3, 5 and 9 of them. side: "left" or "right"."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 64, (4, 12), generator=generator)
    mask = torch.ones_like(ids)
    for row, padding in enumerate((0, 3, 5, 9)):
        where = slice(padding) if side == "left" else slice(12 - padding, None)
        ids[row, where], mask[row, where] = PADDING, 0
    return {"input_ids": ids, "attention_mask": mask}


def generated(model: Any, batch: dict[str, torch.Tensor], steps: int) -> list[torch.Tensor]:
    """What the last layer's experts are called for in each step of `generate()`."""
    seen: list[torch.Tensor] = []
    experts = model.model.layers[-1].mlp.experts
    hook = experts.register_forward_hook(lambda _m, args, _out: seen.append(args[1].clone()))
    model.generate(**batch, max_new_tokens=steps + 1, do_sample=False)
    hook.remove()
    return seen[1:]


def decoded(model: torch.nn.Module, batch: Any, steps: int) -> list[torch.Tensor]:
    """What `decode` observes there."""
    seen: list[torch.Tensor] = []

    def keep(run: Execution) -> None:
        assert run.observed is not None
        seen.append(list(run.observed.values())[-1][0]["ids"])

    decode(LiveModel.of(model), as_batches(batch)[0], steps, keep)
    return seen


def assert_equal(ours: list[torch.Tensor], own: list[torch.Tensor]) -> None:
    assert len(ours) == len(own)
    for one, other in zip(ours, own, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batches_decide_as_in_generate(side: str) -> None:
    model, batch = mixtral(), padded(side)
    labelled = {**batch, "labels": batch["input_ids"]}
    assert_equal(decoded(model, labelled, 4), generated(model, batch, 4))


def test_padding_without_a_mask_is_inferred_as_in_generate() -> None:
    model, batch = mixtral(), padded("left")
    del batch["attention_mask"]
    assert_equal(decoded(model, batch["input_ids"], 3), generated(model, batch, 3))


def test_rows_that_have_ended_go_on_with_padding() -> None:
    model, batch = mixtral(ends=[*range(1, 12)]), padded("left")
    own = generated(model, batch, 20)
    ours = decoded(model, batch, 20)
    assert 0 < len(own) < 20, "every text was to end early"
    assert_equal(ours[: len(own)], own)
    assert len(ours) == 20
    last = decode_step(LiveModel.of(model), as_batches(batch)[0], 19)
    assert last.batch.kwargs["input_ids"].tolist() == [[PADDING]] * 4


def test_a_step_can_be_run_again() -> None:
    model, batch = mixtral(), padded("left")
    own = generated(model, batch, 3)
    live = LiveModel.of(model)
    step: DecodeStep = decode_step(live, as_batches(batch)[0], 2)
    run = Execution(observed={})
    live.run(step.batch, run, **step.cache)
    assert run.observed is not None
    assert torch.equal(list(run.observed.values())[-1][0]["ids"], own[2])
