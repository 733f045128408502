"""Measure where the seconds of a step are, so that two wrong numbers cannot cancel.

    python -m benchmarks.suite.segments RUN

For one case of each model, PyTorch's profiler times every operator of both sides, as
`condsim measure --by segment` does, each model in a fork of its own. The times go into
RUN/segments.parquet. It needs a quiet machine for about eight minutes, and the profile of a run
that `benchmarks.suite.run` made. `python -m benchmarks.accuracy RUN` shows the times beside the
predictions.
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
    """Return the first case of each model whose steps are repeated."""
    found = []
    for cases in by_model(read()).values():
        repeated = (case for case in cases if case.protocol == "repeat")
        found.append(next(repeated))
    return found


def run(folder: Path) -> None:
    """Fill the folder's table. Models that were timed before are not timed again."""
    fast_s = condsim.hardware(str(folder / "profile.yaml")).yardstick_s
    parts = folder / "segments"
    parts.mkdir(exist_ok=True)
    cases = chosen()
    for number, case in enumerate(cases):
        part = parts / f"{case.model}.parquet"
        if not part.exists():
            place = f"{number + 1} of {len(cases)}"
            print(f"by segment: {case.model} ({place})", file=sys.stderr, flush=True)
            alone(partial(measure_case, case, fast_s, part))
    written = [parts / f"{case.model}.parquet" for case in cases]
    tables = [pd.read_parquet(part) for part in written if part.exists()]
    table = pd.concat(tables, ignore_index=True)[["model", *SEGMENTS]]
    write_whole(folder / FILE, table.to_parquet(index=False, compression="zstd"))
    for part in parts.glob("*.parquet"):
        part.unlink()
    parts.rmdir()


def measure_case(case: Case, fast_s: float | None, part: Path) -> None:
    """Time both sides of a case operator by operator and write them into `part`.

    A case that does not decide as its trace says is left out, and standard error says so.
    """
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
    """Return the suite's traces with what a run measured by segment, and the run's profile.

    The list is empty where the run measured nothing by segment.
    """
    if not (folder / FILE).exists():
        return []
    measured = pd.read_parquet(folder / FILE)
    profile = condsim.hardware(str(folder / "profile.yaml"))
    found = []
    for model, group in measured.groupby("model", sort=False):
        rows = group.drop(columns="model").reset_index(drop=True)
        found.append(captured(str(model)).with_segments(rows, profile))
    return found


def operators(table: pd.DataFrame) -> pd.DataFrame:
    """Sum the rows of `condsim.compare(…, by="operator")` over the cases, a row an operator.

    Columns, in percent: the operator's share of the measured time, its error, and what the error is
    worth, which is its part of the error of all operators. Each side of a case weighs the same.
    """
    sides = table.groupby(["trace", "side"])
    weight = 1 / sides["measured_s"].transform("sum")
    weighted = table[["measured_s", "predicted_s"]].mul(weight, axis=0)
    sums = weighted.groupby(table["operator"]).sum() / sides.ngroups
    measured, predicted = sums["measured_s"], sums["predicted_s"]
    columns = {
        "share": 100 * measured,
        "error": 100 * (predicted / measured - 1),
        "worth": 100 * (predicted - measured),
    }
    found = pd.DataFrame(columns)
    by_worth = found["worth"].abs().sort_values(ascending=False).index
    return found.loc[by_worth]


def summary(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (errors by segment and by operator, the table of `operators`).

    The first has how many sides there are, and the median over sides, in percent, of the |error| of
    a side's sum and of the sum of its |errors|.
    """
    found = traces(folder)
    tables = {by: condsim.compare(found, by=by) for by in ("segment", "operator")}
    rows = {f"by {by}": cancelled(table) for by, table in tables.items()}
    names = {
        "median_abs_error": "|error| of the sum, %",
        "median_sum_of_abs_errors": "sum of |errors|, %",
    }
    sums = pd.DataFrame(rows).T.rename(columns=names)
    sums.iloc[:, 1:] *= 100
    return sums, operators(tables["operator"])


if __name__ == "__main__":
    run(Path(sys.argv[1]))
