"""The answer to "so much faster at equal quality", in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from condsim.decide.frontier.claim import CLOSE, MISSED, REACHED, Claim
from condsim.hardware.device_classes import DEVICE_CLASSES

NAMED = 3
"""Devices of one verdict that a sentence names."""


@dataclass(frozen=True)
class Compared:
    """What was claimed, and what every device says of it.

    quality: what it is called. reference: what quality and speed are over.
    """

    claims: Sequence[Claim]
    quality: str
    reference: str
    tolerance: float
    target: float


def sentence(found: Compared) -> str:
    """The answer to "so much faster at equal quality", for every batch that was asked about."""
    batches = dict.fromkeys(claim.batch for claim in found.claims if claim.batch is not None)
    parts = [_of_batch(found, batch) for batch in batches]
    faster = f"{found.target - 1:.0%} faster" if found.target > 1 else f"{found.target:g}x"
    equal = f"at equal {found.quality} (at most {found.tolerance:.1%} worse than {found.reference})"
    return f"{faster} {equal}: {'; '.join(parts)}."


def _of_batch(found: Compared, batch: int | None) -> str:
    claims = [claim for claim in found.claims if claim.batch == batch]
    said = []
    for verdict in (REACHED, CLOSE, MISSED):
        of_verdict = [claim for claim in claims if claim.verdict == verdict]
        if of_verdict:
            said.append(f"{verdict} {_devices(of_verdict, verdict, claims)}")
    return f"at batch {batch}, {', '.join(said)}"


def _devices(claims: Sequence[Claim], verdict: str, all_claims: Sequence[Claim]) -> str:
    """Where a verdict holds: the first devices with their speeds, or whole kinds."""
    if verdict == REACHED or len(claims) <= NAMED:
        named = [_named(claim) for claim in claims[:NAMED]]
        more = len(claims) - len(named)
        return ", ".join(named) + (f" and on {more} more" if more else "")
    kinds = dict.fromkeys(claim.kind for claim in claims)
    words = []
    for kind in kinds:
        name = DEVICE_CLASSES[kind].label
        of_kind = [claim for claim in claims if claim.kind == kind]
        every = sum(claim.kind == kind for claim in all_claims)
        if len(of_kind) == every:
            whole_class = f"any {name}" if verdict == MISSED else f"every {name}"
            words.append(whole_class)
        else:
            words.append(f"{len(of_kind)} of {every} {name}s")
    return "on " + ", ".join(words)


def _named(claim: Claim) -> str:
    if not claim.point:
        return f"on {claim.profile} at no setting"
    predicted = f"predicted {times(claim.speed)}"
    if claim.measured_speed is not None:
        predicted = f"measured {times(claim.measured_speed)}, {predicted}"
    at = claim.point if claim.point.startswith("as ") else f"at {claim.point}"
    return f"{at} on {claim.profile} ({predicted})"


def rival_sentence(found: Compared) -> str:
    """Whether a smaller dense network is the better way to save."""
    priced = [claim for claim in found.claims if claim.speed or claim.rival_speed]
    beaten = [claim for claim in priced if (claim.rival_speed or 0) > (claim.speed or 0)]
    if not beaten:
        return (
            f"No dense network that was trained the same way is as good and faster on any of "
            f"{len(priced)} devices."
        )
    first = beaten[0]
    return (
        f"A smaller dense network that was trained the same way is as good and predicted faster "
        f"on {len(beaten)} of {len(priced)} devices ({first.rival} on {first.profile}: "
        f"{times(first.rival_speed)} where the best setting has {times(first.speed)})."
    )


def times(speed: float | None) -> str:
    """A speed: 1.34x."""
    return "no speed" if speed is None else f"{speed:.2f}x"
