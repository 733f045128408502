"""CSV files, some rows at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.csv import csv_batches


def test_the_columns_that_are_named_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("layer,id,other\n0,5,x\n1,6,y\n")
    batches = list(csv_batches(file, ["id", "layer"]))
    assert [batch.to_pydict() for batch in batches] == [{"id": [5, 6], "layer": [0, 1]}]


@pytest.mark.parametrize("text", ["layer,id\n0\n", "layer\n0\n", ""])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(CondsimError, match=r"a.csv is damaged or truncated"):
        list(csv_batches(file, ["layer", "id"]))
