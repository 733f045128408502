"""`condsim sweep` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cli.harness import Run, check_refused, parsed


def test_prints_and_keeps_a_table(run: Run) -> None:
    grid = ("--grid", "batch=1:4:log2", "--grid", "strategy=wait,masked")
    arguments = ("sweep", "exit-fashion", *grid, "--device", "raspberry-pi-5", "--workers", "1")
    done = run(*arguments, "-o", "points.parquet")
    assert done.code == 0, done.err
    assert done.out.startswith("6 points: ")
    table = pd.read_parquet("points.parquet")
    assert len(table) == 6
    again = run(*arguments, "-o", "points.parquet")
    assert "6 kept from before" in again.err
    points = parsed(run(*arguments, "--json"))["points"]
    assert [point["speedup"] for point in points] == table["speedup"].tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["empty grid"]),
        (["--grid", "bach=1"], ["bach", "did you mean 'batch'"]),
        (["--grid", "batch="], ["empty grid"]),
        (["--grid", "batch"], ["AXIS=VALUES"]),
        (["--grid", "batch=1", "--grid", "batch=2"], ["batch twice"]),
        (["--grid", "batch=1", "--device", "all"], ["--grid device=all"]),
        (["--grid", "batch=1", "-o", "a.csv"], [".parquet"]),
        (["--grid", "batch=1", "--workers", "0"], ["workers"]),
        (["--grid", "device=nvidia-h200"], ["nvidia-h200-sxm"]),
    ],
)
def test_bad_input_is_one_line(
    run: Run, arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    check_refused(run("sweep", "exit-fashion", *arguments), *words)
