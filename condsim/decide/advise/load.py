"""Scenarios by name: what a model is asked to do, and what would count as paying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from condsim.decide.subject import Subject
from condsim.errors import unknown
from condsim.hardware.text import read, validated
from condsim.program.regime import DECODE
from condsim.trace.columns import MOST_EXTENT
from condsim.untrusted import Name, Text, check_path

Count = Annotated[int, Field(ge=1, le=MOST_EXTENT)]


class Load(BaseModel):
    """What a model is asked to do.

    batch: units a step; None for the largest there is, up to `most`. phase: where a model has both;
    None for the decode steps, which are most of a text. context: of a model of the catalogue.
    threshold: the speedup from which it pays. prefers: "latency" or "throughput": whether a larger
    batch is a way out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    about: Text = ""
    batch: Count | None = None
    most: Count = 256
    phase: Name | None = None
    context: Count | None = None
    threshold: float = Field(default=1.0, gt=0, lt=1000)
    prefers: str = Field(default="throughput", pattern="^(latency|throughput)$")


LOADS = {
    load.name: load
    for load in (
        Load(
            name="edge",
            about="one input at a time, as it comes",
            batch=1,
            prefers="latency",
        ),
        Load(name="server", about="32 inputs at a time, as a server batches them", batch=32),
        Load(name="batch", about="as many inputs at a time as there are, up to 256"),
    )
}
"""Name → scenario."""


def load_of(name: str) -> Load:
    """Return a scenario: a name of `LOADS`, or a YAML file of the fields of `Load`.

    Raises CondsimError for an unknown name and for a file that is none.
    """
    if isinstance(name, str) and name in LOADS:
        return LOADS[name]
    path = check_path(name, "a scenario")
    if path.suffix not in (".yaml", ".yml"):
        raise unknown("scenario", name, LOADS, "or a .yaml file of its own")
    fields = {"name": path.stem, **read(path, "scenario")}
    return validated(Load, fields, f"scenario {path}")


@dataclass(frozen=True)
class Placed:
    """A scenario on a subject. batch, phase: that are asked for; None for those it has."""

    batch: int | None
    phase: str | None
    notes: tuple[str, ...] = ()


def placed(load: Load, subject: Subject) -> Placed:
    """Return what a scenario asks of a subject, no larger than it can be asked for."""
    phase = load.phase
    phases = subject.phases()
    if phase is None and len(phases) > 1:
        phase = DECODE if DECODE in phases else phases[0]
    most = subject.most_units(phase or phases[0])
    wanted = load.batch or load.most
    batch = min(wanted, most)
    notes: tuple[str, ...] = ()
    if load.batch is not None and batch < wanted:
        notes = (f"{subject.name} has {most} units of one size: batch {batch} instead of {wanted}",)
    return Placed(batch, phase, notes)
