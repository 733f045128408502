"""What fills the memory, part by part, on both sides."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from condsim.study.memory_parts import ALL, memory_parts


def memory(weights: int, activations: int) -> SimpleNamespace:
    return SimpleNamespace(
        weights_bytes=weights,
        caches_bytes=0,
        activations_bytes=activations,
        needed_bytes=weights + activations,
    )


def test_parts_that_no_side_has_are_left_out_and_the_rest_adds_up() -> None:
    prediction = SimpleNamespace(
        memory_waterfall=pd.DataFrame(), memories=(memory(70, 10), memory(40, 30))
    )
    table = memory_parts(prediction)  # type: ignore[arg-type]
    assert table["part"].tolist() == ["weights", "activations", ALL]
    assert table["added_bytes"].tolist() == [30, -20, 10]
    assert table["added_bytes"].iloc[:-1].sum() == table["added_bytes"].iloc[-1]


def test_a_training_step_has_the_parts_of_its_peak() -> None:
    of_peak = pd.DataFrame({"part": ["gradients"]})
    prediction = SimpleNamespace(memory_waterfall=of_peak)
    assert memory_parts(prediction) is of_peak  # type: ignore[arg-type]
