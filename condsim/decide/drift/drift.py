"""What moved between two traces of one model, could it be chance, and what does it cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from condsim import checks
from condsim.decide.coverage.production import production_tested
from condsim.decide.drift.noise import noise_floor
from condsim.decide.drift.permutation import Moved, permuted
from condsim.decide.drift.seconds import best, seconds_table
from condsim.decide.drift.sites import counts_of, sites_table
from condsim.decide.drift.stream import WINDOW, own_alarms, stream
from condsim.decide.same_sites import check_same_sites
from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.trace import Trace
from condsim.trace.model import check_trace

LEVEL = 0.05
LEAST_SEQUENCES = 2


@dataclass(frozen=True)
class Drift:
    """What moved from trace a to trace b.

    moved: of all sites together. level: p below which it is no chance. sites: a row a site
    (`sites_table`). new: what b does that a never did (`Coverage.production`, of a's things).
    noise: two captures of a's inputs, None where there is one. seconds: what both cost, a row a
    strategy (`seconds_table`); None where nothing says what the model executes, and why.
    windows: of b as a stream; None where nobody asked. own_alarms: share of a's own windows that
    would raise an alarm (`own_alarms`). every: windows that a false alarm was asked for in.
    """

    a: str
    b: str
    profile: str
    units: tuple[int, int]
    word: str
    level: float
    moved: Moved
    sites: pd.DataFrame
    new: pd.DataFrame
    noise: pd.DataFrame | None = None
    seconds: pd.DataFrame | None = None
    why_no_seconds: str = ""
    windows: pd.DataFrame | None = None
    own_alarms: float | None = None
    every: int | None = None

    @property
    def drifted(self) -> bool:
        """Whether the routing has moved: by more than chance, and than capturing twice does."""
        return self.moved.p <= self.level and self.moved.distance > self.noise_distance

    @property
    def noise_distance(self) -> float:
        """Total variation of two captures of the same inputs, the largest of a site; 0 where there
        is one capture."""
        return 0.0 if self.noise is None else float(self.noise["distance"].max())

    @property
    def verdict_flips(self) -> bool:
        """Whether the verdict of some strategy is another one."""
        return self.seconds is not None and bool(self.seconds["flips"].any())

    @property
    def best(self) -> tuple[str | None, str | None]:
        """The fastest strategy under each trace."""
        if self.seconds is None:
            return None, None
        return best(self.seconds, "a"), best(self.seconds, "b")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        return {
            "a": self.a,
            "b": self.b,
            "profile": self.profile,
            "units": list(self.units),
            "unit": self.word,
            "level": self.level,
            "distance": self.moved.distance,
            "by_chance": self.moved.by_chance,
            "p": self.moved.p,
            "drifted": self.drifted,
            "sites": self.sites,
            "new": self.new,
            "noise": self.noise,
            "seconds": self.seconds,
            "why_no_seconds": self.why_no_seconds,
            "verdict_flips": self.verdict_flips,
            "best": list(self.best),
            "windows": self.windows,
            "own_alarms": self.own_alarms,
        }


def drift(
    a: Trace,
    b: Trace,
    profile: HardwareProfile | str | None = None,
    *,
    again: Trace | None = None,
    level: float = LEVEL,
    false_alarm_every: int | None = None,
    window: int = WINDOW,
    **scenario: Any,
) -> Drift:
    """Say what moved from one trace to another of the same model.

    profile: a device that prices both, as in `condsim.simulate`. again: the inputs of `a` captured
    a second time, whose difference is the noise floor. level: of the test over all sites.
    false_alarm_every: take b for a stream of windows, of which so many without drift have one false
    alarm; window: sequences of each. scenario: fields of `condsim.Scenario`.
    Raises CondsimError where the sites differ, and where a trace has fewer than two sequences.
    """
    for given in (a, b, *([] if again is None else [again])):
        check_trace(given)
    if not 0 < checks.number("level", level) < 1:
        raise CondsimError(f"level is a probability between 0 and 1, got {level:g}")
    check_same_sites(a, b)
    of_a, of_b = Units.of(a), Units.of(b)
    for trace, units in ((a, of_a), (b, of_b)):
        if units.count < LEAST_SEQUENCES:
            raise CondsimError(
                f"trace {trace.name!r} has {units.count} {units.word}: whole ones are permuted, so "
                f"at least {LEAST_SEQUENCES} of each trace are needed"
            )
    counts_a, counts_b = counts_of(a, of_a), counts_of(b, of_b)
    moved = permuted(counts_a, counts_b)
    windows = own = None
    if false_alarm_every is not None:
        windows = stream(counts_a, counts_b, false_alarm_every, window)
        own = own_alarms(counts_a, false_alarm_every, window)
    seconds, why, device = _seconds(a, b, profile, scenario)
    noise = None if again is None else _noise(a, again)
    return Drift(
        a=a.name,
        b=b.name,
        profile=device,
        units=(of_a.count, of_b.count),
        word=of_a.word,
        level=level,
        moved=moved.overall,
        sites=sites_table(counts_a, counts_b, moved),
        new=production_tested(a, b),
        noise=noise,
        seconds=seconds,
        why_no_seconds=why,
        windows=windows,
        own_alarms=own,
        every=false_alarm_every,
    )


def _noise(a: Trace, again: Trace) -> pd.DataFrame:
    check_same_sites(a, again)
    return noise_floor(a, again)


def _seconds(
    a: Trace, b: Trace, profile: HardwareProfile | str | None, scenario: dict[str, Any]
) -> tuple[pd.DataFrame | None, str, str]:
    """(what both cost, why that is not known, device)."""
    if not a.header.has_programs or not b.header.has_programs:
        return None, "a trace holds recorded routing only", ""
    device = resolve_profile(a, profile)
    table = seconds_table(a, b, device, **scenario)
    if table["error"].notna().all():
        return None, str(table["error"].iloc[0]), device.name
    return table, "", device.name
