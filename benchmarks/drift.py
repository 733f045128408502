"""Error rates of `condsim drift` on sticky sequences: how often it calls drift where there is
none, and where there is.

    python -m benchmarks.drift [--repeats N] [--write]

Both traces are drawn anew each time. A token repeats the last decision of its sequence with
probability 0.9, as tokens of real sequences nearly do. Beside the permutation of whole sequences
stands the chi-square test on tokens that monitors usually run. --write: put the table into
docs/drift.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from benchmarks.sticky import Sticky
from benchmarks.tables import main_of_page
from condsim.decide.drift.permutation import permuted
from condsim.decide.drift.stream import stream

DOCS = Path(__file__).parents[1] / "docs" / "drift.md"
SEQUENCES = 100
WINDOW, WINDOWS = 32, 8
ROUTERS = {
    "8 branches": Sticky(sets=8, skew=0.5),
    "64 branches": Sticky(sets=64, skew=1.0),
    "64 branches, independent tokens": Sticky(sets=64, skew=1.0, repeat=0.0),
}
LEVELS = (0.05, 0.01)
EVERY = (20, 100)
AS_OFTEN = 5
"""Rates of 1 % take so many times as many repetitions as those of 5 % to be known as well."""
MOVED = 0.10
"""Total variation of the drift that power is of."""


def drifted(popularity: np.ndarray) -> np.ndarray:
    """A law that is `MOVED` away: mass goes from the first half of the branches to the second."""
    half = len(popularity) // 2
    moved = popularity.copy()
    moved[:half] *= 1 - MOVED / popularity[:half].sum()
    moved[half:] *= 1 + MOVED / popularity[half:].sum()
    return moved


def on_tokens(one: np.ndarray, other: np.ndarray) -> float:
    """p of the chi-square test that takes tokens for independent."""
    table = np.stack([one.sum(axis=0), other.sum(axis=0)])
    return float(chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)


def pairs(
    name: str, router: Sticky, repeats: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Tests of two traces of `SEQUENCES` sequences each, at each level.

    repeats: of the tests beside them; there are `AS_OFTEN` times as many without drift.
    """
    found: dict[str, list[float]] = {"p": [], "tokens": [], "power": []}
    other_law = drifted(router.popularity)
    for number in range(AS_OFTEN * repeats):
        one, other = (router.counts(SEQUENCES, rng) for _ in range(2))
        found["p"].append(permuted({"site": one}, {"site": other}, 199, number).overall.p)
        if number < repeats:
            moved = router.counts(SEQUENCES, rng, other_law)
            found["tokens"].append(on_tokens(one, other))
            found["power"].append(permuted({"site": one}, {"site": moved}, 199, number).overall.p)
    p, tokens, power = (np.array(found[key]) for key in ("p", "tokens", "power"))
    return [
        {
            "router": name,
            "asked": f"a false call in {1 / level:g} pairs",
            "nominal": level,
            **achieved(p <= level, level),
            "chi-square on tokens": float((tokens <= level).mean()),
            "found, 10 % moved": float((power <= level).mean()),
        }
        for level in LEVELS
    ]


def achieved(called: np.ndarray, nominal: float) -> dict[str, Any]:
    """The rate of calls, how sure it is, and how far off the nominal one. called: bool [n]."""
    rate = float(called.mean())
    return {
        "repetitions": len(called),
        "achieved": f"{rate:.2%}",
        "± (95 %)": f"{1.96 * np.sqrt(nominal * (1 - nominal) / len(called)):.2%}",
        "off by": f"{rate / nominal - 1:+.0%}",
    }


def streams(
    name: str, router: Sticky, repeats: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Windows of streams, each stream with a reference of its own."""
    rows = []
    for every in EVERY:
        alarms: list[bool] = []
        times = AS_OFTEN if every == max(EVERY) else 1
        for _ in range(max(1, times * repeats // WINDOWS)):
            reference = router.counts(4 * WINDOW, rng)
            arriving = router.counts(WINDOWS * WINDOW, rng)
            windows = stream({"site": reference}, {"site": arriving}, every, WINDOW)
            alarms += windows["alarm"].tolist()
        rate = 1 / every
        rows.append(
            {
                "router": name,
                "asked": f"an alarm every {every} windows",
                "nominal": rate,
                **achieved(np.array(alarms, bool), rate),
                "chi-square on tokens": None,
                "found, 10 % moved": None,
            }
        )
    return rows


def rows_of(repeats: int) -> list[dict[str, Any]]:
    """The rows of every router: pairs of traces, then windows of streams."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for name, router in ROUTERS.items():
        rows += pairs(name, router, repeats, rng)
        rows += streams(name, router, repeats, rng)
    return rows


if __name__ == "__main__":
    main_of_page(__doc__, DOCS, 4000, rows_of)
