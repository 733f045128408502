"""How far off predictions are: statistics of a table of `condsim.compare`.

Also what each effect and each limit say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

import condsim
from benchmarks.suite.cases import half
from condsim.calibrate.shapes import overlap
from condsim.cost.cpu.activations import activation_curves
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.new_shapes import NEW_SHAPE
from condsim.hardware import Activations, HardwareProfile
from condsim.lower import lower
from condsim.predict.choose import choose_strategies, program_of
from condsim.predict.intervals import CONFORMAL
from condsim.program.operators import MATMULS, work
from condsim.steps.rebatch import rebatch, site_rules
from condsim.study.compare import cause_of
from condsim.trace import Trace

LIMITS = {"speedup": (5.0, 12.0), "latency": (8.0, 20.0)}
"""|error| in percent: median and 90th percentile, the mean over mechanisms of each."""
WORST_MECHANISM = 1.5
"""No mechanism's 90th percentile may exceed so many times the limit."""
CLEAR, FAR = 0.05, 0.15
"""Distances of a measured speedup from 1 beyond which no verdict may be wrong, and few missing."""
STEADY = 0.03
RIVALS = ("flop_ratio", "roofline", "hot_sum")


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """|error| in percent of each case.

    Of the speedup, of both latencies, and of the speedup as rivals have it.
    """
    return (
        pd.DataFrame(
            {
                "speedup": table["error"].abs(),
                "latency": (table["predicted_latency_s"] / table["measured_latency_s"] - 1).abs(),
                "dense latency": (
                    table["predicted_baseline_s"] / table["measured_baseline_s"] - 1
                ).abs(),
                **{r: (table[r] / table["measured_speedup"] - 1).abs() for r in RIVALS},
            }
        )
        * 100
    )


def statistics(
    table: pd.DataFrame, columns: Iterable[str] = ("speedup", "latency", "dense latency", *RIVALS)
) -> pd.DataFrame:
    """Median and 90th percentile of |error|, percent, by mechanism.

    In the last row the mean over mechanisms. Columns: cases, "speedup median", …
    """
    found = errors(table)[list(columns)]
    rows = {name: _medians(group) for name, group in found.groupby(table["mechanism"])}
    out = pd.DataFrame(rows).T
    out.loc["mean over mechanisms"] = out.mean()
    out.insert(0, "cases", [*table["mechanism"].value_counts().reindex(rows), len(table)])
    return out


def _medians(group: pd.DataFrame) -> dict[str, float]:
    return {
        f"{c} {q}": float(group[c].quantile(p))
        for c in group
        for q, p in (("median", 0.5), ("p90", 0.9))
    }


def by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """|error| of the speedup and of the latency by the values of a column, and the bias of both.

    Median and 90th percentile, in percent.
    """
    found = errors(table)[["speedup", "latency"]].groupby(table[column])
    signed = (
        pd.DataFrame(
            {
                "speedup": table["error"],
                "latency": table["predicted_latency_s"] / table["measured_latency_s"] - 1,
            }
        )
        * 100
    )
    bias = signed.groupby(table[column]).median().add_suffix(" bias")
    halves = {q: found.quantile(p).add_suffix(f" {q}") for q, p in (("median", 0.5), ("p90", 0.9))}
    return pd.concat([found.size().rename("cases"), halves["median"], halves["p90"], bias], axis=1)


def halves(table: pd.DataFrame) -> pd.Series:
    """Development or check, for each row."""
    names = table[["trace", "phase", "batch", "strategy", "baseline"]].itertuples(index=False)
    return pd.Series([half(*row) for row in names], table.index)


def verdicts(table: pd.DataFrame) -> dict[str, float]:
    """How often intervals hold the measurement, and verdicts that are wrong or missing.

    A measurement whose own spread has 1 inside counts for neither.
    """
    inside = (table["low"] <= table["measured_speedup"]) & (
        table["measured_speedup"] <= table["high"]
    )
    counts = ~((table["measured_low"] <= 1) & (table["measured_high"] >= 1))
    definite = (table["verdict"] != "too close to call") & counts
    wrong = definite & ((table["verdict"] == "faster") != (table["measured_speedup"] > 1))
    away = (table["measured_speedup"] - 1).abs()
    return {
        "inside the 90 % interval, %": 100 * float(inside.mean()),
        "definite verdicts": int(definite.sum()),
        "wrong definite verdicts": int(wrong.sum()),
        "wrong where the measurement is over 5 % from 1": int((wrong & (away > CLEAR)).sum()),
        "over 15 % from 1": int((away > FAR).sum()),
        "of these too close to call": int(
            ((table["verdict"] == "too close to call") & (away > FAR)).sum()
        ),
    }


def repeats(table: pd.DataFrame) -> pd.Series:
    """Spread of the measured speedup over processes, relative; NaN for a case of one process."""
    return (table["measured_high"] / table["measured_low"] - 1).where(table["processes"] > 1)


def limits(table: pd.DataFrame) -> pd.DataFrame:
    """Each limit: what it asks, what was found, whether it holds."""
    stats, said = statistics(table, LIMITS), verdicts(table)
    rows: list[tuple[str, str, float, bool]] = []
    for what, (median, p90) in LIMITS.items():
        for quantile, limit in (("median", median), ("p90", p90)):
            value = float(stats.loc["mean over mechanisms", f"{what} {quantile}"])
            rows.append(
                (
                    f"{what} {quantile}, mean over mechanisms, %",
                    f"≤ {limit:g}",
                    value,
                    value <= limit,
                )
            )
        worst = float(stats[f"{what} p90"].iloc[:-1].max())
        rows.append(
            (
                f"{what} p90, worst mechanism, %",
                f"≤ {WORST_MECHANISM * p90:g}",
                worst,
                worst <= WORST_MECHANISM * p90,
            )
        )
    inside = said["inside the 90 % interval, %"]
    rows.append(("inside the 90 % interval, %", "80 … 97", inside, 80 <= inside <= 97))
    rows.append(
        (
            "wrong verdicts over 5 % from 1",
            "0",
            (n := said["wrong where the measurement is over 5 % from 1"]),
            n == 0,
        )
    )
    wrong = 100 * said["wrong definite verdicts"] / max(said["definite verdicts"], 1)
    rows.append(("wrong definite verdicts, %", "≤ 2", wrong, wrong <= 2))
    close = 100 * said["of these too close to call"] / max(said["over 15 % from 1"], 1)
    rows.append(("too close to call though over 15 % from 1, %", "≤ 10", close, close <= 10))
    return pd.DataFrame(rows, columns=["what", "limit", "found", "holds"])


def scores(table: pd.DataFrame) -> pd.Series:
    """How many half-widths of its interval the measured speedup of each case lies from the
    predicted one (logarithms); the interval is the one that it would have without a factor."""
    off = np.log(table["measured_speedup"] / table["predicted_speedup"])
    width = np.where(
        off > 0,
        np.log(table["high"] / table["predicted_speedup"]),
        np.log(table["predicted_speedup"] / table["low"]),
    )
    force = CONFORMAL[table["runtime"].iloc[0]]
    found: pd.Series = off.abs() / np.maximum(width / force, 1e-6)
    return found


def conformal_factor(tables: Sequence[pd.DataFrame]) -> float:
    """The factor that intervals need to hold 90 % of the cases of some tables.

    Each table weighs the same. Split-conformal: Vovk, Gammerman, Shafer, 2005.
    """
    found = [scores(table) for table in tables]
    weights = [pd.Series(1 / len(of_table), of_table.index) for of_table in found]
    score = pd.concat(found).to_numpy()
    weight = pd.concat(weights).to_numpy() / len(tables)
    order = np.argsort(score)
    wanted = min(0.9 * (1 + 1 / max(len(score), 1)), 1.0)
    place = int(np.searchsorted(np.cumsum(weight[order]), wanted - 1e-12))
    return float(score[order[min(place, len(order) - 1)]])


def conformal(table: pd.DataFrame) -> str:
    """What the development half asks for, and what that does to the other half."""
    ours = halves(table) == "development"
    factor = conformal_factor([table[ours]])
    force = CONFORMAL[table["runtime"].iloc[0]]
    inside = 100 * (scores(table[~ours]) <= factor).mean()
    return (
        f"the development half asks for a factor of {factor:.2f} ({force:.2f} is in force); "
        f"with it {inside:.0f} % of the check half are inside"
    )


def effects(profile: HardwareProfile) -> dict[str, HardwareProfile]:
    """The profile without each effect of a CPU's cost model."""
    bare = {
        k: v.model_copy(update={"value": 0.0})
        for k, v in (
            ("module_call", profile.host.module_call),
            ("instruction", profile.host.instruction),
        )
        if v
    }
    alone = profile.residency.model_copy(update={"others": 0.0}) if profile.residency else None
    near = Activations(distance=[1.0], read=[0.0], written=[0.0])
    kept, built = (
        {k: v for k, v in profile.extra_s.items() if not k.endswith(name)}
        for name in (NEW, NEW_SHAPE)
    )
    return {
        "residency of weights": profile.model_copy(
            update={"residency": None, "activations": activation_curves(profile)}
        ),
        "distant activations": profile.model_copy(update={"activations": near}),
        "others in the caches": profile.model_copy(update={"residency": alone}),
        "new memory": profile.model_copy(update={"extra_s": kept}),
        "new shapes": profile.model_copy(update={"extra_s": built}),
        "calls among other operators": profile.model_copy(update={"among": None}),
        "code evicted by data": profile.model_copy(update={"cold": None}),
        "Python between operators": profile.model_copy(
            update={"host": profile.host.model_copy(update=bare)}
        ),
    }


def worth(traces: list[Trace], table: pd.DataFrame) -> pd.DataFrame:
    """|error| with everything, and without each effect in turn."""
    rows = {"everything": statistics(table, LIMITS).iloc[-1]}
    names = list(effects(traces[0].profile)) if traces else []
    for name in names:
        without = condsim.compare(
            [t.with_measurements(t.measurements.iloc[:0], effects(t.profile)[name]) for t in traces]
        )
        rows[f"without {name}"] = statistics(without, LIMITS).iloc[-1]
    return pd.DataFrame(rows).T


def visited(traces: list[Trace], table: pd.DataFrame) -> pd.Series:
    """Share of each case's matmul kernels whose very size the calibration timed.

    Of one step, both sides.
    """
    known = {}
    for trace in traces:
        for phase in trace.steps["phase"].unique():
            known[trace.name, phase] = trace
    found = []
    for row in table.itertuples():
        trace = known[row.trace, row.phase]
        ways = (
            choose_strategies(trace, row.strategy),
            dict.fromkeys(trace.mechanisms, row.baseline),
        )
        found.append(
            overlap(
                [size for way in ways for size in matmul_sizes(trace, way, row.batch, row.phase)]
            )
        )
    return pd.Series(found, table.index)


def matmul_sizes(
    trace: Trace, strategies: Mapping[str, str], batch: int, phase: str
) -> list[tuple[str, tuple[int, ...]]]:
    """(family, (m, n, k, groups)) of each matmul kernel of the first step."""
    cut = rebatch(trace, batch, phase)
    found = []
    for call in lower(
        program_of(trace, strategies, cut.regime), site_rules(trace), strategies, cut.steps.step(0)
    ).sequence():
        op = call.op
        job = work(
            op.name,
            [t.shape(call.bindings) for t in op.inputs],
            [t.shape(call.bindings) for t in op.outputs],
            op.params,
        )
        if job.family in MATMULS:
            found.append((job.family, (int(job.m), int(job.n), int(job.k), int(job.groups))))
    return found


def worst(table: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The cases with the largest errors, and what they say about themselves."""
    chosen = table.loc[table["error"].abs().sort_values(ascending=False).index[:count]]
    columns = [
        "trace",
        "phase",
        "strategy",
        "batch",
        "protocol",
        "baseline",
        "predicted_speedup",
        "measured_speedup",
        "error",
    ]
    return chosen[columns].assign(cause=[cause_of(r) for r in chosen.to_dict("records")])
