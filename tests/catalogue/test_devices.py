"""A model on many devices: those that fit first, and a reason where there is no answer."""

from __future__ import annotations

from typing import Any

import pytest
from rich.table import Table

import condsim
from condsim.catalogue import CatalogueModel
from condsim.catalogue.parts.devices import DOES_NOT_FIT, fit_first, rows_on
from condsim.catalogue.parts.question import Question
from condsim.show.model_devices import model_devices

DEVICES = ("nvidia-h200-sxm", "google-edge-tpu", "raspberry-pi-5")


@pytest.fixture(scope="module")
def rows(mixture: CatalogueModel) -> list[dict[str, Any]]:
    profiles = [condsim.hardware(name) for name in DEVICES]
    question = Question(batch=2, context=200_000)
    return sorted(rows_on(mixture, question, profiles), key=fit_first)


def test_there_is_a_row_a_device(rows: list[dict[str, Any]]) -> None:
    assert sorted(row["profile"] for row in rows) == sorted(DEVICES)
    first = rows[0]
    assert first["profile"] == "nvidia-h200-sxm"
    assert first["runtime"] == "served"
    assert set(first["speedups"]) == {"same-params", "same-flops"}
    assert first["memory"]["fits"]


def test_what_has_no_room_says_so_and_stands_behind(rows: list[dict[str, Any]]) -> None:
    fits = [row["memory"]["fits"] for row in rows if "error" not in row]
    assert fits == sorted(fits, reverse=True)
    for row in rows:
        if "error" not in row and not row["memory"]["fits"]:
            assert row["verdict"] == DOES_NOT_FIT


def test_the_table_has_a_column_for_each_rival(rows: list[dict[str, Any]]) -> None:
    table, *reasons = model_devices("asked", rows).renderables
    assert isinstance(table, Table)
    assert "over tiny-dense" in [column.header for column in table.columns]
    assert table.row_count + len(reasons) == len(DEVICES)
    assert all(str(reason).startswith("google-edge-tpu: strategy") for reason in reasons)
