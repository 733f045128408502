"""The share of a model by name that one of several ranks has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_models import MIXTURE

import condsim
from condsim.catalogue import CATALOGUE
from condsim.catalogue.parts.question import Question, trace_of
from condsim.catalogue.parts.tensor import share_of
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.parallel import Parallel

H200 = hardware("nvidia-h200-sxm")
SMALL = replace(MIXTURE, config={**MIXTURE.config, "num_hidden_layers": 1}, parameters=3e4)
QUESTION = Question(batch=4, context=8)


def test_heads_and_widths_are_shared_and_few_heads_of_keys_are_kept() -> None:
    cut = share_of(CATALOGUE["qwen3-30b-a3b"], 8).config
    assert cut["num_attention_heads"] == 4
    assert cut["num_key_value_heads"] == 1
    assert cut["moe_intermediate_size"] == 96
    assert cut["hidden_size"] == 2048
    assert share_of(CATALOGUE["mixtral-8x7b"], 8).config["head_dim"] == 128
    assert share_of(MIXTURE, 1) is MIXTURE


@pytest.mark.parametrize(("name", "ranks"), [("mixtral-8x7b", 3), ("qwen1.5-moe-a2.7b", 5)])
def test_what_does_not_divide_is_refused(name: str, ranks: int) -> None:
    with pytest.raises(CondsimError, match=f"tensor={ranks} does not divide"):
        share_of(CATALOGUE[name], ranks)


def test_two_ranks_hold_half_and_say_so() -> None:
    whole = trace_of(SMALL, QUESTION)
    with pytest.raises(CondsimError, match="recorded whole"):
        condsim.simulate(whole, H200, parallel=Parallel(tensor=2))
    alone = condsim.simulate(whole, H200, runtime="served")
    half = trace_of(share_of(SMALL, 2), QUESTION)
    shared = condsim.simulate(half, H200, runtime="served", parallel=Parallel(tensor=2))
    assert shared.memory.weights_bytes < 0.7 * alone.memory.weights_bytes
    assert shared.memory.caches_bytes == pytest.approx(alone.memory.caches_bytes / 2)
    worlds = shared.waterfall.set_index("world")
    assert worlds.loc["communication", "conditional_s"] > 0
    assert worlds["factor"].prod() == pytest.approx(shared.speedup)
    assert shared.energy_j > alone.energy_j
    assert any("2 ranks" in note for note in shared.notes)


def test_images_are_not_cut_by_configuration() -> None:
    with pytest.raises(CondsimError, match="tensor=2: tome-vit-l16 is no decoder"):
        share_of(CATALOGUE["tome-vit-l16"], 2)
