"""Layers that are left out, and programs that have them again."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from condsim.capture.capture_trace import one_thread
from condsim.capture.layers import _layer_list, layer_lists, shortened
from condsim.capture.probe import Prober
from condsim.capture.repeat import Unlike, repeated, repeated_names
from condsim.capture.sizes import settle
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.program import Free, Op, Program, Scope
from condsim.program.regime import Regime


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        ("AAAAAA", (0, 1, 5)),
        ("DDDMMMM", (0, 1, 2, 3, 4, 6)),
        ("SFSFSFSF", (0, 1, 6, 7)),
        ("AB", (0, 1)),
        ("A", (0,)),
    ],
)
def test_as_few_layers_are_kept_as_have_all_surroundings(kinds: str, kept: tuple[int, ...]) -> None:
    found = _layer_list("layers", kinds)
    assert found.kept == kept
    for layer, recorded in enumerate(found.recorded_as):
        assert kinds[kept[recorded]] == kinds[layer]


def test_layers_that_differ_in_a_number_are_not_alike() -> None:
    class Layer(nn.Module):
        def __init__(self, layer_idx: int, window: int) -> None:
            super().__init__()
            self.layer_idx, self.window = layer_idx, window

    model = nn.Module()
    model.layers = nn.ModuleList([Layer(i, window=8 if i == 2 else 4) for i in range(8)])
    (found,) = layer_lists(model)
    assert found.kept == (0, 1, 2, 3, 4, 7)
    with shortened(model, [found]):
        assert [layer.layer_idx for layer in model.layers] == list(found.kept)
    assert len(model.layers) == 8


CONFIG = DeepseekV3Config(
    hidden_size=16,
    intermediate_size=24,
    moe_intermediate_size=8,
    num_hidden_layers=6,
    num_attention_heads=2,
    num_key_value_heads=2,
    n_routed_experts=4,
    num_experts_per_tok=2,
    n_group=1,
    topk_group=1,
    first_k_dense_replace=1,
    q_lora_rank=8,
    kv_lora_rank=8,
    qk_nope_head_dim=8,
    qk_rope_head_dim=4,
    v_head_dim=8,
    vocab_size=40,
)
"""A dense layer, then five of experts, of which the second to the fourth are recorded once."""
FEW_SIZES = ((2, 5), (3, 7), (2, 11))
"""Probing runs, fewer than usual: what is compared was recorded at the same sizes."""


def recorded(model: nn.Module, regime: Regime) -> Program:
    live = LiveModel.of(model)
    (batch,), sizes = settle(live, as_batches(torch.zeros(2, 6, dtype=torch.long)))
    with one_thread():
        return Prober(live, batch, sizes).program({"moe": "grouped"}, regime, {})


def without_instructions(program: Program) -> list[object]:
    """Cutting a list of layers runs an instruction more for each that it has."""
    nodes: list[object] = []
    for node in program.root.nodes:
        nodes.append(replace(node, instructions=0) if isinstance(node, Op) else node)
    return nodes


def test_a_program_of_few_layers_becomes_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Prober.__module__], "SEVERAL_SEQUENCES", FEW_SIZES)
    regime = Regime("decode", single=False)
    with torch.device("meta"):
        model = DeepseekV3ForCausalLM(CONFIG).eval()
    lists = layer_lists(model)
    assert len(lists[0].kept) == 4
    with shortened(model, lists):
        few = recorded(model, regime)
    all_layers = repeated(few, lists)
    live = recorded(DeepseekV3ForCausalLM(CONFIG).eval(), regime)
    assert without_instructions(all_layers) == without_instructions(live)
    assert all_layers.root.frees == live.root.frees


def test_sites_are_named_after_their_layers() -> None:
    found = _layer_list("m.layers", "AAAAA")
    names = {f"m.layers.{layer}.experts": None for layer in range(3)}
    pairs = repeated_names(names, [found])
    assert [name for name, _ in pairs] == [f"m.layers.{layer}.experts" for layer in range(5)]
    assert [recorded_as for _, recorded_as in pairs] == [
        f"m.layers.{layer}.experts" for layer in (0, 1, 1, 1, 2)
    ]


def test_what_outlives_the_next_layer_is_refused() -> None:
    found = _layer_list("layers", "AAAAAA")
    nodes = tuple(Op("add", (), (), module=f"layers.{layer}") for layer in range(3))
    of_next = Program("dense", "prefill-n", Scope(nodes, (Free(1, (), 0, 0), Free(2, (), 1, 0))))
    moved = [(free.position, free.op) for free in repeated(of_next, [found]).root.frees]
    assert moved == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    late = Program("dense", "prefill-n", Scope(nodes, (Free(2, (), 0, 0),)))
    with pytest.raises(Unlike, match="keep a tensor for more than a layer"):
        repeated(late, [found])
