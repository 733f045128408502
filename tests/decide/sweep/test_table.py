"""The table of a sweep: what is read is checked, and what is not the sweep's stays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.lib as pa
import pyarrow.parquet as pq
import pytest

from condsim.decide.sweep import table as tables
from condsim.decide.sweep.run import sweep
from condsim.errors import CondsimError
from condsim.trace import Trace

GRID = {"batch": [1, 8], "skew": [1.0]}
DEVICE = "raspberry-pi-5"


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, experts: Trace) -> pa.Table:
    path = tmp_path_factory.mktemp("sweep") / "a.parquet"
    sweep(experts, GRID, DEVICE, out=path, strategy="looped")
    return tables.read(path)


def refused(table: pa.Table) -> str:
    """What is said of a table where the dashboard opens it."""
    content = io.BytesIO()
    pq.write_table(table, content)
    with pytest.raises(CondsimError) as error:
        tables.read_bytes(content, "a.parquet")
    return str(error.value)


def with_value(table: pa.Table, name: str, value: Any) -> pa.Table:
    """The table with a value in the first row of a column."""
    place = table.schema.get_field_index(name)
    values = [value, *table.column(name).to_pylist()[1:]]
    return table.set_column(
        place, table.schema.field(name), pa.array(values, table.schema.types[place])
    )


def test_a_whole_table_is_read_by_the_file_and_by_its_bytes(swept: pa.Table) -> None:
    content = io.BytesIO()
    pq.write_table(swept, content)
    frame = tables.read_bytes(content, "a.parquet")
    assert frame["batch"].tolist() == [1, 8]
    assert frame.columns[0] == "skew"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speedup", -1.0),
        ("speedup", 0.0),
        ("low", float("inf")),
        ("latency_s", 1e301),
        ("energy_j", -5e-324),
        ("estimated", 2.0),
    ],
)
def test_a_number_that_no_sweep_says_is_refused(swept: pa.Table, name: str, value: float) -> None:
    assert f"column {name}" in refused(with_value(swept, name, value))


@pytest.mark.parametrize(
    ("name", "value"), [("speedup", None), ("latency_s", None), ("verdict", "x"), ("verdict", None)]
)
def test_a_row_without_an_answer_says_why(swept: pa.Table, name: str, value: Any) -> None:
    assert "row 0 has neither a prediction nor an error" in refused(with_value(swept, name, value))
    explained = with_value(swept, "error", "no such strategy")
    assert "row 0 has numbers and an error" in refused(explained)
    for number in tables.CHECKED:
        explained = with_value(explained, number, None)
    content = io.BytesIO()
    pq.write_table(explained, content)
    assert len(tables.read_bytes(content, "a.parquet")) == 2


def test_other_columns_and_types_are_refused(swept: pa.Table) -> None:
    schema = swept.schema
    assert "columns of a sweep" in refused(swept.drop_columns(["energy_j"]))
    assert "columns of a sweep" in refused(swept.append_column("x", pa.array(["a", "b"])))
    batch = schema.get_field_index("batch")
    as_text = swept.set_column(batch, "batch", pa.array(["1", "8"])).replace_schema_metadata(
        schema.metadata
    )
    assert "columns of a sweep" in refused(as_text)
    odd = swept.rename_columns(["\x1b[2J", *schema.names[1:]])
    assert "the name of a column" in refused(odd.replace_schema_metadata(schema.metadata))
    assert "no table of a sweep" in refused(swept.replace_schema_metadata({}))


def test_texts_that_a_dictionary_repeats_are_counted_as_often(
    swept: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of Parquet may stand for any number of bytes."""
    rows = 1000
    monkeypatch.setattr("condsim.trace.tables.MOST_UNPACKED", 1000 * rows)
    repeated = pa.concat_tables([swept.slice(0, 1)] * rows).combine_chunks()
    place = repeated.schema.get_field_index("trace")
    texts = pa.array(["x" * 3500] * rows)
    bomb = repeated.set_column(place, repeated.schema.field("trace"), texts)
    assert "column trace unpacks to more than" in refused(bomb)


def test_what_lies_among_the_parts_is_not_removed(experts: Trace, tmp_path: Path) -> None:
    parts = tmp_path / "a.parquet.parts"
    parts.mkdir()
    mine = [parts / name for name in ("notes.txt", "other.parquet", f"{'A' * 24}.parquet")]
    for path in mine:
        path.write_text("mine")
    for _ in range(2):
        sweep(experts, {"batch": [1]}, DEVICE, out=tmp_path / "a.parquet")
        assert sorted(parts.iterdir()) == sorted(mine)
