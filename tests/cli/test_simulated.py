"""What simulate is asked about: the fastest of all strategies is drawn."""

from __future__ import annotations

import json
from pathlib import Path

from cli.harness import GPU, Run, check_refused, parsed


def test_the_fastest_of_all_strategies_is_drawn(run: Run, trace: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "step.json"
    asked = ("simulate", trace, "--device", GPU, "--strategy", "all", "--timeline", drawn)
    done = run(*asked)
    assert done.code == 0
    assert json.loads(drawn.read_text())["traceEvents"]
    fastest = parsed(run(*asked, "--json"))["predictions"][0]["strategy"]
    assert f"· {fastest} ·" in done.out


def test_one_device_is_drawn(run: Run, trace: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "step.json"
    refused = run("simulate", trace, "--device", "all", "--timeline", drawn)
    check_refused(refused, "--timeline", "one device")
    assert not drawn.exists()


def test_a_model_needs_a_device(run: Run) -> None:
    check_refused(run("simulate", "qwen3-30b-a3b"), "--device", "or all")


def test_images_have_no_positions(run: Run) -> None:
    asked = ("simulate", "tome-vit-l16", "--device", GPU)
    check_refused(run(*asked, "--context", "64"), "--context 64", "sees images")
    check_refused(run(*asked, "--phase", "decode"), "--phase decode", "sees images")
