"""capture and measure: a trace that loads, times that are added to it, and nothing overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import condsim
from cli.harness import GPU, Run, check_refused, parsed
from condsim.hardware import hardware


def test_capture_writes_a_trace_that_loads(trace: Path) -> None:
    assert [site.mechanism for site in condsim.load(trace).sites] == ["skip"]


def test_capture_json(run: Run, spec: Path) -> None:
    options = ("--no-measure", "--batch-limit", 2, "--json")
    data = parsed(run("capture", f"{spec}:gated", "-o", "x", *options))
    assert (data["steps"], data["measurements"]) == (2, [])


def test_capture_leaves_other_folders_alone(run: Run, spec: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("important")
    done = run("capture", f"{spec}:gated", "-o", "mine", "--no-measure")
    assert done.code == 2
    assert "nothing was overwritten" in done.err
    assert [file.name for file in Path("mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("with_nan", ["block.weight"]),
        ("dense", ["condsim.route"]),
        ("no_model", ["(torch.nn.Module, inputs)"]),
        ("none", ["none", "gated"]),
    ],
)
def test_models_that_cannot_be_captured(
    run: Run, spec: Path, function: str, words: list[str]
) -> None:
    check_refused(run("capture", f"{spec}:{function}", "-o", "x"), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["moe-byte", "-o", "x"], ["moe-bytes"]),
        (["nowhere.py:f", "-o", "x"], ["nowhere.py"]),
        (["moe-bytes", "-o", "x", "--batch-limit", "0"], ["batch-limit must be at least 1, got 0"]),
        (["moe-bytes", "-o", "x", "--threads", "0"], ["threads must be at least 1, got 0"]),
        (["moe-bytes", "-o", "x", "--new-tokens", "-1"], ["new-tokens", "-1"]),
    ],
)
def test_capture_refuses_before_it_begins(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run("capture", *arguments), *words)


def test_measure_adds_to_the_trace(
    run: Run, trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.cli.record.local_profile", lambda *_: hardware(GPU))
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
