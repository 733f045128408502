"""measure: times that are added to a trace."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import condsim
from cli.harness import GPU, Run, check_refused, parsed
from condsim.hardware import hardware


def test_measure_adds_to_the_trace(
    run: Run, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.cli.measure.local_profile", lambda *_: hardware(GPU))
    copy = shutil.copytree(trace, tmp_path / "copy")
    done = run("measure", copy, "--processes", 1, "--pairs", 3, "--batch", 2, "--json")
    cases = {(case["batch"], case["baseline"]) for case in parsed(done)["measurements"]}
    assert cases == {(2, "same-params"), (2, "same-flops")}
    assert len(condsim.load(copy).measurements) > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch", "0"], ["batch must be at least 1, got 0"]),
        (["--batch", "1", "0"], ["batch must be at least 1, got 0"]),
        (["--processes", "0"], ["processes must be at least 1, got 0"]),
        (["--pairs", "0"], ["pairs must be at least 1, got 0"]),
        (["--strategy", "lopped"], ["lopped"]),
        (["--by", "layer"], ["segment"]),
        (["--runtime", "egaer"], ["eager"]),
        (["--device", "warp"], ["no device 'warp'"]),
        (["--by", "segment", "--runtime", "compiled"], ["leave out --runtime compiled"]),
        (["--by", "segment", "--device", "cuda"], ["leave out --device cuda"]),
        (["--by", "segment", "--threads", "2"], ["leave out --threads 2"]),
    ],
)
def test_measure_refuses_before_it_begins(
    run: Run, trace: Path, arguments: list[str], words: list[str]
) -> None:
    check_refused(run("measure", trace, *arguments), *words)


def test_a_trace_that_is_not_there_is_not_measured(run: Run) -> None:
    check_refused(run("measure", "nowhere"), "nowhere")
