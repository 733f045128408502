"""Models on the meta device run the operators that they run with weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from condsim.capture.probe import execution_for, rows_per_site
from condsim.capture.sizes import settle
from condsim.live.decode import record_decode
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.record.events import RecordedOp
from condsim.record.on_meta import OnMeta, is_on_meta

CONFIG = MixtralConfig(
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    num_local_experts=3,
    vocab_size=40,
)
UNITS, POSITIONS = 2, 6


def with_weights() -> torch.nn.Module:
    return MixtralForCausalLM(CONFIG).eval()


def on_meta() -> torch.nn.Module:
    with torch.device("meta"):
        return MixtralForCausalLM(CONFIG).eval()


def events(model: torch.nn.Module, strategy: str, decode: bool) -> list[Any]:
    """What a recording of a forward says, in values that can be compared."""
    live = LiveModel.of(model)
    (batch,), sizes = settle(live, as_batches(torch.zeros(UNITS, POSITIONS, dtype=torch.long)))
    rows = rows_per_site(live.infos, sizes.unit_rows, UNITS, 1 if decode else POSITIONS)
    execution = execution_for({"moe": strategy}, live.infos, rows, 3, {})
    recorder = (record_decode if decode else LiveModel.record)(live, batch, execution)
    said = []
    for event in recorder.events:
        if isinstance(event, RecordedOp):
            said.append({**vars(event), "inputs": tensors(event.inputs)})
            said[-1]["outputs"] = tensors(event.outputs)
        else:
            said.append(type(event).__name__)
    return said


def tensors(recorded: list[Any]) -> list[Any]:
    return [(one.shape, one.dtype, one.weight) for one in recorded]


@pytest.mark.parametrize(
    ("strategy", "decode"), [("grouped", False), ("grouped", True), ("looped", True)]
)
def test_operators_are_those_of_a_model_with_weights(strategy: str, decode: bool) -> None:
    assert events(on_meta(), strategy, decode) == events(with_weights(), strategy, decode)


def test_what_touches_no_weight_is_real() -> None:
    weights = torch.empty(4, 4, device="meta")
    with OnMeta():
        positions = torch.arange(3, device=weights.device)
        product = weights @ torch.ones(4, 2)
    assert positions.tolist() == [0, 1, 2]
    assert product.is_meta
    assert product.shape == (4, 2)
    assert is_on_meta(on_meta())
    assert weights.device.type == "meta"
