"""A sample of `make fuzz`: the same inputs every time, a few of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import bases, pool
from fuzz.kinds import KINDS

INPUTS = 2
"""Of each kind."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    bases.write_bases(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_is_refused_in_one_line_or_answered_with_numbers(
    kind: str, whole: Path, tmp_path: Path
) -> None:
    jobs = [(kind, number) for number in range(INPUTS)]
    wrong = [done for done in pool.run(jobs, whole, tmp_path, 1) if not done.verdict.right]
    assert not wrong, "\n\n".join(f"{done.job}: {done.verdict.said}" for done in wrong)
