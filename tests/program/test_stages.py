"""Which stage of a training step a node belongs to."""

from __future__ import annotations

import pytest

from condsim.program.stages import in_forward, name_of_stage, number_of_stage


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        ((), ["forward"] * 5),
        ((2, 4), ["forward", "forward", "backward", "backward", "optimizer"]),
        ((1, 2, 3, 4), ["forward", "backward", "forward", "backward", "optimizer"]),
    ],
)
def test_stages_follow_each_other(stages: tuple[int, ...], names: list[str]) -> None:
    numbers = [number_of_stage(stages, node) for node in range(5)]
    assert [name_of_stage(stages, number) for number in numbers] == names
    assert [in_forward(stages, node) for node in range(5)] == [name == "forward" for name in names]
