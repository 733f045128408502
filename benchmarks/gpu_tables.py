"""Hold predicted seconds of mixture-of-experts layers on GPUs against rows that others measured.

    python -m benchmarks.gpu_tables [--only NAME ...] [--all] [--worth] [--json]
    python -m benchmarks.gpu_tables --fit NAME

Without options it takes a stratified sample of at least 3,000 rows of each table
(`benchmarks/gpu/sample.parquet`), and predicts each with no fitted constant, and with those of
`benchmarks/gpu/constants.py`. --all takes every row, for which the wheel is fetched. --worth also
prints the error without each effect. Errors are those of predicted over measured seconds, without
their sign, in percent: median / 90th percentile.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.gpu import wheel
from benchmarks.gpu.constants import FITTED, NAMES
from benchmarks.gpu.predict import Case, cases, predicted, roofline
from benchmarks.gpu.report import error, named, quantiles, show_groups
from benchmarks.gpu.report import options as common_options
from benchmarks.gpu.rows import KEY, half, kept, sample
from condsim.calibrate.fit import fit
from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.hardware import HardwareProfile

SAMPLE = Path(__file__).with_name("gpu") / "sample.parquet"
ROWS = 3000
FIT_ROWS = 700


@dataclass(frozen=True)
class Table:
    """A table of the wheel and the profile of its device.

    fitted: which constants are tried on it; kernel: only rows of this kernel.
    """

    system: str
    engine: str
    version: str
    dtype: str
    profile: str
    fitted: str | None = "vllm-0.24.0"
    kernel: str = ""
    one_rank: bool = False  # the measurement's rows of more ranks are in doubt

    @property
    def name(self) -> str:
        return f"{self.system}/{self.engine}/{self.version}/{self.dtype}"


TABLES = (
    Table("h100_sxm", "vllm", "0.24.0", "bfloat16", "nvidia-h100-sxm"),
    Table("h200_sxm", "vllm", "0.24.0", "bfloat16", "nvidia-h200-sxm"),
    Table("h200_sxm", "vllm", "0.19.0", "bfloat16", "nvidia-h200-sxm"),
    Table("l40s", "vllm", "0.24.0", "bfloat16", "nvidia-l40s"),
    Table("b200_sxm", "vllm", "0.22.0", "bfloat16", "nvidia-b200"),
    Table(
        "a100_sxm",
        "sglang",
        "0.5.10",
        "bfloat16",
        "nvidia-a100-sxm-80gb",
        kernel="triton",
        one_rank=True,
    ),
    Table(
        "h100_sxm",
        "sglang",
        "0.5.14",
        "bfloat16",
        "nvidia-h100-sxm",
        kernel="triton",
        one_rank=True,
    ),
    Table("h200_sxm", "vllm", "0.19.0", "fp8", "nvidia-h200-sxm", None, "", True),
    Table("h200_sxm", "vllm", "0.19.0", "fp8_block", "nvidia-h200-sxm", None, "", True),
    Table("h100_sxm", "vllm", "0.24.0", "fp8_block", "nvidia-h100-sxm", None, "triton", True),
    Table("h200_sxm", "vllm", "0.24.0", "fp8_block", "nvidia-h200-sxm", None, "triton", True),
)
DTYPES = {"bfloat16": ("bf16", 2), "fp8": ("fp8", 1), "fp8_block": ("fp8_block", 1)}
OFF: dict[str, dict[str, Any]] = {
    "drawn routing": {},
    "fixed cost of a kernel": {"gpu.kernel_s": 1e-12},
    "tiles": {
        "gpu.grouped_tiles": [{"m": 1, "n": 1}],
        "gpu.operand_bytes_per_clock": 1e20,
        "gpu.tile_s": 1e-17,
    },
    "choice of tile": {"gpu.grouped_tiles": [{"m": 64, "n": 128}]},
    "cost of a tile": {"gpu.tile_s": 1e-15},
    "sorting rows": {"gpu.row_s": 1e-17},
    "soft maximum: the longer one": {"gpu.overlap": 100.0},
    "soft maximum: the sum": {"gpu.overlap": 1.0},
    "L2": {"memory.l2.bytes": 1.0},
}


def read(of: Table, everything: bool) -> tuple[pd.DataFrame, dict[str, int]]:
    """(rows, rule → rows left out): from the wheel, or the committed sample (whose rules were
    applied when it was taken)."""
    if not everything and SAMPLE.is_file():
        stored = pd.read_parquet(SAMPLE)
        if of.name in set(stored["table"]):
            return stored[stored["table"] == of.name].drop(columns="table").reset_index(
                drop=True
            ), {}
    rows = wheel.table(of.system, of.engine, of.version)
    rows = rows[(rows["moe_dtype"] == of.dtype) & rows["kernel_source"].str.contains(of.kernel)]
    if of.one_rank:
        rows = rows[(rows["moe_tp_size"] == 1) & (rows["moe_ep_size"] == 1)]
    found, out = kept(rows)
    return found, out


def take_sample() -> None:
    """Write the committed sample: what `rows.sample` picks of each table, and the licence of its
    source beside it."""
    parts = []
    types = {column: "int32" for column in KEY if column != "distribution"}
    types["latency"] = "float32"
    for of in TABLES:
        found, _ = read(of, True)
        picked = sample(found, ROWS).astype(types)
        parts.append(picked.assign(table=of.name))
    together = pd.concat(parts, ignore_index=True)
    write_whole(SAMPLE, together.to_parquet(compression="zstd"))


def constants(
    of: Table, profile: HardwareProfile, rows: pd.DataFrame
) -> list[tuple[HardwareProfile, np.ndarray]]:
    """(profile with constants, rows it is scored on): each half of the shapes with those fitted
    on the other."""
    if of.fitted is None or of.fitted not in FITTED:
        return []
    halves = half(rows)
    return [(profile.replace(**FITTED[of.fitted][i]), halves != i) for i in (0, 1)]


def beside(of: Table, most: int) -> pd.DataFrame:
    """Predicted beside measured with no fitted constant: a row a layer, about `most` of them,
    evenly from the committed sample."""
    rows, _ = read(of, False)
    rows = rows.iloc[:: max(len(rows) // most, 1)].reset_index(drop=True)
    dtype, _ = DTYPES[of.dtype]
    seconds = predicted(cases(rows), rows, condsim.hardware(of.profile), dtype, of.engine)
    sizes = rows[["hidden_size", "inter_size", "num_experts", "topk"]].astype(str)
    columns = {
        "table": of.name,
        "profile": of.profile,
        "engine": f"{of.engine} {of.version}",
        "shape": sizes.agg(" x ".join, axis=1),
        "tp": rows["moe_tp_size"],
        "ep": rows["moe_ep_size"],
        "routing": rows["distribution"],
        "batch": rows["num_tokens"],
        "predicted_s": seconds,
        "measured_s": rows["latency"] * 1e-3,
        "error": error(seconds, rows),
    }
    return pd.DataFrame(columns)


def groups(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Name → which rows, bool."""
    tokens, tp, ep = (rows[c].to_numpy() for c in ("num_tokens", "moe_tp_size", "moe_ep_size"))
    found = {
        "all": np.ones(len(rows), bool),
        "tokens <= 64": tokens <= 64,
        "65 to 1,024": (tokens > 64) & (tokens <= 1024),
        "> 1,024": tokens > 1024,
        "one rank": (tp == 1) & (ep == 1),
        "TP > 1": tp > 1,
        "EP > 1": ep > 1,
    }
    for name in sorted(set(rows["distribution"])):
        found[name] = (rows["distribution"] == name).to_numpy()
    return found


def skew(predicted_s: np.ndarray, rows: pd.DataFrame) -> dict[str, Any]:
    """Skewed over balanced, predicted against measured: share of right signs where they differ
    by over 5 %, and |ln| error, median / 90th percentile."""
    keys = rows[[c for c in KEY if c != "distribution"]].apply(tuple, axis=1)
    balanced = (rows["distribution"] == "balanced").to_numpy()
    at = {k: i for i, k in enumerate(keys) if balanced[i]}
    pairs = [(i, at[k]) for i, k in enumerate(keys) if not balanced[i] and k in at]
    if not pairs:
        return {}
    i, j = np.array(pairs).T
    measured = rows["latency"].to_numpy(float)
    said, was = np.log(predicted_s[i] / predicted_s[j]), np.log(measured[i] / measured[j])
    clear = np.abs(was) > np.log(1.05)
    same_sign = np.sign(said) == np.sign(was)
    return {
        "pairs": len(pairs),
        "clear": int(clear.sum()),
        "sign": float(same_sign[clear].mean()),
        "ln": _median_and_p90(np.abs(said - was)),
        "no_effect": _median_and_p90(np.abs(was)),
    }


def _median_and_p90(values: np.ndarray) -> tuple[float, float]:
    return float(np.median(values)), float(np.quantile(values, 0.9))


def order(predicted_s: np.ndarray, rows: pd.DataFrame, pairs: int = 100_000) -> float:
    """Share of pairs of rows over 10 % apart whose order is right, over drawn pairs."""
    rng = np.random.default_rng(0)
    i, j = rng.integers(len(rows), size=(2, pairs))
    measured = rows["latency"].to_numpy(float)
    said, was = np.log(predicted_s[i] / predicted_s[j]), np.log(measured[i] / measured[j])
    clear = np.abs(was) > np.log(1.1)
    same_sign = np.sign(said) == np.sign(was)
    return float(same_sign[clear].mean())


def report(of: Table, everything: bool, worth: bool) -> dict[str, Any]:
    """All figures of one table."""
    rows, out = read(of, everything)
    profile = condsim.hardware(of.profile)
    dtype, itemsize = DTYPES[of.dtype]
    made = cases(rows)
    plain = predicted(made, rows, profile, dtype, of.engine)
    said = {"no fitted constant": plain}
    tried = constants(of, profile, rows)
    if tried:
        fitted = np.zeros(len(rows))
        for with_constants, scored in tried:
            fitted[scored] = predicted(made, rows, with_constants, dtype, of.engine)[scored]
        said[f"constants of {of.fitted}"] = fitted
    said["roofline, all weights"] = roofline(rows, profile, dtype, itemsize, False)
    said["roofline, touched weights"] = roofline(rows, profile, dtype, itemsize, True)
    result: dict[str, Any] = {
        "table": of.name,
        "profile": of.profile,
        "rows": len(rows),
        "left out": out,
        "groups": {},
        "skew": {},
        "order": {},
    }
    for way, seconds in said.items():
        errors = error(seconds, rows)
        result["groups"][way] = {
            name: quantiles(errors, where) for name, where in groups(rows).items() if where.any()
        }
        result["skew"][way] = skew(seconds, rows)
        result["order"][way] = order(seconds, rows)
    if worth and tried:
        result["worth"] = {
            "nothing": quantiles(error(fitted, rows)),
            **{name: _without(name, of, made, rows, profile, dtype) for name in OFF},
        }
    return result


def _without(
    effect: str,
    of: Table,
    made: list[Case],
    rows: pd.DataFrame,
    profile: HardwareProfile,
    dtype: str,
) -> tuple[float, float]:
    """Error with one effect off, the constants as they are."""
    chosen = cases(rows, even=True) if effect == "drawn routing" else made
    seconds = np.zeros(len(rows))
    for with_constants, scored in constants(of, profile, rows):
        without = with_constants.replace(**OFF[effect])
        seconds[scored] = predicted(chosen, rows, without, dtype, of.engine)[scored]
    return quantiles(error(seconds, rows))


def _seconds(
    made: list[Case], rows: pd.DataFrame, dtype: str, profile: HardwareProfile
) -> np.ndarray:
    return predicted(made, rows, profile, dtype)


def show(result: dict[str, Any]) -> None:
    print(f"\n{result['table']} on {result['profile']}: {result['rows']} rows")
    for rule, number in result["left out"].items():
        print(f"  left out {number:6d}  {rule}")
    show_groups(result["groups"])
    for way, found in result["skew"].items():
        if found and "roofline" not in way:
            (median, p90), (plain_median, plain_p90) = found["ln"], found["no_effect"]
            print(
                f"  skewed over balanced, {way}: "
                f"sign right in {found['sign']:.0%} of {found['clear']}, "
                f"ln error {median:.3f}/{p90:.3f} "
                f"(no effect: {plain_median:.3f}/{plain_p90:.3f}); "
                f"order of two rows right in {result['order'][way]:.1%}"
            )
    for name, (median, p90) in result.get("worth", {}).items():
        print(f"  without {name:32s}{median:6.1f}/{p90:5.1f}")


def fit_halves(of: Table) -> None:
    """Fit the constants of a table on each half of its shapes, and print them."""
    rows, _ = read(of, False)
    profile, (dtype, _) = condsim.hardware(of.profile), DTYPES[of.dtype]
    for number in (0, 1):
        part = sample(rows[half(rows) == number], FIT_ROWS)
        predict = partial(_seconds, cases(part), part, dtype)
        measured_s = part["latency"].to_numpy() * 1e-3
        found = fit(predict, measured_s, profile, NAMES)
        print(f"half {number}: {found}", flush=True)


def main() -> None:
    """Read the options, then print the tables, fit constants or take the sample."""
    parser = common_options(__doc__)
    parser.add_argument("--worth", action="store_true", help="also the error without each effect")
    options = parser.parse_args()
    try:
        if options.sample:
            take_sample()
        elif options.fit:
            fit_halves(named(TABLES, [options.fit])[0])
        else:
            results = []
            for of in named(TABLES, options.only):
                results.append(report(of, options.all, options.worth))
                if not options.json:
                    show(results[-1])
            if options.json:
                print(json.dumps(results))
    except CondsimError as e:
        raise SystemExit(f"{parser.prog}: {e}") from None


if __name__ == "__main__":
    main()
