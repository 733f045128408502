"""capture: a trace that loads, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from cli.harness import Run, check_refused, parsed


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
