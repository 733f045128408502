"""Fresh processes, yardsticks and the clock."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from condsim.errors import CondsimError
from condsim.measure import measure, worker, yardsticks
from condsim.timing import clock
from condsim.trace import MEASUREMENTS, Trace
from measure.conftest import TINY, Captured


def test_round_trip(leaving: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardsticks, "NOISY", float("inf"))
    told: list[tuple[str, int, int]] = []
    trace = measure(
        leaving.trace,
        strategies=["compacted", "wait"],
        batches=[8, 12],
        processes=1,
        pairs=2,
        steps=1,
        progress=lambda *p: told.append(p),
    )
    table = trace.measurements
    assert tuple(table.columns) == MEASUREMENTS
    assert set(table["where"]) == {"fresh process"}
    pairs = table.groupby(["strategy", "baseline", "batch"]).size()
    assert set(pairs.index) == {
        (s, b, n)
        for s in ("compacted", "wait")
        for b in ("same-params", "same-flops")
        for n in (8, 12)
    }
    assert pairs.min() >= 2  # disturbed ones are run again
    assert told[-1] == ("measure (process 1 of 1)", 8, 8)


def test_a_noisy_process_is_run_once_more(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = sys.modules["condsim.measure"]
    seeds: list[int] = []

    def process(
        _place: object, job: dict[str, int], number: int, _of: int, _progress: object
    ) -> tuple[pd.DataFrame, list[dict[str, float]]]:
        seeds.append(job["seed"])
        slow = {0: 1.0, 1: 1.3, 2: 1.1}.get(number, 1.25)
        return pd.DataFrame({"pair": [0, 1]}), [{"read_64mb": 1.0}, {"read_64mb": slow}]

    monkeypatch.setattr(package, "_process", process)
    table = measure(leaving.trace, processes=3).measurements
    assert len(set(seeds)) == 4
    assert table.groupby("process")["yardstick_ratio"].first().to_dict() == {
        0: 1.0,
        1: 1.3,
        2: 1.1,
        3: 1.25,
    }
    assert len(table) == 8


def test_noisy_rows_are_left_out_where_there_are_others() -> None:
    same = {
        "strategy": "wait",
        "baseline": "same-params",
        "phase": "prefill",
        "protocol": "repeat",
        "fingerprint": "",
        "where": "caller",
    }
    rows = [
        same | {"batch": b, "process": p, "yardstick_ratio": r, "yardstick_s": y}
        for b, p, r, y in (
            (1, 0, 1.0, 1e-5),
            (1, 1, 1.3, 1e-5),
            (8, 1, 1.3, 1e-5),
            (8, 1, 1.3, 2e-5),
            (32, 0, 1.0, 2e-5),
        )
    ]
    counting = yardsticks.quiet_rows(pd.DataFrame(rows), fast_s=1e-5)
    assert list(counting.index) == [0, 2, 4]
    assert [yardsticks.noisy(group, 1e-5) for _, group in counting.groupby("batch")] == [
        False,
        True,
        True,
    ]


def test_a_trace_without_a_spec_says_who_can_time_it(leaving: Captured) -> None:
    with pytest.raises(
        CondsimError, match=r"no spec .* only condsim\.capture\(model, inputs, measure=True\) can"
    ):
        measure(with_spec(leaving.trace, None))


def with_spec(trace: Trace, spec: str | None) -> Trace:
    header = trace.header
    return dataclasses.replace(
        trace,
        header=header.model_copy(
            update={"provenance": header.provenance.model_copy(update={"spec": spec})}
        ),
    )


def test_what_goes_wrong_in_the_process_is_said_here(leaving: Captured) -> None:
    with pytest.raises(CondsimError, match=r"^spec: there is no file moved\.py$"):
        measure(with_spec(leaving.trace, "moved.py:make"), processes=1, pairs=1)


def test_another_model_is_refused(
    leaving: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = with_spec(leaving.trace, f"{TINY}:talking").save(tmp_path / "trace")
    (tmp_path / "job").write_text(json.dumps({"trace": str(folder)}))
    assert worker.main([str(tmp_path / "job"), str(tmp_path / "result.parquet")]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"site '\w+' is only in the (model|trace): .*\n", said)


@pytest.mark.parametrize(
    ("what", "options"),
    [("processes", {"processes": 0}), ("pairs", {"pairs": 0}), ("batch", {"batches": [8, 0]})],
)
def test_bad_arguments(leaving: Captured, what: str, options: dict[str, int]) -> None:
    with pytest.raises(CondsimError, match=f"{what} must be at least 1, got 0"):
        measure(leaving.trace, **options)  # type: ignore[arg-type]


def test_importing_needs_no_torch() -> None:
    code = "import sys; from condsim.measure import measure; import condsim.zoo.specs, condsim.measure.yardsticks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_side_that_waits_is_timed_by_the_wall_clock() -> None:
    assert (
        clock.clock_for([clock.pauses(lambda: time.sleep(0.001)) for _ in range(3)]) is clock.WALL
    )
    assert clock.clock_for([1, 0, 2]) is clock.CPU
