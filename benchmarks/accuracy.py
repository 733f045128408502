"""How far off condsim is on this machine: every measured case of the shipped traces, and what rivals would have said.

`python benchmarks/accuracy.py [TRACE ...] [--json FILE] [--write-readme] [--fresh]`

Without --fresh the measurements and the profile are those stored with the traces. With it this machine is calibrated and the zoo is measured again, in fresh
processes (a quiet machine, please). No timing of a model goes into a profile.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import condsim
from condsim.store import load

MARK = ("<!-- accuracy: begin -->", "<!-- accuracy: end -->")


def statistics(table: pd.DataFrame) -> pd.DataFrame:
    """|error| in percent, median and 90th percentile, of speedup and both latencies, and of the rivals' speedups, by mechanism; then over mechanisms."""
    errors = pd.DataFrame({
        "mechanism": table["mechanism"],
        "speedup": table["error"].abs(),
        "latency": (table["predicted_latency_s"] / table["measured_latency_s"] - 1).abs(),
        "baseline latency": (table["predicted_baseline_s"] / table["measured_baseline_s"] - 1).abs(),
        **{f"{r} (rival)": (table[r] / table["measured_speedup"] - 1).abs() for r in ("flop_ratio", "roofline", "hot_sum")},
    })  # fmt: skip
    grouped = errors.groupby("mechanism")
    rows = {}
    for name, group in grouped:
        rows[name] = _medians(group)
    rows["all (mean over mechanisms)"] = pd.DataFrame(rows).T.mean().to_dict()
    out = pd.DataFrame(rows).T
    out.insert(0, "cases", [*(len(g) for _, g in grouped), len(errors)])
    return out


def _medians(group: pd.DataFrame) -> dict[str, float]:
    values = group.drop(columns="mechanism")
    return {f"{c} {q}": 100 * float(values[c].quantile(p)) for c in values for q, p in (("median", 0.5), ("p90", 0.9))}


def by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Median and 90th percentile of the speedup's |error|, percent."""
    errors = table.assign(error=100 * table["error"].abs()).groupby(column)["error"]
    return pd.DataFrame({"cases": errors.size(), "median": errors.median(), "p90": errors.quantile(0.9)})


def verdicts(table: pd.DataFrame) -> dict[str, float]:
    """How often intervals hold the measurement, and definite verdicts that are wrong."""
    inside = (table["low"] <= table["measured_speedup"]) & (table["measured_speedup"] <= table["high"])
    definite = table["verdict"] != "too close to call"
    wrong = definite & ((table["verdict"] == "faster") != (table["measured_speedup"] > 1))
    clear = (table["measured_speedup"] - 1).abs() > 0.05
    return {
        "inside the 90 % interval, %": 100 * float(inside.mean()),
        "definite verdicts": int(definite.sum()),
        "wrong definite verdicts": int(wrong.sum()),
        "wrong where the measurement is over 5 % from 1": int((wrong & clear).sum()),
        "too close to call though over 15 % from 1": int((~definite & ((table["measured_speedup"] - 1).abs() > 0.15)).sum()),
    }


def markdown(table: pd.DataFrame) -> str:
    """The README's table."""
    stats = statistics(table)
    lines = [
        "| mechanism | cases | speedup, median / p90 | latency, median / p90 | FLOP ratio | roofline | hot micro-benchmarks |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in stats.iterrows():
        cells = [f"{r[f'{c} median']:.0f} / {r[f'{c} p90']:.0f} %" for c in ("speedup", "latency", "flop_ratio (rival)", "roofline (rival)", "hot_sum (rival)")]
        lines.append(f"| {name} | {int(r['cases'])} | {' | '.join(cells)} |")
    profiles = ", ".join(sorted(table["profile"].unique()))
    lines.append(f"\n|error|, {len(table)} cases, {profiles}, {datetime.date.today().isoformat()}; `make accuracy` prints it.")
    return "\n".join(lines)


def write_readme(text: str, path: Path = Path("README.md")) -> None:
    """Put the table between its marks."""
    readme = path.read_text()
    begin, end = (readme.index(m) for m in MARK)
    path.write_text(readme[: begin + len(MARK[0])] + "\n" + text + "\n" + readme[end:])


def fresh(folders: list[Path], processes: int, pairs: int) -> list[condsim.trace.Trace]:  # type: ignore[name-defined]
    """Calibrate and measure again."""
    from condsim.assign import strategies_of
    from condsim.measure import measure

    profile = condsim.calibrate()
    found = []
    for folder in folders:
        trace = load(folder)
        bare = trace.with_measurements(trace.measurements.iloc[:0], profile)
        found.append(measure(bare, strategies_of(trace), [1, 8, 32], processes=processes, pairs=pairs))
        print(f"measured {trace.name}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="*", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write-readme", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    folders = options.traces or sorted(p.parent for p in Path("traces").glob("*/trace.json"))
    traces = fresh(folders, options.processes, options.pairs) if options.fresh else folders
    table = condsim.compare(traces)
    pd.set_option("display.width", 220, "display.max_columns", 40, "display.max_rows", 500, "display.float_format", "{:.3g}".format)
    print(table[["trace", "strategy", "batch", "baseline", "predicted_speedup", "measured_speedup", "error", "predicted_latency_s", "measured_latency_s",
                 "predicted_baseline_s", "measured_baseline_s", "noisy"]].to_string())  # fmt: skip
    print("\n|error| by mechanism, percent\n" + statistics(table).to_string())
    for column in ("strategy", "batch", "baseline"):
        print(f"\n|error| of the speedup by {column}, percent\n" + by(table, column).to_string())
    repeated = table[table["processes"] > 1]
    spread = repeated["measured_high"] / repeated["measured_low"] - 1
    steady = repeated[spread < 0.03]
    print(f"\n{len(repeated)} of {len(table)} cases were measured in more than one process, {int(table['noisy'].sum())} only on a noisy machine")
    if len(repeated):
        print(f"repeatability over processes: median {100 * np.median(spread):.1f} %, p90 {100 * spread.quantile(0.9):.1f} %")
    if len(steady):
        off = 100 * steady["error"].abs()
        print(f"the {len(steady)} of them that repeat within 3 %: |error| median {off.median():.1f} %, p90 {off.quantile(0.9):.1f} %")
    print("\n".join(f"{k}: {v:.4g}" for k, v in verdicts(table).items()))
    worst = table.reindex(table["error"].abs().sort_values(ascending=False).index).head(5)
    print("\nworst five\n" + worst[["trace", "strategy", "batch", "baseline", "predicted_speedup", "measured_speedup", "error"]].to_string())
    if options.json:
        options.json.write_text(json.dumps({"cases": json.loads(table.to_json(orient="records")), "verdicts": verdicts(table)}, indent=1))
    if options.write_readme:
        write_readme(markdown(table))


if __name__ == "__main__":
    main()
