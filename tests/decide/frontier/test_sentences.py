"""What the answer to a claim says, verdict by verdict."""

from __future__ import annotations

from condsim.decide.frontier.claim import Claim
from condsim.decide.frontier.sentences import Compared, rival_sentence, sentence


def claim(profile: str, kind: str, verdict: str, **more: object) -> Claim:
    return Claim(profile, kind, 32, 1.3, verdict, **more)  # type: ignore[arg-type]


def found(*claims: Claim) -> Compared:
    return Compared(claims, "accuracy", "its own dense network", 0.005, 1.3)


def test_a_sentence_names_devices_or_kinds() -> None:
    reached = claim("here", "cpu", "reached", point="threshold 0.8", speed=1.4, measured_speed=1.34)
    missed = [claim(f"gpu{n}", "gpu", "not reached", point="a", speed=0.6) for n in range(4)]
    missed.append(claim("old", "cpu", "not reached", point="a", speed=0.9))
    assert sentence(found(reached, *missed)) == (
        "30% faster at equal accuracy (at most 0.5% worse than its own dense network): at batch "
        "32, reached at threshold 0.8 on here (measured 1.34x, predicted 1.40x), not reached on "
        "any GPU, 1 of 2 CPUs."
    )


def test_few_devices_are_named_with_their_best() -> None:
    claims = [
        claim("a", "cpu", "too close to call", point="as captured", speed=1.3),
        claim("b", "gpu", "not reached"),
    ]
    said = sentence(found(*claims))
    assert "too close to call as captured on a (predicted 1.30x)" in said
    assert "not reached on b at no setting" in said


def test_a_faster_rival_is_said() -> None:
    slower = claim("a", "cpu", "reached", point="x", speed=1.5, rival="d", rival_speed=1.4)
    faster = claim("b", "gpu", "not reached", point="x", speed=0.7, rival="d", rival_speed=1.9)
    assert "on 1 of 2 devices (d on b: 1.90x where" in rival_sentence(found(slower, faster))
    assert rival_sentence(found(slower)).startswith("No dense network")
