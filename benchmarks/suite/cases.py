"""The frozen list of cases: a model, phase, batch, strategy and protocol each.

Every case is measured against both baselines.
"""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

LIST = Path(__file__).with_name("cases.csv")
OUTSIDE = Path(__file__).with_name("outside.csv")
"""The second list, whose models nothing was ever tuned on."""
LISTS = {"suite": LIST, "outside": OUTSIDE}
HALVES = ("development", "check")


@dataclass(frozen=True)
class Case:
    """One line of the list.

    batch: images or sequences a step; in the decode phase, the sequences that stand at one
    position.
    """

    model: str
    phase: str
    batch: int
    strategy: str
    protocol: str


@dataclass(frozen=True)
class Under:
    """The conditions of a run.

    threads: how many torch uses. dtype: the number format of the models and of the calibration.
    runtime: "eager", or "compiled" by torch.compile. device: torch's name of it. cases: a key of
    LISTS.
    """

    threads: int = 1
    dtype: str = "fp32"
    runtime: str = "eager"
    device: str = "cpu"
    cases: str = "suite"

    @property
    def compiled(self) -> bool:
        """Whether torch.compile runs the models."""
        return self.runtime == "compiled"


def read(path: Path = LIST) -> list[Case]:
    """Read a list of cases, in its order."""
    found = []
    with path.open() as lines:
        for row in csv.DictReader(lines):
            batch = int(row["batch"])
            case = Case(row["model"], row["phase"], batch, row["strategy"], row["protocol"])
            found.append(case)
    return found


def by_model(cases: list[Case]) -> dict[str, list[Case]]:
    """Group cases by model: the model's name → its cases."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.model, []).append(case)
    return found


def listed(under: Under) -> list[Case]:
    """Return the cases that a run measures under these conditions.

    Eager fp32, and any dtype on a GPU, measure the whole list. On a CPU in bf16 the first model of
    each family is measured. Compiled runs measure the first repeated prefill of each of these.
    """
    from benchmarks.suite.models import BF16

    cases = read(LISTS[under.cases])
    if under.compiled or (under.dtype != "fp32" and under.device == "cpu"):
        cases = _of_first_models(cases)
    if under.compiled:
        repeated = [case for case in cases if (case.phase, case.protocol) == ("prefill", "repeat")]
        cases = [of_model[0] for of_model in by_model(repeated).values()]
    if under.dtype == "bf16":
        cases = [replace(case, model=f"{case.model}{BF16}") for case in cases]
    return cases


def _of_first_models(cases: list[Case]) -> list[Case]:
    """Keep the cases of the first model of each family."""
    firsts: dict[str, str] = {}
    for case in cases:
        family = re.split(r"-[a-z]+[0-9]", case.model)[0]
        firsts.setdefault(family, case.model)
    return [case for case in cases if case.model in firsts.values()]


def half(model: str, phase: str, batch: int, strategy: str, baseline: str) -> str:
    """Return the half that a case belongs to, development or check.

    A hash of the case's name decides, so that nobody chose.
    """
    name = f"{model}/{phase}/{batch}/{strategy}/{baseline}"
    first_byte = hashlib.sha256(name.encode()).digest()[0]
    return HALVES[first_byte % 2]
