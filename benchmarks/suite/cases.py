"""The frozen list: which model, phase, batch, strategy and protocol; each is measured against both baselines."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

LIST = Path(__file__).with_name("cases.csv")
OUTSIDE = Path(__file__).with_name("outside.csv")
"""The second list, of models that nothing was ever tuned on."""
LISTS = {"suite": LIST, "outside": OUTSIDE}
HALVES = ("development", "check")


@dataclass(frozen=True)
class Case:
    """One line of the list. batch: images or sequences a step; in the decode phase, sequences at one position."""

    model: str
    phase: str
    batch: int
    strategy: str
    protocol: str


@dataclass(frozen=True)
class Under:
    """What a run is made under. threads: of torch; dtype: of models and calibration; runtime: "eager", or "compiled" by torch.compile; device: of torch; cases: one of
    LISTS."""

    threads: int = 1
    dtype: str = "fp32"
    runtime: str = "eager"
    device: str = "cpu"
    cases: str = "suite"

    @property
    def compiled(self) -> bool:
        return self.runtime == "compiled"


def read(path: Path = LIST) -> list[Case]:
    """The list in its order."""
    with path.open() as lines:
        return [
            Case(r["model"], r["phase"], int(r["batch"]), r["strategy"], r["protocol"])
            for r in csv.DictReader(lines)
        ]


def by_model(cases: list[Case]) -> dict[str, list[Case]]:
    """Model → its cases."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.model, []).append(case)
    return found


def listed(under: Under) -> list[Case]:
    """The whole list in eager fp32, and on a GPU in any dtype; on a CPU in bf16 the cases of the first model of each family, and compiled the first prefill of
    each of these that is repeated."""
    from benchmarks.suite.models import BF16

    cases = read(LISTS[under.cases])
    if under.compiled or (under.dtype != "fp32" and under.device == "cpu"):
        firsts: dict[str, str] = {}
        for case in cases:
            firsts.setdefault(re.split(r"-[a-z]+[0-9]", case.model)[0], case.model)
        cases = [case for case in cases if case.model in firsts.values()]
    if under.compiled:
        repeated = [case for case in cases if (case.phase, case.protocol) == ("prefill", "repeat")]
        cases = [of_model[0] for of_model in by_model(repeated).values()]
    return (
        [replace(case, model=f"{case.model}{BF16}") for case in cases]
        if under.dtype == "bf16"
        else cases
    )


def half(model: str, phase: str, batch: int, strategy: str, baseline: str) -> str:
    """Development or check, by a hash of the case's name, so that nobody chose."""
    name = f"{model}/{phase}/{batch}/{strategy}/{baseline}"
    return HALVES[hashlib.sha256(name.encode()).digest()[0] % 2]
