"""Steps are replayed on the inputs, and from the caches, that they were captured with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condsim.errors import CondsimError
from condsim.live.inputs import Batch
from condsim.measure.replay import Captured, Replay, gather, source_units, units_of_step
from condsim.steps.rebatch import rebatch


def test_a_step_spans_captured_batches(leaving: Captured) -> None:
    replay = Replay(leaving, 12, "prefill")
    together = torch.cat([batch.args[0] for batch in leaving.inputs])
    assert len(replay) == 4
    for index in range(4):
        inputs = replay.step(index).batch.args[0]
        assert torch.equal(inputs, together[12 * index : 12 * index + 12])


def test_the_captured_batch_is_run_as_it_came(leaving: Captured) -> None:
    replay = Replay(leaving, None, "prefill")
    for index, batch in enumerate(leaving.inputs):
        assert replay.step(index).batch is batch


def test_a_step_is_made_once(leaving: Captured) -> None:
    replay = Replay(leaving, 12, "prefill")
    assert replay.step(2) is replay.step(2)


def test_a_step_has_the_decisions_of_its_rows(leaving: Captured) -> None:
    ids = leaving.trace.decisions("exit0").ids
    replay = Replay(leaving, 12, "prefill")
    np.testing.assert_array_equal(replay.step(1).ids["exit0"], ids[12:24])


def test_same_flops_keeps_the_rows_that_are_predicted(leaving: Captured) -> None:
    kept = rebatch(leaving.trace, 12).steps.kept["exit0"]
    replay = Replay(leaving, 12, "prefill")
    for index in range(len(replay)):
        np.testing.assert_array_equal(replay.step(index).kept["exit0"], kept[index])


def test_missing_inputs_are_an_error(leaving: Captured) -> None:
    few = Captured(leaving.trace, leaving.live, leaving.inputs[:2])
    with pytest.raises(CondsimError, match="the inputs have 16 units where trace 'leaving' has 48"):
        Replay(few, None, "prefill")


def test_steps_of_unlike_length_do_not_mix(talking: Captured) -> None:
    steps = rebatch(talking.trace, 6, "decode")
    sources = source_units(talking.trace)
    of_steps = [list(sources[units_of_step(talking.trace, steps, i)]) for i in range(4)]
    first, second = [0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]
    assert of_steps == [first, second, first, second]


@pytest.mark.parametrize("batch", [4, 6])
def test_decoding_starts_from_the_same_cache_each_time(talking: Captured, batch: int) -> None:
    replay = Replay(talking, batch, "decode")
    second_token = replay.step(len(replay) - 1)
    for _ in range(2):
        cache = second_token.cache({})["cache"]
        assert cache.seen.shape[1] == 8  # seven tokens and the first that was generated
        second_token.batch.call(talking.live.model, **second_token.cache({}))


def test_gathered_units_come_in_order(leaving: Captured) -> None:
    units = np.array([7, 8, 9, 30, 3])
    together = torch.cat([batch.args[0] for batch in leaving.inputs])
    batch = gather(leaving.inputs, units)
    assert batch.units == 5
    assert torch.equal(batch.args[0], together[units])


def test_only_tensors_of_units_are_gathered() -> None:
    scale, mask = torch.ones(3), torch.ones(2, 2)
    batches = [
        Batch((torch.full((2, 4), float(i)), scale), {"mask": mask, "flag": True}, 2, None)
        for i in range(2)
    ]
    batch = gather(batches, np.array([1, 2]))
    assert batch.args[0][:, 0].tolist() == [0.0, 1.0]
    assert batch.args[1] is scale
    assert batch.kwargs["mask"].shape == (2, 2)
    assert batch.kwargs["flag"] is True


def test_what_is_gathered_while_forwards_are_timed_can_be_trained_on() -> None:
    batches = [Batch((torch.ones(2, 4),), {}, 2, None) for _ in range(2)]
    with torch.inference_mode():
        batch = gather(batches, np.array([0, 1, 2]))
    assert not batch.args[0].is_inference()
