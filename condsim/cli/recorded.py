"""What is in a trace, as the commands print it that record or import one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.cli.output import command as again
from condsim.cli.output import out, print_json, suggest

if TYPE_CHECKING:
    import pandas as pd

    from condsim.trace import Trace

CASE = ["strategy", "baseline", "phase", "batch", "protocol", "runtime", "threads"]
"""What tells one measured case from another in a summary."""


def report(trace: Trace, folder: Path, command: str, json: bool, by: str | None = None) -> None:
    """Print what is in the trace now. by: "segment" where segments were measured last."""
    about = summary(trace)
    if json:
        print_json({"command": command, "trace": str(folder), **about})
        return
    from condsim.show.catalogue import trace_lines

    out().print(*trace_lines(about, str(folder)), sep="\n")
    if by is not None:
        more = again("compare", folder, "--by", by)
    elif about["measurements"]:
        more = again("compare", folder)
    else:
        more = again("measure", folder)
    suggest(again("simulate", folder), more)


def summary(trace: Trace) -> dict[str, Any]:
    """What a trace holds, and its measurements case by case, for JSON."""
    provenance = trace.header.provenance
    return {
        "name": trace.name,
        "model": provenance.model,
        "mechanisms": list(trace.mechanisms),
        "sites": _sites(trace),
        "steps": len(trace.steps),
        "units": trace.units,
        "parameters": provenance.parameters,
        "captured": dict(trace.header.captured),
        "quality_name": provenance.quality_name,
        "quality": _mean_quality(trace),
        "measurements": _measured_cases(trace.measurements),
        "by_segment": _cases_by_segment(trace.segments),
        "notes": list(trace.header.notes),
    }


def _sites(trace: Trace) -> list[dict[str, Any]]:
    rows = []
    for site in trace.sites:
        row = {
            "name": site.name,
            "mechanism": site.mechanism,
            "branches": site.branches,
            "top_k": site.top_k,
        }
        rows.append(row)
    return rows


def _mean_quality(trace: Trace) -> dict[str, float]:
    sides = [side for side in ("conditional", "dense") if side in trace.quality]
    return {side: float(trace.quality[side].mean()) for side in sides}


def _measured_cases(measurements: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a measured case."""
    if measurements.empty:
        return []
    cases = []
    for values, pairs in measurements.groupby(CASE, sort=False):
        case = dict(zip(CASE, values, strict=True))
        conditional_s = float(pairs["conditional_s"].sum())
        baseline_s = float(pairs["baseline_s"].sum())
        times = {
            "speedup": baseline_s / conditional_s,
            "latency_s": float(pairs["conditional_s"].mean()),
            "pairs": len(pairs),
            "basis": "measured",
        }
        cases.append(case | times)
    return cases


def _cases_by_segment(segments: pd.DataFrame) -> list[str]:
    cases = zip(segments["strategy"], segments["batch"], strict=True)
    return sorted({f"{strategy}, batch {batch}" for strategy, batch in cases})
