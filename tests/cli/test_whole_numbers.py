"""A number with a part is no whole number."""

from __future__ import annotations

import pytest

from condsim.cli import app
from condsim.cli.whole_numbers import refuse_parts
from condsim.errors import CondsimError


@pytest.mark.parametrize(
    "words",
    [
        ["simulate", "t", "--batch", "1.5"],
        ["simulate", "t", "--batch=1.5"],
        ["measure", "t", "--batch", "2", "1.5"],
        ["serve", "t", "--threshold", "0.5", "--count", "1.5"],
    ],
)
def test_a_part_is_refused(words: list[str]) -> None:
    with pytest.raises(CondsimError, match=r"^--\w+ must be a whole number, got 1\.5$"):
        refuse_parts(app, words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["1.5"],
        ["simulate", "1.5", "--batch", "2"],
        ["simulate", "t", "--batch", "2.0", "--threshold", "0.5", "--csv", "1.5"],
        ["sweep", "t", "--grid", "threshold=0.5"],
        ["nothing", "--batch", "1.5"],
    ],
)
def test_other_words_pass(words: list[str]) -> None:
    refuse_parts(app, words)
