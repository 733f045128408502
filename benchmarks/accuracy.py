"""How far off condsim is on this machine.

`python -m benchmarks.accuracy [RUN]` calibrates this machine and measures the frozen list of
`benchmarks/suite` in fresh processes, about 35 minutes on a quiet machine; it goes on where it was
stopped. RUN: a folder, default benchmarks/runs/DATE. A finished run is only judged: predicted anew
from its own profile. The cases are written into it for the dashboard's Accuracy page. Below it
stands a row a processor: every kept run, and those in the folders of --runs, judged alike. `python
-m benchmarks.accuracy --traces TRACE ...` judges the measurements stored with traces instead.

No timing of a model goes into a profile.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

import pandas as pd

import condsim
from benchmarks.suite import judge, processors, segments
from benchmarks.suite.run import run, traces
from condsim.files import write_whole
from condsim.hardware import load_profile
from condsim.trace import Trace
from condsim.trace.read import load

MARK = ("<!-- accuracy: begin -->", "<!-- accuracy: end -->")
RUNS = Path(__file__).with_name("runs")


def tell(table: pd.DataFrame, found: list[Trace], effects: bool) -> dict[str, object]:
    """Print everything, and give it for JSON."""
    table = table.assign(
        half=judge.halves(table), repeats=judge.repeats(table), visited=judge.visited(found, table)
    )
    cases = [
        "trace",
        "phase",
        "batch",
        "strategy",
        "protocol",
        "baseline",
        "predicted_speedup",
        "measured_speedup",
        "error",
        "predicted_latency_s",
        "measured_latency_s",
        "predicted_baseline_s",
        "measured_baseline_s",
        "repeats",
        "noisy",
        "half",
    ]
    show("cases", table[cases])
    stats = judge.statistics(table)
    show("|error| by mechanism, percent", stats)
    for name, part in table.groupby("half"):
        show(f"the {name} half", judge.statistics(part, judge.LIMITS))
    for column in ("strategy", "batch", "phase", "protocol", "baseline", "trace"):
        show(f"|error| by {column}, percent", judge.by(table, column))
    steady = table[table["repeats"] < judge.STEADY]
    several, noisy = int((table["processes"] > 1).sum()), int(table["noisy"].sum())
    median, p90 = 100 * table["repeats"].median(), 100 * table["repeats"].quantile(0.9)
    print(
        f"\n{several} of {len(table)} cases count in more than one process, "
        f"{noisy} only on a noisy machine; "
        f"the speedup repeats within {median:.1f} % (median), {p90:.1f} % (p90)"
    )
    if len(steady):
        show("the cases that repeat within 3 %", judge.statistics(steady, judge.LIMITS))
    seen = table["visited"]
    print(
        "\nmatmul kernels whose very size the calibration timed: "
        f"{100 * seen.mean():.0f} % (mean over cases)"
    )
    for name, part in (
        ("cases with over half of their kernels among those", table[seen > 0.5]),
        ("the others", table[seen <= 0.5]),
    ):
        if len(part):
            show(name, judge.statistics(part, judge.LIMITS))
    said = judge.verdicts(table)
    print("\n" + "\n".join(f"{k}: {v:.4g}" for k, v in said.items()))
    print(f"\nintervals: {judge.conformal(table)}")
    show("the worst", judge.worst(table))
    held = judge.limits(table)
    show("limits", held)
    result: dict[str, object] = {
        "statistics": stats.to_dict("index"),
        "verdicts": said,
        "limits": held.to_dict("records"),
        "cases": table.to_dict("records"),
    }
    if effects:
        worth = judge.worth(found, table)
        show("|error| without each effect, percent", worth)
        result["worth"] = worth.to_dict("index")
    return result


def tell_loops(found: list[Trace], profile: Path | None) -> pd.DataFrame:
    """Print how far off loops are, which answer a question of their own. Returns their cases."""
    table = condsim.compare(found, None if profile is None else load_profile(profile))
    show("|error| of one step over and over (loop), percent", judge.statistics(table))
    return table


def show(title: str, table: pd.DataFrame) -> None:
    with pd.option_context(
        "display.width",
        260,
        "display.max_columns",
        60,
        "display.max_rows",
        1000,
        "display.max_colwidth",
        90,
        "display.float_format",
        "{:.3g}".format,
    ):
        print(f"\n{title}\n{table.to_string()}", flush=True)


def markdown(table: pd.DataFrame, command: str) -> str:
    """The README's table."""
    stats = judge.statistics(table)
    lines = [
        "| mechanism | cases | speedup, median / p90 | latency, median / p90 "
        "| FLOP ratio | roofline | hot micro-benchmarks |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, r in stats.iterrows():
        cells = [f"{r[f'{c} median']:.1f} / {r[f'{c} p90']:.1f} %" for c in ("speedup", "latency")]
        cells += [f"{r[f'{c} median']:.0f} / {r[f'{c} p90']:.0f} %" for c in judge.RIVALS]
        lines.append(f"| {name} | {int(r['cases'])} | {' | '.join(cells)} |")
    profiles = ", ".join(sorted(table["profile"].unique()))
    today = datetime.date.today().isoformat()
    lines.append(f"\n|error|, {len(table)} cases, {profiles}, {today}; `{command}` prints it.")
    return "\n".join(lines)


def write_readme(text: str, path: Path = Path("README.md")) -> None:
    """Put the table between its marks."""
    readme = path.read_text()
    begin, end = (readme.index(m) for m in MARK)
    write_whole(path, readme[: begin + len(MARK[0])] + "\n" + text + "\n" + readme[end:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run", nargs="?", type=Path, default=RUNS / datetime.date.today().isoformat()
    )
    parser.add_argument("--traces", nargs="+", type=Path)
    parser.add_argument(
        "--profile", type=Path, help="predict on this profile, not on the run's own"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write-readme", action="store_true")
    parser.add_argument(
        "--no-effects", action="store_true", help="do not predict once more without each effect"
    )
    parser.add_argument(
        "--runs", type=Path, nargs="*", default=[], help="folders with more runs, to be judged too"
    )
    options = parser.parse_args()
    if options.traces:
        loaded = [load(path) for path in options.traces]
        found = [trace for trace in loaded if len(trace.measurements)]
    else:
        run(options.run)
        found = traces(options.run)
    if options.profile:
        profile = load_profile(options.profile)
        found = [t.with_measurements(t.measurements.iloc[:0], profile) for t in found]
    table = condsim.compare(found)
    result = tell(table, found, not options.no_effects)
    tables = [table]
    looped = [] if options.traces else traces(options.run, loops=True)
    if looped:
        tables.append(tell_loops(looped, options.profile))
    if not (options.traces or options.profile) and (options.run / segments.FILE).exists():
        sums, operators = segments.summary(options.run)
        show(
            "one case a model, operator by operator: "
            "two errors that cancel in the sum do not in the sum of |errors|",
            sums,
        )
        show(
            "operators that the error of a side comes from, percent of its time", operators.head(20)
        )
    if not (options.traces or options.profile):
        cases = pd.concat(tables, ignore_index=True)
        write_whole(
            options.run / "cases.parquet", cases.to_parquet(index=False, compression="zstd")
        )
        processors.tell([RUNS, *options.runs])
    if options.json:
        write_whole(options.json, json.dumps(result, indent=1, default=str))
    if options.write_readme:
        write_readme(
            markdown(
                table,
                "python -m benchmarks.accuracy --traces traces/*"
                if options.traces
                else "make accuracy",
            )
        )


if __name__ == "__main__":
    main()
