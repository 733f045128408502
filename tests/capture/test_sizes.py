"""Sizes: what is a sequence is found out by running other lengths."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.capture.sizes import (
    USUAL_LENGTHS,
    Lengths,
    learn_sizes,
    probed_batch,
    require_one_kind,
    with_captured_prompts,
)
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.program.regime import Regime
from condsim.trace import Trace
from condsim.trace.header import ONE_A_POSITION, ONE_A_UNIT, UnitRows

HIDDEN = 8
UNITS = 4


class Skipping(nn.Module):
    """What `stem` makes of the inputs, rows [n, hidden], through a layer that some rows skip."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.gate, self.layer = nn.Linear(HIDDEN, 1), nn.Linear(HIDDEN, HIDDEN)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        rows: torch.Tensor = self.stem(*args, **kwargs)
        condsim.route("gate", "skip", lambda: (self.gate(rows).squeeze(-1) > 0).long(), branches=2)
        with condsim.branch("gate", 1) as taken:
            if taken:
                rows = taken.put(rows, self.layer(taken.take(rows)))
        return rows


class Words(nn.Module):
    """Words ids [batch, length], and a row for each."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, HIDDEN)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.words(ids).flatten(0, 1)
        return rows


class Placed(Words):
    """Words with a table of positions."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.places = nn.Embedding(longest, HIDDEN)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = self.places(torch.arange(ids.shape[1]))
        return (self.words(ids) + places).flatten(0, 1)


class Columns(nn.Module):
    """Tables with a column of integers each, ids [batch, columns] → rows [batch, hidden]."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(50, 2) for _ in range(columns))
        self.join = nn.Linear(2 * columns, HIDDEN)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        parts = [table(ids[:, number]) for number, table in enumerate(self.tables)]
        joined: torch.Tensor = self.join(torch.cat(parts, 1))
        return joined


class Signals(nn.Module):
    """Signals [batch, 3 channels, samples] → rows [batch, hidden]."""

    def __init__(self, stride: int = 2) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, HIDDEN, 5, stride)

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.convolution(signals).mean(-1)
        return pooled


class OverTime(nn.Module):
    """A loop over positions, x [batch, length, 4] → rows [batch, hidden]."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4 + HIDDEN, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(len(x), HIDDEN)
        for position in range(x.shape[1]):
            state = self.cell(torch.cat([x[:, position], state], 1)).tanh()
        return state


class Patches(nn.Module):
    """Series [batch, length, 2] in patches of 4, and a row for each patch."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Linear(8, HIDDEN)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.patch(series.reshape(len(series), -1, 8)).flatten(0, 1)
        return rows


def live(stem: nn.Module) -> LiveModel:
    """A model behind a stem."""
    torch.manual_seed(0)
    return LiveModel.of(Skipping(stem).eval())


def words(length: int) -> torch.Tensor:
    """A batch of words."""
    return torch.randint(0, 50, (UNITS, length), generator=torch.Generator().manual_seed(length))


def captured(stem: nn.Module, inputs: Any, **more: Any) -> Trace:
    """The trace of the model behind a stem."""
    torch.manual_seed(0)
    return condsim.capture(Skipping(stem).eval(), inputs, name="t", measure=False, **more)


@pytest.mark.parametrize(
    ("stem", "inputs", "lengths", "rows"),
    [
        (Words(), words(7), USUAL_LENGTHS, ONE_A_POSITION),
        (Words(), words(USUAL_LENGTHS.shortest), USUAL_LENGTHS, ONE_A_POSITION),
        (Placed(16), words(16), Lengths(4, 16), ONE_A_POSITION),
        (Placed(8), words(8), Lengths(2, 8), ONE_A_POSITION),
        (Columns(26), words(26), None, ONE_A_UNIT),
        (Signals(), torch.randn(UNITS, 3, 32), None, ONE_A_UNIT),
        (Patches(), torch.randn(UNITS, 12, 2), None, UnitRows(a_position=0, a_unit=3)),
    ],
    ids=["words", "shortest", "table of 16", "table of 8", "columns", "signals", "patches"],
)
def test_lengths_are_those_that_the_model_runs(
    stem: nn.Module, inputs: torch.Tensor, lengths: Lengths | None, rows: UnitRows
) -> None:
    sizes = learn_sizes(live(stem), as_batches(inputs)[0])
    assert sizes.lengths == lengths
    assert sizes.unit_rows == {"gate": rows}
    assert bool(sizes.refusal) == (lengths is None)


def test_the_models_own_error_names_the_module() -> None:
    with pytest.raises(CondsimError, match=r"stem.convolution: .*channels"):
        learn_sizes(live(Signals()), as_batches(torch.randn(UNITS, 5, 32))[0])


def test_signals_have_a_fixed_size() -> None:
    trace = captured(Signals(), [torch.randn(UNITS, 3, 32) for _ in range(2)])
    assert trace.sites[0].unit_rows == ONE_A_UNIT
    assert set(trace.steps["seq"]) == {1}
    assert "units are of one fixed size (at another length it fails: " in trace.header.notes[0]
    assert condsim.simulate(trace, "raspberry-pi-5", batch=2).speedup > 0


def test_a_named_axis_may_vary() -> None:
    signals = [torch.randn(UNITS, 3, length) for length in (32, 40)]
    with pytest.raises(CondsimError, match=r"\(4, 3, 40\).*\(4, 3, 32\).*sequence_axis="):
        captured(Signals(), signals)
    with pytest.raises(CondsimError, match=r"FLOPs and .* behind a stride"):
        captured(Signals(), signals, sequence_axis=2)
    trace = captured(Signals(stride=1), signals, sequence_axis=2)
    assert trace.steps["seq"].tolist() == [32, 40]
    with pytest.raises(CondsimError, match=r"sequence_axis must be an axis .* got 3"):
        captured(Signals(), signals, sequence_axis=3)


def test_a_loop_over_time_is_captured_at_its_length() -> None:
    """And PyTorch's own counter of FLOPs counts as many."""
    torch.manual_seed(0)
    model, inputs = Skipping(OverTime()).eval(), torch.randn(UNITS, 6, 4)
    trace = condsim.capture(model, inputs, name="t", measure=False)
    (site,) = trace.sites
    assert site.unit_rows == ONE_A_UNIT
    assert any("programs are those of 6 positions" in note for note in trace.header.notes)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(inputs)
    executed = condsim.simulate(trace, "nvidia-h100-sxm").executed_flops
    assert executed == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_prompts_of_one_length_may_be_apart_from_what_is_decoded() -> None:
    """A loop over a prompt has its length, a step of one token has not."""
    live = LiveModel.of(Skipping(Words()))
    batches = as_batches([torch.zeros(UNITS, 12, dtype=torch.long)] * 2)
    sizes = learn_sizes(live, batches[0])
    apart = with_captured_prompts(batches, sizes)
    assert apart is not None
    assert apart[1].of(Regime("prefill", single=False)) == Lengths(12, 12)
    assert apart[1].of(Regime("decode", single=False)) == USUAL_LENGTHS
    longer = as_batches([torch.zeros(UNITS, n, dtype=torch.long) for n in (12, 14)])
    assert with_captured_prompts(longer, sizes) is None


def test_unlike_images_are_refused() -> None:
    pooled = nn.Sequential(nn.Conv2d(3, HIDDEN, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    images = [torch.randn(UNITS, 3, size, size) for size in (8, 10)]
    with pytest.raises(CondsimError, match=r"batch 1 has a tensor of shape \(4, 3, 10, 10\)"):
        captured(pooled, images)


def test_a_size_that_the_model_fails_at_is_named() -> None:
    class Squeezed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.squeeze()

    with pytest.raises(CondsimError, match=r"compacted/prefill-1: the model fails at 1 units"):
        captured(Squeezed(), torch.randn(UNITS, HIDDEN, 1, 1))


class Translator(nn.Module):
    """Source ids [batch, n] and target ids [batch, m]; a site in the encoder, one in the
    decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.words, self.last = (
            Words(),
            nn.Embedding(50, HIDDEN),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        encoded = self.encoder(source)
        condsim.route("encoder", "skip", (encoded[:, 0] > 0).long(), branches=2)
        with condsim.branch("encoder", 1) as taken:
            if taken:
                encoded = taken.put(encoded, taken.take(encoded).relu())
        mean = encoded.view(*source.shape, HIDDEN).mean(1, keepdim=True)
        decoded = (self.words(target) + mean).flatten(0, 1)
        condsim.route("decoder", "skip", (decoded[:, 0] > 0).long(), branches=2)
        with condsim.branch("decoder", 1) as taken:
            if taken:
                decoded = taken.put(decoded, taken.take(decoded).relu())
        scores: torch.Tensor = self.last(decoded)
        return scores


def test_the_first_of_two_lengths_varies() -> None:
    batch = {"source": words(12), "target": words(7)}
    sizes = learn_sizes(LiveModel.of(Translator().eval()), as_batches(batch)[0])
    assert sizes.lengths == USUAL_LENGTHS
    fixed = UnitRows(a_position=0, a_unit=7)
    assert sizes.unit_rows == {"encoder": ONE_A_POSITION, "decoder": fixed}
    other = {"source": words(10), "target": words(7)}
    require_one_kind(as_batches([batch, other]))
    longer = {"source": words(12), "target": words(8)}
    with pytest.raises(CondsimError, match=r"\(4, 8\) where batch 0 has \(4, 7\)"):
        require_one_kind(as_batches([batch, longer]))


def test_a_batch_with_padding_is_probed() -> None:
    whole = {"ids": words(6), "mask": torch.ones(UNITS, 6, dtype=torch.int64)}
    padded = {**whole, "mask": torch.ones(UNITS, 6, dtype=torch.int64)}
    padded["mask"][2, 4:] = 0
    batches = as_batches([whole, padded])
    assert probed_batch(batches) is batches[1]
    assert probed_batch(batches[:1]) is batches[0]


def test_no_tokens_are_decoded_after_inputs_of_a_fixed_size() -> None:
    with pytest.raises(CondsimError, match="new_tokens: the inputs hold no sequences"):
        captured(Columns(26), words(26), new_tokens=1)
