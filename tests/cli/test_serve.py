"""`condsim serve`: what it prints and writes, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from condsim.cli import main

ASKED = ["serve", "exit-fashion", "--device", "amd-epyc-9655", "--count", "300"]
POISSON = [*ASKED, "--poisson", "2000/s"]


def test_prints_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(POISSON) == 0
    said = capsys.readouterr().out
    assert "requests/s: an answer takes" in said
    assert "A request's time goes to: compute" in said
    assert "same-params" in said
    assert "same-flops" in said


def test_json_says_the_same_twice(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for _ in range(2):
        assert main([*POISSON, "--json", "--seed", "3"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    answer = json.loads(texts[0])
    assert answer["command"] == "serve"
    assert answer["sides"]["conditional"]["latency_s p50"] > 0


def test_files(tmp_path: Path) -> None:
    plot, timeline, csv = (tmp_path / name for name in ("a.svg", "a.json", "a.csv"))
    files = ["--plot", str(plot), "--timeline", str(timeline), "--csv", str(csv)]
    assert main([*ASKED, "--bursts", "20/0.01s", "--exits", "wait", *files]) == 0
    assert plot.read_text().startswith("<?xml")
    assert csv.read_text().count("\n") == 301
    events = json.loads(timeline.read_text())["traceEvents"]
    steps = [event for event in events if event.get("cat") == "step"]
    assert {event["pid"] for event in steps} == {0, 1, 2}
    assert all(event["dur"] > 0 for event in steps)
    begins = sum(event["ph"] == "b" for event in events)
    assert begins == sum(event["ph"] == "e" for event in events) > 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "name one of --requests FILE, --poisson 200/s and --bursts 32/0.5s"),
        (["--poisson", "5/s", "--bursts", "3/1s"], "name one of --requests FILE"),
        (["--poisson", "0/s"], "rate must be a number above 0"),
        (["--poisson=-5/s"], "rate must be a number above 0"),
        (["--poisson", "fast"], "--poisson is a rate such as 200/s"),
        (["--bursts", "3"], "--bursts is a number of requests and seconds"),
        (["--requests", "nowhere.csv"], "there is no file nowhere.csv"),
        (["--poisson", "5/s", "--scheduler", "continuous"], "is not for requests that one forward"),
        (["--poisson", "5/s", "--exits", "run"], "unknown policy of exits 'run'"),
        (["--poisson", "5/s", "--kv-tokens", "0"], "kv_tokens must be a whole number"),
        (["--poisson", "5/s", "--prompt-tokens", "5"], "of both prompts and answers"),
        (["--poisson", "5/s", "--prompt-tokens", "many"], "--prompt-tokens is 512 or 100-2000"),
        (["--poisson", "5/s", "--limit-latency", "-1"], "latency_s must be a number above 0"),
        (["--poisson", "5/s", "--baseline", "dense"], "unknown baseline 'dense'"),
        (["--poisson", "5/s", "--plot", "a.gif"], "a.gif must end in .svg"),
    ],
)
def test_one_line(more: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASKED, *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
