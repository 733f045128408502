"""The process that measures: what it is told, and what it leaves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from condsim.measure import worker
from condsim.measure.processes import BAD_INPUT
from condsim.measure.replay import Captured
from condsim.trace import MEASUREMENTS
from measure.conftest import TINY
from measure.test_fresh import with_spec


def test_a_job_leaves_a_table_and_readings(
    leaving: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = leaving.trace.save(tmp_path / "trace")
    plan = {"pairs": 1, "steps": 1, "baselines": ["same-params"], "patience_s": 0.0}
    (tmp_path / "job").write_text(json.dumps({"trace": str(folder), "plan": plan}))
    assert worker.main([str(tmp_path / "job"), str(tmp_path / "result.parquet")]) == 0
    assert tuple(pd.read_parquet(tmp_path / "result.parquet").columns) == MEASUREMENTS
    readings = json.loads((tmp_path / "result.json").read_text())
    assert [set(reading) for reading in readings] == [{"read_64mb"}] * 2
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [["measure", 0, 1], ["measure", 1, 1]]


def test_another_model_is_refused(
    leaving: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = with_spec(leaving.trace, f"{TINY}:talking").save(tmp_path / "trace")
    (tmp_path / "job").write_text(json.dumps({"trace": str(folder)}))
    assert worker.main([str(tmp_path / "job"), str(tmp_path / "result.parquet")]) == BAD_INPUT
    said = capsys.readouterr().err
    assert re.fullmatch(r"site '\w+' is only in the (model|trace): .*\n", said)
