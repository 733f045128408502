"""exit-fashion: the last exit is the dense network, and the threshold keeps its accuracy."""

from __future__ import annotations

import torch

from condsim.zoo.exit_fashion import TOLERANCE, ExitFashion
from zoo.conftest import example, under


def test_the_baseline_is_the_last_exit() -> None:
    model, inputs = example("exit-fashion").model, example("exit-fashion").inputs[0][:5]
    assert isinstance(model, ExitFashion)
    with torch.inference_mode():
        last = model.every_exit(inputs)[-1]
    assert torch.allclose(under(model, inputs, {"*": "same-params"}), last, atol=1e-6)


def test_the_chosen_threshold_keeps_the_accuracy_of_the_last_exit() -> None:
    model, images = example("exit-fashion").model, example("exit-fashion").inputs[0]
    assert isinstance(model, ExitFashion)
    with torch.inference_mode():
        last = model.every_exit(images)[-1].argmax(-1)
    tuned = ExitFashion(threshold=model.choose_threshold(images, last)).eval()
    tuned.load_state_dict(model.state_dict())
    agrees = under(tuned, images, {}).argmax(-1) == last
    assert agrees.float().mean() >= 1 - TOLERANCE
