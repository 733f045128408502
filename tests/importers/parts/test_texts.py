"""Records in JSON, and the names that their fields go by."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.texts import LAYER, json_lines, name_in, rows_of_ids


def test_the_first_name_that_is_there_is_taken() -> None:
    assert name_in(LAYER, ["layer_idx", "layer_id"]) == "layer_id"
    assert name_in(LAYER, ["other"]) is None


def test_a_line_that_is_cut_short_is_named_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n\n{"a": ')
    lines = json_lines(file)
    assert next(lines)[1] == {"a": 1}
    with pytest.raises(CondsimError, match=r"line 3 is no JSON"):
        next(lines)


@pytest.mark.parametrize("value", [[[1, 2], [3]], [[0.5]], "ids", 3, [["a"]]])
def test_what_holds_no_ids_is_refused(value: object) -> None:
    with pytest.raises(CondsimError, match="expert ids must be integers"):
        rows_of_ids(value, "a.jsonl, line 1")


def test_ids_of_no_tokens_are_ids() -> None:
    assert rows_of_ids([], "here").dtype.kind == "i"
    assert rows_of_ids([[1, 2]], "here").tolist() == [[1, 2]]
