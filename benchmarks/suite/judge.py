"""How far off predictions are: statistics of a table of `condsim.compare`.

It also judges the limits of accuracy, and what each effect of the cost model is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.suite.cases import half
from condsim.calibrate.shapes import overlap
from condsim.cost.cpu.activations import activation_curves
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.new_shapes import NEW_SHAPE
from condsim.hardware import Activations, HardwareProfile, Host, Residency
from condsim.lower import lower
from condsim.predict.choose import choose_strategies, program_of
from condsim.predict.intervals import CONFORMAL
from condsim.program.operators import MATMULS, work
from condsim.steps.rebatch import rebatch, site_rules
from condsim.study.compare import cause_of
from condsim.trace import Trace

LIMITS = {"speedup": (5.0, 12.0), "latency": (8.0, 20.0)}
"""The most |error| in percent: (median, 90th percentile), each the mean over mechanisms."""
QUANTILES = {"median": 0.5, "p90": 0.9}
WORST_MECHANISM = 1.5
"""No mechanism's 90th percentile may exceed the limit times this."""
CLEAR, FAR = 0.05, 0.15
"""Distances of a measured speedup from 1 beyond which no verdict may be wrong, and few missing."""
STEADY = 0.03
RIVALS = ("flop_ratio", "roofline", "hot_sum")
INSIDE = "inside the 90 % interval, %"
WRONG_IF_CLEAR = "wrong where the measurement is over 5 % from 1"
"""Keys of `verdicts`."""


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return the |error| of each case in percent.

    Columns: the speedup, both latencies, and the speedup as each rival estimates it.
    """
    dense = table["predicted_baseline_s"] / table["measured_baseline_s"] - 1
    found = {
        "speedup": table["error"].abs(),
        "latency": latency_error(table).abs(),
        "dense latency": dense.abs(),
    }
    for rival in RIVALS:
        of_rival = table[rival] / table["measured_speedup"] - 1
        found[rival] = of_rival.abs()
    return pd.DataFrame(found) * 100


def latency_error(table: pd.DataFrame) -> pd.Series:
    """Return the relative error of each case's conditional latency."""
    return table["predicted_latency_s"] / table["measured_latency_s"] - 1


def statistics(
    table: pd.DataFrame, columns: Iterable[str] = ("speedup", "latency", "dense latency", *RIVALS)
) -> pd.DataFrame:
    """Return the median and 90th percentile of |error| in percent, a row a mechanism.

    The last row is the mean over mechanisms. The result has the number of cases, then two columns
    for each of `columns`, such as "speedup median" and "speedup p90".
    """
    found = errors(table)[list(columns)]
    rows = {name: _medians(group) for name, group in found.groupby(table["mechanism"])}
    out = pd.DataFrame(rows).T
    out.loc["mean over mechanisms"] = out.mean()
    cases = table["mechanism"].value_counts().reindex(rows)
    out.insert(0, "cases", [*cases, len(table)])
    return out


def _medians(group: pd.DataFrame) -> dict[str, float]:
    found = {}
    for column in group:
        for name, quantile in QUANTILES.items():
            found[f"{column} {name}"] = float(group[column].quantile(quantile))
    return found


def by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return |error| and bias of the speedup and of the latency, a row a value of a column.

    Of |error| there are the median and the 90th percentile, and the bias is the median of the
    signed error; all are in percent.
    """
    found = errors(table)[["speedup", "latency"]].groupby(table[column])
    signed = {"speedup": table["error"], "latency": latency_error(table)}
    signed_percent = pd.DataFrame(signed) * 100
    bias = signed_percent.groupby(table[column]).median().add_suffix(" bias")
    parts = [found.size().rename("cases")]
    for name, quantile in QUANTILES.items():
        parts.append(found.quantile(quantile).add_suffix(f" {name}"))
    return pd.concat([*parts, bias], axis=1)


def halves(table: pd.DataFrame) -> pd.Series:
    """Return the half of each row: development or check."""
    names = table[["trace", "phase", "batch", "strategy", "baseline"]].itertuples(index=False)
    return pd.Series([half(*row) for row in names], table.index)


def verdicts(table: pd.DataFrame) -> dict[str, float]:
    """Count how often intervals hold the measurement, and which verdicts are wrong or missing.

    A verdict is not counted as wrong where the measurement's own spread has 1 inside.
    """
    measured = table["measured_speedup"]
    inside = (table["low"] <= measured) & (measured <= table["high"])
    undecided = (table["measured_low"] <= 1) & (table["measured_high"] >= 1)
    close = table["verdict"] == "too close to call"
    definite = ~close & ~undecided
    wrong = definite & ((table["verdict"] == "faster") != (measured > 1))
    away = (measured - 1).abs()
    is_far = away > FAR
    return {
        INSIDE: 100 * float(inside.mean()),
        "definite verdicts": int(definite.sum()),
        "wrong definite verdicts": int(wrong.sum()),
        WRONG_IF_CLEAR: int((wrong & (away > CLEAR)).sum()),
        "over 15 % from 1": int(is_far.sum()),
        "of these too close to call": int((close & is_far).sum()),
    }


def repeats(table: pd.DataFrame) -> pd.Series:
    """Return the relative spread of the measured speedup over processes.

    It is NaN for a case that one process measured.
    """
    spread = table["measured_high"] / table["measured_low"] - 1
    return spread.where(table["processes"] > 1)


def limits(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a limit: what it asks, what was found, whether it holds."""
    rows = [*_limits_of_errors(table), *_limits_of_verdicts(table)]
    return pd.DataFrame(rows, columns=["what", "limit", "found", "holds"])


Judged = tuple[str, str, float, bool]
"""A limit: (what it limits, what it asks, what was found, whether it holds)."""


def _limits_of_errors(table: pd.DataFrame) -> list[Judged]:
    stats = statistics(table, LIMITS)
    mean = stats.loc["mean over mechanisms"]
    rows: list[Judged] = []
    for what, of_quantiles in LIMITS.items():
        for quantile, limit in zip(QUANTILES, of_quantiles, strict=True):
            value = float(mean[f"{what} {quantile}"])
            name = f"{what} {quantile}, mean over mechanisms, %"
            rows.append((name, f"≤ {limit:g}", value, value <= limit))
        worst_allowed = WORST_MECHANISM * of_quantiles[1]
        worst = float(stats[f"{what} p90"].iloc[:-1].max())
        name = f"{what} p90, worst mechanism, %"
        rows.append((name, f"≤ {worst_allowed:g}", worst, worst <= worst_allowed))
    return rows


def _limits_of_verdicts(table: pd.DataFrame) -> list[Judged]:
    said = verdicts(table)
    inside, clear = said[INSIDE], said[WRONG_IF_CLEAR]
    wrong = 100 * said["wrong definite verdicts"] / max(said["definite verdicts"], 1)
    close = 100 * said["of these too close to call"] / max(said["over 15 % from 1"], 1)
    return [
        (INSIDE, "80 … 97", inside, 80 <= inside <= 97),
        ("wrong verdicts over 5 % from 1", "0", clear, clear == 0),
        ("wrong definite verdicts, %", "≤ 2", wrong, wrong <= 2),
        ("too close to call though over 15 % from 1, %", "≤ 10", close, close <= 10),
    ]


def scores(table: pd.DataFrame) -> pd.Series:
    """Return how far the measured speedup of each case lies from the predicted one.

    The unit is half the width of the case's interval, in logarithms; the interval is the one that
    the case would have without a conformal factor.
    """
    predicted = table["predicted_speedup"]
    off = np.log(table["measured_speedup"] / predicted)
    above = np.log(table["high"] / predicted)
    below = np.log(predicted / table["low"])
    width = np.where(off > 0, above, below)
    force = CONFORMAL[table["runtime"].iloc[0]]
    found: pd.Series = off.abs() / np.maximum(width / force, 1e-6)
    return found


def conformal_factor(tables: Sequence[pd.DataFrame]) -> float:
    """Return the factor that intervals need to hold 90 % of the cases of some tables.

    Each table weighs the same. Source: split-conformal prediction; Vovk, Gammerman and Shafer,
    Algorithmic Learning in a Random World, 2005.
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
    """Say which factor the development half asks for, and what that does to the other half."""
    ours = halves(table) == "development"
    factor = conformal_factor([table[ours]])
    force = CONFORMAL[table["runtime"].iloc[0]]
    inside = 100 * (scores(table[~ours]) <= factor).mean()
    return (
        f"the development half asks for a factor of {factor:.2f} ({force:.2f} is in force); "
        f"with it {inside:.0f} % of the check half are inside"
    )


def effects(profile: HardwareProfile) -> dict[str, HardwareProfile]:
    """Return a profile for each effect of a CPU's cost model, which lacks this effect only."""
    changes: dict[str, dict[str, Any]] = {
        "residency of weights": {"residency": None, "activations": activation_curves(profile)},
        "distant activations": {
            "activations": Activations(distance=[1.0], read=[0.0], written=[0.0])
        },
        "others in the caches": {"residency": _alone_in_the_caches(profile)},
        "new memory": {"extra_s": _extra_without(profile, NEW)},
        "new shapes": {"extra_s": _extra_without(profile, NEW_SHAPE)},
        "calls among other operators": {"among": None},
        "code evicted by data": {"cold": None},
        "Python between operators": {"host": _host_without_python(profile)},
    }
    return {name: profile.model_copy(update=change) for name, change in changes.items()}


def _alone_in_the_caches(profile: HardwareProfile) -> Residency | None:
    if profile.residency is None:
        return None
    return profile.residency.model_copy(update={"others": 0.0})


def _extra_without(profile: HardwareProfile, ending: str) -> dict[str, Any]:
    """Return the extra seconds of operators, but for those whose names end so."""
    return {name: value for name, value in profile.extra_s.items() if not name.endswith(ending)}


def _host_without_python(profile: HardwareProfile) -> Host:
    changes = {}
    for name in ("module_call", "instruction"):
        quantity = getattr(profile.host, name)
        if quantity:
            changes[name] = quantity.model_copy(update={"value": 0.0})
    return profile.host.model_copy(update=changes)


def worth(traces: list[Trace], table: pd.DataFrame) -> pd.DataFrame:
    """Return |error| with everything, and without each effect in turn."""
    rows = {"everything": statistics(table, LIMITS).iloc[-1]}
    names = list(effects(traces[0].profile)) if traces else []
    for name in names:
        changed = []
        for trace in traces:
            profile = effects(trace.profile)[name]
            changed.append(trace.with_measurements(trace.measurements.iloc[:0], profile))
        without = condsim.compare(changed)
        rows[f"without {name}"] = statistics(without, LIMITS).iloc[-1]
    return pd.DataFrame(rows).T


def visited(traces: list[Trace], table: pd.DataFrame) -> pd.Series:
    """Return the share of each case's matmul kernels whose very size the calibration timed.

    The kernels are those of both sides of the first step.
    """
    known = {}
    for trace in traces:
        for phase in trace.steps["phase"].unique():
            known[trace.name, phase] = trace
    found = []
    for row in table.itertuples():
        trace = known[row.trace, row.phase]
        conditional = choose_strategies(trace, row.strategy)
        baseline = dict.fromkeys(trace.mechanisms, row.baseline)
        sizes = matmul_sizes(trace, conditional, row.batch, row.phase)
        sizes += matmul_sizes(trace, baseline, row.batch, row.phase)
        found.append(overlap(sizes))
    return pd.Series(found, table.index)


def matmul_sizes(
    trace: Trace, strategies: Mapping[str, str], batch: int, phase: str
) -> list[tuple[str, tuple[int, ...]]]:
    """Return (family, (m, n, k, groups)) of each matmul kernel of the first step."""
    cut = rebatch(trace, batch, phase)
    program = program_of(trace, strategies, cut.regime)
    lowered = lower(program, site_rules(trace), strategies, cut.steps.step(0))
    found = []
    for call in lowered.sequence():
        op = call.op
        inputs = [tensor.shape(call.bindings) for tensor in op.inputs]
        outputs = [tensor.shape(call.bindings) for tensor in op.outputs]
        job = work(op.name, inputs, outputs, op.params)
        if job.family in MATMULS:
            size = (int(job.m), int(job.n), int(job.k), int(job.groups))
            found.append((job.family, size))
    return found


def worst(table: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """Return the cases with the largest errors, and the cause that each names."""
    by_error = table["error"].abs().sort_values(ascending=False)
    chosen = table.loc[by_error.index[:count]]
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
    causes = [cause_of(row) for row in chosen.to_dict("records")]
    return chosen[columns].assign(cause=causes)
