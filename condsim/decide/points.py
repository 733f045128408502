"""A few questions about one subject, priced here and now; a sweep is for many."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.decide.subject import Asked, Subject
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate_many
from condsim.scenario import Scenario
from condsim.trace import Trace

Said = Prediction | CondsimError
"""A prediction, or why there is none."""


def predict_points(
    subject: Subject, profile: HardwareProfile, points: Sequence[Asked]
) -> list[Said]:
    """Return what is predicted of each point, or why nothing is.

    points: fields of a scenario, and what the subject varies. Those of one trace are priced
    together, on a trace that remembers what was asked of it before.
    """
    groups: dict[tuple[tuple[str, object], ...], list[int]] = {}
    for number, point in enumerate(points):
        variant = {name: point[name] for name in subject.varies if name in point}
        groups.setdefault(tuple(sorted(variant.items())), []).append(number)
    found: dict[int, Said] = {}
    for variant_items, numbers in groups.items():
        asked = [points[number] for number in numbers]
        said = _of_variant(subject, profile, dict(variant_items), asked)
        found.update(zip(numbers, said, strict=True))
    return [found[number] for number in range(len(points))]


def _of_variant(
    subject: Subject, profile: HardwareProfile, variant: Asked, points: Sequence[Asked]
) -> list[Said]:
    try:
        trace = subject.trace(variant)
    except CondsimError as error:
        return [error] * len(points)
    try:
        scenarios = [_scenario(subject, profile, point) for point in points]
        return list(simulate_many(trace, profile, scenarios))
    except CondsimError:
        return [_alone(subject, trace, profile, point) for point in points]


def _alone(subject: Subject, trace: Trace, profile: HardwareProfile, point: Asked) -> Said:
    try:
        return simulate_many(trace, profile, [_scenario(subject, profile, point)])[0]
    except CondsimError as error:
        return error


def _scenario(subject: Subject, profile: HardwareProfile, point: Asked) -> Scenario:
    fields = {name: value for name, value in point.items() if name not in subject.varies}
    return subject.scenario(Scenario(**fields), profile)
