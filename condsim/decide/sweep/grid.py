"""Axes → points → chunks: which questions a sweep asks, and which are answered together.

Chunks depend on the grid alone, never on how many workers there are: numbers that are priced
together depend on each other in their last digits.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from condsim.decide.code import code_digest
from condsim.decide.subject import Subject
from condsim.decide.sweep.axes import ALL, DEVICE, SCENARIO_AXES, STRATEGY, Axis
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, hardware, profiles, readable, this_machine
from condsim.parallel import Parallel
from condsim.predict.choose import strategies_on
from condsim.scenario import Scenario
from condsim.strategies import BASELINES
from condsim.study.what_if import scaled

CHUNK = 96
"""Points that are priced together at most, of one trace on one device."""
MOST_POINTS = 2_000_000


@dataclass(frozen=True)
class Group:
    """What points have in common that share a trace and a device.

    variant: of the subject. factors: of numbers of the device. base: the device as it is.
    """

    variant: tuple[tuple[str, Any], ...]
    device: str
    factors: tuple[tuple[str, float], ...]
    base: HardwareProfile = field(compare=False, repr=False)

    @property
    def profile(self) -> HardwareProfile:
        """The device with its numbers multiplied. Raises CondsimError for impossible ones."""
        return scaled(self.base, dict(self.factors))


@dataclass(frozen=True)
class Chunk:
    """Points of one trace on one device.

    first: number of its first point in the table. asked: a point each, what the grid says of it.
    scenarios: a point each. digest: stands for all that its rows depend on. subject: its digest.
    code: digest of the code that is to price it.
    """

    first: int
    group: Group
    asked: tuple[Mapping[str, Any], ...]
    scenarios: tuple[Scenario, ...]
    details: bool
    subject: str
    code: str
    digest: str

    def __len__(self) -> int:
        return len(self.scenarios)


@dataclass(frozen=True)
class Grid:
    """What is asked.

    base: what all points have in common. fixed: what of it makes another trace of the subject.
    details: whether rows have memory and main loss, which take longer.
    """

    subject: Subject
    axes: tuple[Axis, ...]
    device: HardwareProfile | str | None
    base: Scenario
    fixed: Mapping[str, Any]
    details: bool = False

    def chunks(self) -> list[Chunk]:
        """Return all points, in order of their rows.

        Raises CondsimError for an unknown device or strategy, and for a scenario that no trace
        could have.
        """
        self._check_size()
        chunks = []
        first = 0
        for group, points in self._groups().items():
            for start in range(0, len(points), CHUNK):
                chunk = self._chunk(first, group, points[start : start + CHUNK])
                first += len(chunk)
                chunks.append(chunk)
        return chunks

    def _check_size(self) -> None:
        points = 1
        for axis in self.axes:
            points *= len(axis.values)
        if points > MOST_POINTS:
            raise CondsimError(f"the grid has {points:,} points; at most {MOST_POINTS:,} are swept")

    def _groups(self) -> dict[Group, list[Mapping[str, Any]]]:
        """Points of each trace and device, in the order of the axes."""
        groups: dict[Group, list[Mapping[str, Any]]] = {}
        devices = _Devices(self.subject, self.device)
        for point in self._points(devices):
            profile = devices.of(point)
            variant = tuple(sorted(self._variant(point).items()))
            group = Group(variant, profile.name, self._factors(point), profile)
            groups.setdefault(group, []).append(point)
        return groups

    def _points(self, devices: _Devices) -> Iterator[Mapping[str, Any]]:
        names = [axis.name for axis in self.axes]
        values = [self._values(axis, devices) for axis in self.axes]
        for point in itertools.product(*values):
            asked = dict(zip(names, point, strict=True))
            if asked.get(STRATEGY) != ALL:
                yield asked
                continue
            for strategy in self._strategies(devices.of(asked), asked):
                yield asked | {STRATEGY: strategy}

    def _values(self, axis: Axis, devices: _Devices) -> Sequence[Any]:
        if axis.name == DEVICE:
            return devices.named(axis.values)
        if axis.name == "baseline" and axis.values == (ALL,):
            return BASELINES
        return axis.values

    def _strategies(self, profile: HardwareProfile, asked: Mapping[str, Any]) -> list[str]:
        """All strategies that a device has."""
        trace = self.subject.trace(self._variant({}))
        runtime = asked.get("runtime", self.base.runtime)
        base = self.subject.scenario(self.base.but(runtime=runtime), profile)
        return strategies_on(trace, profile, base.runtime)

    def _variant(self, point: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {name: point[name] for name in self.subject.varies if name in point}
        return {**self.fixed, **chosen}

    def _factors(self, point: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
        known = {*SCENARIO_AXES, *self.subject.varies}
        return tuple((name, value) for name, value in point.items() if name not in known)

    def _chunk(self, first: int, group: Group, points: list[Mapping[str, Any]]) -> Chunk:
        scenarios = tuple(self._scenario(point, group.base) for point in points)
        asked = tuple(_plain(point) for point in points)
        code, subject = code_digest(), self.subject.digest
        content = {
            "subject": subject,
            "variant": group.variant,
            "profile": group.base.digest,
            "factors": group.factors,
            "asked": asked,
            "scenarios": [_arguments(scenario) for scenario in scenarios],
            "details": self.details,
            "code": code,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return Chunk(first, group, asked, scenarios, self.details, subject, code, digest)

    def _scenario(self, point: Mapping[str, Any], profile: HardwareProfile) -> Scenario:
        changes = {}
        for name in SCENARIO_AXES:
            if name in point and name != DEVICE:
                changes[name] = point[name]
        if "parallel" in changes:
            changes["parallel"] = Parallel.parse(changes["parallel"])
        return self.subject.scenario(self.base.but(**changes), profile)


class _Devices:
    """Devices by name, each read once."""

    def __init__(self, subject: Subject, usual: HardwareProfile | str | None) -> None:
        self._subject = subject
        self._usual = usual

    def of(self, point: Mapping[str, Any]) -> HardwareProfile:
        """The device of a point."""
        named = point.get(DEVICE)
        return named if isinstance(named, HardwareProfile) else self._of_others

    @cached_property
    def _of_others(self) -> HardwareProfile:
        """The device of points that name none."""
        return self._subject.device(self._usual)

    def named(self, values: Iterable[Any]) -> list[HardwareProfile]:
        """The devices of an axis; "all" stands for all that are known."""
        found: dict[str, HardwareProfile] = {}
        for value in values:
            for profile in self._meant_by(value):
                found.setdefault(profile.name, profile)
        return list(found.values())

    def _meant_by(self, value: Any) -> Iterator[HardwareProfile]:
        if value == ALL:
            yield from self._all()
        else:
            yield value if isinstance(value, HardwareProfile) else hardware(value)

    def _all(self) -> Iterator[HardwareProfile]:
        captured = getattr(self._subject, "captured", None)
        if captured is not None and captured.profile is not None:
            yield captured.profile
        local = this_machine()
        if local is not None:
            yield local
        yield from readable(profiles().values())


def _plain(point: Mapping[str, Any]) -> dict[str, Any]:
    """A point with the name of its device."""
    named = {}
    for name, value in point.items():
        named[name] = value.name if isinstance(value, HardwareProfile) else value
    return named


def _arguments(scenario: Scenario) -> dict[str, str]:
    """What differs from the defaults, as texts."""
    return {name: repr(value) for name, value in scenario.arguments().items()}
