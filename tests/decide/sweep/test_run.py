"""A sweep says what simulate says, whoever prices it, and goes on where it was stopped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import condsim
from condsim.decide.sweep import table as tables
from condsim.decide.sweep.run import sweep
from condsim.errors import CondsimError
from condsim.trace import Trace

GRID = {
    "batch": [1, 8, 4096],
    "strategy": ["compacted", "wait"],
    "device": ["nvidia-h100-sxm", "raspberry-pi-5"],
}


def test_rows_are_what_simulate_says_and_a_failed_point_is_a_row(exits: Trace) -> None:
    table = sweep(exits, GRID)
    assert len(table) == 12
    too_large = table[table["batch"] == 4096]
    assert len(too_large) == 4
    assert too_large["error"].str.contains("choose at most 2048").all()
    assert too_large["speedup"].isna().all()
    for row in table[table["error"].isna()].to_dict("records"):
        alone = condsim.simulate(exits, row["device"], row["strategy"], row["batch"])
        assert row["speedup"] == pytest.approx(alone.speedup, rel=1e-12)
        assert (row["low"], row["high"]) == pytest.approx(alone.speedup_interval, rel=1e-12)
        assert row["verdict"] == alone.verdict


def test_all_stands_for_the_strategies_of_each_device(exits: Trace) -> None:
    table = sweep(exits, {"strategy": "all", "device": ["raspberry-pi-5", "google-tpu-v4"]})
    assert table["error"].isna().all()
    of_device = table.groupby("device")["strategy"].agg(set)
    assert "compacted" in of_device["raspberry-pi-5"]
    assert "compacted" not in of_device["google-tpu-v4"]


def test_numbers_of_a_device_and_routing_are_axes(experts: Trace) -> None:
    over = {"skew": [0.0, 2.0], "memory.dram.bandwidth": [0.5, 2.0]}
    table = sweep(experts, over, "raspberry-pi-5", strategy="looped", batch=1)
    assert table["error"].isna().all()
    assert table["latency_s"].nunique() == 4
    of_bandwidth = table.groupby("memory.dram.bandwidth")["latency_s"].mean()
    assert of_bandwidth[0.5] > of_bandwidth[2.0]


def test_one_worker_and_two_write_the_same_bytes(exits: Trace, tmp_path: Path) -> None:
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    sweep(exits, GRID, out=one, workers=1)
    sweep(exits, GRID, out=two, workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_what_was_priced_is_not_priced_again(
    exits: Trace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "sweep.parquet"
    sweep(exits, GRID, out=whole)

    def stop(_what: str, done: float, _of: float) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(exits, GRID, out=out, progress=stop)
    kept = tables.read(out)
    assert 0 < kept.num_rows < 12
    done: list[float] = []
    sweep(exits, GRID, out=out, progress=lambda _what, count, _of: done.append(count))
    assert done[0] == kept.num_rows
    assert out.read_bytes() == whole.read_bytes()
    monkeypatch.setattr("condsim.decide.sweep.run.packed", lambda _: pytest.fail("priced again"))
    sweep(exits, GRID, out=out)


def test_parts_of_a_killed_run_count(exits: Trace, tmp_path: Path) -> None:
    out = tmp_path / "sweep.parquet"
    sweep(exits, GRID, out=out)
    parts = tmp_path / "sweep.parquet.parts"
    parts.mkdir()
    (parts / f"{'a' * 24}.parquet").write_bytes(out.read_bytes())
    (parts / f"{'b' * 24}.parquet").write_bytes(b"cut off")
    whole = out.read_bytes()
    out.unlink()
    sweep(exits, GRID, out=out, progress=_must_be_done)
    assert out.read_bytes() == whole


def _must_be_done(_what: str, done: float, of: float) -> None:
    assert done == of


@pytest.mark.parametrize("stopped", [False, True])
def test_what_another_run_has_written_meanwhile_stays(
    exits: Trace, tmp_path: Path, stopped: bool
) -> None:
    """It priced all of the same sweep while this one, which is stopped or not, was at its first."""
    out = tmp_path / "sweep.parquet"
    whole: list[bytes] = []

    def another(_what: str, done: float, _of: float) -> None:
        if done and not whole:
            sweep(exits, GRID, out=out)
            whole.append(out.read_bytes())
            if stopped:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) if stopped else contextlib.nullcontext():
        sweep(exits, GRID, out=out, progress=another)
    assert [out.read_bytes()] == whole
    assert os.listdir(tmp_path) == ["sweep.parquet"]


def test_another_file_is_not_overwritten(exits: Trace, tmp_path: Path) -> None:
    out = tmp_path / "mine.parquet"
    exits.steps.to_parquet(out)
    before = out.read_bytes()
    with pytest.raises(CondsimError, match="no table of a sweep"):
        sweep(exits, GRID, out=out)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"workers": 0}, "from 1 to"),
        ({"workers": 2, "dask": "tcp://127.0.0.1:1"}, "one of both"),
        ({"dask": "tcp://127.0.0.1:1"}, "no Dask scheduler answers"),
        ({"dask": "nowhere"}, "no Dask scheduler answers"),
        ({"context": 8}, "models of the catalogue"),
        ({"bach": 8}, "bach"),
        ({"profile": "h100"}, "unknown profile"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    exits: Trace,
    tmp_path: Path,
    options: dict[str, object],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("condsim.decide.sweep.workers.DASK_TIMEOUT_S", 0.5)
    asked = {"workers": None, **options} if "dask" in options else options
    with pytest.raises(CondsimError, match=word):
        sweep(exits, {"batch": [1]}, out=tmp_path / "a.parquet", **asked)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A Dask scheduler and two workers, as processes."""
    port = 18786
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--port", str(port), "--no-dashboard"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-dashboard"]
    commands = [scheduler, worker, worker]
    log = (tmp_path / "dask.log").open("wb")
    running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        _wait_for_workers(address, 2)
        yield address
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        log.close()


def _wait_for_workers(address: str, count: int) -> None:
    import distributed

    deadline = time.monotonic() + 60
    while True:
        try:
            with distributed.Client(address, timeout=5, set_as_default=False) as client:
                client.wait_for_workers(count, timeout=30)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.mark.slow
def test_a_cluster_writes_the_same_bytes(exits: Trace, tmp_path: Path, cluster: str) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    sweep(exits, GRID, out=here)
    sweep(exits, GRID, out=there, workers=None, dask=cluster)
    assert here.read_bytes() == there.read_bytes()
