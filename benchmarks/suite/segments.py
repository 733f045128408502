"""`python -m benchmarks.suite.segments RUN`: where the seconds are, so that two wrong numbers cannot cancel.

For one case of each model, every operator of both sides is timed by PyTorch's profiler (`condsim measure --by segment`), each model in a fork of its own, into
RUN/segments.parquet. The machine should be quiet: about eight minutes. `python -m benchmarks.accuracy RUN` shows them beside the predictions.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pandas as pd
import transformers  # noqa: F401 (once, not in each fork)

import condsim
from benchmarks.suite.captured import captured
from benchmarks.suite.cases import Case, by_model, read
from benchmarks.suite.worker import alone
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.measure.plan import Plan
from condsim.measure.segments import time_segments
from condsim.study.parts import cancelled
from condsim.trace import SEGMENTS, Trace
from condsim.zoo.specs import load_spec

FILE = "segments.parquet"
PAIRS, STEPS = 24, 2


def chosen() -> list[Case]:
    """Of each model, the first case whose steps are repeated."""
    return [next(c for c in cases if c.protocol == "repeat") for cases in by_model(read()).values()]


def run(folder: Path) -> None:
    """Fill the folder's table; models that were timed before are not timed again."""
    fast_s = condsim.hardware(str(folder / "profile.yaml")).yardstick_s
    parts = folder / "segments"
    parts.mkdir(exist_ok=True)
    cases = chosen()
    for number, case in enumerate(cases):
        part = parts / f"{case.model}.parquet"
        if not part.exists():
            print(
                f"by segment: {case.model} ({number + 1} of {len(cases)})",
                file=sys.stderr,
                flush=True,
            )
            alone(partial(measure_case, case, fast_s, part))
    tables = [
        pd.read_parquet(parts / f"{case.model}.parquet")
        for case in cases
        if (parts / f"{case.model}.parquet").exists()
    ]
    table = pd.concat(tables, ignore_index=True)[["model", *SEGMENTS]]
    write_whole(folder / FILE, table.to_parquet(index=False, compression="zstd"))
    for part in parts.glob("*.parquet"):
        part.unlink()
    parts.rmdir()


def measure_case(case: Case, fast_s: float | None, part: Path) -> None:
    """Time both sides of a case operator by operator and write them; a case that does not decide as its trace says is left out, and said."""
    trace = captured(case.model)
    assert trace.header.provenance.spec is not None
    example = load_spec(trace.header.provenance.spec)
    plan = Plan(
        [case.batch],
        [case.strategy],
        ("same-params",),
        case.phase,
        pairs=PAIRS,
        steps=STEPS,
        where="fresh process",
        yardstick_s=fast_s,
    )
    try:
        table = time_segments(trace, LiveModel.of(example.model), as_batches(example.inputs), plan)
    except CondsimError as e:
        print(f"{case}: left out, since {e}", file=sys.stderr)
        return
    write_whole(part, table.assign(model=case.model).to_parquet(index=False))


def traces(folder: Path) -> list[Trace]:
    """The suite's traces with what a run measured by segment, and its profile; none where nothing was."""
    if not (folder / FILE).exists():
        return []
    found = pd.read_parquet(folder / FILE)
    profile = condsim.hardware(str(folder / "profile.yaml"))
    return [
        captured(m).with_segments(group.drop(columns="model").reset_index(drop=True), profile)
        for m, group in found.groupby("model", sort=False)
    ]


def operators(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `condsim.compare(…, by="operator")`, summed over the cases: each operator's share of the measured time, its error, and what that is worth: its
    part of the error of all, percent. Each side of a case weighs the same."""
    weight = 1 / table.groupby(["trace", "side"])["measured_s"].transform("sum")
    sums = (
        table[["measured_s", "predicted_s"]].mul(weight, axis=0).groupby(table["operator"]).sum()
        / table.groupby(["trace", "side"]).ngroups
    )
    found = pd.DataFrame(
        {
            "share": 100 * sums["measured_s"],
            "error": 100 * (sums["predicted_s"] / sums["measured_s"] - 1),
            "worth": 100 * (sums["predicted_s"] - sums["measured_s"]),
        }
    )
    return found.loc[found["worth"].abs().sort_values(ascending=False).index]


def summary(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(by segment and by operator: how many sides, median |error| of a side's sum and of the sum of its |errors|, percent; `operators`)."""
    found = traces(folder)
    tables = {by: condsim.compare(found, by=by) for by in ("segment", "operator")}
    rows = {f"by {by}": cancelled(table) for by, table in tables.items()}
    sums = pd.DataFrame(rows).T.rename(
        columns={
            "median_abs_error": "|error| of the sum, %",
            "median_sum_of_abs_errors": "sum of |errors|, %",
        }
    )
    sums.iloc[:, 1:] *= 100
    return sums, operators(tables["operator"])


if __name__ == "__main__":
    run(Path(sys.argv[1]))
