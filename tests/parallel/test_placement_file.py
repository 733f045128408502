"""A user's placement: read as it is written, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.parallel.placement_file import EVERY_SITE, read_placement


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"layer": [2, 0, 1, 0]}')
    (tmp_path / "b.csv").write_text(
        "site,slot,expert\nlayer,1,0\nlayer,0,2\nlayer,3,0\nlayer,2,1\n"
    )
    for name in ("a.json", "b.csv"):
        assert read_placement(tmp_path / name)["layer"].tolist() == [2, 0, 1, 0]


def test_one_list_holds_for_all_sites(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1, 0]")
    assert read_placement(tmp_path / "a.json")[EVERY_SITE].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", "{", "damaged"),
        ("a.json", "{}", "names no site"),
        ("a.json", '{"layer": 3}', "list of experts"),
        ("a.json", "[0, 1.5]", "whole number"),
        ("a.json", "[0, -1]", "whole number"),
        ("a.csv", "expert,slot\n", "no rows"),
        ("a.csv", "expert,slot\n0,0\n1,0\n", "slot 0 stands twice"),
        ("a.csv", "expert,slot\n0,0\n1,2\n", "slot 1 is missing"),
        ("a.csv", "expert,place\n0,0\n", "column slot"),
    ],
)
def test_what_is_no_placement(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CondsimError, match=says):
        read_placement(tmp_path / name)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="no file"):
        read_placement(tmp_path / "none.csv")
