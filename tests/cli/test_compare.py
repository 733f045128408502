"""compare: predictions beside measurements, as a table, JSON and CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cli.harness import Run, check_refused, parsed


def test_cases_of_another_machine_say_so(run: Run, measured: Path) -> None:
    done = run("compare", measured, "--csv", "table.csv")
    assert done.code == 0
    assert "another machine" in done.out
    assert len(pd.read_csv("table.csv")) == 2


def test_json_has_a_row_a_case_and_a_summary(run: Run, measured: Path) -> None:
    data = parsed(run("compare", measured, "--json"))
    assert data["summary"]["rows"] == 2
    assert data["summary"]["median_abs_error"] is None
    for row in data["rows"]:
        quotient = row["predicted_speedup"] / row["measured_speedup"]
        assert row["error"] == pytest.approx(quotient - 1)
        assert row["same_machine"] is False


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "nothing was measured yet; `condsim measure"),
        (["--by", "segment"], "nothing was measured by segment yet"),
    ],
)
def test_traces_without_measurements(run: Run, trace: Path, options: list[str], told: str) -> None:
    check_refused(run("compare", trace, *options), told)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["at least one trace"]),
        (["nowhere"], ["nowhere"]),
        (["moe-bytes", "--by", "layer"], ["segment", "operator"]),
        (["moe-bytes", "--csv", "nowhere/table.csv"], ["nowhere"]),
        (["moe-bytes", "--device", "nvidia-h100"], ["nvidia-h100-sxm"]),
    ],
)
def test_bad_input(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run("compare", *arguments), *words)
