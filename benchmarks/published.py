"""Every published measurement whose device has a profile, predicted from model shape, profile and routing statistics alone.

`benchmarks/published.py` prints predicted beside published, whether the direction is right, what is missing for the rest, and the cause of each miss.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.literature.predict import predict  # noqa: E402

MISS = 0.25
CAUSES = {
    "a100-e64-b1": "published 1 and 4 tokens differ by 256 MB of weights at 3.1 TB/s, faster than the memory: 1 token has a floor of some 180 us, the host's "
    "by its size; a graph without host time was predicted",
    "bert-24-compiled-bs4": "the cost of a sparse call was seen in eager mode; compiled, most of it (a tensor class in Python) does not show",
    "bert-24-compiled-bs256": "probably the library's default 2:4 kernel, not tuned for this GPU: slower than dense with nothing else between them",
    "h200-qwen235-tp8-b1": "one token: sorting rows by expert is predicted at what another engine's kernels take, two launches that this engine may not have; not confirmed",
    "llamacpp-qwen3coder30b": "96 threads meet at each of 2,400 operators: the rate is a third of the predicted one, and that does not shrink with the experts",
}
"""Row → why its prediction is off by more than `MISS`."""


def rows() -> pd.DataFrame:
    """Published rows with predicted_value, predicted_speedup, error (of the speedup where there is one, else of the value), direction (right, wrong, or
    empty where the row has none) and missing."""
    table = pd.read_csv(HERE / "literature" / "measured.csv")
    found = [predict(row) for row in table.itertuples()]
    table["predicted_value"] = [g.value for g in found]
    table["predicted_speedup"] = [g.speedup for g in found]
    table["missing"] = [g.missing for g in found]
    table["published_speedup"] = pd.to_numeric(table["speedup"], errors="coerce")
    by_speedup = table["predicted_speedup"] / table["published_speedup"] - 1
    by_value = table["predicted_value"] / pd.to_numeric(table["value"], errors="coerce") - 1
    table["error"] = by_speedup.where(table["published_speedup"].notna(), by_value).where(
        table["metric"] != "direction"
    )
    table["direction"] = [direction(r) for r in table.itertuples()]
    return table


def direction(row: Any) -> str:
    """Whether the prediction is on the right side of 1; empty where there is none to judge."""
    if np.isnan(row.predicted_speedup):
        return ""
    if row.metric == "direction":  # below 1 at batch 1, above at 32
        return "right" if row.predicted_value < 1 < row.predicted_speedup else "wrong"
    return (
        ""
        if np.isnan(row.published_speedup)
        else "right"
        if (row.predicted_speedup > 1) == (row.published_speedup > 1)
        else "wrong"
    )


def main() -> None:
    table = rows()
    known = table[table["missing"] == ""]
    for r in known.itertuples():
        value = f"{r.predicted_value:9.4g} / {float(r.value):9.4g} {r.metric}"
        speedup = (
            f"{r.predicted_speedup:.2f}x / {r.published_speedup:.2f}x"
            if not np.isnan(r.published_speedup)
            else ""
        )
        if r.metric == "direction":
            value, speedup = (
                f"batch 1 {r.predicted_value:.2f}x, batch 32 {r.predicted_speedup:.2f}x / {r.speedup}",
                "",
            )
        error = "" if np.isnan(r.error) else f"{r.error:+.0%}"
        cause = CAUSES.get(r.id, "") if abs(r.error) > MISS else ""
        print(f"{r.id:28} {value:50} {speedup:16} {error:>6} {r.direction:6} {cause}")
    off = known["error"].abs().dropna()
    judged = known["direction"][known["direction"] != ""]
    print(
        f"\npredicted / published; {len(known)} of {len(table)} rows, median |error| {off.median():.0%}, 90th percentile {off.quantile(0.9):.0%}; ",
        end="",
    )
    print(f"direction right in {(judged == 'right').sum()} of {len(judged)}")
    for why, part in table[table["missing"] != ""].groupby("missing"):
        print(f"not predicted, {len(part)}: {why} ({', '.join(part['id'])})")


if __name__ == "__main__":
    main()
