"""What both tables of GPU measurements have in common: errors and their groups, options, which
tables were asked for."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import pandas as pd

from condsim.errors import unknown

T = TypeVar("T")


def error(predicted_s: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Return predicted / measured - 1 of each row, float [rows]. Measured are milliseconds."""
    measured_s = rows["latency"].to_numpy(float) * 1e-3
    return predicted_s / measured_s - 1


def quantiles(errors: np.ndarray, where: np.ndarray | None = None) -> tuple[float, float]:
    """Return the median and 90th percentile of |error| in percent; NaN where there is no row.

    where: which rows count, bool [rows]; None for all.
    """
    chosen = np.abs(errors if where is None else errors[where])
    if not len(chosen):
        return float("nan"), float("nan")
    return float(np.median(chosen)) * 100, float(np.quantile(chosen, 0.9)) * 100


def show_groups(groups: Mapping[str, Mapping[str, tuple[float, float]]]) -> None:
    """Print a table: way of predicting → group of rows → (median, 90th percentile)."""
    names = list(next(iter(groups.values())))
    header = "".join(f"{name:>15s}" for name in names)
    print(f"  {'':28s}{header}")
    for way, found in groups.items():
        cells = [f"{median:8.1f}/{p90:6.1f}" for median, p90 in map(found.__getitem__, names)]
        print(f"  {way:28s}{''.join(cells)}")


def named(tables: Iterable[T], names: Iterable[str] | None) -> list[T]:
    """Tables whose name (`name` of each, or what it is printed as) has one of the names in it.

    Raises CondsimError where none has.
    """
    of = {getattr(t, "name", str(t)): t for t in tables}
    chosen = [t for name, t in of.items() if not names or any(n in name for n in names)]
    if not chosen:
        raise unknown("table", ", ".join(names or ()), list(of))
    return chosen


def options(doc: str | None) -> argparse.ArgumentParser:
    """The options of both programs."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="tables whose name has one of these in it"
    )
    parser.add_argument("--all", action="store_true", help="every row, not the sample")
    parser.add_argument(
        "--fit",
        metavar="NAME",
        help="fit the constants of a table on each half of its shapes, and print them",
    )
    parser.add_argument(
        "--sample", action="store_true", help="take the committed sample anew from the wheel"
    )
    parser.add_argument("--json", action="store_true")
    return parser
