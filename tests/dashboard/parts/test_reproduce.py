"""Commands and Python give the numbers that the page shows."""

from __future__ import annotations

import ast
import shlex
from dataclasses import replace
from typing import Any

from condsim.cli import main
from condsim.dashboard.parts import reproduce
from condsim.dashboard.parts.scenario import Scenario
from condsim.study.answer import Answer


def test_python_gives_the_same_speedup(scenario: Scenario, captured: Answer, capsys: Any) -> None:
    exec(reproduce.simulate_python(scenario, "print(repr(p.speedup))"), {})
    assert capsys.readouterr().out.strip() == repr(captured.prediction.speedup)


def test_the_command_can_be_typed(scenario: Scenario, capsys: Any) -> None:
    asked = replace(scenario, device="nvidia-h100-sxm", batch=4)
    words = shlex.split(reproduce.simulate_command(asked, "--json"))
    assert words[0] == "condsim"
    assert main(words[1:]) == 0
    assert '"batch": 4' in capsys.readouterr().out


def test_flags_are_what_differs_and_what_a_command_takes(scenario: Scenario) -> None:
    asked = replace(scenario, batch=4, baseline="same-flops")
    assert reproduce.flags(scenario) == []
    assert reproduce.flags(asked) == ["--baseline", "same-flops", "--batch", "4"]
    assert reproduce.flags(asked, ("batch", "phase")) == ["--batch", "4"]


def test_several_traces_are_loaded_as_a_list(tmp_path: Any) -> None:
    code = reproduce.python(["exit-fashion", str(tmp_path)], "print(traces)")
    ast.parse(code)
    assert "condsim.load(resource(\"traces\") / 'exit-fashion')" in code
    assert f"condsim.load({str(tmp_path)!r})" in code
    assert "resource" not in reproduce.python([str(tmp_path)])
