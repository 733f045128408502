"""The translator is transformers' own model; capacity is room an expert; its loss balances."""

from __future__ import annotations

import pytest
import torch

from condsim.errors import CondsimError
from condsim.zoo.base import KINDS, TRANSLATORS, build, kind_of
from condsim.zoo.specs import load_spec
from condsim.zoo.translate_verses import TranslateVerses, room_for
from condsim.zoo.verse_tokens import IGNORED, PADDING


def routers(model: TranslateVerses) -> list[torch.nn.Module]:
    return [module for module in model.modules() if hasattr(module, "expert_capacity")]


def test_it_is_a_zoo_model_of_transformers_classes() -> None:
    assert set(TRANSLATORS) == {"translate-verses"}
    assert TRANSLATORS in KINDS
    assert kind_of("translate-verses") is TranslateVerses
    model = TranslateVerses()
    assert type(model.captured).__name__ == "SwitchTransformersForConditionalGeneration"
    assert len(routers(model)) == 4


@pytest.mark.parametrize(("factor", "room"), [(0.5, 3), (1.0, 5), (2.0, 10), (0.1, 1)])
def test_capacity_is_a_share_of_the_longest_source(factor: float, room: int) -> None:
    assert room_for(40, factor) == room
    model = TranslateVerses(capacity=factor)
    assert {module.expert_capacity for module in routers(model)} == {room}


def test_settings_and_weights_make_the_same_model_again() -> None:
    torch.manual_seed(0)
    model = TranslateVerses()
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    checkpoint = {"config": model.config, "weights": weights}
    other = build("translate-verses", checkpoint, {"capacity": 0.5})
    assert other.config["capacity"] == 0.5
    assert torch.equal(other.model.shared.weight, model.model.shared.weight.half().float())
    with pytest.raises(CondsimError, match="capacity of 'translate-verses' is a number from"):
        build("translate-verses", checkpoint, {"capacity": 99})


def test_the_loss_leaves_padding_out_and_reaches_every_router() -> None:
    torch.manual_seed(0)
    model = TranslateVerses().eval()
    source = torch.randint(3, 2000, (3, 12))
    target = torch.randint(3, 2000, (3, 9))
    model.loss(source, target).backward()
    assert all(module.classifier.weight.grad.abs().sum() > 0 for module in routers(model))
    longer = (
        torch.nn.functional.pad(source, (0, 0)),
        torch.nn.functional.pad(target, (0, 3), value=IGNORED),
    )
    model.set_room(12, 12, 8.0)
    with torch.no_grad():
        assert torch.isfinite(model.loss(*longer))
    assert PADDING == 0


def test_a_length_is_no_setting() -> None:
    with pytest.raises(CondsimError, match="a setting is name=number"):
        load_spec("translate-verses:capacity=much")
