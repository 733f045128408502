"""A user's placement: a file that says which expert each slot holds.

JSON: a list of experts, one a slot, for all layers; or site → such a list. CSV: the columns expert
and slot, and site where layers differ.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from condsim.errors import CondsimError, shown
from condsim.untrusted import MEBIBYTE, check_path, parse_json, parsing, read_bytes

MOST_BYTES = 64 * MEBIBYTE
MOST_SLOTS = 1 << 16
SUFFIXES = (".json", ".csv")
EVERY_SITE = ""
"""The name under which a file says what holds for all sites."""


def names_a_file(placement: str) -> bool:
    """Whether a placement is a path of a file, not the name of a placer."""
    return placement.lower().endswith(SUFFIXES)


def read_placement(path: str | Path) -> dict[str, np.ndarray]:
    """Return site → the expert of each slot, int [slots]; "" stands for all sites.

    Raises CondsimError for a file that is missing, damaged, or no placement.
    """
    file = check_path(path, "a placement")
    if not file.exists():
        raise CondsimError(f"placement: there is no file {file}")
    content = read_bytes(file, MOST_BYTES)
    if file.suffix.lower() == ".json":
        return _of_json(parse_json(content, file), file)
    return _of_csv(content, file)


def _of_json(value: Any, file: Path) -> dict[str, np.ndarray]:
    if isinstance(value, Mapping):
        if not value:
            raise CondsimError(f"placement {file}: it names no site")
        return {site: _slots(experts, file) for site, experts in value.items()}
    return {EVERY_SITE: _slots(value, file)}


def _slots(experts: Any, file: Path) -> np.ndarray:
    if not isinstance(experts, list) or not experts:
        raise CondsimError(
            f"placement {file}: a site has a list of experts, one a slot, got {shown(experts)}"
        )
    for expert in experts:
        _check_number(expert, "expert", file)
    return np.array(experts, np.int64)


def _check_number(value: Any, what: str, file: Path) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not 0 <= value < MOST_SLOTS:
        raise CondsimError(
            f"placement {file}: {what} is a whole number from 0 to {MOST_SLOTS - 1}, "
            f"got {shown(value)}"
        )


def _of_csv(content: bytes, file: Path) -> dict[str, np.ndarray]:
    with parsing(file, "write the columns expert and slot"):
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    by_site: dict[str, dict[int, int]] = {}
    for row in rows:
        site = row.get("site") or EVERY_SITE
        expert, slot = (_cell(row, column, file) for column in ("expert", "slot"))
        slots = by_site.setdefault(site, {})
        if slot in slots:
            raise CondsimError(f"placement {file}: slot {slot} stands twice")
        slots[slot] = expert
    if not by_site:
        raise CondsimError(f"placement {file}: it has no rows; write expert,slot a line")
    return {site: _in_order(slots, file) for site, slots in by_site.items()}


def _cell(row: Mapping[str, Any], column: str, file: Path) -> int:
    text = row.get(column)
    try:
        value = int(text or "")
    except ValueError:
        raise CondsimError(
            f"placement {file}: column {column} is a whole number, got {shown(text)}"
        ) from None
    _check_number(value, column, file)
    return value


def _in_order(slots: Mapping[int, int], file: Path) -> np.ndarray:
    for slot in range(len(slots)):
        if slot not in slots:
            raise CondsimError(
                f"placement {file}: slot {slot} is missing; slots are numbered from 0"
            )
    return np.array([slots[slot] for slot in range(len(slots))], np.int64)
