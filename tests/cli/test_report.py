"""report: one file that needs nothing else and says what the command line says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.harness import Run, check_refused, parsed
from condsim.show.text import si, times


def test_the_report_says_what_json_says(run: Run) -> None:
    asked = ("exit-fashion", "--batch", 8, "--threshold", 0.5, "--json")
    data = parsed(run("report", *asked, "-o", "out.html"))
    text = Path("out.html").read_text()
    numbers = (
        times(data["speedup"]),
        si(data["latency_s"], "s"),
        si(data["energy_j"], "J"),
        si(data["peak_bytes"], "B"),
    )
    for shown in (*numbers, data["profile"], "nvidia-h100-sxm"):
        assert shown in text
    simulated = parsed(run("simulate", *asked))
    del data["command"], data["file"], simulated["command"]
    assert data == simulated


def test_the_report_stands_alone(run: Run) -> None:
    done = run("report", "exit-fashion", "-o", "out.html", "--batch", 8)
    assert done.code == 0
    text = Path("out.html").read_text()
    without_pictures = re.sub(r"base64,[^']*", "", text)
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", without_pictures)
    assert text.count("data:image/svg+xml;base64,") >= 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["exit-fashion", "-o", "out.txt"], "out.txt must end in"),
        (["exit-fashion", "-o", "no/where.html"], "there is no folder"),
        (["exit-fashio", "-o", "out.html"], "did you mean 'exit-fashion'"),
        (["exit-fashion", "-o", "out.html", "--batch", "0"], "batch must be at least 1"),
        (["exit-fashion", "-o", "out.html", "--capacity-factor", "2"], "--capacity-factor"),
    ],
)
def test_bad_input_is_one_line_and_no_file(run: Run, arguments: list[str], told: str) -> None:
    check_refused(run("report", *arguments), told)
