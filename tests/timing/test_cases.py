"""Timing cases: their tensors, their samples, and what counts of them."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

from condsim.timing.cases import (
    Pool,
    Rotation,
    between_neighbours,
    existing,
    measure,
    quiet,
    sample,
    threads,
    typical,
)
from condsim.timing.yardstick import Yardstick


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_of_a_pool_are_aligned_and_lie_apart(dtype: torch.dtype) -> None:
    pool = Pool(dtype)
    assert pool(3, 5).shape == (3, 5)
    places = [pool(7).data_ptr() for _ in range(3)]
    assert all(place % 64 == 0 for place in places)
    assert len(set(places)) == 3
    assert pool(7).dtype == dtype


def test_a_pool_begins_again_at_its_end() -> None:
    pool = Pool()
    first = pool(16_000_000).data_ptr()
    assert pool(16_000_000).data_ptr() == first
    assert pool(25_000_000).shape == (25_000_000,)


def test_a_sample_is_the_time_of_one_call() -> None:
    called: list[int] = []
    assert sample(lambda: called.append(1)) > 0
    assert len(called) > 1


def test_a_rotation_comes_round_and_keeps_results_until_then() -> None:
    called: list[int] = []

    def call(number: int) -> Any:
        def run() -> list[int]:
            called.append(number)
            return [number]

        return run

    rotation = Rotation([call(number) for number in range(3)])
    assert called == [0, 1, 2]
    rotation()
    assert called == [0, 1, 2, 0]
    assert list(rotation._results) == [[1], [2], [0]]


def test_every_case_is_visited_and_has_a_time() -> None:
    shares: list[float] = []
    cases = existing({number: lambda: None for number in range(70)})
    times = measure(cases, 1, progress=shares.append)
    assert times.keys() == cases.keys()
    assert min(times.values()) > 0
    assert shares == [pytest.approx(64 / 70)]


def test_cases_that_are_always_disturbed_are_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful: set[str] = set()
    monkeypatch.setattr(Yardstick, "limit_s", 0.0)
    measure(existing({"a": lambda: None}), 1, yardstick=Yardstick(readings=1), doubtful=doubtful)
    assert doubtful == {"a"}


def test_the_typical_time_is_the_median_of_undisturbed_visits() -> None:
    yardstick = Yardstick(readings=5)
    fast, slow = yardstick.limit_s, 2 * yardstick.limit_s
    assert typical([(3.0, fast), (1.0, fast), (2.0, fast), (0.5, slow)], yardstick) == 2.0
    assert typical([(3.0, fast), (1.0, fast)], yardstick) == 1.0
    assert typical([(3.0, slow), (1.0, slow)], yardstick) == 1.0


def test_a_doubtful_time_is_no_longer_than_its_neighbours_say() -> None:
    times = {("linear", 4, 8, depth): float(depth) for depth in (8, 32, 128)}
    doubtful = ("linear", 4, 8, 32)
    assert between_neighbours({**times, doubtful: 57.0}, {doubtful})[doubtful] == pytest.approx(32)
    assert between_neighbours({**times, doubtful: 20.0}, {doubtful})[doubtful] == 20.0


def test_a_doubtful_time_without_neighbours_stays() -> None:
    times = {("item", 1, 1): 5.0, ("linear", 4, 16, 32): 7.0, ("deep",): 3.0}
    assert between_neighbours(times, set(times)) == times


def test_nothing_is_collected_inside_of_quiet() -> None:
    with quiet():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_threads_are_set_inside_and_restored_afterwards() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == before


def test_threads_are_restored_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="stop"), threads(before + 1):
        raise RuntimeError("stop")
    assert torch.get_num_threads() == before
