"""Is what `condsim coverage` estimates true?

Sticky sequences, whose unseen mass is known.

    python -m benchmarks.coverage [--repeats N] [--write]

2,016 sets (top-2 of 64 experts) with a Zipf law; the same formulas with the token and with the
sequence as the sampling unit. --write: put the table into docs/coverage.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.sticky import Sticky
from benchmarks.tables import main_of_page
from condsim.decide.coverage.incidence import Incidence

DOCS = Path(__file__).parents[1] / "docs" / "coverage.md"
SEQUENCES = (40, 80, 320)
ROUTERS = {
    "repeats 0.9": Sticky(repeat=0.9),
    "repeats 0.5": Sticky(repeat=0.5),
    "independent": Sticky(repeat=0.0),
}


def one(router: Sticky, sequences: int, rng: np.random.Generator) -> dict[str, float]:
    """Truth and estimates of one draw."""
    drawn = router.draw(sequences, rng)
    unit = np.repeat(np.arange(sequences), router.tokens)
    flat = drawn.ravel()
    of_sequences = Incidence.of(unit, flat, sequences, router.sets)
    of_tokens = Incidence.of(np.arange(len(flat)), flat, len(flat), router.sets)
    seen = np.bincount(flat, minlength=router.sets) > 0
    estimate, low, _ = of_sequences.at_least(router.sets)
    return {
        "true": float(router.popularity[~seen].sum()),
        "sequence": of_sequences.unseen_mass,
        "token": of_tokens.unseen_mass,
        "at_least": estimate,
        "holds": float(low <= router.sets),
        "doubtful": float(of_sequences.doubtful),
        "tokens_at_least": of_tokens.at_least(router.sets)[0],
    }


def rows_of(repeats: int) -> list[dict[str, Any]]:
    """A row a router and number of sequences, the mean over draws."""
    rng = np.random.default_rng(0)
    rows = []
    for name, router in ROUTERS.items():
        for sequences in SEQUENCES:
            found = pd.DataFrame([one(router, sequences, rng) for _ in range(repeats)])
            mean = found.mean()
            error = (found["sequence"] - found["true"]).abs()
            row = {
                "tokens": name,
                "sequences": sequences,
                "unseen, true": mean["true"],
                "by sequences": mean["sequence"],
                "median error": float(error.median()),
                "by tokens": mean["token"],
                "at least, of 2,016": round(mean["at_least"]),
                "by tokens, at least": round(mean["tokens_at_least"]),
                "marked doubtful": mean["doubtful"],
            }
            rows.append(row)
    return rows


if __name__ == "__main__":
    main_of_page(__doc__, DOCS, 200, rows_of)
