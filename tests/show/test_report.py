"""The report: one file that needs nothing else and says what the command line says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from condsim.cli import main
from condsim.show.text import si, times


def test_the_report_stands_alone_and_says_what_json_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "out.html"
    assert main(["report", "exit-fashion", "-o", str(file), "--batch", "8", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    text = file.read_text()
    for value in (
        times(data["speedup"]),
        si(data["latency_s"], "s"),
        si(data["energy_j"], "J"),
        si(data["peak_bytes"], "B"),
        data["profile"],
        "nvidia-h100-sxm",
    ):
        assert value in text
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", re.sub(r"base64,[^']*", "", text))
    assert text.count("data:image/svg+xml;base64,") >= 3
    assert main(["simulate", "exit-fashion", "--batch", "8", "--json"]) == 0
    simulated = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in data.items() if k not in ("command", "file")} == {
        k: v for k, v in simulated.items() if k != "command"
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["exit-fashion", "-o", "out.txt"], "out.txt must end in"),
        (["exit-fashion", "-o", "no/where.html"], "there is no folder"),
        (["exit-fashio", "-o", "out.html"], "did you mean 'exit-fashion'"),
        (["exit-fashion", "-o", "out.html", "--batch", "0"], "batch must be at least 1"),
    ],
)
def test_bad_input_is_one_line_and_no_file(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
