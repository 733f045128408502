"""The closing check: what the program says of the captured size is what runs there.

So is what is measured, in decode steps of padded batches too.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import condsim
from condsim.capture.observe import observe
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.measure.agreement import disagreements
from condsim.measure.replay import Captured, Replay
from condsim.trace import Trace

HIDDEN, WORDS = 8, 32
WINDOW = 24
UNITS = 3
LEARNT = 2


class Windowed(nn.Module):
    """A language model: each word takes a layer or skips it, by the mean of the words before.

    Its cache holds the last words, `window` of them. Masked words count for nothing.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.words, self.head = nn.Embedding(WORDS, HIDDEN), nn.Linear(HIDDEN, WORDS)
        self.layer = nn.Linear(HIDDEN, HIDDEN)

    def forward(
        self,
        ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        cache: torch.Tensor | None = None,
    ) -> Any:
        x = self.words(ids)
        seen = x if cache is None else torch.cat([cache, x], 1)
        if seen.shape[1] > self.window:
            seen = seen[:, -self.window :]
        if attention_mask is None:
            mean = seen.mean(1)
        else:
            weights = attention_mask[:, -seen.shape[1] :, None].to(seen.dtype)
            mean = (seen * weights).sum(1) / weights.sum(1)
        rows = (x + 4 * mean[:, None]).flatten(0, 1)
        condsim.route("gate", "skip", lambda: (rows[:, 0] > 0).long(), branches=2)
        with condsim.branch("gate", 1) as taken:
            if taken:
                rows = taken.put(rows, self.layer(taken.take(rows)))
        return SimpleNamespace(logits=self.head(rows).view(*ids.shape, WORDS), cache=seen)


class BehindTokens(Windowed):
    """The same with learnt words before the first."""

    def forward(
        self,
        ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        cache: torch.Tensor | None = None,
    ) -> Any:
        if cache is None:
            ids = torch.cat([ids.new_zeros(len(ids), LEARNT), ids], 1)
        return super().forward(ids, attention_mask, cache)


def model(of: type[Windowed] = Windowed, window: int = 1000) -> nn.Module:
    """One with random weights."""
    torch.manual_seed(0)
    return of(window).eval()


def texts(length: int) -> torch.Tensor:
    """Random words."""
    return torch.randint(1, WORDS, (UNITS, length), generator=torch.Generator().manual_seed(0))


def padded(length: int) -> dict[str, torch.Tensor]:
    """Texts with none, one and five words of padding on the left."""
    batch = {"ids": texts(length), "attention_mask": torch.ones(UNITS, length, dtype=torch.int64)}
    for row, padding in enumerate((0, 1, 5)):
        batch["attention_mask"][row, :padding] = 0
    return batch


def captured(of: nn.Module, batch: Any, new_tokens: int) -> Trace:
    """The trace of one batch."""
    return condsim.capture(of, [batch], name="t", measure=False, new_tokens=new_tokens)


@functools.cache
def of_padded() -> tuple[nn.Module, Trace]:
    """A model and its trace of a padded batch, captured once."""
    of = model()
    return of, captured(of, padded(9), new_tokens=4)


def test_a_window_that_probing_does_not_reach_is_noted() -> None:
    trace = captured(model(window=WINDOW), texts(30), new_tokens=1)
    prefill, decode = trace.header.notes
    assert prefill.startswith("prefill: the program is not what the model executes: ")
    assert decode.startswith("decode: ")
    assert f"[3, {WINDOW}, 8]" in decode


def test_a_window_that_the_texts_fill_is_captured_from_their_length_on() -> None:
    trace = captured(model(window=6), texts(9), new_tokens=2)
    (note,) = trace.header.notes
    assert note.startswith("the programs are those of 9 positions and more")
    assert condsim.simulate(trace, "raspberry-pi-5", phase="decode").latency_s > 0


def test_a_window_that_some_texts_fill_is_refused_in_plain_words() -> None:
    with pytest.raises(CondsimError, match=r"^new_tokens: .* prefixes all fill the window "):
        condsim.capture(model(window=9), [texts(6), texts(12)], measure=False, new_tokens=1)


@pytest.mark.parametrize("batch", [UNITS, 1])
def test_padded_decode_steps_run_as_they_were_observed(batch: int) -> None:
    """The gate of measuring lets them pass: they decide as the trace says, in any batch."""
    of, trace = of_padded()
    assert trace.header.notes == ()
    inputs, live = padded(9), LiveModel.of(of)
    live.run(as_batches(inputs)[0])
    replay = Replay(Captured(trace, live, as_batches(inputs)), batch, "decode")
    assert len(replay) == 4 * UNITS // batch
    for index in range(len(replay)):
        step = replay.step(index)
        assert step.batch.kwargs["attention_mask"].shape[1] > 9
        assert disagreements(replay, trace.header.captured, step) == {"gate": (0, batch)}


def test_the_mask_matters_to_what_is_decoded() -> None:
    _, trace = of_padded()
    without = observe(LiveModel.of(model()), as_batches(texts(9)), new_tokens=4).joined()
    assert (trace.decisions("gate").ids != without["gate"].ids)[9 * UNITS :].any()


def test_decode_steps_without_the_learnt_words_are_refused() -> None:
    with pytest.raises(CondsimError, match=r"3 rows of 3 units in a decode step, .* has 9") as said:
        captured(model(BehindTokens), texts(6), new_tokens=1)
    assert "learnt tokens before the sequence" in str(said.value)
