"""Does it pay here? As a colleague would answer: a verdict, and all that it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from condsim import checks
from condsim.catalogue import CatalogueModel
from condsim.decide.advise.advice import Advice
from condsim.decide.advise.basis import sensitivity
from condsim.decide.advise.call import call
from condsim.decide.advise.changes import biggest, changes
from condsim.decide.advise.flips import flips
from condsim.decide.advise.load import LOADS, Load, load_of, placed
from condsim.decide.advise.verify import verify
from condsim.decide.advise.why import why
from condsim.decide.coverage.coverage import Coverage, coverage
from condsim.decide.subject import CONTEXT, Subject, TraceSubject, subject_of
from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.trace import Trace

AS_ASKED = "as asked"
Told = Callable[[str, float, float], None]
PRICED = 64
"""Inputs whose seconds are predicted one by one."""
PARTS = 5
"""Pieces of work that progress is told of."""


def advise(
    subject: Trace | CatalogueModel | Subject | str | Path,
    profile: HardwareProfile | str | None = None,
    *,
    scenario: str | Load | None = None,
    pays_from: float | None = None,
    where: str | None = None,
    progress: Told = lambda _what, _done, _of: None,
    **options: Any,
) -> Advice:
    """Say whether conditional computation pays, and on what that rests.

    subject: a trace, its folder, or a model of the catalogue. profile: the device, as in
    `condsim.simulate`; a model of the catalogue needs one.
    scenario: "edge", "server", "batch", a YAML file, or a `Load`; None for what options say.
    pays_from: the speedup from which it pays; None for the scenario's, 1 where there is none.
    where: what a command line calls the trace; None for its name.
    options: fields of `condsim.Scenario`, and `context` of a model; they outrank the scenario.
    Raises CondsimError as `condsim.simulate` does.
    """
    about = subject_of(subject)
    device = about.device(profile)
    load = scenario if scenario is None or isinstance(scenario, Load) else load_of(scenario)
    asked, notes = _asked(about, load, options)
    if pays_from is None:
        pays_from = 1.0 if load is None else load.threshold
    checks.above_zero("pays_from", pays_from)
    checks.name("where", where)
    tell = _Teller(progress)
    answer = about.answer(device, asked)
    now = answer.prediction
    tell()
    tried = changes(about, device, asked, now, pays_from)
    tell()
    flipped = flips(about, device, asked, now, pays_from)
    tell()
    unseen = _not_seen(about, device, now)
    tell()
    rests_on = _rests_on(now)
    tell()
    batch_is_free = load is None or load.prefers == "throughput"
    load_name = AS_ASKED if load is None else load.name
    return Advice(
        subject=about.name,
        load=load_name,
        call=call(answer, pays_from),
        answer=answer,
        why=why(now),
        changes=tried,
        biggest=biggest(tried, batch_is_free),
        flips=flipped,
        rests_on=rests_on,
        not_seen=unseen,
        verify=tuple(verify(about, where or about.name, device, now)),
        notes=(*notes, *now.notes),
    )


def advise_all(
    subject: Trace | CatalogueModel | Subject | str | Path,
    profile: HardwareProfile | str | None = None,
    **options: Any,
) -> Iterator[Advice]:
    """Yield the advice on each named scenario. options: of `advise`."""
    about = subject_of(subject)
    for name in LOADS:
        yield advise(about, profile, scenario=name, **options)


class _Teller:
    """Tells what is done."""

    def __init__(self, progress: Told) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self) -> None:
        self._done += 1
        self._progress("advise", self._done, PARTS)


def _asked(
    subject: Subject, load: Load | None, options: dict[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the scenario, and what a reader should know of them."""
    asked = {name: value for name, value in options.items() if value is not None}
    if load is None:
        return asked, ()
    place = placed(load, subject)
    named: dict[str, Any] = {"batch": place.batch}
    if place.phase is not None:
        named["phase"] = place.phase
    if load.context is not None and CONTEXT in subject.varies:
        named[CONTEXT] = load.context
    return {**named, **asked}, place.notes


def _not_seen(subject: Subject, device: HardwareProfile, now: Prediction) -> Coverage | None:
    """What the captured routing has seen; None where it is drawn."""
    if not isinstance(subject, TraceSubject):
        return None
    return coverage(
        subject.captured, device, most_priced=PRICED, strategy=now.strategy, phase=now.phase
    )


def _rests_on(now: Prediction) -> pd.DataFrame:
    sources = now.sources
    return pd.DataFrame() if sources is None else sensitivity(sources)
