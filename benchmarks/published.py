"""Every published measurement whose device has a profile, predicted from model shape, profile
and routing statistics alone.

`benchmarks/published.py` prints predicted beside published, whether the direction is right, what is
missing for the rest, and the cause of each miss.
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
    "a100-e64-b1": "published 1 and 4 tokens differ by 256 MB of weights at 3.1 TB/s, faster than "
    "the memory: 1 token has a floor of some 180 us, the host's by its size; a graph without host "
    "time was predicted",
    "bert-24-compiled-bs4": "the cost of a sparse call was seen in eager mode; compiled, most of "
    "it (a tensor class in Python) does not show",
    "bert-24-compiled-bs256": "probably the library's default 2:4 kernel, not tuned for this GPU: "
    "slower than dense with nothing else between them",
    "h200-qwen235-tp8-b1": "one token: sorting rows by expert is predicted at what another "
    "engine's kernels take, two launches that this engine may not have; not confirmed",
    "llamacpp-qwen3coder30b": "96 threads meet at each of 2,400 operators: the rate is a third of "
    "the predicted one, and that does not shrink with the experts",
}
"""Row → why its prediction is off by more than `MISS`."""


def rows() -> pd.DataFrame:
    """Published rows with predicted_value, predicted_speedup, error (of the speedup where there
    is one, else of the value), direction (right, wrong, or empty where the row has none) and
    missing."""
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
    if np.isnan(row.published_speedup):
        return ""
    agrees = (row.predicted_speedup > 1) == (row.published_speedup > 1)
    return "right" if agrees else "wrong"


def line(row: Any) -> str:
    """Return the line that is printed of a row that is predicted."""
    value = f"{row.predicted_value:9.4g} / {float(row.value):9.4g} {row.metric}"
    speedup = ""
    if row.metric == "direction":
        small, large = f"{row.predicted_value:.2f}x", f"{row.predicted_speedup:.2f}x"
        value = f"batch 1 {small}, batch 32 {large} / {row.speedup}"
    elif not np.isnan(row.published_speedup):
        speedup = f"{row.predicted_speedup:.2f}x / {row.published_speedup:.2f}x"
    error = "" if np.isnan(row.error) else f"{row.error:+.0%}"
    cause = CAUSES.get(row.id, "") if abs(row.error) > MISS else ""
    return f"{row.id:28} {value:50} {speedup:16} {error:>6} {row.direction:6} {cause}"


def main() -> None:
    """Print all rows, then what they come to."""
    table = rows()
    known = table[table["missing"] == ""]
    for row in known.itertuples():
        print(line(row))
    off = known["error"].abs().dropna()
    judged = known["direction"][known["direction"] != ""]
    median, p90 = off.median(), off.quantile(0.9)
    right = (judged == "right").sum()
    print(
        f"\npredicted / published; {len(known)} of {len(table)} rows, "
        f"median |error| {median:.0%}, 90th percentile {p90:.0%}; "
        f"direction right in {right} of {len(judged)}"
    )
    for why, part in table[table["missing"] != ""].groupby("missing"):
        print(f"not predicted, {len(part)}: {why} ({', '.join(part['id'])})")


if __name__ == "__main__":
    main()
