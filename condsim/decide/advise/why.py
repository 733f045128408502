"""Why: the effects in seconds a step."""

from __future__ import annotations

import pandas as pd

from condsim.predict.prediction import Prediction


def why(prediction: Prediction) -> pd.DataFrame:
    """Return what each effect saves, or costs, a step: a row an effect, the largest first.

    effect, meaning; saves_s = baseline_s - conditional_s, negative where it costs; they add up to
    the seconds that a step saves. `without` is the speedup if the effect did not exist.
    """
    chain = prediction.waterfall
    steps = len(prediction.steps)
    baseline_s = chain["baseline_s"] / steps
    conditional_s = chain["conditional_s"] / steps
    table = pd.DataFrame(
        {
            "effect": chain["world"],
            "meaning": chain["meaning"],
            "saves_s": baseline_s - conditional_s,
            "conditional_s": conditional_s,
            "baseline_s": baseline_s,
            "without": chain["without"],
        }
    )
    at_all = table[(baseline_s != 0) | (conditional_s != 0)]
    by_size = at_all["saves_s"].abs().sort_values(ascending=False, kind="stable").index
    return at_all.loc[by_size].reset_index(drop=True)
