"""The frozen list: which model, phase, batch, strategy and protocol; each is measured against both baselines."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

LIST = Path(__file__).with_name("cases.csv")
HALVES = ("development", "check")


@dataclass(frozen=True)
class Case:
    """One line of the list. batch: images or sequences a step; in the decode phase, sequences at one position."""

    model: str
    phase: str
    batch: int
    strategy: str
    protocol: str


def read(path: Path = LIST) -> list[Case]:
    """The list in its order."""
    with path.open() as lines:
        return [Case(r["model"], r["phase"], int(r["batch"]), r["strategy"], r["protocol"]) for r in csv.DictReader(lines)]


def by_model(cases: list[Case]) -> dict[str, list[Case]]:
    """Model → its cases."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.model, []).append(case)
    return found


def listed(dtype: str) -> list[Case]:
    """The whole list in fp32; in bf16 the cases of the first model of each family."""
    from benchmarks.suite.models import BF16

    cases, firsts = read(), dict[str, str]()
    if dtype == "fp32":
        return cases
    for case in cases:
        firsts.setdefault(re.split(r"-[a-z]+[0-9]", case.model)[0], case.model)
    return [replace(case, model=f"{case.model}{BF16}") for case in cases if case.model in firsts.values()]


def half(model: str, phase: str, batch: int, strategy: str, baseline: str) -> str:
    """Development or check, by a hash of the case's name, so that nobody chose."""
    name = f"{model}/{phase}/{batch}/{strategy}/{baseline}"
    return HALVES[hashlib.sha256(name.encode()).digest()[0] % 2]
