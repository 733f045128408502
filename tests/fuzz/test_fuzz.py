"""A sample of `make fuzz`: the same inputs every time, a few of each kind."""

from __future__ import annotations

from pathlib import Path

from condsim.cli import COMMANDS
from condsim.importers import IMPORTERS
from fuzz import bases, pool
from fuzz.calls import CALLED, FIXED, arguments_of
from fuzz.commands import numeric, options_of
from fuzz.kinds import KINDS
from fuzz.recorded import LAYOUTS

INPUTS = 2
"""Of each kind."""


def test_any_input_is_refused_in_one_line_or_answered_with_numbers(tmp_path: Path) -> None:
    bases.write_bases(tmp_path / "bases")
    jobs = [(kind, number) for kind in KINDS for number in range(INPUTS)]
    tried = list(pool.run(jobs, tmp_path / "bases", tmp_path, processes=1))
    assert len(tried) == len(jobs)
    wrong = [f"{done.job}: {done.verdict.said}" for done in tried if not done.verdict.right]
    assert not wrong, "\n\n".join(wrong)
    kinds = {done.verdict.kind for done in tried}
    assert kinds == {"answered", "refused"}


def test_every_importer_and_every_command_is_tried() -> None:
    """A new one is added to what is damaged."""
    assert set(LAYOUTS) == set(IMPORTERS)
    options = {option for command in COMMANDS for option in options_of(command)}
    assert {"--scenario", "--placement", "--grid"} - options == {"--placement"}
    assert "--capture" not in options
    numbers = {option for command in COMMANDS for option in numeric(command)}
    assert {"--batch", "--threshold", "--max-batch", "--level", "--seed"} <= numbers


def test_every_public_function_is_called() -> None:
    """A new one is; what is not would run a model."""
    assert {"simulate", "serve", "sweep", "Parallel"} <= set(CALLED)
    known = {name for function in CALLED for name in arguments_of(function)}
    assert {"level", "max_batch", "capacity_factor", "drafts"} <= known
    assert not known & set(FIXED)


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    """An input that cannot be made stands for any other error; a question is put as it was kept."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / pool.QUESTION).write_text('{"ask": "trace", "device": "x", "more": "x"}')
    refused = pool.replay(tmp_path / "input", tmp_path)
    assert refused.kind == "refused"
    (tmp_path / "input" / pool.QUESTION).write_text('{"ask": "nothing that is asked"}')
    wrong = pool.replay(tmp_path / "input", tmp_path)
    assert wrong.kind == "traceback"
    assert not wrong.right
