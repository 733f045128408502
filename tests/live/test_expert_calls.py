"""What a recording is told of a call of a site's experts."""

from __future__ import annotations

import torch
from torch import nn

from condsim.live.execution import Execution
from condsim.live.expert_calls import expert_room, recorded_experts
from condsim.record.recorder import Recorder
from condsim.steps.extents import capacity

EXPERTS = 4
IDS = torch.tensor([[0, 1], [0, 2], [0, 1]])


def test_the_room_is_the_one_in_force_or_that_of_the_capacity_factor() -> None:
    assert expert_room(Execution(room=7), IDS, EXPERTS) == 7
    assert expert_room(Execution(), IDS, EXPERTS) == int(capacity(3, 2, EXPERTS))


def test_a_call_is_recorded_with_the_rows_of_each_expert() -> None:
    recorder = Recorder(nn.Identity())
    execution = Execution(room=7, recorder=recorder)
    with torch.inference_mode(), recorder, recorded_experts(execution, "moe", IDS, EXPERTS):
        IDS + 1
    call = recorder.calls["moe"]
    assert call.tokens_per_expert == [3, 2, 1, 0]
    assert (call.outer, call.capacity, call.unmarked_loop) == (3, 7, False)


def test_nothing_is_counted_where_nobody_records() -> None:
    with recorded_experts(Execution(), "moe", IDS, EXPERTS) as nothing:
        assert nothing is None
